package npm_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"packagecloud/internal/format"
	"packagecloud/internal/format/npm"
	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/repo"
)

var update = flag.Bool("update", false, "write the golden files")

var node = repo.DistroVersion{ID: 191, OS: "node", Version: "1", Format: "node"}

func upload(name string, body []byte) format.Upload {
	m, s1, s256, s512 := md5.Sum(body), sha1.Sum(body), sha256.Sum256(body), sha512.Sum512(body)
	return format.Upload{Filename: name, Content: bytes.NewReader(body), Size: int64(len(body)), Digests: repo.Digests{
		MD5: hex.EncodeToString(m[:]), SHA1: hex.EncodeToString(s1[:]), SHA256: hex.EncodeToString(s256[:]), SHA512: hex.EncodeToString(s512[:]),
	}}
}

// listed is a package as a push records it.
type listed struct {
	*repo.Package
	entries []format.Entry
}

func push(t *testing.T, body []byte, at time.Time) listed {
	t.Helper()
	l, err := record(t, body, at)
	if err != nil {
		t.Fatal(err)
	}
	return *l
}

// packument puts a document together, as a publication does.
func packument(kind, name string, all []listed, tags map[string]string) string {
	locate := format.Located(npm.New(), "https://packages.example.com", repo.Repository{Owner: "alice", Name: "demo"})
	fr := format.Framing{Kind: kind, List: name, Entries: int64(len(all)), Tags: tags}
	var rest []byte
	for i, l := range all {
		fr.Versions = append(fr.Versions, format.Version{Name: l.Name, Version: l.Version, Filename: l.Filename(), CreatedAt: l.CreatedAt, Attributes: l.Attributes})
		text := l.entries[slices.IndexFunc(l.entries, func(e format.Entry) bool { return e.Kind == kind })].Text
		text = locate(text)
		if i == 0 {
			fr.First = text
			continue
		}
		rest = append(rest, text...)
	}
	head, tail := npm.New().Frame(fr)
	return string(head) + string(rest) + string(tail)
}

// TestGolden makes both packuments of the versions in an archive, whose files
// lie in folders in order of their publication.
func TestGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no golden files")
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var all []listed
			packages := make(map[string]*npmtest.Package)
			var folders []string
			golden := make(map[string]string)
			for _, f := range archive.Files {
				folder, name, ok := strings.Cut(f.Name, "/")
				if !ok {
					golden[f.Name] = string(f.Data)
					continue
				}
				if packages[folder] == nil {
					folders = append(folders, folder)
					packages[folder] = &npmtest.Package{Files: make(map[string][]byte)}
				}
				if name == "package.json" {
					packages[folder].Manifest = f.Data
				} else {
					packages[folder].Files[name] = f.Data
				}
			}
			for i, folder := range folders {
				all = append(all, push(t, packages[folder].Build(), time.Date(2026, 11, 25, 12, i, 0, 5e6, time.UTC)))
			}
			tags := npm.New().Retag(format.TagChange{Pushed: all[len(all)-1].Version, Versions: []format.Version{{Version: all[len(all)-1].Version}}})
			for _, kind := range []string{"full", "abbreviated"} {
				text := packument(kind, all[0].Name, all, tags)
				var indented bytes.Buffer
				if err := json.Indent(&indented, []byte(text), "", "  "); err != nil {
					t.Fatalf("%s: %v\n%s", kind, err, text)
				}
				if *update {
					archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == kind })
					archive.Files = append(archive.Files, txtar.File{Name: kind, Data: indented.Bytes()})
					continue
				}
				if diff := cmp.Diff(golden[kind], indented.String()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", kind, diff)
				}
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestPackage(t *testing.T) {
	p := push(t, npmtest.Package{
		Name: "@acme/tools", Version: "v1.2.3-rc.1+build.5",
		Fields: `"description":"Does things.\nWell.","license":"MIT","licenses":[{"type":"BSD"},"MIT"],"dependencies":{"b":"^1.0.0","a":"*"},
			"devDependencies":{"d":""},"optionalDependencies":{"o":"~2.0"},"peerDependencies":{"p":">=1"},"bundledDependencies":["a"],"deprecated":"use others"`,
	}.Build(), time.Unix(0, 0)).Package
	want := &repo.Package{
		Type: repo.Node, Name: "@acme/tools", Namespace: "@acme", Version: "1.2.3-rc.1", List: "@acme/tools", Summary: "Does things.", Description: "Does things.\nWell.",
		Licenses: []string{"MIT", "BSD"}, Attributes: map[string]string{"deprecated": "use others"},
		Dependencies: []repo.Dependencies{
			{Context: "dependency", Names: []string{"a *", "b ^1.0.0"}}, {Context: "devDependencies", Names: []string{"d"}}, {Context: "optionalDependencies", Names: []string{"o ~2.0"}},
			{Context: "bundleDependencies", Names: []string{"a"}}, {Context: "peerDependencies", Names: []string{"p >=1"}},
		},
		CreatedAt: time.Unix(0, 0), Files: p.Files,
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if f := p.Files[0]; f.Name != "tools-1.2.3-rc.1.tgz" || f.Path != "npm/@acme/tools/-/tools-1.2.3-rc.1.tgz" {
		t.Errorf("the file is %s at %s", f.Name, f.Path)
	}
}

func TestResolve(t *testing.T) {
	full := func(name string) string { return "LiveFile node/1 " + name + "/-/full application/json" }
	short := func(name string) string {
		return "LiveFile node/1 " + name + "/-/abbreviated application/vnd.npm.install-v1+json"
	}
	const corgi = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"
	for _, c := range []struct{ path, accept, want string }{
		{"npm/hello", "", full("hello")},
		{"npm/hello", "*/*", full("hello")},
		{"npm/hello", "application/json", full("hello")},
		{"npm/hello", corgi, short("hello")},
		{"npm/hello", "application/json; q=0.5, application/vnd.npm.install-v1+json", short("hello")},
		{"npm/@a/hello", corgi, short("@a/hello")},
		{"npm/Hello.js", "", full("Hello.js")},
		{"npm/hello/-/hello-1.0.0.tgz", "", "PackageFile npm/hello/-/hello-1.0.0.tgz"},
		{"npm/@a/hello/-/hello-1.0.0.tgz", "", "PackageFile npm/@a/hello/-/hello-1.0.0.tgz"},
		{"npm/@a/hello/-/@a/hello-1.0.0.tgz", "", "PackageFile npm/@a/hello/-/hello-1.0.0.tgz"},
		{"npm/hello/-/r0123456789abcdef/hello-1.0.0.tgz", "", "PackageFile npm/hello/-/r0123456789abcdef/hello-1.0.0.tgz"},
		{"npm/-/ping", "", "Constant {}"},
		{"npm/", "", "no"}, {"npm", "", "no"}, {"npm/@a", "", "no"}, {"npm/@a/", "", "no"}, {"npm/../x", "", "no"}, {"npm/.hidden", "", "no"}, {"npm/_x", "", "no"},
		{"npm/a/b", "", "no"}, {"npm/hello/-/other-1.0.0.tgz", "", "no"}, {"npm/hello/-/hello-1.0.0.zip", "", "no"}, {"npm/hello/-/x/hello-1.0.0.tgz", "", "no"},
		{"npm/hello/-/@a/hello-1.0.0.tgz", "", "no"}, {"npm/@a/hello/-/@b/hello-1.0.0.tgz", "", "no"}, {"npm/-", "", "no"}, {"npm/-/whoami", "", "no"}, {"npm/@a/-", "", "no"},
		{"npm/node_modules", "", "no"}, {"other/hello", "", "no"}, {"npm//hello", "", "no"}, {"npm/hello/", "", full("hello")},
	} {
		r, ok := npm.New().Resolve(format.Query{Path: c.path, Accept: c.accept})
		got := "no"
		if ok {
			switch r.Kind {
			case format.LiveFile:
				got = fmt.Sprintf("LiveFile %s/%s %s %s", r.OS, r.Version, r.Paths[0], r.ContentType)
			case format.PackageFile:
				got = "PackageFile " + r.Paths[0]
			case format.Constant:
				got = "Constant " + string(r.Body)
			}
		}
		if got != c.want {
			t.Errorf("%s (%s): %s, not %s", c.path, c.accept, got, c.want)
		}
	}
}

func TestRetag(t *testing.T) {
	versions := func(list string) (all []format.Version) {
		for v := range strings.FieldsSeq(list) {
			all = append(all, format.Version{Version: v})
		}
		return all
	}
	for _, c := range []struct {
		name             string
		tags             string
		versions, pushed string
		asked            []string
		promoted         bool
		want             string
	}{
		{"the first", "", "1.0.0", "1.0.0", nil, false, "latest=1.0.0"},
		{"a higher one", "latest=1.0.0", "1.0.0 1.1.0", "1.1.0", nil, false, "latest=1.1.0"},
		{"a lower one is the latest all the same", "latest=2.0.0", "2.0.0 1.0.1", "1.0.1", nil, false, "latest=1.0.1"},
		{"with a tag", "latest=1.0.0", "1.0.0 2.0.0-rc.1", "2.0.0-rc.1", []string{"next"}, false, "latest=1.0.0 next=2.0.0-rc.1"},
		{"the first with a tag", "", "1.0.0", "1.0.0", []string{"next"}, false, "latest=1.0.0 next=1.0.0"},
		{"deletion of the latest", "latest=2.0.0 old=1.0.0", "1.0.0 1.2.0 1.10.0", "", nil, false, "latest=1.10.0 old=1.0.0"},
		{"deletion of a tagged one", "latest=2.0.0 next=3.0.0", "1.0.0 2.0.0", "", nil, false, "latest=2.0.0"},
		{"deletion makes the highest the latest", "latest=1.0.0", "1.0.0 1.5.0", "", nil, false, "latest=1.5.0"},
		{"deletion of the last", "latest=1.0.0 next=1.0.0", "", "", nil, false, ""},
		{"promotion to where there is none", "", "1.0.0", "1.0.0", nil, true, "latest=1.0.0"},
		{"promotion of a higher one", "latest=1.0.0", "1.0.0 2.0.0", "2.0.0", nil, true, "latest=1.0.0"},
		{"promotion of a lower one", "latest=2.0.0 next=2.0.0", "2.0.0 1.0.0", "1.0.0", nil, true, "latest=2.0.0 next=2.0.0"},
	} {
		before := make(map[string]string)
		for word := range strings.FieldsSeq(c.tags) {
			tag, version, _ := strings.Cut(word, "=")
			before[tag] = version
		}
		after := npm.New().Retag(format.TagChange{Tags: before, Versions: versions(c.versions), Pushed: c.pushed, Asked: c.asked, Promoted: c.promoted})
		var got []string
		for tag, version := range after {
			got = append(got, tag+"="+version)
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, not %s", c.name, got, c.want)
		}
	}
}

// TestAmend deprecates a version and takes it back, which must give the entries
// that there were.
func TestAmend(t *testing.T) {
	p := push(t, npmtest.Package{Fields: `"license":"<MIT>","config":{"a":1e3}`}.Build(), time.Unix(0, 0))
	marked, err := npm.New().Amend(p.entries, map[string]string{npm.Deprecated: `use "others" <now>`})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range marked {
		if !strings.Contains(string(e.Text), `"deprecated":"use \"others\" <now>"`) {
			t.Errorf("%s", e.Text)
		}
	}
	back, err := npm.New().Amend(marked, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p.entries, back); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestBundled lists bundled packages as dependencies, as npm does.
func TestBundled(t *testing.T) {
	for _, c := range []struct{ fields, dependencies, bundled string }{
		{`"bundleDependencies":["x"]`, `{"x":"*"}`, `["x"]`},
		{`"bundledDependencies":["x","y"],"dependencies":{"y":"1"}`, `{"y":"1","x":"*"}`, `["x","y"]`},
		{`"bundleDependencies":["x"],"optionalDependencies":{"x":"1"}`, ``, `["x"]`},
		{`"bundleDependencies":{"x":"1"}`, `{"x":"*"}`, `["x"]`},
		{`"bundleDependencies":true,"dependencies":{"y":"1"}`, `{"y":"1"}`, `["y"]`},
		{`"bundleDependencies":false,"dependencies":{"y":"1"}`, `{"y":"1"}`, ``},
		{`"bundleDependencies":[1,"","__proto__"]`, ``, ``},
	} {
		for _, e := range push(t, npmtest.Package{Fields: c.fields}.Build(), time.Unix(0, 0)).entries {
			var members map[string]struct {
				Dependencies       json.RawMessage `json:"dependencies"`
				BundleDependencies json.RawMessage `json:"bundleDependencies"`
			}
			if err := json.Unmarshal([]byte("{"+strings.TrimPrefix(string(e.Text), "\n,")+"}"), &members); err != nil {
				t.Fatal(err)
			}
			if m := members["1.0.0"]; string(m.Dependencies) != c.dependencies || string(m.BundleDependencies) != c.bundled {
				t.Errorf("%s: in the %s packument it is %s, bundled %s", c.fields, e.Kind, m.Dependencies, m.BundleDependencies)
			}
		}
	}
}
