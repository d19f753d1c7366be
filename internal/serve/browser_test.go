package serve_test

import (
	"net/http"
	"net/url"
	"testing"

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

// TestNoPageOfOurs looks at what browsers are told of whatever users have pushed.
func TestNoPageOfOurs(t *testing.T) {
	s := servetest.Start(t, nil)
	s.Push("alice/public", "python/", "evil-1.0-py3-none-any.whl", pytest.Wheel("evil", "1.0", "<script>alert(1)</script>"), nil).Is(http.StatusCreated)
	s.Do(servetest.Request{Method: "PUT", Path: "/alice/public/generic/a/1/evil.html", User: s.Token, Body: []byte("<script>")}).Is(http.StatusCreated)
	for _, path := range []string{
		"/", "/healthz", "/nothing", "/api/v1/repos", "/api/v1/nothing", "/alice/public/pypi/simple/", "/alice/public/pypi/simple/evil/",
		"/alice/public/pypi/simple/%3Cscript%3E/", "/alice/public/generic/a/1/evil.html", "/alice/public/generic/a/1/none.html", "/alice/public/gpgkey",
		"/alice/public/npm/none", "/alice/private/gpgkey", "/alice/public/ubuntu/dists/jammy/InRelease", "/install/repositories/alice/public/script.deb.sh",
		"/alice/public/packages/python/1/evil-1.0-py3-none-any.whl/download", "/alice/public/pypi/simple/Evil/",
	} {
		s.Get(path).Says("Content-Security-Policy", "sandbox; default-src 'none'").Says("X-Content-Type-Options", "nosniff").Says("Referrer-Policy", "no-referrer")
	}
}
