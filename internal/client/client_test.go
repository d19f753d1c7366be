package client

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"packagecloud/internal/client/clienttest"
	"packagecloud/internal/repo"
)

func TestMain(m *testing.M) {
	// Connections are kept for later.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// open is a client of a server that does not wait before it tries again.
func open(t testing.TB, address string) *Client {
	t.Helper()
	u, err := ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	return &Client{URL: u, Token: clienttest.Token, UserAgent: "test", pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
}

func tools(t testing.TB, c *Client, s *clienttest.Server) *Repository {
	t.Helper()
	r, err := c.Repository(t.Context(), "acme/tools")
	if err != nil {
		t.Fatal(err)
	}
	s.Requests()
	return r
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Each method asks what packagecloud's own client was recorded to ask. A path
// before the API's must be kept.
func TestRequests(t *testing.T) {
	for _, prefix := range []string{"", "/below/here"} {
		s := clienttest.New(t, prefix)
		c := open(t, s.URL)
		r := tools(t, c, s)
		const self = "/api/v1/repos/acme/tools"
		tests := []struct {
			name string
			do   func(context.Context) error
			want []string
		}{
			{"token", func(ctx context.Context) error { _, err := c.APIToken(ctx, "me@example.com", "secret"); return err }, []string{"GET /api/v1/token.json me@example.com"}},
			{"distributions", func(ctx context.Context) error {
				all, err := c.Distributions(ctx)
				if err == nil && (len(all["deb"]) == 0 || len(all["py"][0].Versions) != 1) {
					err = errors.New("lists are missing")
				}
				return err
			}, []string{"GET /api/v1/distributions.json token"}},
			{"repositories, both pages", func(ctx context.Context) error {
				list, err := c.Repositories(ctx)
				if err == nil && len(list) != 2 {
					err = errors.New("a page is missing")
				}
				return err
			}, []string{"GET /api/v1/repos.json?include_collaborations=1 token", "GET /api/v1/repos.json?include_collaborations=1&page=2 token"}},
			{"create", func(ctx context.Context) error { _, err := c.CreateRepository(ctx, "new", true); return err }, []string{"POST /api/v1/repos.json token repository[name]=new repository[private]=1"}},
			{"repository", func(ctx context.Context) error { _, err := c.Repository(ctx, "acme/stable"); return err }, []string{"GET /api/v1/repos/acme/stable.json token"}},
			{"push", func(ctx context.Context) error {
				_, err := c.Push(ctx, r, Push{Path: write(t, "a.deb", "a"), DistroID: 237, Wait: true})
				return err
			}, []string{"POST " + self + "/packages.json?wait=indexed token package[package_file]=@a.deb package[distro_version_id]=237"}},
			{"push a gem", func(ctx context.Context) error {
				_, err := c.Push(ctx, r, Push{Path: write(t, "a.gem", "a")})
				return err
			}, []string{"POST " + self + "/packages.json token package[package_file]=@a.gem package[distro_version_id]="}},
			{"push all fields", func(ctx context.Context) error {
				_, err := c.Push(ctx, r, Push{Path: write(t, "a.dsc", "a"), DistroID: 1, Coordinates: "g:a:v", Sources: []string{write(t, "x.tar.xz", "x"), write(t, "y.tar.xz", "")}})
				return err
			}, []string{"POST " + self + "/packages.json token package[package_file]=@a.dsc package[distro_version_id]=1 package[coordinates]=g:a:v package[source_files][]=@x.tar.xz package[source_files][]=@y.tar.xz"}},
			{"contents", func(ctx context.Context) error { _, err := c.Contents(ctx, r, write(t, "a.dsc", "a"), 1); return err }, []string{"POST " + self + "/packages/contents token package[package_file]=@a.dsc package[distro_version_id]=1"}},
			{"promote", func(ctx context.Context) error {
				p, err := c.Promote(ctx, r, Place{Distro: "ubuntu/jammy", Filename: "a.deb"}, "acme/stable")
				if err == nil && p.Filename != "a.deb" {
					err = errors.New("the answer is not read")
				}
				return err
			}, []string{"POST " + self + "/ubuntu/jammy/a.deb/promote.json token destination=acme/stable"}},
			{"delete with scope", func(ctx context.Context) error {
				err := c.Delete(ctx, r, Place{Distro: "node/1", Filename: "f.tgz", Scope: "@sc"})
				if !errors.Is(err, repo.ErrNotFound) {
					t.Errorf("a package that is not there: %v", err)
				}
				return nil
			}, []string{"DELETE " + self + "/node/1/f.tgz?scope=%40sc token"}},
			{"delete of a Java group", func(ctx context.Context) error {
				_ = c.Delete(ctx, r, Place{Distro: "java/maven2", Filename: "com.x/f +%.jar"})
				return nil
			}, []string{"DELETE " + self + "/java/maven2/com.x/f%20+%25.jar token"}},
			{"master tokens", func(ctx context.Context) error {
				list, err := c.MasterTokens(ctx, r)
				if err == nil {
					err = errors.Join(c.DeleteReadToken(ctx, &list[0], list[0].ReadTokens[0].ID), c.DeleteMasterToken(ctx, &list[0]))
				}
				return err
			}, []string{"GET " + self + "/master_tokens token", "DELETE " + self + "/master_tokens/7/read_tokens/9 token", "DELETE " + self + "/master_tokens/7 token"}},
			{"create master token", func(ctx context.Context) error { _, err := c.CreateMasterToken(ctx, r, "m"); return err }, []string{"POST " + self + "/master_tokens token master_token[name]=m"}},
			{"keys", func(ctx context.Context) error {
				list, err := c.Keys(ctx, r)
				if err == nil {
					err = c.DeleteKey(ctx, &list[0])
				}
				return err
			}, []string{"GET " + self + "/gpg_keys.json token", "DELETE " + self + "/gpg_keys/packagers.pub.gpg.json token"}},
			{"create key", func(ctx context.Context) error {
				_, err := c.CreateKey(ctx, r, write(t, "k.gpg", "-----BEGIN PGP PUBLIC KEY BLOCK-----"))
				return err
			}, []string{"POST " + self + "/gpg_keys.json token gpg_key[keydata]=@k.gpg"}},
		}
		for _, test := range tests {
			t.Run(prefix+" "+test.name, func(t *testing.T) {
				if err := test.do(t.Context()); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(test.want, s.Requests()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// The install script's URL has its own token; the API token is not sent.
func TestInstallScript(t *testing.T) {
	s := clienttest.New(t, "")
	c := open(t, s.URL)
	script, err := c.InstallScript(t.Context(), tools(t, c, s), "deb")
	if err != nil || !strings.Contains(string(script), "installed by master") {
		t.Errorf("got %q, %v", script, err)
	}
	if diff := cmp.Diff([]string{"GET /install/repositories/acme/tools/script.deb.sh master"}, s.Requests()); diff != "" {
		t.Error(diff)
	}
}

func TestErrors(t *testing.T) {
	s := clienttest.New(t, "")
	c := open(t, s.URL)
	r := tools(t, c, s)
	push := func() error {
		_, err := c.Push(t.Context(), r, Push{Path: write(t, "a.deb", "a"), DistroID: 237})
		return err
	}
	tests := []struct {
		name  string
		fault clienttest.Fault
		want  string
		is    func(error) bool
	}{
		{"401", clienttest.Fault{Status: 401}, "unauthenticated: the server does not know the token", func(err error) bool { return errors.Is(err, repo.ErrUnauthenticated) }},
		{"404", clienttest.Fault{Status: 404, Body: `{"error":"not_found"}`}, "not found", func(err error) bool { return errors.Is(err, repo.ErrNotFound) }},
		{"422", clienttest.Fault{Status: 422, Body: `{"a":["x","y"],"b":"z"}`}, "a: x, y; b: z", func(err error) bool {
			invalid, ok := errors.AsType[*repo.InvalidError](err)
			return ok && len(invalid.Fields) == 2
		}},
		{"402", clienttest.Fault{Status: 402, Body: `{"plan":["Upgrade!"]}`}, "the server answered 402 Payment Required: plan: Upgrade!", isHTTP(402)},
		{"500", clienttest.Fault{Status: 500, Body: `{"error":"Internal error"}`}, "500 Internal Server Error: Internal error", isHTTP(500)},
		{"redirect", clienttest.Fault{Status: 302, Header: http.Header{"Location": {"https://elsewhere.example.com/"}}}, "redirects to https://elsewhere.example.com/", isHTTP(302)},
		{"what a terminal obeys", clienttest.Fault{Status: 500, Body: "{\"error\":\"a\\u001b[2Jb\"}"}, `a\x1b[2Jb`, isHTTP(500)},
		{"the token", clienttest.Fault{Status: 400, Body: `{"error":"bad ` + clienttest.Token + `"}`}, "bad ******", isHTTP(400)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.fault.Method = http.MethodPost
			s.Fail(test.fault)
			err := push()
			if err == nil || !strings.Contains(err.Error(), test.want) || !test.is(err) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if n := len(s.Requests()); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func isHTTP(status int) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[*HTTPError](err)
		return ok && e.Status == status
	}
}

// No error and no log may show the token, not even when nobody listens.
func TestTokenIsNotShown(t *testing.T) {
	var log strings.Builder
	c := open(t, "http://127.0.0.1:1")
	c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	_, err := c.Distributions(t.Context())
	if err == nil || strings.Contains(err.Error(), clienttest.Token) {
		t.Errorf("error %v", err)
	}
	if strings.Contains(log.String(), clienttest.Token) || strings.Count(log.String(), "msg=request") != maxAttempts {
		t.Errorf("log:\n%s", &log)
	}
}

// Paths are the server's: none may lead the token elsewhere.
func TestPathsStayOnTheServer(t *testing.T) {
	c := open(t, "https://packages.example.com")
	for _, path := range []string{"", "@elsewhere.example.com/", ":443@elsewhere.example.com/", ".elsewhere.example.com/", "https://elsewhere.example.com/"} {
		if u, err := c.resolve(path); err == nil {
			t.Errorf("%q leads to %s", path, u)
		}
	}
	for _, p := range []Place{{Distro: "ubuntu/jammy", Filename: ".."}, {Distro: "../x", Filename: "a.deb"}, {}, {Distro: "a//b", Filename: "c"}} {
		if path, err := p.path(&Repository{}); err == nil {
			t.Errorf("%v is %s", p, path)
		}
	}
}

func TestParseURL(t *testing.T) {
	for given, want := range map[string]string{
		"https://h.example.com/": "https://h.example.com", "http://h:8080/pfx//": "http://h:8080/pfx",
		"https://secret:@h": "", "ftp://h": "", "h.example.com": "", "https://h/?q": "", "https://": "", ":": "", "http://a b": "",
	} {
		u, err := ParseURL(given)
		if (err == nil) != (want != "") || err == nil && u.String() != want {
			t.Errorf("%q: %v, %v", given, u, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", given, err)
		}
	}
}

// A redirect of a GET stays on the server; no other host gets the token.
func TestRedirects(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("elsewhere was asked for %s", r.URL)
	}))
	t.Cleanup(elsewhere.Close)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/distributions.json":
			http.Redirect(w, r, "/moved", http.StatusFound)
		case "/moved":
			_, _ = io.WriteString(w, `{"deb":[]}`)
		default:
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}
	}))
	t.Cleanup(s.Close)
	c := open(t, s.URL)
	if _, err := c.Distributions(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := c.Repositories(t.Context()); !isHTTP(307)(err) {
		t.Errorf("a GET went elsewhere: %v", err)
	}
	if _, err := c.CreateRepository(t.Context(), "x", false); !isHTTP(307)(err) {
		t.Errorf("a POST went elsewhere: %v", err)
	}
}

// A server that takes nothing, or answers nothing, is given up.
func TestStall(t *testing.T) {
	release := make(chan struct{})
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = r.Body.Read(make([]byte, 1)) // ask for the body
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(release) })
	c := open(t, s.URL)
	c.Stall = 20 * time.Millisecond
	if _, err := c.Distributions(t.Context()); !errors.Is(err, errStalled) {
		t.Errorf("got %v", err)
	}
	if n := asked.Load(); n != maxAttempts {
		t.Errorf("asked %d times", n)
	}
	asked.Store(0)
	// A body larger than what the sockets buffer.
	path := write(t, "large.deb", "")
	if err := os.Truncate(path, 64<<20); err != nil {
		t.Fatal(err)
	}
	r := &Repository{Paths: Paths{CreatePackage: "/push"}}
	if _, err := c.Push(t.Context(), r, Push{Path: path}); !errors.Is(err, errStalled) {
		t.Errorf("got %v", err)
	}
}

func FuzzFields(f *testing.F) {
	f.Add([]byte(`{"filename":["has already been taken"],"x":"y","z":{"a":1}}`))
	f.Add([]byte("{\"a\\u0000\":[\"\\u001b[2J\",7,null]}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		c := &Client{Token: clienttest.Token}
		for _, status := range []int{302, 401, 404, 422, 500} {
			err := c.failure(&answer{status: status, body: body, header: make(http.Header)})
			if err == nil || strings.ContainsAny(err.Error(), "\x1b\x00\r\n") {
				t.Errorf("status %d: %v", status, err)
			}
		}
	})
}
