// Package clienttest is a server to test clients against: it answers in the
// shapes of packagecloud's API, writes down what it was asked, and fails when
// it is told to.
package clienttest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"packagecloud/internal/distro"
)

// Token is the API token that the server knows.
const Token = "0123456789abcdef0123456789abcdef0123456789abcdef" // 48 characters

// Fault is how a request goes wrong.
type Fault struct {
	Method string // "" for any
	Suffix string // of the path
	// Status is answered; 0 cuts the connection instead.
	Status int
	Header http.Header
	// Body is answered with the status.
	Body string
	// Late lets the request do its work before.
	Late bool
	// Times is how often; 0 means once.
	Times int
}

// Server is the server. It has the repositories acme/tools and acme/stable.
type Server struct {
	URL string

	mu       sync.Mutex
	prefix   string
	requests []string
	faults   []*Fault
	packages map[string]string // SHA-256 by "user/repo/os/version/file"
	sources  []File            // what a .dsc lists
	indexed  int               // number of questions until a package is indexed
}

// File is a file that a .dsc lists.
type File struct {
	Filename string `json:"filename"`
	Size     int64  `json:"size"`
}

// New starts a server below a path, "" or like "/prefix".
func New(t testing.TB, prefix string) *Server {
	t.Helper()
	s := &Server{prefix: prefix, packages: make(map[string]string)}
	h := httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.URL = "http://" + h.Listener.Addr().String() + prefix
	h.Start()
	t.Cleanup(h.Close)
	return s
}

// Fail makes later requests fail.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Sources sets what a .dsc lists.
func (s *Server) Sources(files ...File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources = files
}

// Store puts a package in place, "acme/tools/ubuntu/jammy/a.deb".
func (s *Server) Store(name string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packages[name] = sum(data)
}

// IndexAfter makes packages installable when they were asked for n times.
func (s *Server) IndexAfter(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.indexed = n
}

// Requests are the requests since the last call, a line each: method, path,
// who asked, and the fields of the body.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.requests = nil }()
	return s.requests
}

func sum(data []byte) string {
	d := sha256.Sum256(data)
	return hex.EncodeToString(d[:])
}

// body is what came in, fields in their order.
type body struct {
	fields []string
	values map[string]string
	files  map[string][]byte
	names  map[string]string
}

func (b *body) add(name, value string) {
	b.fields = append(b.fields, name+"="+value)
	b.values[name] = value
}

func readBody(r *http.Request) (*body, error) {
	b := &body{values: make(map[string]string), files: make(map[string][]byte), names: make(map[string]string)}
	kind, attributes, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "multipart/form-data" {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		values, err := url.ParseQuery(string(text))
		for _, name := range slices.Sorted(keys(values)) {
			b.add(name, values.Get(name))
		}
		return b, err
	}
	for m := multipart.NewReader(r.Body, attributes["boundary"]); ; {
		part, err := m.NextPart()
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		if part.FileName() == "" {
			b.add(part.FormName(), string(data))
			continue
		}
		b.files[part.FormName()], b.names[part.FormName()] = data, part.FileName()
		b.fields = append(b.fields, part.FormName()+"=@"+part.FileName())
	}
}

func keys(v url.Values) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range v {
			if !yield(k) {
				return
			}
		}
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	b, err := readBody(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	user, _, _ := r.BasicAuth()
	switch user {
	case Token:
		user = "token"
	case "":
		user = "nobody"
	}
	line := []string{r.Method, strings.TrimPrefix(r.RequestURI, s.prefix), user}
	if err != nil {
		s.requests = append(s.requests, strings.Join(append(line, "broken"), " "))
		return
	}
	s.requests = append(s.requests, strings.Join(append(line, b.fields...), " "))
	fault := s.fault(r)
	switch {
	case fault == nil:
		s.answer(w, r, b)
		return
	case fault.Late:
		s.answer(httptest.NewRecorder(), r, b)
	}
	if fault.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	for name, values := range fault.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(fault.Status)
	_, _ = io.WriteString(w, fault.Body)
}

func (s *Server) fault(r *http.Request) *Fault {
	for i, f := range s.faults {
		if (f.Method == "" || f.Method == r.Method) && strings.HasSuffix(r.URL.Path, f.Suffix) {
			if f.Times--; f.Times <= 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
			return f
		}
	}
	return nil
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// answer answers a request that does not fail.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, b *body) {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), s.prefix)
	user, password, _ := r.BasicAuth()
	switch {
	case !ok:
		write(w, 404, map[string]string{"error": "not_found"})
	case strings.HasPrefix(path, "/install/"):
		_, _ = fmt.Fprintf(w, "echo installed by %s for $BASH_VERSINFO\n", user)
	case path == "/api/v1/token.json" && user == "me@example.com" && password == "secret":
		write(w, 200, map[string]string{"token": Token})
	case user != Token:
		write(w, 401, map[string]string{"error": "Unauthenticated"})
	default:
		path = strings.TrimSuffix(strings.TrimPrefix(path, "/api/v1"), ".json")
		s.api(w, r, path, b)
	}
}

func (s *Server) api(w http.ResponseWriter, r *http.Request, path string, b *body) {
	segments := strings.SplitN(strings.TrimPrefix(path, "/"), "/", 4)
	switch {
	case path == "/distributions":
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write(distro.Builtin().JSON())
	case path == "/repos" && r.Method == http.MethodPost:
		s.createRepository(w, b.values["repository[name]"])
	case path == "/repos":
		s.listRepositories(w, r)
	case len(segments) >= 3 && segments[0] == "repos" && segments[1] == "acme" && slices.Contains([]string{"tools", "stable"}, segments[2]):
		rest := ""
		if len(segments) == 4 {
			rest = segments[3]
		}
		s.repository(w, r, segments[1]+"/"+segments[2], rest, b)
	default:
		write(w, 404, map[string]string{"error": "not_found"})
	}
}

func (s *Server) createRepository(w http.ResponseWriter, name string) {
	if name == "tools" {
		write(w, 422, map[string][]string{"name": {"has already been taken"}})
		return
	}
	write(w, 201, map[string]string{"url": "https://packages.example.com/acme/" + name})
}

// listRepositories has two pages of one.
func (s *Server) listRepositories(w http.ResponseWriter, r *http.Request) {
	all := []map[string]any{
		{"name": "tools", "fqname": "acme/tools", "private": false, "last_push_human": "3 days ago", "package_count_human": "17 packages", "url": "https://packages.example.com/acme/tools"},
		{"name": "stable", "fqname": "acme/stable", "private": true, "last_push_human": "never", "package_count_human": "0 packages", "url": "https://packages.example.com/acme/stable"},
	}
	page, _ := strconv.Atoi(r.FormValue("page"))
	page = max(page, 1)
	if page < len(all) {
		w.Header().Set("Link", fmt.Sprintf(`<%s/api/v1/repos.json?page=%d>; rel="next"`, s.URL, page+1))
	}
	write(w, 200, all[page-1:page])
}

func (s *Server) repository(w http.ResponseWriter, r *http.Request, name, rest string, b *body) {
	self := "/api/v1/repos/" + name
	switch r.Method + " " + rest {
	case "GET ":
		write(w, 200, map[string]any{
			"name": strings.TrimPrefix(name, "acme/"), "fqname": name, "private": true, "url": "https://packages.example.com/" + name,
			"paths": map[string]string{
				"self": self, "create_package": self + "/packages.json", "package_contents": self + "/packages/contents",
				"master_tokens": self + "/master_tokens", "create_master_token": self + "/master_tokens", "gpg_keys": self + "/gpg_keys.json",
			},
			"urls": map[string]string{"install_script": strings.Replace(s.URL, "//", "//master:irrelevant@", 1) + "/install/repositories/" + name + "/script.:package_type.sh"},
		})
	case "POST packages":
		s.push(w, name, b)
	case "POST packages/contents":
		write(w, 200, map[string]any{"files": s.sources})
	case "GET search":
		s.search(w, r, name)
	case "GET master_tokens":
		write(w, 200, []map[string]any{{
			"name": "default", "value": "mmm", "paths": map[string]string{"self": self + "/master_tokens/7"},
			"read_tokens": []map[string]any{{"id": 9, "name": "web01", "value": "rrr"}},
		}})
	case "POST master_tokens":
		if b.values["master_token[name]"] == "default" {
			write(w, 422, map[string][]string{"name": {"has already been taken"}})
			return
		}
		write(w, 201, map[string]any{"name": b.values["master_token[name]"], "value": "nnn"})
	case "DELETE master_tokens/7", "DELETE master_tokens/7/read_tokens/9", "DELETE gpg_keys/packagers.pub.gpg":
		w.WriteHeader(http.StatusNoContent)
	case "GET gpg_keys":
		write(w, 200, map[string]any{"gpg_keys": []any{key(self)}})
	case "POST gpg_keys":
		if !strings.Contains(string(b.files["gpg_key[keydata]"]), "BEGIN PGP PUBLIC KEY BLOCK") {
			write(w, 422, map[string]string{"error": "that is no public key"})
			return
		}
		write(w, 201, key(self))
	default:
		s.onPackage(w, r, name, rest, b)
	}
}

func key(self string) map[string]string {
	return map[string]string{
		"name": "packagers.pub.gpg", "fingerprint": "0123456789ABCDEF0123456789ABCDEF01234567", "keytype": "package",
		"destroy_url": self + "/gpg_keys/packagers.pub.gpg.json", "download_url": "https://packages.example.com/acme/tools/gpgkey/packagers.pub.gpg",
	}
}

// push records a package, unless its name is taken or begins with "bad".
func (s *Server) push(w http.ResponseWriter, repository string, b *body) {
	place := "gems"
	if id, err := strconv.ParseInt(b.values["package[distro_version_id]"], 10, 64); err == nil {
		if v, ok := distro.Builtin().ByID(id); ok {
			place = v.String()
		}
	}
	file := b.names["package[package_file]"]
	name := repository + "/" + place + "/" + file
	switch {
	case strings.HasPrefix(file, "bad"):
		write(w, 422, map[string][]string{"package_file": {"is no package"}, "filename": {"is odd", "is bad"}})
	case s.packages[name] != "":
		write(w, 422, map[string][]string{"filename": {"has already been taken"}})
	default:
		s.packages[name] = sum(b.files["package[package_file]"])
		write(w, 201, s.shown(repository, place, file))
	}
}

func (s *Server) shown(repository, place, file string) map[string]any {
	return map[string]any{
		"name": strings.SplitN(file, "_", 2)[0], "version": "1.0", "release": nil, "epoch": nil, "filename": file, "distro_version": place, "size": "12",
		"type": "deb", "indexed": s.indexed <= 0, "sha256sum": s.packages[repository+"/"+place+"/"+file],
		"package_url": "/api/v1/repos/" + repository + "/package/" + place + "/" + file, "package_html_url": "/" + repository + "/packages/" + place + "/" + file,
	}
}

func (s *Server) search(w http.ResponseWriter, r *http.Request, repository string) {
	list := []any{}
	for name := range s.packages {
		rest, ok := strings.CutPrefix(name, repository+"/")
		i := strings.LastIndexByte(rest, '/')
		same := r.FormValue("sha256") == "" || r.FormValue("sha256") == s.packages[name]
		if ok && same && strings.Contains(rest[i+1:], r.FormValue("q")) && strings.HasPrefix(rest, r.FormValue("dist")) {
			list = append(list, s.shown(repository, rest[:i], rest[i+1:]))
		}
	}
	write(w, 200, list)
}

// onPackage shows, deletes or promotes a package.
func (s *Server) onPackage(w http.ResponseWriter, r *http.Request, repository, rest string, b *body) {
	if place, ok := strings.CutPrefix(rest, "package/"); ok && r.Method == http.MethodGet {
		i := strings.LastIndexByte(place, '/')
		s.indexed--
		write(w, 200, s.shown(repository, place[:i], place[i+1:]))
		return
	}
	place, promote := strings.CutSuffix(rest, "/promote")
	data, ok := s.packages[repository+"/"+place]
	if !ok {
		write(w, 404, map[string][]string{"filename": {"not found"}})
		return
	}
	delete(s.packages, repository+"/"+place)
	if r.Method == http.MethodDelete {
		write(w, 200, struct{}{})
		return
	}
	if promote {
		to := b.values["destination"]
		s.packages[to+"/"+place] = data
		i := strings.LastIndexByte(place, '/')
		write(w, 200, s.shown(to, place[:i], place[i+1:]))
	}
}
