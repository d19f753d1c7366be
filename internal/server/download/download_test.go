package download_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/auth"
	"packagecloud/internal/blob"
	"packagecloud/internal/config"
	"packagecloud/internal/db"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/python/pytest"
	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/node"
	"packagecloud/internal/repo"
	"packagecloud/internal/serve"
	"packagecloud/internal/upload"
	"packagecloud/internal/verify"
)

// links sends clients to a bucket that nobody asks here.
type links struct{}

func (links) Link(_ context.Context, key string, _ int64) (string, error) {
	return "https://cdn.example.com/" + key + "?t=1", nil
}

// bucket is a folder that composes whole files, as a bucket does.
type bucket struct{ blob.Store }

func (b bucket) Compose(ctx context.Context, key string, parts []blob.Part, a blob.Attributes) error {
	var body bytes.Buffer
	for _, p := range parts {
		if p.Key == "" {
			body.Write(p.Body)
			continue
		}
		o, err := b.Open(ctx, p.Key)
		if err != nil {
			return err
		}
		_, err = io.Copy(&body, io.NewSectionReader(o, p.Offset, p.Size))
		o.Close()
		if err != nil {
			return err
		}
	}
	return b.Put(ctx, key, body.Bytes(), a)
}

// system is a server with the public repository acme/demo, which has a deb, an
// rpm and a wheel.
type system struct {
	t    *testing.T
	node *node.Node
	user repo.User
	repo repo.Repository
	url  string
	deb  *repo.Package
}

// newSystem starts a server. change is made to it before.
func newSystem(t *testing.T, change func(*node.Node)) *system {
	t.Helper()
	c, err := config.Load("", []string{"PACKAGECLOUD_DATA_DIRECTORY=" + t.TempDir(), "PACKAGECLOUD_SIGNING_KEY_ALGORITHM=ed25519"})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &system{t: t, node: n}
	user := db.Account{User: repo.User{Name: "acme", Email: "a@example.com", CreatedAt: time.Now()}}
	r := repo.Repository{Owner: "acme", Name: "demo", CreatedAt: time.Now()}
	err = n.DB.Update(t.Context(), func(tx *db.Tx) error {
		if _, err := auth.CreateUser(t.Context(), tx, n.Sealer, &user); err != nil {
			return err
		}
		r.OwnerID = user.ID
		return auth.CreateRepository(t.Context(), tx, n.Sealer, &r)
	})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(n)
	}
	s.user, s.repo = user.User, r
	s.deb = s.push("x", "ubuntu", "jammy", debtest.Package{Name: "libstdc++x"}.Build())
	s.push("x", "el", "9", rpmtest.Package{}.Build())
	s.push("hello-1.0-py3-none-any.whl", "python", "", pytest.Wheel("hello", "1.0", ""))
	server := httptest.NewServer(serve.Handler(n))
	t.Cleanup(server.Close)
	s.url = server.URL + "/acme/demo/"
	s.publish()
	return s
}

// push uploads a package, which publish will publish.
func (s *system) push(name, os, version string, body []byte) *repo.Package {
	s.t.Helper()
	f, err := s.node.Uploader.Receive(s.t.Context(), name, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	v, _ := s.node.Catalog().Find(os, version)
	p, err := s.node.Uploader.Push(s.t.Context(), upload.Push{Repository: s.repo, Distro: v, User: s.user, File: f})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *system) publish() {
	s.t.Helper()
	if _, err := s.node.Keys.MakeOne(s.t.Context(), true); err != nil {
		s.t.Fatal(err)
	}
	for {
		if _, err := s.node.Worker.Step(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
		if n, _, err := s.node.DB.Backlog(s.t.Context()); err != nil || n == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (s *system) do(method, path string, header http.Header) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	response, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response, string(body)
}

// follow reads the object to which a request is sent.
func (s *system) follow(path string) []byte {
	s.t.Helper()
	response, _ := s.do(http.MethodGet, path, nil)
	m := regexp.MustCompile(`^https://cdn\.example\.com/((?:packages|indexes)/[0-9a-f]{64}/[A-Za-z0-9._-]+)\?t=1$`).FindStringSubmatch(response.Header.Get("Location"))
	if response.StatusCode != http.StatusFound || m == nil {
		s.t.Fatalf("GET %s: %s, Location %q", path, response.Status, response.Header.Get("Location"))
	}
	if c := response.Header.Get("Cache-Control"); c != "private, no-store" {
		s.t.Errorf("GET %s: the redirect may be cached: %q", path, c)
	}
	o, err := s.node.Blobs.Open(s.t.Context(), m[1])
	if err != nil {
		s.t.Fatalf("GET %s leads nowhere: %v", path, err)
	}
	defer o.Close()
	body, err := io.ReadAll(o)
	if err != nil {
		s.t.Fatal(err)
	}
	if sum := sha256.Sum256(body); !strings.Contains(m[1], hex.EncodeToString(sum[:])) {
		s.t.Errorf("GET %s leads to other bytes than its key names", path)
	}
	return body
}

var files = []string{
	"ubuntu/dists/jammy/InRelease", "ubuntu/dists/jammy/Release", "ubuntu/dists/jammy/Release.gpg",
	"ubuntu/dists/jammy/main/binary-amd64/Packages", "ubuntu/dists/jammy/main/binary-amd64/Packages.gz", "ubuntu/dists/jammy/main/binary-arm64/Packages.zst",
	"el/9/x86_64/repodata/repomd.xml", "el/9/noarch/repodata/repomd.xml.asc", "el/9/noarch/repodata/repomd.xml.key",
}

// TestRedirects asks a server whose clients fetch from a bucket, one that was
// there from the first generation and one that came after it.
func TestRedirects(t *testing.T) {
	for name, composed := range map[string]bool{"composed": true, "late": false} {
		t.Run(name, func(t *testing.T) {
			plain := newSystem(t, nil)
			s := newSystem(t, func(n *node.Node) {
				n.Redirect, n.Config.DirectMetadataSize = links{}, 0
				if composed {
					n.Blobs = bucket{n.Blobs}
					n.Worker.Blobs, n.Uploader.Blobs = n.Blobs, n.Blobs
				}
			})
			for _, path := range files {
				got := s.follow(path)
				_, want := s.do(http.MethodHead, path, nil)
				if want != "" {
					t.Errorf("HEAD %s has a body", path)
				}
				head, _ := s.do(http.MethodHead, path, nil)
				if head.StatusCode != http.StatusOK || head.ContentLength != int64(len(got)) || head.Header.Get("Location") != "" {
					t.Errorf("HEAD %s: %s, %d bytes, want %d", path, head.Status, head.ContentLength, len(got))
				}
				if same, _ := s.do(http.MethodGet, path, http.Header{"If-None-Match": {head.Header.Get("Etag")}}); same.StatusCode != http.StatusNotModified {
					t.Errorf("GET %s with its own tag: %s", path, same.Status)
				}
				if _, direct := plain.do(http.MethodGet, path, nil); strings.HasSuffix(path, "Packages") && direct != string(got) {
					t.Errorf("%s is not what a server without a bucket sends", path)
				}
			}
			path := s.deb.Files[0].Path
			if body := s.follow(path); int64(len(body)) != s.deb.Files[0].Size {
				t.Errorf("%s leads to %d bytes", path, len(body))
			}
			head, _ := s.do(http.MethodHead, path, nil)
			if head.StatusCode != http.StatusOK || head.ContentLength != s.deb.Files[0].Size || !strings.Contains(head.Header.Get("Content-Disposition"), "libstdc++x") {
				t.Errorf("HEAD %s: %s %v", path, head.Status, head.Header)
			}
		})
	}
}

// A document of one name is one object, compressed: clients that do not take
// that get it from the server.
func TestRedirectsOfNames(t *testing.T) {
	plain := newSystem(t, nil)
	s := newSystem(t, func(n *node.Node) { n.Redirect, n.Config.DirectMetadataSize = links{}, 0 })
	for _, path := range []string{"pypi/simple/hello/", "pypi/simple/"} {
		identity := http.Header{"Accept-Encoding": {"identity"}}
		direct, want := plain.do(http.MethodGet, path, identity)
		same, text := s.do(http.MethodGet, path, identity)
		if direct.StatusCode != http.StatusOK || same.StatusCode != http.StatusOK || text != want {
			t.Errorf("GET %s without gzip: %s, %q", path, same.Status, text)
		}
		z, err := gzip.NewReader(bytes.NewReader(s.follow(path)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(z); err != nil || string(got) != want {
			t.Errorf("GET %s leads to %q, %v", path, got, err)
		}
		first, _ := s.do(http.MethodGet, path, nil)
		if vary := strings.Join(first.Header.Values("Vary"), ", "); vary != "Accept, Accept-Encoding" {
			t.Errorf("GET %s varies by %s", path, vary)
		}
		if again, _ := s.do(http.MethodGet, path, http.Header{"Accept-Encoding": {"gzip"}, "If-None-Match": {first.Header.Get("Etag")}}); again.StatusCode != http.StatusNotModified {
			t.Errorf("GET %s with its own tag: %s", path, again.Status)
		}
		second, _ := s.do(http.MethodGet, path, nil)
		if first.Header.Get("Location") != second.Header.Get("Location") {
			t.Errorf("GET %s leads to %s, then to %s", path, first.Header.Get("Location"), second.Header.Get("Location"))
		}
	}
}

// verify knows the objects that were stored when somebody asked, and tells what
// is wrong with one.
func TestVerifyNames(t *testing.T) {
	s := newSystem(t, func(n *node.Node) { n.Redirect, n.Config.DirectMetadataSize = links{}, 0 })
	problems := func() (all []verify.Problem) {
		t.Helper()
		c := s.node.Config
		v := verify.Verifier{DB: s.node.DB, Blobs: s.node.Blobs, Formats: s.node.Formats, Origin: c.ExternalURL.Host, URL: c.ExternalURL.String()}
		if _, err := v.Run(t.Context(), func(p verify.Problem) { all = append(all, p) }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	const path = "pypi/simple/hello/"
	s.follow(path)
	if all := problems(); len(all) > 0 {
		t.Fatalf("after nothing happened: %v", all)
	}
	response, _ := s.do(http.MethodGet, path, nil)
	key := strings.TrimSuffix(strings.TrimPrefix(response.Header.Get("Location"), "https://cdn.example.com/"), "?t=1")
	var other bytes.Buffer
	z := gzip.NewWriter(&other)
	_, _ = io.WriteString(z, "other contents")
	_ = z.Close()
	for want, body := range map[string][]byte{"is no gzip file": []byte("no gzip"), "has other contents": other.Bytes(), "cannot be opened": nil} {
		if err := s.node.Blobs.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if body != nil {
			if err := s.node.Blobs.Put(t.Context(), key, body, blob.Attributes{}); err != nil {
				t.Fatal(err)
			}
		}
		if all := problems(); len(all) != 1 || all[0].Object != key || !strings.Contains(all[0].What, want) {
			t.Errorf("an object that %s: %v", want, all)
		}
	}
}

// TestDirect answers small metadata itself, and nothing else.
func TestDirect(t *testing.T) {
	s := newSystem(t, func(n *node.Node) {
		n.Redirect, n.Config.DirectMetadataSize = links{}, 64<<10
		n.Blobs = bucket{n.Blobs}
		n.Worker.Blobs, n.Uploader.Blobs = n.Blobs, n.Blobs
	})
	for _, path := range files {
		if response, body := s.do(http.MethodGet, path, nil); response.StatusCode != http.StatusOK || body == "" {
			t.Errorf("GET %s: %s", path, response.Status)
		}
	}
	if response, _ := s.do(http.MethodGet, s.deb.Files[0].Path, nil); response.StatusCode != http.StatusFound {
		t.Errorf("GET of a package: %s", response.Status)
	}
}

// TestDownload asks a server that sends all bytes itself.
func TestDownload(t *testing.T) {
	s := newSystem(t, nil)
	for _, path := range append(files, s.deb.Files[0].Path, strings.ReplaceAll(s.deb.Files[0].Path, "+", "%2b")) {
		got, body := s.do(http.MethodGet, path, nil)
		head, _ := s.do(http.MethodHead, path, nil)
		if got.StatusCode != http.StatusOK || head.StatusCode != http.StatusOK || head.ContentLength != int64(len(body)) || head.Header.Get("Etag") != got.Header.Get("Etag") {
			t.Errorf("%s: GET %s with %d bytes, HEAD %s with %d", path, got.Status, len(body), head.Status, head.ContentLength)
		}
		part, tail := s.do(http.MethodGet, path, http.Header{"Range": {"bytes=5-"}, "If-Range": {got.Header.Get("Etag")}})
		if part.StatusCode != http.StatusPartialContent || tail != body[5:] {
			t.Errorf("%s: a part is %s", path, part.Status)
		}
		whole, again := s.do(http.MethodGet, path, http.Header{"Range": {"bytes=5-"}, "If-Range": {`"other"`}})
		if whole.StatusCode != http.StatusOK || again != body {
			t.Errorf("%s: a part of another file is %s", path, whole.Status)
		}
		same, _ := s.do(http.MethodGet, path, http.Header{"If-Modified-Since": {got.Header.Get("Last-Modified")}})
		if same.StatusCode != http.StatusNotModified {
			t.Errorf("%s: not modified since is %s", path, same.Status)
		}
	}
	for _, path := range []string{"ubuntu/dists/jammy/Contents-amd64", "ubuntu/dists/nothing/InRelease", "el/9/x86_64/nothing.rpm", "ubuntu/pool/jammy/main/n/no/no.deb", "..%2f..%2f..%2fetc/passwd", "x"} {
		if response, body := s.do(http.MethodGet, path, nil); response.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %s %s", path, response.Status, body)
		}
	}
	if response, _ := s.do(http.MethodPost, files[0], nil); response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", response.Status)
	}
}

// TestPairsOfNeighbours lets a generation go live between what dnf fetches first
// and its signature, while another machine at the same address begins. dnf opens
// a connection for each.
func TestPairsOfNeighbours(t *testing.T) {
	s := newSystem(t, nil)
	apart := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(name string) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"el/9/x86_64/repodata/"+name, nil)
		if err != nil {
			t.Error(err)
			return ""
		}
		response, err := apart.Do(r)
		if err != nil {
			t.Error(err)
			return ""
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %s %v", name, response.Status, err)
		}
		return string(body)
	}
	for i := range 20 {
		signature := get("repomd.xml.asc")
		begin := time.Now()
		first := get("repomd.xml")
		s.push("y", "el", "9", rpmtest.Package{Name: fmt.Sprintf("more%d", i)}.Build())
		s.publish()
		var neighbour [2]string
		done := make(chan struct{})
		go func() {
			defer close(done)
			neighbour[0] = get("repomd.xml")
			neighbour[1] = get("repomd.xml.asc")
		}()
		time.Sleep(20 * time.Millisecond) // let the neighbour be first, as it can be
		second := get("repomd.xml.asc")
		took := time.Since(begin)
		<-done
		if took > 1500*time.Millisecond {
			continue // later than what is waited for
		}
		if second != signature {
			t.Error("the signature is of another generation than repomd.xml")
		}
		if neighbour[0] == first || neighbour[1] == signature {
			t.Error("the neighbour got the generation before")
		}
		return
	}
	t.Error("publishing takes longer than a signature is waited for")
}

// TestNamesOfOthers: the same bytes under another name are another object, so
// that a redirect names the file as the one who asks knows it.
func TestNamesOfOthers(t *testing.T) {
	s := newSystem(t, func(n *node.Node) { n.Redirect = links{} })
	body := debtest.Package{Name: "twin", Version: "1+x"}.Build()
	digest := sha256.Sum256(body)
	s.push("x", "ubuntu", "jammy", body)
	names := []string{"secret.bin", "public+1.bin", "public_1.bin"}
	for _, name := range names {
		f, err := s.node.Uploader.Receive(t.Context(), name, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		v, _ := s.node.Catalog().Find("anyfile", "1")
		p := upload.Push{Repository: s.repo, Distro: v, User: s.user, File: f, Fields: map[string]string{"filename": name, "name": "twin", "version": "1"}}
		if _, err := s.node.Uploader.Push(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		resp, _ := s.do(http.MethodGet, "generic/twin/1/"+strings.ReplaceAll(name, "+", "%2B"), nil)
		want := "https://cdn.example.com/" + repo.PackageKey(hex.EncodeToString(digest[:]), name) + "?t=1"
		if got := resp.Header.Get("Location"); got != want {
			t.Errorf("%s is at %s, and not %s", name, got, want)
		}
	}
}
