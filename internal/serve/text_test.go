package serve_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/serve/servetest"
)

// TestTextThatCannotBeKept puts what no database keeps, and what no name may have,
// wherever a request has room for it. It is refused in the same way on each engine.
func TestTextThatCannotBeKept(t *testing.T) {
	answers := make(map[string]map[string]int) // by request, by engine
	engine := func(name string, environment ...string) {
		t.Run(name, func(t *testing.T) {
			log := new(servetest.Log)
			s := servetest.StartWith(t, servetest.Options{Environment: environment, Log: slog.New(log.Handler())})
			for what, r := range illegible(s) {
				a := s.Do(r)
				if answers[what] == nil {
					answers[what] = make(map[string]int)
				}
				answers[what][name] = a.Status
				if a.Status != http.StatusNotFound && a.Status != http.StatusUnprocessableEntity && a.Status != http.StatusUnauthorized {
					t.Errorf("%s: %d %s", what, a.Status, a.Body)
				}
			}
			log.Lacks(t, "level=ERROR")
			log.Lacks(t, "level=WARN")
		})
	}
	engine("SQLite")
	t.Run("PostgreSQL", func(t *testing.T) { engine("server", "PACKAGECLOUD_DATABASE_URL="+dbtest.PostgresURL(t)) })
	for what, statuses := range answers {
		if got, ok := statuses["server"]; ok && got != statuses["SQLite"] {
			t.Errorf("%s: %v", what, statuses)
		}
	}
}

// illegible are requests with a NUL, broken UTF-8, or an escape sequence.
func illegible(s *servetest.Server) map[string]servetest.Request {
	all := make(map[string]servetest.Request)
	deb := debtest.Package{Name: "a", Version: "1"}.Build()
	for name, bad := range map[string]string{"NUL": "a\x00b", "broken UTF-8": "a\xff\xfeb"} {
		escaped := url.QueryEscape(bad)
		for _, path := range []string{
			"/" + escaped + "/public/gpgkey", "/alice/" + escaped + "/gpgkey", "/alice/public/gpgkey/" + escaped,
			"/alice/public/" + escaped + "/dists/jammy/InRelease", "/alice/public/ubuntu/dists/" + escaped + "/InRelease",
			"/alice/public/ubuntu/pool/jammy/main/a/a/" + escaped + ".deb", "/alice/public/el/9/x86_64/repodata/" + escaped,
			"/alice/public/pypi/simple/" + escaped + "/", "/alice/public/npm/" + escaped, "/alice/public/generic/" + escaped,
			"/alice/public/packages/ubuntu/jammy/" + escaped + "/download", "/alice/public/packages/node/1/a.tgz/download?scope=" + escaped,
			"/alice/public/npm/-/v1/search?text=" + escaped,
			"/install/repositories/alice/" + escaped + "/script.deb.sh", "/install/repositories/alice/public/config_file.list?os=" + escaped + "&dist=x",
			"/priv/" + escaped + "/alice/private/gpgkey", "/" + escaped,
			"/api/v1/repos/" + escaped, "/api/v1/repos/alice/" + escaped, "/api/v1/repos/alice/public/search.json?q=" + escaped,
			"/api/v1/repos/alice/public/search.json?dist=" + escaped, "/api/v1/repos/alice/public/search.json?" + escaped + "=1",
			"/api/v1/repos/alice/public/packages/" + escaped, "/api/v1/repos/alice/public/master_tokens/search?q=" + escaped,
			"/api/v1/repos/alice/public/gpg_keys/" + escaped, "/api/v1/repos/alice/public/package/deb/ubuntu/jammy/" + escaped + "/amd64/versions",
		} {
			all[name+": GET "+path] = servetest.Request{Path: path, User: s.Token}
		}
		all[name+": the login"] = servetest.Request{Path: "/api/v1/token", User: bad, Pass: "secret"}
		all[name+": the address"] = servetest.Request{Path: "/api/v1/token", User: "@" + bad, Pass: "secret"}
		all[name+": the token"] = servetest.Request{Path: "/api/v1/repos", User: bad}
		all[name+": deletion"] = servetest.Request{Method: "DELETE", Path: "/api/v1/repos/alice/public/ubuntu/jammy/" + escaped, User: s.Token}
		all[name+": PUT of a file"] = servetest.Request{Method: "PUT", Path: "/alice/public/generic/" + escaped, User: s.Token, Body: []byte("a")}
		all[name+": a tag of npm"] = servetest.Request{
			Method: "PUT", Path: "/alice/public/npm/-/package/a/dist-tags/" + escaped, User: s.Token, Body: []byte(`"1.0.0"`), Header: map[string]string{"Content-Type": "application/json"},
		}
		malformedPushes(all, name, bad, s.Token, deb)
	}
	for name, bad := range map[string]string{"NUL": "a\x00b", "broken UTF-8": "a\xff\xfeb", "an escape sequence": "a\x1b[2Jb", "a line break": "a\nb", "a hidden mark": "a\u202eb"} {
		for field, path := range map[string]string{
			"master_token[name]": "/api/v1/repos/alice/public/master_tokens", "read_token[name]": "/api/v1/repos/alice/public/master_tokens/1/read_tokens",
			"repository[name]": "/api/v1/repos",
		} {
			all[name+": form, "+field] = servetest.Request{
				Method: "POST", Path: path, User: s.Token, Body: []byte(url.Values{field: {bad}}.Encode()), Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
			}
			if body, err := json.Marshal(map[string]string{field: bad}); err == nil && !strings.Contains(name, "UTF-8") { // JSON replaces that
				all[name+": JSON, "+field] = servetest.Request{Method: "POST", Path: path, User: s.Token, Body: body, Header: map[string]string{"Content-Type": "application/json"}}
			}
		}
		malformedPushes(all, name, bad, s.Token, deb)
	}
	return all
}

// malformedPushes adds pushes whose file, or a field of whose form, has a bad name.
func malformedPushes(all map[string]servetest.Request, name, bad, token string, content []byte) {
	header := map[string]string{"Content-Type": "multipart/form-data; boundary=x"}
	const path = "/api/v1/repos/alice/public/packages.json"
	part := func(disposition string, body []byte) string {
		return fmt.Sprintf("--x\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n", disposition, body)
	}
	distro := part(`name="package[distro_version_id]"`, []byte("237"))
	all[name+": the name of a pushed file"] = servetest.Request{
		Method: "POST", Path: path, User: token, Header: header, Body: []byte(distro + part(`name="package[package_file]"; filename="`+bad+`.deb"`, content) + "--x--\r\n"),
	}
	all[name+": a field beside a pushed file"] = servetest.Request{
		Method: "POST", Path: path, User: token, Header: header, Body: []byte(part(`name="package[distro_version_id]"`, []byte(bad)) + part(`name="package[package_file]"; filename="a.deb"`, content) + "--x--\r\n"),
	}
	all[name+": twine"] = servetest.Request{
		Method: "POST", Path: "/alice/public/pypi/", User: token, Header: header,
		Body: []byte(part(`name=":action"`, []byte("file_upload")) + part(`name="name"`, []byte(bad)) + part(`name="content"; filename="`+bad+`.whl"`, content) + "--x--\r\n"),
	}
}
