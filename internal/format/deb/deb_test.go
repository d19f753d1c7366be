package deb_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/format"
	"packagecloud/internal/format/deb"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/repo"
)

var jammy = repo.DistroVersion{ID: 237, OS: "ubuntu", Version: "jammy", Format: "deb"}

func upload(name string, body []byte) format.Upload {
	return format.Upload{Filename: name, Content: bytes.NewReader(body), Size: int64(len(body)), Digests: digests(body)}
}

func digests(body []byte) repo.Digests {
	m, s1, s256, s512 := md5.Sum(body), sha1.Sum(body), sha256.Sum256(body), sha512.Sum512(body)
	return repo.Digests{MD5: hex.EncodeToString(m[:]), SHA1: hex.EncodeToString(s1[:]), SHA256: hex.EncodeToString(s256[:]), SHA512: hex.EncodeToString(s512[:])}
}

// entry is the one text that lists a package, as a push would make it. Further
// files of a source package are given by name.
func entry(t *testing.T, body []byte, files map[string][]byte) (string, *repo.Package) {
	t.Helper()
	f := deb.New()
	parsed, err := f.Parse(t.Context(), upload("x", body))
	if err != nil {
		t.Fatal(err)
	}
	p := parsed.Package()
	for i := range p.Files {
		file := &p.Files[i]
		if i > 0 {
			file.Digests = digests(files[file.Name])
		}
		file.Path = f.Path(p, file.Name, jammy, "")
	}
	entries, err := parsed.Entries(format.Listing{Distro: jammy, Files: p.Files, Time: time.Unix(0, 0)})
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	return string(entries[0].Text), p
}

func TestPackage(t *testing.T) {
	for _, c := range []struct{ control, data string }{{"gz", "gz"}, {"xz", "xz"}, {"zst", "zst"}, {"none", "none"}, {"zst", "none"}} {
		b := debtest.Package{
			Name: "libhello++1", Version: "2:1.0~rc1+b2-3", Architecture: "amd64", ControlCompression: c.control, DataCompression: c.data,
			Fields: "Depends: libc6 (>= 2.3),  foo | bar,\n baz\nPre-Depends: dpkg\nRecommends: r\nSuggests: s\nEnhances: e\n",
		}.Build()
		_, p := entry(t, b, nil)
		if p.Files[0].Name != "libhello++1_1.0~rc1+b2-3_amd64.deb" || p.Files[0].Path != "ubuntu/pool/jammy/main/libh/libhello++1/libhello++1_1.0~rc1+b2-3_amd64.deb" {
			t.Errorf("%v: file %+v", c, p.Files[0])
		}
		p.Files = nil
		two := int64(2)
		want := &repo.Package{
			Type: repo.Deb, Name: "libhello++1", Version: "1.0~rc1+b2-3", Epoch: &two, Architecture: "amd64", List: "amd64",
			Summary: "test package libhello++1", Description: "It does nothing.",
			Dependencies: []repo.Dependencies{
				{Context: "depends", Names: []string{"libc6 (>= 2.3)", "foo | bar", "baz"}}, {Context: "pre-depends", Names: []string{"dpkg"}},
				{Context: "recommends", Names: []string{"r"}}, {Context: "suggests", Names: []string{"s"}}, {Context: "enhances", Names: []string{"e"}},
			},
		}
		if diff := cmp.Diff(want, p); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c, diff)
		}
	}
}

func TestPath(t *testing.T) {
	for _, c := range []struct{ name, revision, want string }{
		{"hello", "", "any/pool/any/main/h/hello/f"},
		{"lib", "", "any/pool/any/main/l/lib/f"},
		{"libc6", "r0123456789abcdef", "any/pool/any/main/libc/libc6/r0123456789abcdef/f"},
	} {
		got := deb.New().Path(&repo.Package{Name: c.name}, "f", repo.DistroVersion{OS: "any", Version: "any"}, c.revision)
		if got != c.want {
			t.Errorf("%s: %s, not %s", c.name, got, c.want)
		}
		if r, ok := deb.New().Resolve(format.Query{Path: got}); !ok || r.Kind != format.PackageFile || r.Paths[0] != got {
			t.Errorf("%s resolves to %+v, %v", got, r, ok)
		}
	}
}

// stanzas reads deb822 text into maps.
func stanzas(t *testing.T, text string) (all []map[string]string) {
	t.Helper()
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		s, last := map[string]string{}, ""
		for line := range strings.SplitSeq(part, "\n") {
			if line[0] == ' ' {
				s[last] += "\n" + line
				continue
			}
			name, value, ok := strings.Cut(line, ":")
			if !ok {
				t.Fatalf("no field: %q", line)
			}
			last = name
			s[name] = strings.TrimSpace(value)
		}
		all = append(all, s)
	}
	return all
}

func needTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("needs %s", name)
		}
		t.Skipf("needs %s", name)
	}
}

// run runs a tool in a folder.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = dir
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, stderr.String())
	}
	return string(out)
}

// TestAgreesWithDebian compares entries with what Debian's own programs make
// of the same packages.
func TestAgreesWithDebian(t *testing.T) {
	needTool(t, "apt-ftparchive")
	needTool(t, "dpkg-scanpackages")
	packages := []debtest.Package{
		{Name: "plain"},
		{Name: "epoch", Version: "1:2.0-1ubuntu1", Architecture: "amd64", ControlCompression: "xz", DataCompression: "xz"},
		{Name: "zst", Architecture: "arm64", ControlCompression: "zst", DataCompression: "zst"},
		{Name: "many", ControlCompression: "none", DataCompression: "none", Fields: "Section: utils\nPriority: optional\nInstalled-Size: 12\nHomepage: https://example.com/\nMulti-Arch: foreign\nEssential: no\nDepends: a (= 1),\n b,\n c\nProvides: virtual (= 2)\nX-Odd: yes\n"},
	}
	dir := t.TempDir()
	ours := make(map[string]map[string]string)
	for _, p := range packages {
		body := p.Build()
		if err := os.WriteFile(filepath.Join(dir, p.Filename()), body, 0o644); err != nil {
			t.Fatal(err)
		}
		text, _ := entry(t, body, nil)
		s := stanzas(t, text)[0]
		if s["Filename"] != "pool/jammy/main/"+p.Name[:1]+"/"+p.Name+"/"+p.Filename() {
			t.Errorf("Filename: %s", s["Filename"])
		}
		delete(s, "Filename")
		ours[p.Name] = s
	}
	for _, tool := range [][]string{{"apt-ftparchive", "-o", "APT::FTPArchive::SHA512=true", "packages", "."}, {"dpkg-scanpackages", "-m", "."}} {
		for _, theirs := range stanzas(t, run(t, dir, tool[0], tool[1:]...)) {
			mine := maps.Clone(ours[theirs["Package"]])
			delete(theirs, "Filename")
			if tool[0] == "dpkg-scanpackages" {
				delete(mine, "SHA512") // it does not list it
			}
			if diff := cmp.Diff(theirs, mine); diff != "" {
				t.Errorf("%s says of %s (-theirs +ours):\n%s", tool[0], theirs["Package"], diff)
			}
		}
	}
}

// TestSourcesAgreeWithDebian does the same for source packages, one of them
// made by dpkg-source.
func TestSourcesAgreeWithDebian(t *testing.T) {
	needTool(t, "apt-ftparchive")
	needTool(t, "dpkg-source")
	dir := t.TempDir()
	dsc, files := debtest.Source("native", "1.0")
	files["native_1.0.dsc"] = dsc
	for name, body := range files {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree := filepath.Join(dir, "quilt-2.0")
	for name, text := range map[string]string{
		"debian/source/format": "3.0 (quilt)\n",
		"debian/control":       "Source: quilt\nMaintainer: N <n@example.com>\nBuild-Depends: debhelper (>= 9),\n foo\nBuild-Depends-Indep: bar\nStandards-Version: 4.6.0\nHomepage: https://example.com/\n\nPackage: quilt-a\nArchitecture: any\nDescription: a\n\nPackage: quilt-b\nArchitecture: all\nDescription: b\n",
		"debian/changelog":     "quilt (1:2.0-3) unstable; urgency=low\n\n  * T.\n\n -- N <n@example.com>  Mon, 02 Jan 2023 00:00:00 +0000\n",
		"file":                 "hello\n",
	} {
		path := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, dir, "tar", "czf", "quilt_2.0.orig.tar.gz", "--exclude=debian", "quilt-2.0")
	run(t, dir, "dpkg-source", "-b", "quilt-2.0")
	for _, name := range []string{"quilt_2.0.orig.tar.gz", "quilt_2.0-3.debian.tar.xz", "quilt_2.0-3.dsc"} {
		body, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = body
	}
	theirs := stanzas(t, run(t, dir, "apt-ftparchive", "sources", "."))
	if len(theirs) != 2 {
		t.Fatalf("apt-ftparchive knows %d sources", len(theirs))
	}
	for _, s := range theirs {
		name := map[string]string{"native": "native_1.0.dsc", "quilt": "quilt_2.0-3.dsc"}[s["Package"]]
		text, p := entry(t, files[name], files)
		if p.Files[0].Name != name || p.Type != repo.Dsc || p.List != "source" {
			t.Errorf("%s: %+v", name, p)
		}
		mine := stanzas(t, text)[0]
		if want := "pool/jammy/main/" + p.Name[:1] + "/" + p.Name; mine["Directory"] != want {
			t.Errorf("Directory: %s, not %s", mine["Directory"], want)
		}
		for _, m := range []map[string]string{s, mine} {
			delete(m, "Directory")
			delete(m, "Checksums-Sha512") // not in every version of apt-ftparchive
			delete(m, "Priority")         // apt-ftparchive makes them up
			delete(m, "Section")
			for _, list := range []string{"Files", "Checksums-Sha1", "Checksums-Sha256"} { // in any order
				lines := strings.Split(m[list], "\n")
				slices.Sort(lines)
				m[list] = strings.Join(lines, "\n")
			}
		}
		if diff := cmp.Diff(s, mine); diff != "" {
			t.Errorf("apt-ftparchive says of %s (-theirs +ours):\n%s", name, diff)
		}
	}
}

// TestSignedSource takes a .dsc as uploaders sign it.
func TestSignedSource(t *testing.T) {
	dsc, files := debtest.Source("native", "1.0")
	signed := "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n" + strings.Replace(string(dsc), "Binary:", "- Odd: dash\nBinary:", 1) +
		"-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"
	text, p := entry(t, []byte(signed), files)
	if p.Name != "native" || !strings.Contains(text, "\nOdd: dash\n") {
		t.Errorf("%+v\n%s", p, text)
	}
}

// TestOwnFields drops what a package says of itself that only the repository
// can know.
func TestOwnFields(t *testing.T) {
	text, _ := entry(t, debtest.Package{Fields: "Filename: ../../etc/passwd\nSize: 1\nSHA256: 00\nMD5sum: 0\nDescription-md5: 0\n"}.Build(), nil)
	s := stanzas(t, text)[0]
	if strings.Contains(s["Filename"], "..") || s["Size"] == "1" || s["SHA256"] == "00" || s["Description-md5"] != "" || strings.Count(text, "Filename:") != 1 {
		t.Errorf("%s", text)
	}
}

func TestRelease(t *testing.T) {
	f := deb.New()
	s := format.Snapshot{
		Repository: repo.Repository{Owner: "acme", Name: "tools"}, Distro: jammy, Origin: "packages.example.com", Generation: 7,
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)),
	}
	for i, d := range f.Documents(jammy, []string{"all", "amd64", "amd64v3", "debian-installer/all", "debian-installer/arm64", "hurd-i386", "source"}) {
		r := format.Rendered{Document: d}
		for e := range r.Forms {
			r.Forms[e] = format.Form{SHA256: fmt.Sprintf("%064d", 10*i+e), Size: int64(100*i + e)}
		}
		s.Documents = append(s.Documents, r)
	}
	points, err := f.EntryPoints(s)
	if err != nil {
		t.Fatal(err)
	}
	body := string(points[0].Body)
	head, _, _ := strings.Cut(body, "SHA256:\n")
	want := "Origin: packages.example.com/acme/tools\nLabel: tools\nSuite: jammy\nCodename: jammy\nVersion: 1\nDate: Fri, 02 Jan 2026 02:04:05 UTC\n" +
		"Architectures: all amd64 arm64 armel armhf hurd-i386 i386 loong64 mips64el mipsel powerpc ppc64el riscv64 s390x\nComponents: main\n" +
		"Description: Packages of acme/tools for ubuntu/jammy\nAcquire-By-Hash: yes\nNo-Support-for-Architecture-all: Packages\n"
	if diff := cmp.Diff(want, head); diff != "" {
		t.Errorf("Release (-want +got):\n%s", diff)
	}
	for _, line := range []string{
		fmt.Sprintf(" %064d %16d main/binary-all/Packages\n", 0, 0),
		fmt.Sprintf(" %064d %16d main/binary-s390x/Packages.gz\n", 1, 1), // as binary-all
		fmt.Sprintf(" %064d %16d main/source/Sources.zst\n", 12, 102),
		fmt.Sprintf(" %064d %16d main/binary-amd64/Packages\n", 20, 200),
		fmt.Sprintf(" %064d %16d main/binary-amd64v3/Packages.gz\n", 31, 301), // which Architectures does not name
		fmt.Sprintf(" %064d %16d main/debian-installer/binary-arm64/Packages\n", 50, 500),
		fmt.Sprintf(" %064d %16d main/debian-installer/binary-amd64/Packages\n", 40, 400), // as its binary-all
		fmt.Sprintf(" %064d %16d main/binary-hurd-i386/Packages.zst\n", 62, 602),
	} {
		if !strings.Contains(body, line) {
			t.Errorf("Release lacks %q", line)
		}
	}
	// Whatever is listed is served, plainly and by its digest.
	for line := range strings.SplitSeq(strings.TrimSpace(body[strings.Index(body, "SHA256:\n")+8:]), "\n") {
		field := strings.Fields(line)
		path := "ubuntu/dists/jammy/" + field[2]
		r, ok := f.Resolve(format.Query{Path: path})
		if !ok || r.Kind != format.LiveFile || !slices.ContainsFunc(s.Documents, func(d format.Rendered) bool {
			return slices.ContainsFunc(d.Encodings, func(e format.Encoding) bool { return slices.Contains(r.Paths, d.Name+e.Suffix()) })
		}) {
			t.Errorf("%s is listed and resolves to %+v", path, r)
		}
		r, ok = f.Resolve(format.Query{Path: path[:strings.LastIndex(path, "/")] + "/by-hash/SHA256/" + field[0]})
		if !ok || r.Kind != format.DigestFile || r.SHA256 != field[0] || r.OS != "ubuntu" || r.Version != "jammy" {
			t.Errorf("by-hash of %s resolves to %+v", path, r)
		}
	}
	for i, want := range []struct {
		path string
		sign format.Signature
		pair string
	}{{"InRelease", format.ClearSigned, ""}, {"Release", format.Unsigned, ""}, {"Release.gpg", format.DetachSigned, "Release"}} {
		if p := points[i]; p.Path != want.path || p.Sign != want.sign || p.Pair != want.pair || string(p.Body) != body {
			t.Errorf("entry point %d: %s, %v, %s", i, p.Path, p.Sign, p.Pair)
		}
		if r, ok := f.Resolve(format.Query{Path: "ubuntu/dists/jammy/" + want.path}); !ok || r.Paths[0] != want.path {
			t.Errorf("%s resolves to %+v", want.path, r)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	for _, path := range []string{
		"", "ubuntu", "ubuntu/dists/jammy", "ubuntu/dists/jammy/", "ubuntu/dists//InRelease", "/dists/jammy/InRelease", "ubuntu/dists/jammy/main/binary-amd64/Packages.xz",
		"ubuntu/dists/jammy/main/binary-amd64/by-hash/SHA256/zz", "ubuntu/dists/jammy/main/i18n/Translation-en", "ubuntu/dists/jammy/main/binary-../Packages", "el/9/x86_64/repodata/repomd.xml",
	} {
		if r, ok := deb.New().Resolve(format.Query{Path: path}); ok {
			t.Errorf("%q resolves to %+v", path, r)
		}
	}
}
