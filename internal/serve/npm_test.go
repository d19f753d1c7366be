package serve_test

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"packagecloud/internal/db"
	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/serve/servetest"
)

// registry is a server as clients of npm see it.
type registry struct {
	*servetest.Server
	base string
}

// bearer makes a request with a token as npm sends it.
func (r registry) bearer(method, path, token, body string) servetest.Answer {
	header := map[string]string{"Content-Type": "application/json"}
	if token != "" {
		header["Authorization"] = "Bearer " + token
	}
	return r.Do(servetest.Request{Method: method, Path: r.base + path, Body: []byte(body), Header: header})
}

// publication is the body of npm publish.
func publication(t *testing.T, p npmtest.Package, tags string) string {
	t.Helper()
	content := p.Build()
	_, base, ok := strings.Cut(p.Name, "/")
	if !ok {
		base = p.Name
	}
	return fmt.Sprintf(`{"_id":%q,"name":%q,"dist-tags":%s,"versions":{%q:{"name":%q,"version":%q}},"_attachments":{%q:{"data":%q,"length":%d}}}`,
		p.Name, p.Name, tags, p.Version, p.Name, p.Version, base+"-"+p.Version+".tgz", base64.StdEncoding.EncodeToString(content), len(content))
}

// document is a packument.
type document struct {
	Name     string
	Rev      string                                `json:"_rev"`
	Tags     map[string]string                     `json:"dist-tags"`
	Versions map[string]map[string]json.RawMessage `json:"versions"`
	Time     map[string]string
}

func (r registry) packument(t *testing.T, name string) (d document) {
	t.Helper()
	a := r.bearer("GET", url.PathEscape(name), r.Token, "").Is(200)
	if err := json.Unmarshal([]byte(a.Body), &d); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	return d
}

func TestNpmRegistry(t *testing.T) {
	s := servetest.Start(t, nil)
	for _, name := range []string{"alice/public", "alice/private"} {
		t.Run(name, func(t *testing.T) {
			r := registry{s, "/" + name + "/npm/"}
			// Empty.
			r.bearer("GET", "@acme%2ftools", r.Token, "").Is(404).Says("Content-Type", "application/json").Has(`{"error":"not_found"}`)
			r.bearer("GET", "-/package/@acme%2ftools/dist-tags", r.Token, "").Is(404)
			r.bearer("GET", "-/v1/search?text=x", r.Token, "").Is(200).Has(`"objects":[]`)
			r.bearer("GET", "-/ping", r.Token, "").Is(200).Has("{}")

			// An answer comes when it is published.
			one := npmtest.Package{Name: "@acme/tools", Version: "1.0.0", Fields: `"description":"Some tools","dependencies":{"hello":"^1.0.0"}`}
			body := publication(t, one, `{"latest":"1.0.0"}`)
			r.bearer("PUT", "@acme%2ftools", "", body).Is(401).Says("WWW-Authenticate", `Basic realm="packagecloud"`)
			r.bearer("PUT", "@acme%2ftools", r.Stranger, body).Is(map[string]int{"alice/public": 403, "alice/private": 404}[name])
			r.bearer("PUT", "@acme%2ftools", r.Token, body).Is(422).Has("dependencies differ")
			body = strings.Replace(body, `"version":"1.0.0"}`, `"version":"1.0.0","dependencies":{"hello":"^1.0.0"}}`, 1)
			r.bearer("PUT", "@acme%2ftools", r.Token, body).Is(201).Has(`{"ok":true}`)
			if d := r.packument(t, "@acme/tools"); d.Name != "@acme/tools" || d.Tags["latest"] != "1.0.0" || len(d.Versions) != 1 || d.Time["1.0.0"] == "" {
				t.Fatalf("the packument says %+v", d)
			}
			r.bearer("PUT", "@acme%2ftools", r.Token, body).Is(409)

			// By the API: the same name without the scope is another package.
			r.Push(name, "191", "x.tgz", npmtest.Package{Name: "tools", Version: "1.0.0"}.Build(), nil).Is(201).Has(`"scope":null`)
			details := r.Push(name, "191", "x.tgz", npmtest.Package{Name: "@acme/tools", Version: "1.1.0-rc.1", Fields: `"devDependencies":{"d":"1"},"license":"MIT"`}.Build(), nil).Is(201).Body
			for _, want := range []string{
				`"type":"node"`, `"name":"@acme/tools"`, `"scope":"@acme"`, `"version":"1.1.0-rc.1"`, `"release":null`, `"filename":"tools-1.1.0-rc.1.tgz"`, `"distro_version":"node/1"`,
				`"dependencies":[{"context":"devDependencies","dependencies":["d 1"]}]`, `"licenses":["MIT"]`, `"self_url":"/api/v1/repos/` + name + `/package/node/@acme%2Ftools/1.1.0-rc.1.json"`,
				`"destroy_url":"/api/v1/repos/` + name + `/node/1/tools-1.1.0-rc.1.tgz?scope=%40acme"`,
			} {
				if !strings.Contains(details, want) {
					t.Errorf("the details have no %s: %s", want, details)
				}
			}
			api := "/api/v1/repos/" + name
			s.Do(servetest.Request{Path: api + "/package/node/@acme%2Ftools/1.1.0-rc.1.json", User: s.Token}).Is(200).Has(`"scope":"@acme"`)
			s.Do(servetest.Request{Path: api + "/package/node/@acme%2Ftools/versions.json", User: s.Token}).Is(200).Has(`"version":"1.0.0"`).Has(`"version":"1.1.0-rc.1"`)
			s.Do(servetest.Request{Path: api + "/search.json?filter=node&q=tools", User: s.Token}).Is(200).Has(`"scope":"@acme"`)
			r.bearer("GET", "-/v1/search?text=TOOLS+some", r.Token, "").Is(200).Has(`"total":0`) // the latest version says nothing of itself
			r.bearer("GET", "-/v1/search?text=acme", r.Token, "").Is(200).Has(`"name":"@acme/tools"`).Has(`"version":"1.1.0-rc.1"`).Has(`"total":1`)

			// Tags.
			r.bearer("PUT", "-/package/@acme%2ftools/dist-tags/latest", r.Token, `"1.0.0"`).Is(200)
			r.bearer("PUT", "-/package/@acme%2ftools/dist-tags/latest", r.ReadToken, `"1.0.0"`).Is(403)
			r.bearer("GET", "-/package/@acme%2ftools/dist-tags", r.Token, "").Is(200).Has(`{"latest":"1.0.0"}`)
			if d := r.packument(t, "@acme/tools"); d.Tags["latest"] != "1.0.0" {
				t.Errorf("tags %v", d.Tags)
			}

			// One version, by its number or a tag, however the scope is written.
			for _, path := range []string{"@acme%2ftools/1.0.0", "@acme%2Ftools/latest", "@acme/tools/latest", "%40acme%2Ftools/1.0.0", "%40acme/tools/v1.0.0"} {
				var v map[string]json.RawMessage
				if err := json.Unmarshal([]byte(r.bearer("GET", path, r.ReadToken, "").Is(200).Says("Content-Type", "application/json").Body), &v); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(r.packument(t, "@acme/tools").Versions["1.0.0"], v); diff != "" {
					t.Errorf("%s (-the packument +it):\n%s", path, diff)
				}
			}
			r.bearer("GET", "tools/1.0.0", r.Token, "").Is(200).Has(`"_id":"tools@1.0.0"`).Has(`"tarball":"` + s.URL + r.base + `tools/-/tools-1.0.0.tgz"`)
			for path, message := range map[string]string{"@acme/tools/9.9.9": "not_found", "@acme/none/latest": "not_found", "none/1.0.0": "not_found"} {
				r.bearer("GET", path, r.Token, "").Is(404).Has(`{"error":"` + message + `"}`)
			}
			r.bearer("GET", "tools/1.0.0", "", "").Is(map[string]int{"alice/public": 200, "alice/private": 401}[name])

			// Deprecation, of the state that was read.
			d := r.packument(t, "@acme/tools")
			r.bearer("PUT", "@acme%2ftools", r.Token, `{"_rev":"0-0","versions":{"1.0.0":{"deprecated":"old"}}}`).Is(409).Has("read it again")
			r.bearer("PUT", "@acme%2ftools", r.Token, `{"_rev":"`+d.Rev+`","versions":{"1.0.0":{"deprecated":"old"}}}`).Is(200)
			if d = r.packument(t, "@acme/tools"); string(d.Versions["1.0.0"]["deprecated"]) != `"old"` {
				t.Errorf("versions %s", d.Versions)
			}

			// A form for each client.
			short := servetest.Request{Path: r.base + "@acme/tools", User: s.Token, Header: map[string]string{
				"Accept": "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*", "Accept-Encoding": "gzip"}}
			a := s.Do(short).Is(200).Says("Content-Encoding", "gzip").Says("Content-Type", "application/vnd.npm.install-v1+json").Says("Vary", "Accept, Accept-Encoding")
			z, err := gzip.NewReader(strings.NewReader(a.Body))
			if err != nil {
				t.Fatal(err)
			}
			z.Multistream(false)
			if text, err := io.ReadAll(z); err != nil || !strings.Contains(string(text), `"1.1.0-rc.1"`) || strings.Contains(string(text), `"license"`) {
				t.Errorf("%v in %s", err, text)
			}
			short.Header["If-None-Match"] = a.Header.Get("Etag")
			s.Do(short).Is(304)
			delete(short.Header, "If-None-Match")
			short.Method = "HEAD"
			s.Do(short).Is(200).Says("Content-Length", fmt.Sprint(len(a.Body)))

			// Deletion by the API needs the scope; the body may have it.
			s.Do(servetest.Request{Method: "DELETE", Path: api + "/node/1/tools-1.1.0-rc.1.tgz", User: s.Token}).Is(404)
			s.Do(servetest.Request{Method: "DELETE", Path: api + "/node/1/tools-1.1.0-rc.1.tgz", User: s.Token, Body: []byte(`{"scope":"@acme"}`), Header: map[string]string{"Content-Type": "application/json"}}).Is(200)
			s.Do(servetest.Request{Method: "DELETE", Path: api + "/node/1/tools-1.0.0.tgz", User: s.Token}).Is(200)
			s.Settle()
			r.bearer("GET", "tools", r.Token, "").Is(404)
			// All of it.
			r.bearer("DELETE", "@acme%2ftools/-rev/0-0", r.Token, "").Is(409)
			r.bearer("DELETE", "@acme%2ftools/-rev/"+r.packument(t, "@acme/tools").Rev, r.Token, "").Is(200)
			r.bearer("GET", "@acme%2ftools", r.Token, "").Is(404)
			r.bearer("POST", "-/v1/login", "", "{}").Is(404).Has("--auth-type=legacy") // npm asks for the password then

			// Install.
			if name == "alice/public" {
				s.Get("/install/repositories/alice/public/config_file.npmrc?scope=@acme").Is(200).Has("@acme:registry=" + s.URL + r.base + "\n").Lacks("_authToken")
				s.Get("/install/repositories/alice/public/config_file.npmrc?scope=%0aevil").Is(422)
			}
		})
	}
}

func TestNpmAccounts(t *testing.T) {
	s := servetest.Start(t, nil)
	r := registry{s, "/alice/private/npm/"}
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Node.DB.Update(t.Context(), func(tx *db.Tx) error {
		a, err := tx.AccountByName(t.Context(), "alice")
		if err != nil {
			return err
		}
		a.PasswordHash = string(hash)
		return tx.UpdateUser(t.Context(), a)
	})
	if err != nil {
		t.Fatal(err)
	}
	login := func(name, password string) servetest.Answer {
		return r.bearer("PUT", "-/user/org.couchdb.user:"+url.PathEscape(name), "", fmt.Sprintf(`{"name":%q,"password":%q,"type":"user"}`, name, password))
	}
	login("alice", "secret").Is(201).Has(`"token":"` + s.Token + `"`)
	login("alice@example.com", "secret").Is(201)
	for _, c := range [][2]string{{"alice", "wrong"}, {"alice", ""}, {"bob", ""}, {"nobody", "secret"}, {"alice", strings.Repeat("x", 100)}} {
		login(c[0], c[1]).Is(401).Says("WWW-Authenticate", `Basic realm="packagecloud"`).Lacks("token\"")
	}
	r.bearer("GET", "-/whoami", s.Token, "").Is(200).Has(`{"username":"alice"}`)
	r.bearer("GET", "-/whoami", s.ReadToken, "").Is(401)
	r.bearer("GET", "-/whoami", "", "").Is(401)
	r.bearer("GET", "-/whoami", s.Stranger, "").Is(404)
	r.bearer("GET", "-/ping", "", "").Is(401)
}
