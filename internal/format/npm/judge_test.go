package npm_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/format"
	"packagecloud/internal/format/npm"
	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/tooltest"
)

// judgedVariable and seedVariable say how many packages TestJudges makes, and from
// which seed; make soak sets them.
const (
	judgedVariable = "PACKAGECLOUD_JUDGED"
	seedVariable   = "PACKAGECLOUD_SEED"
)

// variable is a number from the environment.
func variable(t testing.TB, name string, usual uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// shelf is a registry of what was accepted.
type shelf struct {
	url        string
	packuments map[string]map[string]string // by name, by kind
	tarballs   map[string][]byte            // by path
}

func newShelf(t testing.TB) *shelf {
	s := &shelf{packuments: make(map[string]map[string]string), tarballs: make(map[string][]byte)}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/alice/demo/")
	kind := "full"
	if strings.Contains(r.Header.Get("Accept"), "install-v1+json") {
		kind = "abbreviated"
	}
	if p, ok := s.packuments[strings.TrimPrefix(path, "npm/")]; ok {
		_, _ = w.Write([]byte(p[kind]))
		return
	}
	body, ok := s.tarballs[path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(body)
}

// add lists a package beside a plain one of the same name, if it is accepted.
func (s *shelf) add(t testing.TB, body []byte) (*listed, error) {
	t.Helper()
	p, err := record(t, body, time.Unix(0, 0))
	if err != nil {
		return nil, err
	}
	plain := npmtest.Package{Name: p.Name, Version: "0.0.1"}.Build()
	neighbour, err := record(t, plain, time.Unix(1, 0))
	if err != nil {
		return nil, fmt.Errorf("the neighbour of %s: %w", p.Name, err)
	}
	s.tarballs[p.Files[0].Path], s.tarballs[neighbour.Files[0].Path] = body, plain
	s.packuments[p.Name] = make(map[string]string)
	for _, kind := range []string{"full", "abbreviated"} {
		text := packument(kind, p.Name, []listed{*p, *neighbour}, map[string]string{"latest": p.Version})
		s.packuments[p.Name][kind] = strings.ReplaceAll(text, "https://packages.example.com", s.url)
	}
	return p, nil
}

// record reads a package as a push does.
func record(t testing.TB, body []byte, at time.Time) (*listed, error) {
	t.Helper()
	f := npm.New()
	parsed, err := f.Parse(t.Context(), upload("x.tgz", body))
	if err != nil {
		return nil, err
	}
	p := parsed.Package()
	p.CreatedAt = at
	p.Files[0].Path = f.Path(p, p.Files[0].Name, node, "")
	entries, err := parsed.Entries(format.Listing{Distro: node, Files: p.Files, Time: at})
	if err == nil {
		err = format.Check(f, p, entries)
	}
	return &listed{p, entries}, err
}

// judge has the libraries of an npm judge, and returns what is wrong by key.
func (s *shelf) judge(t testing.TB, program string, accepted, refused []odd) map[string]string {
	t.Helper()
	clients := tooltest.Output(t, "npm-clients")
	order, err := json.Marshal(map[string]any{
		"npm": filepath.Join(clients, "../node_modules", program), "registry": s.url + "/alice/demo/npm/", "work": t.TempDir(),
		"listed": accepted, "refused": refused, "compare": program != "npm6",
	})
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), filepath.Join(clients, "node24"), "testdata/judge.js")
	var stderr bytes.Buffer
	c.Stdin, c.Stderr = bytes.NewReader(order), &stderr
	c.Env = append(os.Environ(), "NODE_NO_WARNINGS=1", "no_proxy=127.0.0.1")
	out, err := c.Output()
	var wrong map[string]string
	if err == nil {
		err = json.Unmarshal(out, &wrong)
	}
	if err != nil {
		t.Fatalf("%s: %v: %s", program, err, stderr.String())
	}
	return wrong
}

// strict are refusals of what npm itself would take, by what they say.
var strict = []struct{ says, reason string }{
	{"is absolute", "npm makes the path relative, and other clients do not"},
	{"leads out of the package", "npm leaves the file out, and other clients may not"},
	{"two files package.json", "clients take either"},
	{"is a link", "npm unpacks no links, and other clients do"},
	{"neither a file nor a folder", "npm leaves it out, and other clients may not"},
	{"gives all files the same", "npm goes by it, and other clients do not"},
	{`"@../x" is not valid`, "it is a path to another package"},
	{"it is no gzip file", "npm reads a plain archive, and other clients do not"},
	{"it is no tar archive", "npm passes over headers that are damaged, and other clients do not"},
}

// found are packages that npm judged otherwise than we did, once. want is the name
// and the version, or a part of what is told of a package that is refused.
var found = []struct {
	name string
	body []byte
	want string
}{
	{"no folder but a dot", npmtest.Gzip(file("./package.json", manifest("dot", "1.0.0")), end), "dot@1.0.0"},
	{"a dot before the folder", npmtest.Package{Root: "./package"}.Build(), "no package.json in its first folder"},
	{"zeros behind the gzip file", append(npmtest.Package{Name: "zeros"}.Build(), 0, 0, 0), "zeros@1.0.0"},
	{"a zero and more behind it", append(npmtest.Package{Name: "zero"}.Build(), "\x00x"...), "zero@1.0.0"},
	{"half a member behind it", append(npmtest.Package{Name: "half"}.Build(), "\x1f\x8b"...), "what comes behind it is no gzip file"},
	{"an archive that ends in the padding of a file", npmtest.Gzip(file("package/package.json", manifest("cut", "1.0.0"))[:1000]), "its archive is cut off"},
	{"an archive without an end", npmtest.Gzip(file("package/package.json", manifest("endless", "1.0.0"))), "endless@1.0.0"},
	{"a size for all files", npmtest.Gzip(npmtest.RawEntry('g', "h", pax("size=5")), file("package/package.json", manifest("a", "1.0.0")), end), "the same size"},
	{"a path for all files", npmtest.Gzip(npmtest.RawEntry('g', "h", pax("path=package/x")), file("package/package.json", manifest("a", "1.0.0")), end), "the same path"},
	{"a comment for all files", npmtest.Gzip(npmtest.RawEntry('g', "h", pax("comment=x")), file("package/package.json", manifest("comment", "1.0.0")), end), "comment@1.0.0"},
	{"Latin-1", npmtest.Package{Manifest: []byte(`{"name":"latin","version":"1.0.0","description":"caf` + "\xe9" + `"}`)}.Build(), "latin@1.0.0"},
	{"a version without a hyphen", npmtest.Package{Name: "hyphen", Version: "1.2.3alpha"}.Build(), "hyphen@1.2.3-alpha"},
	{"a version with zeros in front", npmtest.Package{Name: "front", Version: "01.2.3"}.Build(), "front@1.2.3"},
	{"a name with blanks around it", npmtest.Package{Name: " blanks "}.Build(), "blanks@1.0.0"},
	{"a name with a hyphen in front", npmtest.Package{Name: "-x"}.Build(), "begins with a hyphen"},
	{"a scope with a dot in front", npmtest.Package{Name: "@.scope/x"}.Build(), "@.scope/x@1.0.0"},
	{"a scope of dots", npmtest.Package{Name: "@../x"}.Build(), "is not valid"},
	{"a name like a file", npmtest.Package{Name: "like.tgz"}.Build(), "like.tgz@1.0.0"},
	{"a hidden gyp file", npmtest.Package{Name: "gyp", Files: map[string][]byte{".gyp": []byte("{}")}}.Build(), "gyp@1.0.0"},
	{"bundled and no dependency", npmtest.Package{Name: "bundled", Fields: `"bundleDependencies":["a"]`}.Build(), "bundled@1.0.0"},
	{"a bundled name of JavaScript", npmtest.Package{Name: "proto", Fields: `"bundleDependencies":{"__proto__":"1"}`}.Build(), "proto@1.0.0"},
	{"bundled and optional", npmtest.Package{Name: "both", Fields: `"bundleDependencies":["a","b"],"optionalDependencies":{"a":"1"},"dependencies":{"c":"2"}`}.Build(), "both@1.0.0"},
	{"peers that are a text", npmtest.Package{Name: "peers", Fields: `"peerDependencies":"a@1"`}.Build(), "peers@1.0.0"},
}

// manifest is a package.json that says nothing else.
func manifest(name, version string) []byte {
	return fmt.Appendf(nil, `{"name":%q,"version":%q}`, name, version)
}

// TestFound has our part of the judgements of npm that were found by TestJudges,
// which asks npm again.
func TestFound(t *testing.T) {
	for _, f := range found {
		p, err := record(t, f.body, time.Unix(0, 0))
		got := fmt.Sprint(err)
		if err == nil {
			got = p.Name + "@" + p.Version
		}
		if got != f.want && (err == nil || !strings.Contains(got, f.want)) {
			t.Errorf("%s: %s, not %s", f.name, got, f.want)
		}
	}
}

// TestJudges makes odd packages. What we accept, the libraries of npm find,
// unpack and understand as we do, and with it the plain version of the same name;
// what we refuse, npm does not publish either.
func TestJudges(t *testing.T) {
	cases, seed := int(variable(t, judgedVariable, 300)), variable(t, seedVariable, 11)
	t.Logf("the seed is %d", seed)
	m := &maker{rand.New(rand.NewPCG(seed, 1))}
	var all []odd
	for i, f := range found {
		all = append(all, odd{Key: fmt.Sprintf("found%d", i), shape: f.name, body: f.body})
	}
	for i := range cases {
		all = append(all, m.odd(i))
	}
	judgeAll(t, all)
}

// judgeAll compares our judgement with that of npm.
func judgeAll(t *testing.T, all []odd) {
	t.Helper()
	s, folder := newShelf(t), t.TempDir()
	var accepted, refused []odd
	for _, o := range all {
		o.Tarball = filepath.Join(folder, o.Key+".tgz")
		if err := os.WriteFile(o.Tarball, o.body, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := s.add(t, o.body)
		if err == nil {
			o.Name, o.Version = p.Name, p.Version
			accepted = append(accepted, o)
			continue
		}
		o.refusal = err
		if !isStrict(err) {
			refused = append(refused, o)
		}
	}
	t.Logf("%d are accepted and %d refused", len(accepted), len(all)-len(accepted))
	for _, program := range []string{"npm12", "npm6"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			wrong := s.judge(t, program, accepted, refused)
			for _, o := range accepted {
				if reason := wrong[o.Key]; reason != "" {
					t.Errorf("we accept %s (%s), and it says: %s\n%.500q", o.Key, o.shape, reason, o.manifest)
				}
			}
			for _, o := range refused {
				if wrong[o.Key] == "" && program != "npm6" {
					t.Errorf("we refuse %s (%s), and it takes it: %v\n%.500q", o.Key, o.shape, o.refusal, o.manifest)
				}
			}
		})
	}
}

func isStrict(err error) bool {
	for _, s := range strict {
		if strings.Contains(err.Error(), s.says) {
			return true
		}
	}
	return false
}
