package serve_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/format"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/format/python/pytest"
	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/serve/servetest"
)

// route is something that is asked of a repository. REPOSITORY in its path stands
// for the name of that.
type route struct {
	method, path string
	api          bool // tokens that it does not know are 401 for all repositories
	open         bool // it asks for a password, and not for a token
}

const repositoryInPath = "REPOSITORY"

// stated finds routes where the server states them. Lines between begin and end
// that hold mark must all match the pattern: its groups are method and path.
func stated(t *testing.T, file, begin, end, mark, pattern string) [][2]string {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(source), begin)
	text, _, ended := strings.Cut(text, end)
	if !found || !ended {
		t.Fatalf("%s has no routes", file)
	}
	var all [][2]string
	for line := range strings.Lines(text) {
		if !strings.Contains(line, mark) {
			continue
		}
		m := regexp.MustCompile(pattern).FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("%s: what route is %s", file, line)
		}
		all = append(all, [2]string{m[1], m[2]})
	}
	return all
}

// placeholders are values for the variables of the API's paths.
var placeholders = strings.NewReplacer("{type}", "deb", "{distro}", "ubuntu", "{version}", "jammy", "{arch}", "amd64", "{name}", "hello", "{pkgversion}", "1.0", "{release}", "1",
	"{group}", "com.example", "{filename}", "hello_1.0_amd64.deb", "{attribute}", "yanked", "{master}", "1", "{token}", "1", "{key}", "1")

// routes are all that the server answers about a repository.
func routes(t *testing.T, formats []format.Format) []route {
	t.Helper()
	var all []route
	for _, r := range stated(t, "../server/api/api.go", "func (a *API) routes() {", "\n}\n", `"+r`, `a\.handle\("([A-Z]+) "\+r(?:\+"([^"]*)")?,`) {
		all = append(all, route{method: r[0], path: "/api/v1/repos/" + repositoryInPath + placeholders.Replace(r[1]), api: true})
	}
	for _, r := range stated(t, "../server/install/install.go", "var answers = map", "\n}\n", "http.Method", `"([a-z_0-9.]+)":\s+\{http\.Method(Get|Post),`) {
		all = append(all, route{method: strings.ToUpper(r[1]), path: "/install/repositories/" + repositoryInPath + "/" + r[0] + "?os=ubuntu&dist=jammy"})
	}
	all = append(all, native(t, formats)...)
	for _, r := range slices.Clone(all) {
		if r.method == http.MethodGet {
			r.method = http.MethodHead
			all = append(all, r)
		}
	}
	return all
}

// native are the routes of package managers: each format has some.
func native(t *testing.T, formats []format.Format) []route {
	t.Helper()
	paths := map[string][]string{
		"GET": {
			"gpgkey", "ubuntu/dists/jammy/InRelease", "ubuntu/dists/jammy/main/binary-amd64/Packages.gz", "ubuntu/pool/jammy/main/h/hello/hello_1.0_amd64.deb",
			"el/9/x86_64/repodata/repomd.xml", "el/9/x86_64/hello-1.0-1.x86_64.rpm", "packages/ubuntu/jammy/hello_1.0_amd64.deb/download", "nothing/at/all", "",
			"pypi/simple/", "pypi/simple/hello/", "npm/hello", "npm/@acme%2fhello", "npm/hello/1.0.0", "npm/hello/-/hello-1.0.0.tgz",
			"npm/-/ping", "npm/-/whoami", "npm/-/v1/search?text=hello", "npm/-/package/hello/dist-tags", "npm/-/package/hello/dist-tags/latest",
			"generic/hello/1.0/hello.tgz",
		},
		"PUT":    {"npm/hello", "npm/-/package/hello/dist-tags/latest", "npm/-/package/hello/dist-tags", "generic/hello/1.0/hello.tgz"},
		"POST":   {"pypi/", "pypi/legacy/", "npm/-/package/hello/dist-tags"},
		"DELETE": {"npm/hello/-rev/1", "npm/hello/-/hello-1.0.0.tgz/-rev/1", "npm/-/package/hello/dist-tags/latest", "npm/-/user/token/x", "generic/hello/1.0/hello.tgz"},
	}
	var all []route
	known := make(map[string]bool)
	for method, list := range paths {
		for _, path := range list {
			all = append(all, route{method: method, path: "/" + repositoryInPath + "/" + path})
			path, _, _ = strings.Cut(strings.ReplaceAll(path, "%2f", "/"), "?")
			for _, f := range formats {
				if _, ok := f.Resolve(format.Query{Path: path}); ok && method == "GET" {
					known[fmt.Sprintf("reading of %T", f)] = true
				}
				if r, ok := f.(format.Receiver); ok && r.Receives(method, path) == format.WriteAccess {
					known[fmt.Sprintf("writing of %T", f)] = true
				}
			}
		}
	}
	for _, f := range formats {
		if _, ok := f.(format.Receiver); !known[fmt.Sprintf("reading of %T", f)] || ok && !known[fmt.Sprintf("writing of %T", f)] {
			t.Errorf("no route of %T is tried: %v", f, known)
		}
	}
	return append(all, route{method: "PUT", path: "/" + repositoryInPath + "/npm/-/user/org.couchdb.user:alice", open: true})
}

// strangers are ways to have no right: a request's header by a name.
func strangers(t *testing.T, s *servetest.Server) map[string]string {
	t.Helper()
	s.Do(servetest.Request{Method: "POST", Path: "/api/v1/repos?repository[name]=own&repository[private]=1", User: s.Stranger}).Is(201)
	var masters []struct{ Value string }
	if err := json.Unmarshal([]byte(s.Do(servetest.Request{Path: "/api/v1/repos/bob/own/master_tokens", User: s.Stranger}).Is(200).Body), &masters); err != nil {
		t.Fatal(err)
	}
	reader := s.Do(servetest.Request{Method: "POST", Path: "/install/repositories/bob/own/tokens.text?name=machine", User: masters[0].Value}).Is(201).Body
	basic := func(user, password string) string {
		r := http.Request{Header: make(http.Header)}
		r.SetBasicAuth(user, password)
		return r.Header.Get("Authorization")
	}
	unknown := strings.Repeat("0", 48)
	revoked := revokedTokens(t, s)
	return map[string]string{
		"nobody": "", "nobody, by an empty name": basic("", ""), "another scheme": "Digest username=alice",
		"a token that is none": basic("wrong", ""), "an unknown token": basic(unknown, ""), "an unknown token as the password": basic("__token__", unknown), "an unknown bearer": "Bearer " + unknown,
		"the name of the owner": basic("alice", "secret"), "somebody else": basic(s.Stranger, "irrelevant"), "somebody else, as npm": "Bearer " + s.Stranger,
		"a master token of another": basic(masters[0].Value, ""), "a read token of another": basic(reader, ""), "a bearer of another": "Bearer " + reader,
		"a master token that was revoked": basic(revoked[0], ""), "a read token that was revoked": basic(revoked[1], ""), "a read token whose master was revoked": basic(revoked[2], ""),
		"/priv/ and a token that is none": "wrong", "/priv/ and an unknown token": unknown, "/priv/ and the token of somebody else": s.Stranger, "/priv/ and a master token of another": masters[0].Value,
		"/priv/ and a read token of another": reader, "/priv/ and a read token that was revoked": revoked[1],
	}
}

// revokedTokens are tokens of the private repository that do not count any more: a
// master token, a read token, and a read token of the revoked master.
func revokedTokens(t *testing.T, s *servetest.Server) [3]string {
	t.Helper()
	const masters = "/api/v1/repos/alice/private/master_tokens"
	created := func(path string) (token struct {
		ID    int64
		Value string
	}) {
		if err := json.Unmarshal([]byte(s.Do(servetest.Request{Method: "POST", Path: path, User: s.Token}).Is(201).Body), &token); err != nil {
			t.Fatal(err)
		}
		return token
	}
	kept, master := created(masters+"?master_token[name]=kept"), created(masters+"?master_token[name]=revoked")
	below := created(fmt.Sprintf("%s/%d/read_tokens?read_token[name]=below", masters, master.ID))
	read := created(fmt.Sprintf("%s/%d/read_tokens?read_token[name]=revoked", masters, kept.ID))
	s.Do(servetest.Request{Path: "/alice/private/gpgkey", User: read.Value}).Is(200)
	s.Do(servetest.Request{Method: "DELETE", Path: fmt.Sprintf("%s/%d", masters, master.ID), User: s.Token}).Is(204)
	s.Do(servetest.Request{Method: "DELETE", Path: fmt.Sprintf("%s/%d/read_tokens/%d", masters, kept.ID, read.ID), User: s.Token}).Is(204)
	return [3]string{master.Value, read.Value, below.Value}
}

// TestHiddenRepositories asks everything about a private repository that has packages,
// about one that does not exist, and about one of an account that does not exist, as
// everybody who has no right to it. The answers are the same to the byte.
func TestHiddenRepositories(t *testing.T) {
	s := servetest.Start(t, nil)
	fill(t, s)
	all := routes(t, s.Node.Formats)
	all = slices.Concat(all, wrongMethods(all))
	who := strangers(t, s)
	for _, name := range slices.Sorted(maps.Keys(who)) {
		t.Run(name, func(t *testing.T) { hidden(t, s, all, name, who[name]) })
	}
	t.Run("whoever may", func(t *testing.T) {
		for path, token := range map[string]string{"/alice/private/gpgkey": s.ReadToken, "/api/v1/repos/alice/private": s.Token, "/priv/" + s.ReadToken + "/alice/private/gpgkey": ""} {
			s.Do(servetest.Request{Path: path, User: token}).Is(200)
		}
		s.Get("/alice/public/gpgkey").Is(200)
		s.Get("/install/repositories/alice/public/script.deb.sh").Is(200)
	})
}

// TestHiddenDeliveries does the same where clients are sent to a bucket or an edge.
func TestHiddenDeliveries(t *testing.T) {
	for _, delivery := range []string{"S3", "edge"} {
		t.Run(delivery, func(t *testing.T) {
			s, _ := delivered(t, delivery)
			fill(t, s)
			var all []route
			for _, r := range routes(t, s.Node.Formats) {
				if !r.api && r.method == http.MethodGet {
					all = append(all, r)
				}
			}
			who := strangers(t, s)
			for _, name := range []string{"nobody", "an unknown token", "somebody else", "a read token that was revoked", "/priv/ and a read token of another"} {
				hidden(t, s, all, name, who[name])
			}
		})
	}
}

// fill gives the private repository a package wherever the routes look for one.
func fill(t *testing.T, s *servetest.Server) {
	t.Helper()
	for filename, p := range map[string]struct {
		distro string
		body   []byte
	}{
		"hello_1.0_amd64.deb":        {"ubuntu/jammy", debtest.Package{Name: "hello", Version: "1.0", Architecture: "amd64"}.Build()},
		"hello-1.0-1.x86_64.rpm":     {"el/9", rpmtest.Package{Name: "hello", Version: "1.0", Release: "1", Architecture: "x86_64"}.Build()},
		"hello-1.0-py3-none-any.whl": {"python/", pytest.Wheel("hello", "1.0", "")},
		"hello-1.0.0.tgz":            {"node/1", npmtest.Package{Name: "hello", Version: "1.0.0"}.Build()},
	} {
		s.Push("alice/private", p.distro, filename, p.body, nil).Is(http.StatusCreated)
	}
	s.Do(servetest.Request{Method: "PUT", Path: "/alice/private/generic/hello/1.0/hello.tgz", User: s.Token, Body: []byte("hello")}).Is(http.StatusCreated)
	s.Settle()
}

// hidden asks routes with some credentials, or by /priv/ and a token.
func hidden(t *testing.T, s *servetest.Server, all []route, name, credentials string) {
	t.Helper()
	ask := func(r route, repository string) servetest.Answer {
		q := servetest.Request{Method: r.method, Path: strings.Replace(r.path, repositoryInPath, repository, 1), Header: map[string]string{"Content-Type": "application/json"}}
		if strings.HasPrefix(name, "/priv/") {
			q.Path = "/priv/" + credentials + q.Path
		} else if credentials != "" {
			q.Header["Authorization"] = credentials
		}
		if r.open {
			q.Body = []byte(`{"name":"alice","password":"wrong"}`)
		}
		return s.Do(q)
	}
	for _, r := range all {
		if strings.HasPrefix(name, "/priv/") && !strings.HasPrefix(r.path, "/"+repositoryInPath) {
			continue // nothing else can be asked so
		}
		private := ask(r, "alice/private")
		if want := refusalOf(r, name); !want[private.Status] || private.Status == 401 && private.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %v %s", private.What, private.Status, private.Header, private.Body)
		}
		for _, other := range []string{"alice/nothing", "nobody/private", "nobody/nothing"} {
			none := ask(r, other)
			if diff := cmp.Diff(seen(private), seen(none)); diff != "" {
				t.Errorf("%s is told from %s:\n%s", private.What, none.What, diff)
			}
		}
	}
}

// wrongMethods are the paths of routes with a method that none has.
func wrongMethods(all []route) []route {
	wrong := make(map[string]route)
	for _, r := range all {
		r.method = http.MethodPatch
		wrong[r.path] = r
	}
	return slices.Collect(maps.Values(wrong))
}

// refusalOf is how somebody without a right may be refused.
func refusalOf(r route, who string) map[int]bool {
	nobody := strings.HasPrefix(who, "nobody") || who == "another scheme"
	switch {
	case r.method == http.MethodPatch:
		return map[int]bool{401: nobody, 404: true, 405: true} // npm reads some paths whatever the method is
	case r.open || nobody:
		return map[int]bool{401: true}
	case r.api && !strings.HasPrefix(who, "somebody else"):
		return map[int]bool{401: true}
	}
	return map[int]bool{404: true}
}

// seen is what a client sees of an answer, without the time.
func seen(a servetest.Answer) any {
	header := a.Header.Clone()
	header.Del("Date")
	return []any{a.Status, header, a.Body}
}
