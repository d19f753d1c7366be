package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"packagecloud/internal/repo"
)

// Repository is a repository in lists and, with Paths and URLs, alone.
type Repository struct {
	Name         string `json:"name"`
	FullName     string `json:"fqname"`
	Private      bool   `json:"private"`
	URL          string `json:"url"`
	LastPush     string `json:"last_push_human"`
	PackageCount string `json:"package_count_human"`
	Paths        Paths  `json:"paths,omitzero"`
	URLs         URLs   `json:"urls,omitzero"`
}

// Paths are where a repository's parts are, below the server's URL.
type Paths struct {
	Self              string `json:"self"`
	CreatePackage     string `json:"create_package"`
	PackageContents   string `json:"package_contents"`
	MasterTokens      string `json:"master_tokens"`
	CreateMasterToken string `json:"create_master_token"`
	GPGKeys           string `json:"gpg_keys"`
}

// URLs are complete in themselves, tokens included.
type URLs struct {
	InstallScript string `json:"install_script"`
}

// Distribution is something to push to: a distribution with its versions.
type Distribution struct {
	DisplayName string          `json:"display_name"`
	IndexName   string          `json:"index_name"`
	Versions    []DistroVersion `json:"versions"`
}

// DistroVersion is a version of a distribution. Python's has no names.
type DistroVersion struct {
	ID          int64  `json:"id"`
	DisplayName string `json:"display_name"`
	IndexName   string `json:"index_name"`
	Number      string `json:"version_number"`
}

// APIToken is the token of who knows an e-mail address and its password.
func (c *Client) APIToken(ctx context.Context, email, password string) (string, error) {
	a, err := c.do(ctx, &request{method: http.MethodGet, path: "/api/v1/token.json", user: email, pass: password})
	if err != nil {
		return "", err
	}
	var answer struct {
		Token string `json:"token"`
	}
	if err := a.decode(&answer); err != nil {
		return "", err
	}
	if answer.Token == "" {
		return "", errors.New("the server answers no token")
	}
	return answer.Token, nil
}

// Distributions lists the distributions, by the kind of package: deb, dsc, rpm,
// py, jar, node, alpine, anyfile, helm.
func (c *Client) Distributions(ctx context.Context) (map[string][]Distribution, error) {
	var all map[string][]Distribution
	_, err := c.get(ctx, "/api/v1/distributions.json", &all)
	return all, err
}

// Repositories lists the repositories that the user may push to, all of them.
func (c *Client) Repositories(ctx context.Context) ([]Repository, error) {
	list := []Repository{}
	for r, err := range pages[Repository](ctx, c, "/api/v1/repos.json", url.Values{"include_collaborations": {"1"}}) {
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

const (
	// maxPages bounds how many pages of a list are read.
	maxPages = 10_000
	// maxList bounds the answers of a list together, in bytes: callers keep what
	// is in them.
	maxList = 128 << 20
)

// pages gives the elements of a list, page by page.
func pages[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		size := 0
		for number := 1; number <= maxPages; number++ {
			if number > 1 {
				query.Set("page", strconv.Itoa(number))
			}
			target := path
			if len(query) > 0 {
				target += "?" + query.Encode()
			}
			var page []T
			a, err := c.get(ctx, target, &page)
			if err != nil {
				yield(none, err)
				return
			}
			if size += len(a.body); size > maxList {
				yield(none, &localError{fmt.Errorf("the list is longer than %d bytes: ask for a part of it", maxList)})
				return
			}
			for _, v := range page {
				if !yield(v, nil) {
					return
				}
			}
			if len(page) == 0 || !a.more() {
				return
			}
		}
	}
}

// CreateRepository makes a repository and tells its URL. That of an earlier attempt,
// whose answer was lost, is one of the user with this name, public or private as it
// was asked for.
func (c *Client) CreateRepository(ctx context.Context, name string, private bool) (string, error) {
	flag := "0"
	if private {
		flag = "1"
	}
	var answer struct {
		URL string `json:"url"`
	}
	repeated, err := c.form(ctx, "/api/v1/repos.json", url.Values{"repository[name]": {name}, "repository[private]": {flag}}, &answer)
	if !repeated || !repo.IsTaken(err) {
		return answer.URL, err
	}
	own, listErr := c.Repositories(ctx)
	if listErr != nil {
		return "", err
	}
	for _, r := range own {
		if r.Name == name && r.Private == private {
			return r.URL, nil
		}
	}
	return "", err
}

// Repository finds a repository by its full name, "user/repo". What is done
// with it needs the paths in the answer.
func (c *Client) Repository(ctx context.Context, name string) (*Repository, error) {
	user, rest, ok := strings.Cut(name, "/")
	if !ok || user == "" || rest == "" || strings.Contains(rest, "/") {
		return nil, fmt.Errorf("%q names no repository: write user/repo", name)
	}
	var answer struct {
		Repository
		Error string `json:"error"`
	}
	if _, err := c.get(ctx, "/api/v1/repos/"+url.PathEscape(user)+"/"+url.PathEscape(rest)+".json", &answer); err != nil {
		return nil, err
	}
	if answer.Error != "" { // with status 200
		if answer.Error == "not_found" {
			return nil, fmt.Errorf("repository %s: %w", name, repo.ErrNotFound)
		}
		return nil, fmt.Errorf("repository %s: %s", name, c.clean(answer.Error))
	}
	if answer.Paths.Self == "" || answer.Paths.CreatePackage == "" {
		return nil, fmt.Errorf("repository %s: the answer has no paths; is %s a packagecloud server?", name, c.URL)
	}
	return &answer.Repository, nil
}

// maxScript bounds an install script, in bytes.
const maxScript = 1 << 20

// InstallScript fetches the script that makes a machine know a repository. Its
// URL has the token that it needs; the API token is not sent.
func (c *Client) InstallScript(ctx context.Context, r *Repository, packageType string) ([]byte, error) {
	address := strings.ReplaceAll(r.URLs.InstallScript, ":package_type", url.PathEscape(packageType))
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, errors.New("the server tells no URL of an install script")
	}
	if c.URL.Scheme == "https" && u.Scheme != "https" {
		return nil, errors.New("the server tells an unencrypted URL of its install script, though it is asked over https")
	}
	// A client for that URL: its user is the token.
	other := *c
	other.Token = u.User.Username()
	other.URL = &url.URL{Scheme: u.Scheme, Host: u.Host}
	a, err := other.do(ctx, &request{method: http.MethodGet, path: u.RequestURI()})
	switch {
	case err != nil:
		return nil, err
	case len(a.body) > maxScript:
		return nil, fmt.Errorf("the install script is longer than %d bytes", maxScript)
	}
	return a.body, nil
}
