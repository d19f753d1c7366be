package serve_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/python/pytest"
	"packagecloud/internal/serve/servetest"
)

// TestOtherSites sends what Chromium sends when a page of another site, or of
// this one, posts a form with the credentials that the browser has.
func TestOtherSites(t *testing.T) {
	s := servetest.Start(t, nil)
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	with := func(more map[string]string) map[string]string {
		all := map[string]string{}
		for _, m := range []map[string]string{form, more} {
			for name, value := range m {
				all[name] = value
			}
		}
		return all
	}
	crossSite := map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Origin": "https://evil.example"}
	sandboxed := map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "null"}
	sibling := map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://other.example.com"}
	old := map[string]string{"Origin": "https://evil.example"} // a browser without Sec-Fetch-Site
	const repository = "/api/v1/repos/alice/public"
	for _, c := range []servetest.Request{
		{Method: "POST", Path: "/api/v1/repos", Body: []byte(url.Values{"repository[name]": {"evil"}}.Encode())},
		{Method: "POST", Path: repository + "/master_tokens", Body: []byte("name=evil")},
		{Method: "POST", Path: repository + "/packages.json"},
		{Method: "DELETE", Path: repository + "/ubuntu/jammy/a.deb"},
		{Method: "PUT", Path: "/alice/public/generic/a/1/file.bin", Body: []byte("evil")},
		{Method: "DELETE", Path: "/alice/public/generic/a/1/file.bin"},
		{Method: "POST", Path: "/alice/public/pypi/"},
		{Method: "PUT", Path: "/alice/public/npm/evil"},
		{Method: "POST", Path: "/install/repositories/alice/public/tokens.text", Body: []byte("name=evil")},
	} {
		c.User = s.Token
		for _, header := range []map[string]string{crossSite, sandboxed, sibling, old} {
			c.Header = with(header)
			s.Do(c).Is(http.StatusForbidden)
		}
	}
	for i, header := range []map[string]string{
		{}, {"Sec-Fetch-Site": "same-origin", "Origin": s.URL}, {"Sec-Fetch-Site": "none"}, {"Origin": s.URL},
	} {
		name := "mine-" + string(rune('a'+i))
		s.Do(servetest.Request{Method: "POST", Path: "/api/v1/repos", User: s.Token, Header: with(header), Body: []byte("repository[name]=" + name)}).Is(http.StatusCreated)
	}
	s.Do(servetest.Request{Path: "/api/v1/repos", User: s.Token, Header: crossSite}).Is(http.StatusOK) // reading changes nothing, and the page cannot see it
}

// TestBrowsersAreBound asks every route as a page of another site has a browser ask,
// with the credentials that it has. Nothing is changed, and no answer may run, be
// read by the page, set a cookie or lead to another host.
func TestBrowsersAreBound(t *testing.T) {
	s := servetest.Start(t, nil)
	s.Push("alice/public", "ubuntu/jammy", "x.deb", debtest.Package{Name: "hello"}.Build(), nil).Is(http.StatusCreated)
	s.Push("alice/public", "python/", "Evil-1.0-py3-none-any.whl", pytest.Wheel("Evil", "1.0", "<script>alert(1)</script>"), nil).Is(http.StatusCreated)
	s.Do(servetest.Request{Method: "PUT", Path: "/alice/public/generic/hello/1.0/hello.tgz", User: s.Token, Body: []byte("<script>")}).Is(http.StatusCreated)
	var masters []struct{ Value string }
	if err := json.Unmarshal([]byte(s.Do(servetest.Request{Path: "/api/v1/repos/alice/public/master_tokens", User: s.Token}).Is(200).Body), &masters); err != nil {
		t.Fatal(err)
	}
	all := routes(t, s.Node.Formats)
	for _, path := range []string{
		"/", "/healthz", "/nothing", "/install/nothing", "/priv/x/alice/private/gpgkey", "/api/v1/nothing", "/api/v1/repos", "/api/v1/token", "/api/v1/distributions", "/api/v1/gem_version",
		"/REPOSITORY/pypi/simple/Evil/", "/REPOSITORY/pypi/simple/%3Cscript%3E/", "/REPOSITORY/pypi/simple/evil.example", "//evil.example/public/pypi/simple/Evil/",
		"/%5Cevil.example/public/pypi/simple/Evil", "/REPOSITORY//evil.example/", "/REPOSITORY/../../evil.example", "/api//evil.example/v1/repos", "/alice/public", "/alice",
	} {
		all = append(all, route{method: http.MethodGet, path: path}, route{method: http.MethodPost, path: path}, route{method: http.MethodOptions, path: path})
	}
	s.Settle()
	before := stateOf(s)
	for _, r := range all {
		for _, repository := range []string{"alice/public", "alice/private"} {
			for _, user := range []string{s.Token, masters[0].Value, ""} {
				a := s.Do(servetest.Request{
					Method: r.method, Path: strings.Replace(r.path, repositoryInPath, repository, 1), User: user, Body: []byte("name=evil&repository[name]=evil"),
					Header: map[string]string{
						"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example", "Access-Control-Request-Method": r.method, "Content-Type": "application/x-www-form-urlencoded",
					},
				})
				a.Says("Content-Security-Policy", "sandbox; default-src 'none'").Says("X-Content-Type-Options", "nosniff").Says("Referrer-Policy", "no-referrer").Says("X-Frame-Options", "SAMEORIGIN")
				if r.method != http.MethodGet && r.method != http.MethodHead && r.method != http.MethodOptions && a.Status != http.StatusForbidden {
					t.Errorf("%s of another site is answered %d", a.What, a.Status)
				}
				for name := range a.Header {
					if strings.HasPrefix(name, "Access-Control-") || name == "Set-Cookie" {
						t.Errorf("%s answers %s: %s", a.What, name, a.Header.Get(name))
					}
				}
				if to, err := url.Parse(a.Header.Get("Location")); err != nil || to.Host != "" && "http://"+to.Host != s.URL || strings.HasPrefix(to.Path, "//") || strings.HasPrefix(to.Path, "/\\") {
					t.Errorf("%s leads to %s", a.What, a.Header.Get("Location"))
				}
			}
		}
	}
	if after := stateOf(s); after != before {
		t.Errorf("another site has changed\n%s\nto\n%s", before, after)
	}
}

// pushedAgo is told by the clock.
var pushedAgo = regexp.MustCompile(`"last_push_human":"[^"]*"`)

// stateOf is what there is of alice's that somebody could change.
func stateOf(s *servetest.Server) string {
	var text strings.Builder
	for _, path := range []string{"repos", "repos/alice/public/master_tokens", "repos/alice/private/master_tokens", "repos/alice/public/packages", "repos/alice/private/packages", "repos/alice/public/gpg_keys"} {
		text.WriteString(s.Do(servetest.Request{Path: "/api/v1/" + path, User: s.Token}).Is(200).Body + "\n")
	}
	return pushedAgo.ReplaceAllString(text.String(), "")
}
