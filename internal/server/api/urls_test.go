package api_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/format/python/pytest"
	"packagecloud/internal/format/rpm/rpmtest"
)

// TestURLs asks for every URL that the API gives out, of a public and of a private
// repository and of packages of every type, with the API token that some clients
// send everywhere.
func TestURLs(t *testing.T) {
	s := newSystem(t)
	for _, private := range []bool{false, true} {
		name := fmt.Sprintf("private-%v", private)
		s.create(name, private)
		dsc, files := debtest.Source("source", "1.0")
		var details []map[string]any
		push := func(distro string, body []byte, more ...part) {
			details = append(details, s.mustPush(name, distro, "x-1.0-py3-none-any.whl", body, more...))
		}
		push("ubuntu/jammy", debtest.Package{Name: "hello"}.Build())
		push("ubuntu/jammy", dsc, part{name: "package[source_files][]", file: "source_1.0.tar.gz", body: files["source_1.0.tar.gz"]})
		push("el/9", rpmtest.Package{Name: "hello"}.Build())
		push("node/1", npmtest.Package{Name: "@acme/hello"}.Build())
		push("python/1", pytest.Wheel("x", "1.0", ""))
		push("anyfile/1", []byte("{}"))

		r := decode[struct {
			URL   string
			Paths map[string]string
		}](t, s.do(request{path: "/api/v1/repos/alice/" + name, user: s.alice}))
		for key, path := range r.Paths {
			if key != "create_package" && key != "package_contents" {
				s.want(request{path: path, user: s.alice}, 200, "*")
			}
		}
		s.page(t, strings.TrimPrefix(r.URL, external), private, "alice/"+name)

		list := decode[[]map[string]any](t, s.do(request{path: "/api/v1/repos/alice/" + name + "/packages", user: s.alice}))
		if len(list) != len(details) {
			t.Fatalf("%d packages are listed, not %d", len(list), len(details))
		}
		for _, p := range slices.Concat(list, details) {
			for _, key := range slices.Sorted(maps.Keys(p)) {
				if strings.HasSuffix(key, "_url") && p[key] != nil {
					s.ask(t, key, p[key].(string), p, private)
				}
			}
		}
		page := list[1]["package_html_url"].(string)
		for path, want := range map[string]int{"/files/source_1.0.tar.gz/download": 200, "/files/source_1.0.dsc/download": 200, "/files/other/download": 404, "/files/source_1.0.tar.gz": 404, "/files": 404, "/other": 404} {
			a := s.want(request{path: page + path, user: s.alice}, want, "*")
			if strings.Contains(path, "tar.gz/download") && a.body != string(files["source_1.0.tar.gz"]) {
				t.Errorf("%s has other bytes", path)
			}
		}
		for _, p := range list {
			s.want(request{method: "DELETE", path: p["destroy_url"].(string), user: s.alice}, 200, "{}")
			s.want(request{path: p["package_html_url"].(string), user: s.alice}, 404, "*")
		}
	}
}

// ask asks for a URL of a package.
func (s *system) ask(t *testing.T, key, url string, p map[string]any, private bool) {
	t.Helper()
	switch key {
	case "destroy_url":
	case "promote_url":
		s.want(request{method: "POST", path: url, user: s.alice}, 422, "*")
	case "package_html_url":
		s.page(t, url, private, p["filename"].(string))
	case "repository_html_url":
		s.page(t, url, private, strings.TrimPrefix(url, "/"))
	case "download_url":
		scheme, rest, _ := strings.Cut(url, "://")
		if _, host, ok := strings.Cut(rest, "@"); ok {
			rest = host
		}
		path := strings.TrimPrefix(scheme+"://"+rest, external)
		a := s.want(request{path: path, user: s.alice}, 200, "*")
		if a.header.Get("Content-Disposition") == "" || strings.Contains(a.header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %v", url, a.header)
		}
		s.refuse(path, private)
	default:
		s.want(request{path: url, user: s.alice}, 200, "*")
	}
}

// page asks for what a person may open.
func (s *system) page(t *testing.T, path string, private bool, about string) {
	t.Helper()
	a := s.want(request{path: path, user: s.alice}, 200, "*")
	if a.header.Get("Content-Type") != "text/plain; charset=utf-8" || !strings.Contains(a.body, about) {
		t.Errorf("%s: %v %s", path, a.header, a.body)
	}
	s.refuse(path, private)
}

// refuse asks without a right, where one is needed.
func (s *system) refuse(path string, private bool) {
	s.t.Helper()
	if private {
		s.want(request{path: path, user: s.bob}, 404, "*")
		s.want(request{path: path}, 401, "*")
		return
	}
	s.want(request{path: path}, 200, "*")
}
