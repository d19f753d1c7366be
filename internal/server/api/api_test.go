package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"packagecloud/internal/auth"
	"packagecloud/internal/config"
	"packagecloud/internal/db"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/node"
	"packagecloud/internal/repo"
	"packagecloud/internal/serve"
)

// system is a server with two users, alice and bob.
type system struct {
	t          *testing.T
	node       *node.Node
	server     *httptest.Server
	alice, bob string // API tokens
}

const external = "https://packages.example.com"

func newSystem(t *testing.T) *system {
	t.Helper()
	c, err := config.Load("", []string{"PACKAGECLOUD_DATA_DIRECTORY=" + t.TempDir(), "PACKAGECLOUD_EXTERNAL_URL=" + external, "PACKAGECLOUD_SIGNING_KEY_ALGORITHM=ed25519"})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := &system{t: t, node: n}
	s.alice, s.bob = s.user("alice"), s.user("bob")
	s.server = httptest.NewServer(serve.Handler(n))
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		n.Worker.Run(ctx, 2)
	}()
	t.Cleanup(func() {
		s.server.Close()
		stop()
		<-stopped
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *system) user(name string) (token string) {
	s.t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret of "+name), bcrypt.MinCost)
	if err != nil {
		s.t.Fatal(err)
	}
	err = s.node.DB.Update(s.t.Context(), func(tx *db.Tx) (err error) {
		a := db.Account{User: repo.User{Name: name, Email: name + "@example.com", CreatedAt: time.Now()}, PasswordHash: string(hash)}
		token, err = auth.CreateUser(s.t.Context(), tx, s.node.Sealer, &a)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// request is a request to be made.
type request struct {
	method, path string
	user         string // an API token, as the user of Basic credentials; "" for none
	password     string
	contentType  string
	accept       string
	body         []byte
	header       http.Header
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s *system) do(r request) answer {
	s.t.Helper()
	if r.method == "" {
		r.method = http.MethodGet
	}
	q, err := http.NewRequestWithContext(s.t.Context(), r.method, s.server.URL+r.path, bytes.NewReader(r.body))
	if err != nil {
		s.t.Fatal(err)
	}
	if r.header != nil {
		q.Header = r.header.Clone()
	}
	if r.user != "" {
		q.SetBasicAuth(r.user, r.password)
	}
	if r.contentType != "" {
		q.Header.Set("Content-Type", r.contentType)
	}
	if r.accept != "" {
		q.Header.Set("Accept", r.accept)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(q)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// want makes a request and compares status and body. A body of "*" is any.
func (s *system) want(r request, status int, body string) answer {
	s.t.Helper()
	a := s.do(r)
	if a.status != status || body != "*" && a.body != body {
		s.t.Errorf("%s %s: %d %s, not %d %s", r.method, r.path, a.status, a.body, status, body)
	}
	return a
}

// decode reads a JSON answer.
func decode[T any](t *testing.T, a answer) (v T) {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("Content-Type: %s", got)
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

// part is a field of a form, or a file.
type part struct {
	name, file string
	body       []byte
}

func multi(parts ...part) (body []byte, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		if p.file == "" {
			_ = w.WriteField(p.name, string(p.body))
			continue
		}
		f, _ := w.CreateFormFile(p.name, p.file)
		_, _ = f.Write(p.body)
	}
	_ = w.Close()
	return b.Bytes(), w.FormDataContentType()
}

func (s *system) create(name string, private bool) {
	s.t.Helper()
	body := fmt.Sprintf(`{"repository":{"name":%q,"private":%v}}`, name, private)
	s.want(request{method: "POST", path: "/api/v1/repos.json", user: s.alice, contentType: "application/json", body: []byte(body)}, 201, `{"url":"`+external+`/alice/`+name+`"}`)
}

// push pushes to a repository of alice and waits until it is indexed.
func (s *system) push(name, distro, filename string, body []byte, more ...part) answer {
	s.t.Helper()
	parts := append([]part{{name: "package[distro_version_id]", body: []byte(distro)}, {name: "package[package_file]", file: filename, body: body}}, more...)
	form, contentType := multi(parts...)
	return s.do(request{method: "POST", path: "/api/v1/repos/alice/" + name + "/packages.json?wait=indexed", user: s.alice, contentType: contentType, body: form})
}

func (s *system) mustPush(name, distro, filename string, body []byte, more ...part) map[string]any {
	s.t.Helper()
	a := s.push(name, distro, filename, body, more...)
	if a.status != 201 {
		s.t.Fatalf("push %s: %d %s", filename, a.status, a.body)
	}
	return decode[map[string]any](s.t, a)
}

func TestAuthentication(t *testing.T) {
	s := newSystem(t)
	s.create("demo", true)
	const unauthenticated = `{"error":"Unauthenticated"}`
	wrong := strings.Repeat("0", 48)
	for _, path := range []string{"/api/v1/distributions.json", "/api/v1/repos.json", "/api/v1/repos/alice/demo", "/api/v1/repos/alice/demo/packages.json"} {
		for _, user := range []string{"", wrong, "short"} {
			a := s.want(request{path: path, user: user}, 401, unauthenticated)
			if a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: no challenge", path)
			}
		}
		s.want(request{path: path, user: s.alice, password: "whatever"}, 200, "*")
		s.want(request{path: path, header: http.Header{"Authorization": {"Bearer " + s.alice}}}, 200, "*")
	}
	// Somebody else's private repository is not there.
	s.want(request{path: "/api/v1/repos/alice/demo", user: s.bob}, 404, `{"error":"not_found"}`)
	s.want(request{path: "/api/v1/repos/alice/nothing", user: s.alice}, 404, `{"error":"not_found"}`)
	// A public one is, to be read.
	s.create("open", false)
	s.want(request{path: "/api/v1/repos/alice/open", user: s.bob}, 200, "*")
	s.want(request{path: "/api/v1/repos/alice/open/master_tokens", user: s.bob}, 403, "*")

	// The token for address and password.
	s.want(request{path: "/api/v1/token.json", user: "alice@example.com", password: "secret of alice"}, 200, `{"token":"`+s.alice+`"}`)
	s.want(request{path: "/api/v1/token", user: "alice@example.com", password: "secret of bob"}, 401, unauthenticated)
	s.want(request{path: "/api/v1/token", user: "nobody@example.com", password: "x"}, 401, unauthenticated)
	s.want(request{path: "/api/v1/token"}, 401, unauthenticated)

	// Master and read tokens are none for the API.
	master := decode[[]struct{ Value string }](t, s.do(request{path: "/api/v1/repos/alice/demo/master_tokens", user: s.alice}))[0].Value
	s.want(request{path: "/api/v1/repos.json", user: master}, 401, unauthenticated)

	s.want(request{method: "PUT", path: "/api/v1/repos.json", user: s.alice}, 405, "*")
	s.want(request{path: "/api/v1/nothing.json", user: s.alice}, 404, `{"error":"not_found"}`)
	s.want(request{method: "POST", path: "/api/v1//repos.json", user: s.alice}, 404, `{"error":"not_found"}`) // no redirect
}

// TestCreateRepository sends the parameters in every way that clients do.
func TestCreateRepository(t *testing.T) {
	s := newSystem(t)
	form := func(v url.Values) []byte { return []byte(v.Encode()) }
	multipartBody, multipartType := multi(part{name: "repository[name]", body: []byte("r5")}, part{name: "repository[private]", body: []byte("1")})
	const urlencoded = "application/x-www-form-urlencoded"
	for i, c := range []struct {
		query, contentType, accept string
		body                       []byte
		private                    bool
	}{
		{"", urlencoded, "*/*", form(url.Values{"repository[name]": {"r0"}, "repository[private]": {"1"}}), true},
		{"", urlencoded, "", form(url.Values{"repository[name]": {"r1"}, "repository[private]": {"0"}}), false},
		{"", "application/json", "application/json", []byte(`{"repository":{"name":"r2","private":true}}`), true},
		{"", "application/json; charset=utf-8", "", []byte(`{"name":"r3","private":"1"}`), true},
		{"", "", "multipart/form-data; boundary=x", []byte(`{"repository":{"name":"r4","private":false}}`), false},
		{"", multipartType, "", multipartBody, true},
		{"?repository[name]=r6&repository%5Bprivate%5D=true", "", "", nil, true},
		// A form by its header, which names no boundary.
		{"", "multipart/form-data", "", form(url.Values{"repository[name]": {"r7"}, "repository[private]": {"1"}}), true},
		{"", "multipart/form-data", "", []byte(`{"repository":{"name":"r8"}}`), false},
		{"", "multipart/form-data", "", bytes.ReplaceAll(multipartBody, []byte("r5"), []byte("r9")), true},
	} {
		a := s.do(request{method: "POST", path: "/api/v1/repos" + []string{"", ".json"}[i%2] + c.query, user: s.alice, contentType: c.contentType, accept: c.accept, body: c.body})
		if want := fmt.Sprintf(`{"url":"%s/alice/r%d"}`, external, i); a.status != 201 || a.body != want {
			t.Errorf("%d: %d %s", i, a.status, a.body)
		}
		got := decode[struct {
			Private bool
			FQName  string `json:"fqname"`
		}](t, s.do(request{path: fmt.Sprintf("/api/v1/repos/alice/r%d", i), user: s.alice}))
		if got.Private != c.private || got.FQName != fmt.Sprintf("alice/r%d", i) {
			t.Errorf("%d: %+v", i, got)
		}
	}
	post := func(body string) request {
		return request{method: "POST", path: "/api/v1/repos.json", user: s.alice, contentType: "application/json", body: []byte(body)}
	}
	s.want(post(`{"repository":{"name":"r0"}}`), 422, `{"name":["has already been taken"]}`)
	for _, body := range []string{`{}`, `{"repository":{"name":"../x"}}`, `{"repository":{"name":"a b"}}`, `{"repository":{"name":"x","private":"maybe"}}`, `{"repository":`, `{"repository":{"name":"` + strings.Repeat("x", 200) + `"}}`} {
		fields := decode[map[string][]string](t, s.want(post(body), 422, "*"))
		if len(fields) != 1 {
			t.Errorf("%s: %v", body, fields)
		}
	}
	list := decode[[]map[string]any](t, s.do(request{path: "/api/v1/repos", user: s.alice}))
	if len(list) != 10 || list[0]["last_push_human"] != "never" || list[0]["package_count_human"] != "0 packages" {
		t.Errorf("the list: %v", list)
	}
	if got := decode[[]any](t, s.do(request{path: "/api/v1/repos", user: s.bob})); len(got) != 0 {
		t.Errorf("bob sees %v", got)
	}
}

func TestShowRepository(t *testing.T) {
	s := newSystem(t)
	s.create("demo", true)
	a := s.do(request{path: "/api/v1/repos/alice/demo.json", user: s.alice})
	v := decode[struct {
		Paths map[string]string
		URLs  map[string]string
	}](t, a)
	const r = "/api/v1/repos/alice/demo"
	want := map[string]string{
		"self": r, "create_package": r + "/packages.json", "package_contents": r + "/packages/contents", "master_tokens": r + "/master_tokens",
		"create_master_token": r + "/master_tokens", "gpg_keys": r + "/gpg_keys.json",
	}
	if diff := cmp.Diff(want, v.Paths); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	if !regexp.MustCompile(`^https://[0-9a-f]{48}:irrelevant@packages\.example\.com/install/repositories/alice/demo/script\.:package_type\.sh$`).MatchString(v.URLs["install_script"]) {
		t.Errorf("install_script: %s", v.URLs["install_script"])
	}
}

// keys are the sorted names in an object.
func keys(v map[string]any) []string { return slices.Sorted(maps.Keys(v)) }

var fragmentKeys = []string{
	"architecture", "created_at", "destroy_url", "distro_version", "download_url", "downloads_count_url", "downloads_detail_url", "downloads_series_url", "epoch", "filename",
	"indexed", "name", "package_html_url", "package_url", "private", "promote_url", "release", "repository_html_url", "scope", "sha256sum", "type", "uploader_name", "version",
}

func TestPush(t *testing.T) {
	s := newSystem(t)
	s.create("demo", false)
	b := debtest.Package{Name: "hello", Version: "2:1.0-7", Architecture: "amd64", Fields: "Depends: a, b (>= 1)\n"}.Build()
	got := s.mustPush("demo", "237", "whatever.bin", b) // the name is in the package
	details := append([]string{
		"dependencies", "description", "licenses", "md5sum", "repository", "repository_url", "self_url", "sha1sum", "sha512sum", "size", "summary", "total_downloads_count", "versions_url",
	}, fragmentKeys...)
	slices.Sort(details)
	if diff := cmp.Diff(details, keys(got)); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	want := map[string]any{
		"name": "hello", "distro_version": "ubuntu/jammy", "version": "1.0", "release": "7", "epoch": 2.0, "scope": nil, "private": false, "type": "deb",
		"filename": "hello_1.0-7_amd64.deb", "uploader_name": "alice", "indexed": true, "architecture": "amd64", "repository": "demo", "size": fmt.Sprint(len(b)),
		"summary": "test package hello", "description": "It does nothing.", "licenses": nil, "total_downloads_count": nil, "downloads_count_url": nil, "downloads_detail_url": nil, "downloads_series_url": nil,
		"dependencies":        []any{map[string]any{"context": "depends", "dependencies": []any{"a", "b (>= 1)"}}},
		"repository_html_url": "/alice/demo", "repository_url": "/api/v1/repos/alice/demo",
		"package_url": "/api/v1/repos/alice/demo/package/deb/ubuntu/jammy/hello/amd64/1.0-7.json", "self_url": "/api/v1/repos/alice/demo/package/deb/ubuntu/jammy/hello/amd64/1.0-7.json",
		"versions_url": "/api/v1/repos/alice/demo/package/deb/ubuntu/jammy/hello/amd64/versions.json",
		"destroy_url":  "/api/v1/repos/alice/demo/ubuntu/jammy/hello_1.0-7_amd64.deb", "promote_url": "/api/v1/repos/alice/demo/ubuntu/jammy/hello_1.0-7_amd64.deb/promote.json",
		"download_url":     external + "/alice/demo/packages/ubuntu/jammy/hello_1.0-7_amd64.deb/download.deb?distro_version_id=237",
		"package_html_url": "/alice/demo/packages/ubuntu/jammy/hello_1.0-7_amd64.deb",
	}
	for k, v := range want {
		if diff := cmp.Diff(v, got[k]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", k, diff)
		}
	}
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`).MatchString(got["created_at"].(string)) {
		t.Errorf("created_at: %s", got["created_at"])
	}
	// What the API says can be asked for.
	for _, path := range []string{"self_url", "versions_url"} {
		s.want(request{path: got[path].(string), user: s.alice}, 200, "*")
		s.want(request{path: strings.TrimSuffix(got[path].(string), ".json"), user: s.alice}, 200, "*")
	}
	download := strings.TrimPrefix(got["download_url"].(string), external)
	for _, path := range []string{download, "/alice/demo/packages/ubuntu/jammy/hello_1.0-7_amd64.deb/download"} {
		if a := s.do(request{path: path}); a.status != 200 || a.body != string(b) || !strings.Contains(a.header.Get("Content-Disposition"), "hello_1.0-7_amd64.deb") {
			t.Errorf("%s: %d", path, a.status)
		}
	}

	if a := s.push("demo", "237", "hello.deb", b); a.status != 422 || a.body != `{"filename":["has already been taken"]}` {
		t.Errorf("a duplicate: %d %s", a.status, a.body)
	}
	s.mustPush("demo", "210", "hello.deb", b) // another distribution
	s.mustPush("demo", "debian/bookworm", "hello.deb", b)

	// Deleted, the name is free at once.
	s.want(request{method: "DELETE", path: got["destroy_url"].(string), user: s.alice}, 200, "{}")
	s.want(request{method: "DELETE", path: got["destroy_url"].(string), user: s.alice}, 404, `{"filename":["not found"]}`)
	s.want(request{path: got["self_url"].(string), user: s.alice}, 404, "*")
	s.mustPush("demo", "237", "hello.deb", b)
	s.want(request{method: "DELETE", path: got["destroy_url"].(string), user: s.bob}, 403, "*")
}

// TestPushEncodings sends a push in every order and oddity that clients have.
// TestScope names a package by its scope too, wherever the file name alone says
// too little: @acme and @other may each have a tool-1.0.0.tgz.
func TestScope(t *testing.T) {
	s := newSystem(t)
	s.create("demo", false)
	got := s.mustPush("demo", "191", "x.tgz", npmtest.Package{Name: "@acme/tool"}.Build())
	file := "/node/1/tool-1.0.0.tgz"
	for key, want := range map[string]string{
		"package_html_url": "/alice/demo/packages" + file + "?scope=%40acme", "destroy_url": "/api/v1/repos/alice/demo" + file + "?scope=%40acme",
		"promote_url":  "/api/v1/repos/alice/demo" + file + "/promote.json?scope=%40acme",
		"download_url": external + "/alice/demo/packages" + file + "/download.tgz?distro_version_id=191&scope=%40acme",
	} {
		if got[key] != want {
			t.Errorf("%s is %v, not %s", key, got[key], want)
		}
	}
}

func TestPushEncodings(t *testing.T) {
	s := newSystem(t)
	s.create("demo", false)
	const path = "/api/v1/repos/alice/demo/packages"
	deb := func(i int) []byte { return debtest.Package{Name: fmt.Sprintf("p%d", i)}.Build() }
	id := part{name: "package[distro_version_id]", body: []byte("35")}
	file := func(i int) part { return part{name: "package[package_file]", file: "x.deb", body: deb(i)} }

	first, contentType := multi(file(0), id)
	s.want(request{method: "POST", path: path, user: s.alice, contentType: contentType, body: first}, 201, "*")
	last, contentType := multi(id, part{name: "filename", body: []byte("x")}, file(1))
	s.want(request{method: "POST", path: path + ".json", user: s.alice, contentType: contentType, body: last}, 201, "*")
	// No Content-Type, the boundary in Accept.
	s.want(request{method: "POST", path: path, user: s.alice, accept: contentType, body: func() []byte { b, _ := multi(id, file(2)); return b }()}, 201, "*")
	// A Content-Type without the boundary.
	unnamed, _ := multi(id, file(5))
	s.want(request{method: "POST", path: path, user: s.alice, contentType: "multipart/form-data", body: unnamed}, 201, "*")
	// The id in the query.
	alone, contentType := multi(file(3))
	s.want(request{method: "POST", path: path + "?package[distro_version_id]=35", user: s.alice, contentType: contentType, body: alone}, 201, "*")
	// MIME headers before the first boundary, no quotes, a transfer encoding.
	odd := "Content-ID: <1>\r\nContent-Type: multipart/form-data; boundary=XX\r\n\r\n--XX\r\nContent-Disposition: form-data; name=\"package[distro_version_id]\"\r\n\r\n35\r\n" +
		"--XX\r\nContent-Disposition: form-data; name=\"package[package_file]\"; filename=x.deb\r\nContent-Transfer-Encoding: binary\r\nContent-Type: text/plain\r\n\r\n" + string(deb(4)) + "\r\n--XX--\r\n"
	s.want(request{method: "POST", path: path, user: s.alice, contentType: "multipart/form-data; boundary=XX", body: []byte(odd)}, 201, "*")

	for _, c := range []struct {
		name  string
		parts []part
		want  string
	}{
		{"no file", []part{id}, `{"package_file":["can't be blank"]}`},
		{"no distribution", []part{file(9)}, "distro_version_id"},
		{"an empty distribution", []part{{name: "package[distro_version_id]"}, file(9)}, "distro_version_id"},
		{"an unknown distribution", []part{{name: "package[distro_version_id]", body: []byte("99999999")}, file(9)}, `\"99999999\" is no distribution version`},
		{"a name that is not right", []part{{name: "package[distro_version_id]", body: []byte("ubuntu/nobel")}, file(9)}, "did you mean ubuntu/noble"},
		{"the name of a derived system", []part{{name: "package[distro_version_id]", body: []byte("rocky/9")}, file(9)}, "did you mean el/9"},
		{"a format that is not served", []part{{name: "package[distro_version_id]", body: []byte("297")}, file(9)}, "cannot be published"},
		{"two files", []part{id, file(8), file(9)}, "twice"},
		{"a deb for el", []part{{name: "package[distro_version_id]", body: []byte("240")}, file(9)}, "push it to a Debian distribution"},
		{"an rpm for ubuntu", []part{{name: "package[package_file]", file: "x.deb", body: rpmtest.Package{}.Build()}, id}, "push it to an RPM distribution"},
		{"a field of 1 MB", []part{{name: "x", body: make([]byte, 1<<20)}, id, file(9)}, "is longer than"},
		{"half a package", []part{id, {name: "package[package_file]", file: "x.deb", body: deb(9)[:100]}}, "cut off"},
	} {
		body, contentType := multi(c.parts...)
		a := s.want(request{method: "POST", path: path, user: s.alice, contentType: contentType, body: body}, 422, "*")
		if !strings.Contains(a.body, c.want) {
			t.Errorf("%s: %s", c.name, a.body)
		}
		decode[map[string][]string](t, a)
	}
	s.want(request{method: "POST", path: path, user: s.alice, contentType: "application/json", body: []byte("{}")}, 422, "*")
	s.want(request{method: "POST", path: path, user: s.alice}, 422, "*")
	// Nothing of what was refused is stored.
	if n := s.stored(); n != 6 {
		t.Errorf("%d package files are stored, not 6", n)
	}
}

// stored counts the package files in storage.
func (s *system) stored() (n int) {
	s.t.Helper()
	for _, err := range s.node.Blobs.List(s.t.Context(), "packages/") {
		if err != nil {
			s.t.Fatal(err)
		}
		n++
	}
	return n
}

func TestSource(t *testing.T) {
	s := newSystem(t)
	s.create("demo", false)
	dsc, files := debtest.Source("hello", "1.0")
	tarball := part{name: "package[source_files][]", file: "hello_1.0.tar.gz", body: files["hello_1.0.tar.gz"]}
	body, contentType := multi(part{name: "package[package_file]", file: "hello_1.0.dsc", body: dsc}, part{name: "package[distro_version_id]", body: []byte("237")})
	contents := request{method: "POST", path: "/api/v1/repos/alice/demo/packages/contents", user: s.alice, contentType: contentType, body: body}
	got := decode[struct {
		Files []struct {
			Filename string `json:"filename"`
			Size     int    `json:"size"`
			MD5      string `json:"md5sum"`
		}
	}](t, s.want(contents, 200, "*"))
	if len(got.Files) != 1 || got.Files[0].Filename != "hello_1.0.tar.gz" || got.Files[0].Size != len(tarball.body) || len(got.Files[0].MD5) != 32 {
		t.Errorf("contents: %+v", got)
	}
	if a := s.push("demo", "237", "hello_1.0.dsc", dsc); a.status != 422 || !strings.Contains(a.body, "hello_1.0.tar.gz, which was not sent along") {
		t.Errorf("without its file: %d %s", a.status, a.body)
	}
	wrong := tarball
	wrong.body = append(bytes.Clone(wrong.body), 0)
	if a := s.push("demo", "237", "hello_1.0.dsc", dsc, wrong); a.status != 422 || !strings.Contains(a.body, "size or checksum differ") {
		t.Errorf("with another file: %d %s", a.status, a.body)
	}
	if a := s.push("demo", "237", "hello_1.0.dsc", dsc, tarball, part{name: "package[source_files][]", file: "more", body: []byte("x")}); a.status != 422 {
		t.Errorf("with a file too many: %d %s", a.status, a.body)
	}
	p := s.mustPush("demo", "237", "hello_1.0.dsc", dsc, tarball)
	if p["type"] != "dsc" || p["filename"] != "hello_1.0.dsc" || p["md5sum"] != nil || p["size"] != fmt.Sprintf("%d.0", len(dsc)) {
		t.Errorf("%v", p)
	}
	if a := s.do(request{path: "/alice/demo/ubuntu/pool/jammy/main/h/hello/hello_1.0.tar.gz"}); a.status != 200 || a.body != string(tarball.body) {
		t.Errorf("the file in the pool: %d", a.status)
	}
}

func TestLists(t *testing.T) {
	s := newSystem(t)
	s.create("demo", false)
	for i := range 5 {
		for _, id := range []string{"237", "210"} {
			s.mustPush("demo", id, "x.deb", debtest.Package{Name: "hello", Version: fmt.Sprintf("1.%d", i)}.Build())
		}
	}
	s.mustPush("demo", "240", "x.rpm", rpmtest.Package{Name: "world", Architecture: "x86_64"}.Build())
	const r = "/api/v1/repos/alice/demo"

	a := s.want(request{path: r + "/packages.json?page=2&per_page=4", user: s.alice}, 200, "*")
	if list := decode[[]map[string]any](t, a); len(list) != 4 {
		t.Errorf("%d packages on page 2", len(list))
	} else if diff := cmp.Diff(fragmentKeys, keys(list[0])); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	link := fmt.Sprintf(`<%[1]s?page=1&per_page=4>; rel="prev", <%[1]s?page=3&per_page=4>; rel="next", <%[1]s?page=3&per_page=4>; rel="last"`, external+r+"/packages.json")
	for name, want := range map[string]string{"Total": "11", "Per-Page": "4", "Max-Per-Page": "250", "Link": link} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %s, not %s", name, got, want)
		}
	}
	if a := s.do(request{path: r + "/packages?per_page=1000", user: s.alice}); a.header.Get("Per-Page") != "250" || a.header.Get("Link") != "" {
		t.Errorf("a large page: %v", a.header)
	}

	for path, want := range map[string]int{
		"/search.json?q=hello": 10, "/search.json?q=HELLO_1.4": 2, "/search?q=": 11, "/search.json?filter=rpms": 1, "/search.json?q=&filter=debs": 10,
		"/search.json?dist=ubuntu": 10, "/search.json?dist=el%2F9": 1, "/search.json?dist=ubuntu/jammy&arch=all": 5, "/search.json?q=%25": 0, "/search.json?q=_": 11,
		"/package/deb/ubuntu/jammy/hello/all/versions.json": 5,
	} {
		if list := decode[[]map[string]any](t, s.do(request{path: r + path, user: s.alice})); len(list) != want {
			t.Errorf("%s finds %d packages, not %d", path, len(list), want)
		}
	}
	// Both lists know the same words: a client deletes what it was listed.
	for query, want := range map[string]int{
		"filter=deb": 10, "filter=debs": 10, "filter=DEB": 10, "filter=rpm": 1, "filter=rpms": 1, "filter=dsc": 0, "filter=dscs": 0, "filter=all": 11, "filter=": 11,
		"filter=python": 0, "filter=node": 0, "filter=gems": 0, "filter=java": 0, "filter=nonsense": 0, "dist=el/9": 1, "dist=ubuntu&filter=rpms": 10,
		"dist=fedora": 0, "arch=x86_64": 1, "q=hello_1.4": 2,
	} {
		for _, path := range []string{"/packages.json?", "/search.json?"} {
			a := s.do(request{path: r + path + query + "&per_page=100", user: s.alice})
			if list := decode[[]map[string]any](t, a); len(list) != want || a.header.Get("Total") != fmt.Sprint(want) {
				t.Errorf("%s%s lists %d packages of %s, not %d", path, query, len(list), a.header.Get("Total"), want)
			}
		}
	}
	for path, want := range map[string]string{
		"/packages/debs": `ubuntu/focal/hello=5 ubuntu/jammy/hello=5`, "/packages/deb.json": `ubuntu/focal/hello=5 ubuntu/jammy/hello=5`, "/packages/deb/ubuntu/jammy.json": "ubuntu/jammy/hello=5",
		"/packages/rpm/el/9/x86_64": "el/9/world=1", "/packages/*/*/*/x86_64": "el/9/world=1", "/packages/rpm/fedora": "",
	} {
		type names struct {
			Name     string `json:"name"`
			Count    int    `json:"versions_count"`
			Versions string `json:"versions_url"`
		}
		var got []string
		for _, v := range decode[[]names](t, s.do(request{path: r + path, user: s.alice})) {
			m := regexp.MustCompile(`/package/[a-z]+/(\w+/\w+)/(\w+)/`).FindStringSubmatch(v.Versions)
			got = append(got, fmt.Sprintf("%s/%s=%d", m[1], v.Name, v.Count))
			s.want(request{path: v.Versions, user: s.alice}, 200, "*")
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, not %s", path, got, want)
		}
	}
	for query, want := range map[string]string{"?per_page=1": "2", "?per_page=1&page=2": "2", "?page=7": "2"} {
		if got := s.do(request{path: r + "/packages/deb.json" + query, user: s.alice}).header.Get("Total"); got != want {
			t.Errorf("%s: %s names in all, not %s", query, got, want)
		}
	}
	s.want(request{path: r + "/package/rpm/el/9/world/x86_64/1.0/1.json", user: s.alice}, 200, "*")
	s.want(request{path: r + "/package/rpm/el/9/world/x86_64/1.0/2.json", user: s.alice}, 404, "*")
}

func TestTokens(t *testing.T) {
	s := newSystem(t)
	s.create("demo", true)
	const base = "/api/v1/repos/alice/demo/master_tokens"
	type token struct {
		ID    int64
		Name  string
		Value string
		Paths map[string]string
		Reads []struct {
			ID          int64
			Name, Value string
		} `json:"read_tokens"`
	}
	list := func() []token { return decode[[]token](t, s.want(request{path: base, user: s.alice}, 200, "*")) }
	if l := list(); len(l) != 1 || l[0].Name != "default" || len(l[0].Value) != 48 {
		t.Fatalf("a new repository has %+v", l)
	}
	form := []byte("master_token%5Bname%5D=ci")
	post := request{method: "POST", path: base, user: s.alice, contentType: "application/x-www-form-urlencoded", body: form}
	ci := decode[token](t, s.want(post, 201, "*"))
	if ci.Name != "ci" || ci.Paths["self"] != fmt.Sprintf("%s/%d", base, ci.ID) || ci.Paths["create_read_token"] != fmt.Sprintf("%s/%d/read_tokens.json", base, ci.ID) {
		t.Errorf("%+v", ci)
	}
	s.want(post, 422, `{"name":["has already been taken"]}`)
	s.want(request{method: "POST", path: base, user: s.alice, contentType: "application/json", body: []byte("{}")}, 422, "*")

	// By id and by value.
	for _, id := range []string{fmt.Sprint(ci.ID), ci.Value} {
		if one := decode[[]token](t, s.want(request{path: base + "/" + id, user: s.alice}, 200, "*")); len(one) != 1 || one[0].Value != ci.Value {
			t.Errorf("%s: %+v", id, one)
		}
		rt := decode[token](t, s.want(request{method: "POST", path: base + "/" + id + "/read_tokens.json", user: s.alice, contentType: "application/json", body: []byte(`{"read_token":{"name":"m` + id + `"}}`)}, 201, "*"))
		if len(rt.Value) != 48 {
			t.Errorf("%+v", rt)
		}
	}
	if found := decode[[]map[string]string](t, s.want(request{path: base + "/search?q=ci", user: s.alice}, 200, "*")); len(found) != 1 || found[0]["self_url"] == "" {
		t.Errorf("search: %v", found)
	}
	reads := decode[struct {
		Tokens []struct {
			ID          int64
			Name, Value string
		} `json:"read_tokens"`
	}](t, s.want(request{path: ci.Paths["create_read_token"], user: s.alice}, 200, "*"))
	if len(reads.Tokens) != 2 {
		t.Fatalf("%+v", reads)
	}
	// A read token reads, until it or its master is gone.
	read := func(token string) int {
		return s.do(request{path: "/alice/demo/any/dists/any/InRelease", user: token, password: "irrelevant"}).status
	}
	one := fmt.Sprintf("%s/%d/read_tokens/%d", base, ci.ID, reads.Tokens[0].ID)
	s.want(request{path: one, user: s.alice}, 200, "*")
	if read(reads.Tokens[0].Value) != 200 || read(reads.Tokens[1].Value) != 200 {
		t.Error("a read token does not read")
	}
	s.want(request{method: "DELETE", path: one, user: s.alice}, 204, "")
	s.want(request{method: "DELETE", path: one, user: s.alice}, 404, "*")
	if read(reads.Tokens[0].Value) != 404 || read(reads.Tokens[1].Value) != 200 {
		t.Error("not the one token was revoked")
	}
	s.want(request{method: "DELETE", path: ci.Paths["self"], user: s.alice}, 204, "")
	if read(reads.Tokens[1].Value) != 404 {
		t.Error("a read token outlives its master token")
	}
	// The default one is not removed but gets another value.
	before := list()[0]
	s.want(request{method: "DELETE", path: before.Paths["self"], user: s.alice}, 204, "")
	if after := list(); len(after) != 1 || after[0].Name != "default" || after[0].Value == before.Value {
		t.Errorf("the default token: %+v", after)
	}
	// No other token reads: not an API token, not a master token.
	for _, v := range []string{s.alice, list()[0].Value} {
		if read(v) != 404 {
			t.Errorf("%s reads", v)
		}
	}
	if a := s.do(request{path: "/alice/demo/any/dists/any/InRelease"}); a.status != 401 || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("without a token: %d %v", a.status, a.header)
	}
}

func TestKeys(t *testing.T) {
	s := newSystem(t)
	s.create("demo", false)
	const base = "/api/v1/repos/alice/demo/gpg_keys"
	type key struct {
		Name, Fingerprint, Keytype, Self string
		Destroy                          string `json:"destroy_url"`
		Download                         string `json:"download_url"`
	}
	list := func() []key {
		return decode[struct {
			Keys []key `json:"gpg_keys"`
		}](t, s.want(request{path: base + ".json", user: s.alice}, 200, "*")).Keys
	}
	own := list()
	if len(own) != 1 || own[0].Keytype != "repo" || !regexp.MustCompile(`^alice-demo-[0-9A-F]{16}\.pub\.gpg$`).MatchString(own[0].Name) || !strings.HasSuffix(own[0].Name, own[0].Fingerprint[24:]+".pub.gpg") {
		t.Fatalf("%+v", own)
	}
	armored := s.do(request{path: "/alice/demo/gpgkey"}).body
	for _, path := range []string{"/alice/demo/gpgkey/", strings.TrimPrefix(own[0].Download, external)} {
		if got := s.do(request{path: path}).body; got != armored || !strings.HasPrefix(got, "-----BEGIN PGP PUBLIC KEY BLOCK-----") {
			t.Errorf("%s: %s", path, got)
		}
	}
	s.want(request{method: "DELETE", path: own[0].Destroy, user: s.alice}, 404, "*")

	body, contentType := multi(part{name: "gpg_key[keydata]", file: "k.asc", body: []byte("nonsense")})
	a := s.want(request{method: "POST", path: base + ".json", user: s.alice, contentType: contentType, body: body}, 422, "*")
	if !strings.HasPrefix(a.body, `{"error":"`) {
		t.Errorf("nonsense: %s", a.body)
	}
	s.create("other", false)
	foreign := s.do(request{path: "/alice/other/gpgkey"}).body
	body, contentType = multi(part{name: "gpg_key[keydata]", file: "k.asc", body: []byte(foreign)})
	k := decode[key](t, s.want(request{method: "POST", path: base + ".json", user: s.alice, contentType: contentType, body: body}, 201, "*"))
	if k.Keytype != "package" || len(list()) != 2 {
		t.Errorf("%+v", k)
	}
	s.want(request{path: k.Self, user: s.alice}, 200, "*")
	s.want(request{method: "DELETE", path: k.Destroy, user: s.alice}, 204, "")
	s.want(request{method: "DELETE", path: k.Destroy, user: s.alice}, 404, "*")
}

func TestDistributions(t *testing.T) {
	s := newSystem(t)
	type version struct {
		ID    int64
		Index string `json:"index_name"`
	}
	all := decode[map[string][]struct {
		Index    string `json:"index_name"`
		Versions []version
	}](t, s.want(request{path: "/api/v1/distributions", user: s.alice}, 200, "*"))
	for _, key := range []string{"deb", "rpm", "py", "jar", "node", "alpine", "anyfile", "helm", "dsc"} {
		if len(all[key]) == 0 {
			t.Errorf("nothing under %s", key)
		}
	}
	if all["deb"][0].Index == "" {
		t.Error("a distribution has no name")
	}
}

// TestBrokenUpload cuts the connection in the middle of a file.
func TestBrokenUpload(t *testing.T) {
	s := newSystem(t)
	s.create("demo", false)
	body, contentType := multi(part{name: "package[distro_version_id]", body: []byte("35")}, part{name: "package[package_file]", file: "x.deb", body: make([]byte, 8<<20)})
	pr, pw := io.Pipe()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL+"/api/v1/repos/alice/demo/packages", pr)
	if err != nil {
		t.Fatal(err)
	}
	q.SetBasicAuth(s.alice, "")
	q.Header.Set("Content-Type", contentType)
	go func() {
		_, _ = pw.Write(body[:4<<20])
		pw.CloseWithError(io.ErrClosedPipe)
	}()
	if response, err := http.DefaultClient.Do(q); err == nil {
		response.Body.Close()
		t.Errorf("half an upload was answered %d", response.StatusCode)
	}
	if n := s.stored(); n != 0 {
		t.Errorf("half an upload left %d files", n)
	}
}
