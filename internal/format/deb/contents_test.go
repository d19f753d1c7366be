package deb_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/format"
	"packagecloud/internal/format/deb"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/repo"
	"packagecloud/internal/tooltest"
)

// contentsOf is what Contents says of a package: packages by path.
func contentsOf(t *testing.T, body []byte) map[string]string {
	t.Helper()
	e, err := deb.New().Contents(t.Context(), upload("x", body))
	if err != nil {
		t.Fatal(err)
	}
	if e.Kind != "Contents" {
		t.Errorf("the kind is %q", e.Kind)
	}
	return lines(t, string(e.Text))
}

// lines reads Contents as apt-file does: the last word is the package.
func lines(t *testing.T, text string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for line := range strings.Lines(text) {
		at := strings.LastIndexAny(line, " \t")
		if at < 0 || !strings.HasSuffix(line, "\n") {
			t.Fatalf("the line %q", line)
		}
		all[strings.TrimRight(line[:at], " \t")] = strings.TrimSpace(line[at:])
	}
	return all
}

// debOf makes a package of an archive that is packed with gzip.
func debOf(t *testing.T, fill func(w *tar.Writer)) []byte {
	t.Helper()
	var data bytes.Buffer
	z := gzip.NewWriter(&data)
	w := tar.NewWriter(z)
	fill(w)
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	control := gz(tarball("control", []byte("Package: x\nVersion: 1\nArchitecture: amd64\n")))
	return debtest.Ar([]debtest.Member{{Name: "debian-binary", Body: []byte("2.0\n")}, {Name: "control.tar.gz", Body: control}, {Name: "data.tar.gz", Body: data.Bytes()}})
}

func put(t *testing.T, w *tar.Writer, h tar.Header, body string) {
	t.Helper()
	h.Size = int64(len(body))
	err := w.WriteHeader(&h)
	if err == nil {
		_, err = io.WriteString(w, body)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestContents(t *testing.T) {
	for _, compression := range []string{"gz", "xz", "zst", "none"} {
		p := debtest.Package{
			Name: "hello", Fields: "Section: misc\n", ControlCompression: compression, DataCompression: compression,
			Files: map[string][]byte{"usr/bin/hello": []byte("1"), "usr/share/a file": nil, "usr/share/f\xfc\xe9": nil, "opt/" + strings.Repeat("long/", 100) + "name": nil},
		}
		want := map[string]string{"usr/bin/hello": "misc/hello", "usr/share/a file": "misc/hello", "usr/share/f\xfc\xe9": "misc/hello", "opt/" + strings.Repeat("long/", 100) + "name": "misc/hello"}
		if d := cmp.Diff(want, contentsOf(t, p.Build())); d != "" {
			t.Errorf("%s: %s", compression, d)
		}
	}
	if got := contentsOf(t, debtest.Package{Name: "hello", Fields: "Section: non sense,\n", Files: map[string][]byte{"a": nil}}.Build()); got["a"] != "hello" {
		t.Errorf("a section that is no word: %q", got)
	}
	if got := contentsOf(t, debtest.Package{}.Build()); len(got) != 0 {
		t.Errorf("a package without files: %q", got)
	}
}

// TestContentsDocuments: packages of the architecture all stand in their own
// alone, and neither sources nor those for the installer in any.
func TestContentsDocuments(t *testing.T) {
	var got []string
	for _, d := range deb.New().ContentsDocuments(jammy, []string{"all", "amd64", "debian-installer/amd64", "source"}) {
		got = append(got, d.Name+" "+strings.Join(d.Lists[:], ","))
	}
	if d := cmp.Diff([]string{"main/Contents-all all,,", "main/Contents-amd64 amd64,,"}, got); d != "" {
		t.Error(d)
	}
	s := format.Snapshot{Distro: jammy, Documents: []format.Rendered{{Document: deb.New().ContentsDocuments(jammy, nil)[0]}}}
	points, err := deb.New().EntryPoints(s)
	if err != nil || strings.Count(string(points[0].Body), " main/Contents-") != 3 {
		t.Errorf("%v: Release is\n%s", err, points[0].Body)
	}
	for path, want := range map[string]string{
		"main/Contents-amd64": "main/Contents-amd64", "main/Contents-all.gz": "main/Contents-all.gz", "main/by-hash/SHA256/" + strings.Repeat("0a", 32): "",
		"main/Contents-../x": "-", "main/Contents-amd64.xz": "-", "Contents-amd64.gz": "-",
	} {
		r, ok := deb.New().Resolve(format.Query{Path: "ubuntu/dists/jammy/" + path})
		switch {
		case !ok && want == "-":
		case !ok || want == "-" || strings.Join(r.Paths, " ") != want || want == "" && r.SHA256 == "":
			t.Errorf("%s is %+v, %t", path, r, ok)
		}
	}
}

// TestContentsHostile: no line can say what no file does, and nothing takes more
// memory than an entry may.
func TestContentsHostile(t *testing.T) {
	got := contentsOf(t, debOf(t, func(w *tar.Writer) {
		for _, name := range []string{"./usr/bin/sudo  admin/sudo\nusr/bin/x", "./esc\x1b[2J", "./tab\tfile", "/absolute", "././twice", "./" + strings.Repeat("d/", 3000) + "deep", "./del\x7f"} {
			put(t, w, tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Format: tar.FormatGNU}, "")
		}
		put(t, w, tar.Header{Typeflag: tar.TypeDir, Name: "./folder", Mode: 0o755}, "")
		put(t, w, tar.Header{Typeflag: tar.TypeLink, Name: "./hard", Linkname: "./absolute"}, "")
		put(t, w, tar.Header{Typeflag: tar.TypeSymlink, Name: "./soft", Linkname: "/etc/passwd"}, "")
		put(t, w, tar.Header{Typeflag: tar.TypeFifo, Name: "./pipe"}, "")
	}))
	if d := cmp.Diff([]string{"absolute", "hard", "pipe", "soft", "twice"}, slices.Sorted(maps.Keys(got))); d != "" {
		t.Error(d)
	}

	long := strings.Repeat("x", 4000)
	for name, body := range map[string][]byte{
		"more text than an entry has": debOf(t, func(w *tar.Writer) {
			for range format.MaxEntry/4000 + 1 {
				put(t, w, tar.Header{Typeflag: tar.TypeReg, Name: long, Format: tar.FormatGNU}, "")
			}
		}),
		"no archive": debtest.Ar([]debtest.Member{
			{Name: "debian-binary", Body: []byte("2.0\n")}, {Name: "control.tar.gz", Body: gz(tarball("control", []byte("Package: x\nVersion: 1\nArchitecture: all\n")))},
			{Name: "data.tar.gz", Body: gz(bytes.Repeat([]byte("nothing "), 1000))},
		}),
		"cut off": debtest.Ar([]debtest.Member{
			{Name: "debian-binary", Body: []byte("2.0\n")}, {Name: "control.tar.gz", Body: gz(tarball("control", []byte("Package: x\nVersion: 1\nArchitecture: all\n")))},
			{Name: "data.tar.gz", Body: gz(tarball("file", bytes.Repeat([]byte("x"), 10_000)))[:40]},
		}),
		"no package": []byte("!<arch>\nnothing"),
	} {
		e, err := deb.New().Contents(t.Context(), upload("x", body))
		if invalid := (*repo.InvalidError)(nil); !errors.As(err, &invalid) {
			t.Errorf("%s: %d bytes, %v", name, len(e.Text), err)
		}
	}
}

// TestContentsUnreadable: what the store cannot give, and an end, is no fault of
// the package.
func TestContentsUnreadable(t *testing.T) {
	body := debtest.Package{Files: map[string][]byte{"a": nil}}.Build()
	u := upload("x", body)
	u.Content = failing{bytes.NewReader(body)}
	if _, err := deb.New().Contents(t.Context(), u); !errors.Is(err, errFire) {
		t.Errorf("the store fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := deb.New().Contents(ctx, upload("x", body)); !errors.Is(err, context.Canceled) {
		t.Errorf("the context has ended: %v", err)
	}
}

// TestContentsJudge compares lines with those of apt-ftparchive, which leaves
// sections out, as apt-file does with what it reads.
func TestContentsJudge(t *testing.T) {
	_, err := exec.LookPath("apt-ftparchive")
	tooltest.Need(t, "apt-ftparchive", err == nil)
	dir := t.TempDir()
	want := make(map[string]string)
	for i, body := range [][]byte{
		debtest.Package{Name: "one", Fields: "Section: net\n", Files: map[string][]byte{"usr/bin/one": nil, "usr/share/doc/one/a file": nil, "etc/f\xfc": nil, "z": nil}}.Build(),
		debtest.Package{Name: "two", DataCompression: "xz", Files: map[string][]byte{"usr/bin/two": nil, "opt/" + strings.Repeat("long/", 100) + "name": nil}}.Build(),
		debtest.Package{Name: "three", DataCompression: "zst", Fields: "Section: non-free/net\n", Files: map[string][]byte{"a": nil}}.Build(),
		debOf(t, func(w *tar.Writer) {
			put(t, w, tar.Header{Typeflag: tar.TypeDir, Name: "./empty/", Mode: 0o755}, "")
			put(t, w, tar.Header{Typeflag: tar.TypeReg, Name: "./file", Mode: 0o644}, "")
			put(t, w, tar.Header{Typeflag: tar.TypeLink, Name: "./hard", Linkname: "./file"}, "")
			put(t, w, tar.Header{Typeflag: tar.TypeSymlink, Name: "./soft", Linkname: "file"}, "")
			put(t, w, tar.Header{Typeflag: tar.TypeReg, Name: "./" + strings.Repeat("gnu/", 50) + "long", Format: tar.FormatGNU}, "")
		}),
	} {
		if err := os.WriteFile(filepath.Join(dir, string(rune('a'+i))+".deb"), body, 0o644); err != nil {
			t.Fatal(err)
		}
		for file, location := range contentsOf(t, body) {
			want[file] = path.Base(location)
		}
	}
	c := exec.Command("apt-ftparchive", "contents", ".")
	c.Dir = dir
	out, err := c.Output()
	if err != nil {
		t.Fatalf("apt-ftparchive: %v", err)
	}
	if d := cmp.Diff(lines(t, string(out)), want); d != "" {
		t.Errorf("apt-ftparchive (-) and Contents (+): %s", d)
	}
}
