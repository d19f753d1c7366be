package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The ids of the distributions that tests push to.
const (
	jammy   = 237 // ubuntu/jammy
	el9     = 240 // el/9
	python  = 166 // python
	node1   = 191 // node/1
	anyfile = 230 // anyfile/1
)

// web is how tests themselves talk to servers.
var web = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// pushed is what the API says of a package.
type pushed struct {
	Name, Filename, Sha256sum string
	DestroyURL                string `json:"destroy_url"`
	PackageURL                string `json:"package_url"`
	Indexed                   bool
}

// call makes a request with the API token and reads the answer.
func (s *instance) call(ctx context.Context, method, path, contentType string, body io.Reader) (status int, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, s.URL+path, body)
	if err != nil {
		return 0, nil, err
	}
	r.SetBasicAuth(s.Token, "")
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	response, err := web.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// push pushes a package. An error says that nothing was acknowledged.
func (s *instance) push(ctx context.Context, repository string, distro int, name string, body []byte, query string) (p pushed, err error) {
	status, answer, err := s.pushForm(ctx, repository, distro, name, body, query)
	if err != nil {
		return p, err
	}
	if status != http.StatusCreated {
		return p, fmt.Errorf("push %s: %d %s", name, status, answer)
	}
	return p, json.Unmarshal(answer, &p)
}

// pushForm sends a package and returns what the server says.
func (s *instance) pushForm(ctx context.Context, repository string, distro int, name string, body []byte, query string) (status int, answer []byte, err error) {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	_ = w.WriteField("package[distro_version_id]", strconv.Itoa(distro))
	part, err := w.CreateFormFile("package[package_file]", name)
	if err != nil {
		return 0, nil, err
	}
	_, _ = part.Write(body)
	_ = w.Close()
	return s.call(ctx, http.MethodPost, "/api/v1/repos/"+repository+"/packages.json"+query, w.FormDataContentType(), &form)
}

// createRepository makes admin/<name>, public.
func (s *instance) createRepository(t testing.TB, name string) {
	t.Helper()
	s.postRepository(t, url.Values{"repository[name]": {name}})
}

// createPrivateRepository makes admin/<name> for machines with a token.
func (s *instance) createPrivateRepository(t testing.TB, name string) {
	t.Helper()
	s.postRepository(t, url.Values{"repository[name]": {name}, "repository[private]": {"1"}})
}

func (s *instance) postRepository(t testing.TB, fields url.Values) {
	t.Helper()
	status, answer, err := s.call(t.Context(), http.MethodPost, "/api/v1/repos.json", "application/x-www-form-urlencoded", strings.NewReader(fields.Encode()))
	if err != nil || status != http.StatusCreated {
		t.Fatalf("create the repository: %d %s %v", status, answer, err)
	}
}

// details asks for a package by its package_url.
func (s *instance) details(ctx context.Context, p pushed) (now pushed, status int, err error) {
	status, answer, err := s.call(ctx, http.MethodGet, p.PackageURL, "", nil)
	if err != nil || status != http.StatusOK {
		return now, status, err
	}
	return now, status, json.Unmarshal(answer, &now)
}

// settle waits until every package is indexed.
func (s *instance) settle(t testing.TB, packages []pushed) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for _, p := range packages {
		for {
			now, status, err := s.details(t.Context(), p)
			if err != nil || status != http.StatusOK {
				t.Fatalf("%s was acknowledged, and now there is: %d %v", p.Filename, status, err)
			}
			if now.Sha256sum != p.Sha256sum {
				t.Fatalf("%s has become other bytes", p.Filename)
			}
			if now.Indexed {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s is not indexed", p.Filename)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// get reads a file of a public repository.
func (s *instance) get(ctx context.Context, path string) (status int, body []byte, header http.Header, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
	if err != nil {
		return 0, nil, nil, err
	}
	response, err := web.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, response.Header, err
}
