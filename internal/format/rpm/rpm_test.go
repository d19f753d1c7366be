package rpm_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"packagecloud/internal/format"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/rpm"
	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/repo"
)

var update = flag.Bool("update", false, "write the golden files")

var el9 = repo.DistroVersion{ID: 240, OS: "el", Version: "9", Format: "rpm"}

func upload(body []byte) format.Upload {
	sum := sha256.Sum256(body)
	return format.Upload{Filename: "a.rpm", Content: bytes.NewReader(body), Size: int64(len(body)), Digests: repo.Digests{SHA256: hex.EncodeToString(sum[:])}}
}

// entries are the texts that list a package, by kind, as a push would make
// them.
func entries(t *testing.T, body []byte) (map[string]string, *repo.Package) {
	t.Helper()
	f := rpm.New()
	parsed, err := f.Parse(t.Context(), upload(body))
	if err != nil {
		t.Fatal(err)
	}
	p := parsed.Package()
	p.Files[0].Path = f.Path(p, p.Files[0].Name, el9, "")
	list, err := parsed.Entries(format.Listing{Distro: el9, Files: p.Files, Time: time.Unix(1_700_000_000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	texts := make(map[string]string)
	for _, e := range list {
		texts[e.Kind] = string(e.Text)
	}
	return texts, p
}

func TestPackage(t *testing.T) {
	body := rpmtest.Package{Name: "hello", Version: "1.0~rc1", Release: "2+b1", Architecture: "x86_64", Epoch: 3, Requires: []string{"a >= 1", "b"}}.Build()
	_, p := entries(t, body)
	if p.Files[0].Name != "hello-1.0~rc1-2+b1.x86_64.rpm" || p.Files[0].Path != "el/9/hello-1.0~rc1-2+b1.x86_64.rpm" {
		t.Errorf("file %+v", p.Files[0])
	}
	p.Files = nil
	three := int64(3)
	want := &repo.Package{
		Type: repo.RPM, Name: "hello", Version: "1.0~rc1", Release: "2+b1", Epoch: &three, Architecture: "x86_64", List: "x86_64",
		Summary: "test package hello", Description: "It does nothing.", Licenses: []string{"Apache-2.0"},
		Dependencies: []repo.Dependencies{{Context: "requires", Names: []string{"a >= 1", "b"}}},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLists(t *testing.T) {
	for architecture, want := range map[string]string{"x86_64": "x86_64", "i686": "i386", "noarch": "noarch", "armv7hl": "armhfp", "aarch64": "aarch64"} {
		if _, p := entries(t, rpmtest.Package{Architecture: architecture}.Build()); p.List != want {
			t.Errorf("%s is listed in %s, not %s", architecture, p.List, want)
		}
	}
}

// The XML of repodata, as far as clients read it.
type (
	metadata struct {
		Count    int   `xml:"packages,attr"`
		Packages []pkg `xml:"package"`
	}
	pkg struct {
		Type      string      `xml:"type,attr"`
		ID        string      `xml:"pkgid,attr"`
		NameAttr  string      `xml:"name,attr"`
		ArchAttr  string      `xml:"arch,attr"`
		Name      string      `xml:"name"`
		Arch      string      `xml:"arch"`
		Version   version     `xml:"version"`
		Checksum  checksum    `xml:"checksum"`
		Summary   string      `xml:"summary"`
		About     string      `xml:"description"`
		Packager  string      `xml:"packager"`
		URL       string      `xml:"url"`
		Size      sizes       `xml:"size"`
		Location  location    `xml:"location"`
		Format    details     `xml:"format"`
		Files     []fileEntry `xml:"file"`
		Changelog []changelog `xml:"changelog"`
	}
	version struct {
		Epoch string `xml:"epoch,attr"`
		Ver   string `xml:"ver,attr"`
		Rel   string `xml:"rel,attr"`
	}
	checksum struct {
		Type  string `xml:"type,attr"`
		Pkgid string `xml:"pkgid,attr"`
		Value string `xml:",chardata"`
	}
	sizes struct {
		Package   string `xml:"package,attr"`
		Installed string `xml:"installed,attr"`
		Archive   string `xml:"archive,attr"`
	}
	location struct {
		Href string `xml:"href,attr"`
	}
	details struct {
		License     string `xml:"license"`
		Vendor      string `xml:"vendor"`
		Group       string `xml:"group"`
		BuildHost   string `xml:"buildhost"`
		SourceRPM   string `xml:"sourcerpm"`
		HeaderRange struct {
			Start string `xml:"start,attr"`
			End   string `xml:"end,attr"`
		} `xml:"header-range"`
		Provides    []relation  `xml:"provides>entry"`
		Requires    []relation  `xml:"requires>entry"`
		Conflicts   []relation  `xml:"conflicts>entry"`
		Obsoletes   []relation  `xml:"obsoletes>entry"`
		Suggests    []relation  `xml:"suggests>entry"`
		Enhances    []relation  `xml:"enhances>entry"`
		Recommends  []relation  `xml:"recommends>entry"`
		Supplements []relation  `xml:"supplements>entry"`
		Files       []fileEntry `xml:"file"`
	}
	relation struct {
		Name  string `xml:"name,attr"`
		Flags string `xml:"flags,attr"`
		Epoch string `xml:"epoch,attr"`
		Ver   string `xml:"ver,attr"`
		Rel   string `xml:"rel,attr"`
		Pre   string `xml:"pre,attr"`
	}
	fileEntry struct {
		Type string `xml:"type,attr"`
		Path string `xml:",chardata"`
	}
	changelog struct {
		Author string `xml:"author,attr"`
		Date   string `xml:"date,attr"`
		Text   string `xml:",chardata"`
	}
)

func needTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("needs %s", name)
		}
		t.Skipf("needs %s", name)
	}
}

func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// build makes the packages of a spec with rpmbuild, a source package too.
func build(t *testing.T, spec string) (files map[string][]byte) {
	t.Helper()
	needTool(t, "rpmbuild")
	top := t.TempDir()
	if err := os.MkdirAll(filepath.Join(top, "SOURCES"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(top, "SOURCES", "hello.txt"), []byte("hello\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	spec, err := filepath.Abs(spec)
	if err != nil {
		t.Fatal(err)
	}
	run(t, top, "rpmbuild", "-ba", "--define", "_topdir "+top, spec)
	files = make(map[string][]byte)
	for _, pattern := range []string{"RPMS/*/*.rpm", "RPMS/*.rpm", "SRPMS/*.rpm"} {
		paths, err := filepath.Glob(filepath.Join(top, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if files[filepath.Base(path)], err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(files) != 2 {
		t.Fatalf("rpmbuild made %d packages", len(files))
	}
	return files
}

// TestAgreesWithCreaterepo compares entries with those of createrepo_c for the
// same packages: one with everything that rpmbuild knows, its source, and some
// of rpmpack.
func TestAgreesWithCreaterepo(t *testing.T) {
	needTool(t, "createrepo_c")
	files := build(t, "testdata/full.spec")
	for _, p := range []rpmtest.Package{
		{Name: "plain"},
		{Name: "other", Version: "2.0", Architecture: "aarch64", Epoch: 1, Requires: []string{"a >= 1.0-2", "b"}, Recommends: []string{"c"},
			Files: map[string][]byte{"/usr/bin/other": []byte("#!/bin/sh\n"), "/etc/other.conf": []byte("x"), "/usr/share/other": []byte("y")}},
	} {
		files[p.Filename()] = p.Build()
	}
	dir := t.TempDir()
	for name, body := range files {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, dir, "createrepo_c", "--quiet", "--no-database", "--compatibility", "--general-compress-type=gz", ".")
	for _, kind := range []string{"primary", "filelists", "other"} {
		var text strings.Builder
		head, tail := rpm.New().Frame(format.Framing{Kind: kind, Entries: int64(len(files))})
		text.Write(head)
		for _, name := range sortedKeys(files) {
			e, p := entries(t, files[name])
			if p.Files[0].Name != name {
				t.Errorf("%s is called %s", name, p.Files[0].Name)
			}
			text.WriteString(e[kind])
		}
		text.Write(tail)
		var mine, theirs metadata
		decode(t, []byte(text.String()), &mine)
		decode(t, read(t, dir, kind), &theirs)
		if mine.Count != len(files) {
			t.Errorf("%s counts %d packages", kind, mine.Count)
		}
		for i, p := range theirs.Packages { // its limit differs between versions
			theirs.Packages[i].Changelog = p.Changelog[max(0, len(p.Changelog)-10):]
		}
		for _, m := range []*metadata{&mine, &theirs} {
			slices.SortFunc(m.Packages, func(a, b pkg) int {
				return strings.Compare(a.Location.Href+a.ID, b.Location.Href+b.ID)
			})
		}
		if diff := cmp.Diff(theirs, mine, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-createrepo_c +ours):\n%s", kind, diff)
		}
	}
}

func sortedKeys(m map[string][]byte) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func decode(t *testing.T, text []byte, m *metadata) {
	t.Helper()
	if err := xml.Unmarshal(text, m); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

// read reads a document that createrepo_c wrote.
func read(t *testing.T, dir, kind string) []byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "repodata", "*-"+kind+".xml.gz"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("%v, %v", paths, err)
	}
	file, err := os.Open(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestMultilib: who can install packages of another architecture finds them.
func TestMultilib(t *testing.T) {
	for _, c := range []struct {
		lists []string
		want  map[string][3]string
	}{
		{[]string{"i386", "x86_64"}, map[string][3]string{"i386": {"i386", "noarch"}, "x86_64": {"x86_64", "noarch", "i386"}}},
		{[]string{"i386"}, map[string][3]string{"i386": {"i386", "noarch"}, "x86_64": {"x86_64", "noarch", "i386"}}},
		{[]string{"aarch64", "armhfp", "noarch"}, map[string][3]string{"aarch64": {"aarch64", "noarch"}, "armhfp": {"armhfp", "noarch"}}},
		{[]string{"SRPMS", "s390x"}, map[string][3]string{"s390x": {"s390x", "noarch", "s390"}}},
	} {
		c.want["noarch"], c.want["SRPMS"] = [3]string{"noarch"}, [3]string{"SRPMS"}
		got := make(map[string][3]string)
		for _, d := range rpm.New().Documents(el9, c.lists) {
			got[d.Lists[0]] = d.Lists
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.lists, diff)
		}
	}
}

func TestEntryPoints(t *testing.T) {
	f := rpm.New()
	s := format.Snapshot{Distro: el9, Time: time.Unix(1_700_000_100, 0)}
	for i, d := range f.Documents(el9, []string{"SRPMS", "noarch", "x86_64"}) {
		r := format.Rendered{Document: d, ChangedAt: time.Unix(1_700_000_000+int64(i), 0)}
		for e := range r.Forms {
			r.Forms[e] = format.Form{SHA256: strings.Repeat(string(rune('a'+e)), 63) + string(rune('0'+i)), Size: int64(10*i + e)}
		}
		s.Documents = append(s.Documents, r)
	}
	points, err := f.EntryPoints(s)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, p := range points {
		paths = append(paths, p.Path)
		if r, ok := f.Resolve(format.Query{Path: "el/9/" + p.Path}); !ok || r.Paths[0] != p.Path || r.OS != "el" || r.Version != "9" {
			t.Errorf("%s resolves to %+v, %v", p.Path, r, ok)
		}
	}
	want := []string{
		"noarch/repodata/repomd.xml", "noarch/repodata/repomd.xml.asc", "noarch/repodata/repomd.xml.key", "SRPMS/repodata/repomd.xml", "SRPMS/repodata/repomd.xml.asc",
		"SRPMS/repodata/repomd.xml.key", "x86_64/repodata/repomd.xml", "x86_64/repodata/repomd.xml.asc", "x86_64/repodata/repomd.xml.key",
	}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	golden := filepath.Join("testdata", "repomd.xml")
	if *update {
		if err := os.WriteFile(golden, points[6].Body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), string(points[6].Body)); diff != "" {
		t.Errorf("repomd.xml (-want +got):\n%s", diff)
	}
	// One list does not depend on another: what did not change is not signed
	// again.
	s.Documents[0].Forms[1].SHA256 = strings.Repeat("f", 64)
	s.Generation, s.Time = 2, time.Unix(1_800_000_000, 0)
	again, err := f.EntryPoints(s)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(again[0].Body, points[0].Body) || !bytes.Equal(again[6].Body, points[6].Body) {
		t.Error("the entry points of a list follow those of another")
	}
}

func TestResolve(t *testing.T) {
	digest := strings.Repeat("a1", 32)
	for _, c := range []struct {
		path string
		want format.Request
	}{
		{"el/9/x86_64/repodata/repomd.xml", format.Request{Kind: format.LiveFile, Paths: []string{"x86_64/repodata/repomd.xml", "noarch/repodata/repomd.xml"}}},
		{"el/9/x86_64_v2/repodata/repomd.xml", format.Request{Kind: format.LiveFile, Paths: []string{"x86_64_v2/repodata/repomd.xml", "x86_64/repodata/repomd.xml", "noarch/repodata/repomd.xml"}}},
		{"el/9/SRPMS/repodata/repomd.xml.asc", format.Request{Kind: format.LiveFile, Paths: []string{"SRPMS/repodata/repomd.xml.asc"}}},
		{"el/9/x86_64/repodata/" + digest + "-primary.xml.gz", format.Request{Kind: format.DigestFile, SHA256: digest, ContentType: "application/gzip"}},
		{"el/9/x86_64/a-1.0+b-1.noarch.rpm", format.Request{Kind: format.PackageFile, Paths: []string{"el/9/a-1.0+b-1.noarch.rpm"}}},
		{"el/9/SRPMS/r0123456789abcdef/a-1-1.src.rpm", format.Request{Kind: format.PackageFile, Paths: []string{"el/9/r0123456789abcdef/a-1-1.src.rpm"}}},
	} {
		c.want.OS, c.want.Version = "el", "9"
		got, ok := rpm.New().Resolve(format.Query{Path: c.path})
		if diff := cmp.Diff(c.want, got); diff != "" || !ok {
			t.Errorf("%s: %v (-want +got):\n%s", c.path, ok, diff)
		}
	}
	for _, path := range []string{"", "el/9", "el/9/x86_64", "el/9/x86_64/", "el/9/x86_64/media.1/media", "el/9/x86_64/repodata/primary.xml.gz", "el/9/x86_64/x/y.rpm", "el/9/x86_64/a.deb", "//x86_64/a.rpm"} {
		if r, ok := rpm.New().Resolve(format.Query{Path: path}); ok {
			t.Errorf("%q resolves to %+v", path, r)
		}
	}
}

func TestRefuses(t *testing.T) {
	good := rpmtest.Package{Files: map[string][]byte{"/usr/bin/hello": []byte("x")}}.Build()
	// change returns the package with bytes replaced, its header digests kept.
	change := func(old, with string) []byte { return bytes.Replace(bytes.Clone(good), []byte(old), []byte(with), 1) }
	at := func(offset int, with ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[offset:], with)
		return b
	}
	for _, c := range []struct {
		name string
		body []byte
		want string
	}{
		{"nothing", nil, "cut off"},
		{"noise", bytes.Repeat([]byte("noise"), 100), "does not begin like one"},
		{"a deb", debtest.Package{}.Build(), "Debian package: push it to a Debian distribution"},
		{"only the lead", good[:96], "cut off"},
		{"cut in the signature", good[:120], "cut off"},
		{"cut in the header", good[:600], "cut off"},
		{"cut in the payload", good[:len(good)-1], "cut off or damaged"},
		{"bytes after the payload", append(bytes.Clone(good), 0), "cut off or damaged"},
		{"a changed payload", at(len(good)-9, good[len(good)-9]+1), "its payload is damaged"},
		{"no header", at(96, 0), "no magic number"},
		{"a header of 4 GiB", at(96+12, 0xff, 0xff, 0xff, 0xff), "more than"},
		{"a changed header", change("It does nothing.", "It does evil. :)"), "the digest differs"},
		{"a control character", rpmtest.Package{Description: "a\x01b"}.Build(), "control character 0x01"},
		{"a name with a path", rpmtest.Package{Name: "../../x"}.Build(), `its name "../../x" is not valid`},
		{"a version with a dash", rpmtest.Package{Version: "1/2"}.Build(), "its version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := rpm.New().Parse(t.Context(), upload(c.body))
			var invalid *repo.InvalidError
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v does not say %q", err, c.want)
			}
		})
	}
}

func TestReadError(t *testing.T) {
	u := upload(rpmtest.Package{}.Build())
	u.Content = broken{u.Content}
	_, err := rpm.New().Parse(t.Context(), u)
	var invalid *repo.InvalidError
	if err == nil || errors.As(err, &invalid) {
		t.Errorf("the error is %v", err)
	}
}

type broken struct{ io.ReaderAt }

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off > 96 {
		return 0, errors.New("disk on fire")
	}
	return b.ReaderAt.ReadAt(p, off)
}

func FuzzParse(f *testing.F) {
	f.Add(rpmtest.Package{}.Build())
	b := rpmtest.Package{Epoch: 1, Requires: []string{"a >= 1"}, Files: map[string][]byte{"/usr/bin/hello": []byte("x")}}.Build()
	f.Add(b)
	// The same without digests of the header, which would refuse what is fuzzed.
	for _, tag := range []string{"\x00\x00\x01\x0d", "\x00\x00\x01\x11"} {
		b = bytes.Replace(b, []byte(tag), []byte("\x00\x00\x7f\xff"), 1)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, body []byte) {
		r := rpm.New()
		parsed, err := r.Parse(t.Context(), upload(body))
		if err != nil {
			return
		}
		p := parsed.Package()
		p.Files[0].Path = r.Path(p, p.Files[0].Name, el9, "")
		if q, ok := r.Resolve(format.Query{Path: "el/9/x86_64/" + p.Files[0].Name}); !ok || q.Paths[0] != p.Files[0].Path {
			t.Fatalf("path %q", p.Files[0].Path)
		}
		list, err := parsed.Entries(format.Listing{Distro: el9, Files: p.Files})
		if err != nil {
			return
		}
		for _, e := range list {
			head, tail := r.Frame(format.Framing{Kind: e.Kind, Entries: 1})
			var m metadata
			if err := xml.Unmarshal(slices.Concat(head, e.Text, tail), &m); err != nil || len(m.Packages) != 1 {
				t.Fatalf("%s: %v\n%s", e.Kind, err, e.Text)
			}
		}
	})
}

// TestSource tells source packages from binary ones as rpm and createrepo_c do,
// where the builder wrote neither tag too.
func TestSource(t *testing.T) {
	folder := func(name string) []rpmtest.Tag {
		return []rpmtest.Tag{rpmtest.Strings(1118, name), rpmtest.Numbers(1116, rpmtest.Int32, 0)}
	}
	for _, c := range []struct {
		name   string
		remove []uint32
		set    []rpmtest.Tag
		want   string
	}{
		{"says its source package", nil, nil, "x86_64"},
		{"says nothing", []uint32{1044}, nil, "x86_64"},
		{"says nothing and has no files", []uint32{1044, 1116, 1117, 1118, 1030, 1037}, nil, "x86_64"},
		{"says that it is one", nil, []rpmtest.Tag{rpmtest.Numbers(1106, rpmtest.Int32, 1)}, "src"},
		{"says nothing, with files in no folder", []uint32{1044}, folder(""), "src"},
		{"says its source package, with files in no folder", nil, folder(""), "x86_64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rpmtest.Package{Architecture: "x86_64", Files: map[string][]byte{"/usr/bin/hello": []byte("x")}}.Raw()
			r.Remove(c.remove...)
			r.Set(c.set...)
			if _, p := entries(t, r.Build()); p.Architecture != c.want {
				t.Errorf("its architecture is %s, not %s", p.Architecture, c.want)
			}
		})
	}
}

// TestLatin1 lists what is not UTF-8 as createrepo_c does: taken for Latin-1.
func TestLatin1(t *testing.T) {
	r := rpmtest.Package{Files: map[string][]byte{"/usr/bin/hello": []byte("x")}}.Raw()
	r.Set(rpmtest.Text(1004, "caf\xe9 \x93so\x94 said"), rpmtest.Text(1011, "J\xf6rg"), rpmtest.Strings(1117, "caf\xe9"), rpmtest.Strings(1118, "/usr/\xc3\xa9/bin/"),
		rpmtest.Strings(1049, "\xfcber"), rpmtest.Strings(1050, ""), rpmtest.Numbers(1048, rpmtest.Int32, 0),
		rpmtest.Strings(1081, "J\xf6rg"), rpmtest.Strings(1082, "- \xc4"), rpmtest.Numbers(1080, rpmtest.Int32, 1))
	e, p := entries(t, r.Build())
	if p.Summary != "café so said" {
		t.Errorf("the summary is %q", p.Summary)
	}
	for kind, want := range map[string][]string{
		"primary":   {"<summary>café so said<", "<rpm:vendor>Jörg<", `name="über"`, "<file>/usr/Ã/bin/café<"},
		"filelists": {"<file>/usr/Ã/bin/café<"},
		"other":     {`author="Jörg" date="1">- Ä<`},
	} {
		for _, w := range want {
			if !strings.Contains(e[kind], w) {
				t.Errorf("%s does not have %s:\n%s", kind, w, e[kind])
			}
		}
	}
}
