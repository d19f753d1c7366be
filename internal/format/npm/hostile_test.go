package npm_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/format"
	"packagecloud/internal/format/npm"
	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/repo"
)

func TestRefuses(t *testing.T) {
	manifest := []byte(`{"name":"a","version":"1.0.0"}`)
	own := npmtest.File("package/package.json", manifest)
	// with is a good package and one more entry.
	with := func(h tar.Header) []byte { return npmtest.Tarball([]tar.Header{own, h}, [][]byte{manifest}) }
	json := func(text string) []byte { return npmtest.Package{Manifest: []byte(text)}.Build() }
	good := npmtest.Package{}.Build()
	for _, c := range []struct {
		name string
		body []byte
		want string // a part of the message
	}{
		{"nothing", nil, "no gzip"},
		{"noise", []byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08"), "no gzip"},
		{"a tar that is not compressed", bytes.Repeat([]byte("x"), 1024), "no gzip"},
		{"gzip of no tar", func() []byte {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = z.Write(bytes.Repeat([]byte("hello"), 1000))
			_ = z.Close()
			return b.Bytes()
		}(), "no tar"},
		{"cut off", good[:len(good)-9], "unexpected EOF"},
		{"a wrong checksum", append(bytes.Clone(good[:len(good)-8]), 0, 0, 0, 0, 0, 0, 0, 0), "checksum"},
		{"bytes behind it", append(bytes.Clone(good), "rubbish"...), "comes behind it"},
		{"no package.json", npmtest.Tarball([]tar.Header{npmtest.File("package/index.js", nil)}, nil), "has no package.json"},
		{"package.json beside the folder", npmtest.Tarball([]tar.Header{npmtest.File("package.json", manifest)}, [][]byte{manifest}), "has no package.json"},
		{"package.json too deep", npmtest.Tarball([]tar.Header{npmtest.File("package/x/package.json", manifest)}, [][]byte{manifest}), "has no package.json"},
		{"two package.json", npmtest.Tarball([]tar.Header{own, npmtest.File("other/package.json", manifest)}, [][]byte{manifest, manifest}), "two files package.json"},
		{"two package.json in disguise", npmtest.Tarball([]tar.Header{own, npmtest.File("package//./package.json", manifest)}, [][]byte{manifest, manifest}), "two files package.json"},
		{"package.json is a link", npmtest.Tarball([]tar.Header{{Name: "package/package.json", Typeflag: tar.TypeSymlink, Linkname: "x"}}, nil), "is a link"},
		{"package.json is a folder", npmtest.Tarball([]tar.Header{{Name: "package/package.json", Typeflag: tar.TypeDir}}, nil), "is a folder"},
		{"a path upwards", with(npmtest.File("package/../../etc/passwd", nil)), "leads out"},
		{"a path upwards with backslashes", with(npmtest.File(`package\..\..\x`, nil)), "leads out"},
		{"an absolute path", with(npmtest.File("/etc/passwd", nil)), "absolute"},
		{"a path with a drive", with(npmtest.File(`C:\x`, nil)), "absolute"},
		{"a symbolic link outwards", with(tar.Header{Name: "package/x", Typeflag: tar.TypeSymlink, Linkname: "../../../etc"}), "leads out"},
		{"an absolute symbolic link", with(tar.Header{Name: "package/x", Typeflag: tar.TypeSymlink, Linkname: "/etc"}), "leads out"},
		{"a hard link outwards", with(tar.Header{Name: "package/x", Typeflag: tar.TypeLink, Linkname: "../etc/passwd"}), "leads out"},
		{"too many commands in a folder", func() []byte {
			p := npmtest.Package{Fields: `"directories":{"bin":"bin"}`, Files: make(map[string][]byte)}
			for i := range 1001 {
				p.Files[fmt.Sprint("bin/", i)] = nil
			}
			return p.Build()
		}(), "has more than 1000 files"},
		{"a device", with(tar.Header{Name: "package/null", Typeflag: tar.TypeChar}), "neither a file nor a folder"},
		{"a fifo", with(tar.Header{Name: "package/fifo", Typeflag: tar.TypeFifo}), "neither a file nor a folder"},
		{"package.json of 5 MB", json(`{"name":"a","version":"1.0.0","x":"` + strings.Repeat("x", 5<<20) + `"}`), "more than the 4194304"},
		{"no JSON", json(`name: a`), "not valid JSON"},
		{"an array", json(`[]`), "not valid JSON"},
		{"cut JSON", json(`{"name":"a","version":"1.0.0"`), "EOF"},
		{"something behind the JSON", json(`{"name":"a","version":"1.0.0"}{}`), "follows its end"},
		{"deep", json(`{"name":"a","version":"1.0.0","x":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`), "nested"},
		{"no name", json(`{"version":"1.0.0"}`), "no name"},
		{"no version", json(`{"name":"a"}`), "no version"},
		{"a name that is a number", json(`{"name":1,"version":"1.0.0"}`), "no text"},
		{"a name with a path", json(`{"name":"../a","version":"1.0.0"}`), "not valid"},
		{"a name with a folder", json(`{"name":"a/b","version":"1.0.0"}`), "not valid"},
		{"a scope with a path", json(`{"name":"@../a","version":"1.0.0"}`), "not valid"},
		{"a name with an escape", json(`{"name":"a%2fb","version":"1.0.0"}`), "not valid"},
		{"a name with NUL", json(`{"name":"a\u0000","version":"1.0.0"}`), "not valid"},
		{"a long name", json(`{"name":"` + strings.Repeat("a", 300) + `","version":"1.0.0"}`), "300 bytes"},
		{"a version with a path", json(`{"name":"a","version":"1.0.0-../../x"}`), "no semantic version"},
		{"a version that is none", json(`{"name":"a","version":"latest"}`), "no semantic version"},
		{"a version of two numbers", json(`{"name":"a","version":"1.0"}`), "no semantic version"},
		{"many fields", json(`{"name":"a","version":"1.0.0"` + fields(3000) + `}`), "more than 2000 fields"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := npm.New().Parse(t.Context(), upload("a-1.0.0.tgz", c.body))
			var invalid *repo.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("the error is %v", err)
			}
			for part := range strings.SplitSeq(c.want, "|") {
				if strings.Contains(err.Error(), part) {
					return
				}
			}
			t.Errorf("%v does not say %q", err, c.want)
		})
	}
}

func fields(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"f` + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/182) + `":1`)
	}
	return b.String()
}

// TestAccepts has what looks strange and is in use.
func TestAccepts(t *testing.T) {
	for name, body := range map[string][]byte{
		"another root":        npmtest.Package{Root: "node-v1"}.Build(),
		"a byte order mark":   npmtest.Package{Manifest: []byte("\ufeff{\"name\":\"a\",\"version\":\"1.0.0\"}")}.Build(),
		"a link inside":       npmtest.Tarball([]tar.Header{npmtest.File("package/package.json", []byte(`{"name":"a","version":"1.0.0"}`)), {Name: "package/lib/x", Typeflag: tar.TypeSymlink, Linkname: "../y"}}, [][]byte{[]byte(`{"name":"a","version":"1.0.0"}`)}),
		"marked private":      npmtest.Package{Fields: `"private":true`}.Build(),
		"a name twice":        npmtest.Package{Fields: `"name":"hello"`}.Build(),
		"more package.json":   npmtest.Package{Files: map[string][]byte{"node_modules/x/package.json": []byte("{}")}}.Build(),
		"a global pax header": npmtest.Tarball([]tar.Header{{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "x"}}, npmtest.File("x/package.json", []byte(`{"name":"a","version":"1.0.0"}`))}, [][]byte{nil, []byte(`{"name":"a","version":"1.0.0"}`)}),
	} {
		if _, err := npm.New().Parse(t.Context(), upload("a.tgz", body)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReadError is no fault of the package.
func TestReadError(t *testing.T) {
	u := upload("a.tgz", npmtest.Package{}.Build())
	u.Content = failing{u.Content}
	_, err := npm.New().Parse(t.Context(), u)
	var invalid *repo.InvalidError
	if !errors.Is(err, errFire) || errors.As(err, &invalid) {
		t.Fatalf("the error is %v", err)
	}
}

var errFire = errors.New("disk on fire")

type failing struct{ io.ReaderAt }

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > 100 {
		return 0, errFire
	}
	return f.ReaderAt.ReadAt(p, off)
}

func FuzzParse(f *testing.F) {
	f.Add(npmtest.Package{}.Build())
	f.Add(npmtest.Package{Name: "@a/b", Fields: `"dependencies":["a@1"],"bin":"x","scripts":{"install":"x"},"deprecated":"y"`, Files: map[string][]byte{"binding.gyp": nil}}.Build())
	f.Fuzz(func(t *testing.T, body []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		check(ctx, t, body)
	})
}

// FuzzManifest fuzzes package.json, which hardly gets through a checksum.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"name":"@a/b","version":"v1.0.0+x","bin":["x","../y"],"dependencies":"a@1, b","bundledDependencies":true,"scripts":{"install":"x"}}`))
	f.Add([]byte(`{"name":"a","version":"1.0.0","engines":[],"os":"x","license":{"type":"MIT"},"peerDependencies":{"a":1},"__proto__":{"x":1}}`))
	f.Fuzz(func(t *testing.T, manifest []byte) {
		check(t.Context(), t, npmtest.Package{Manifest: append([]byte{}, manifest...)}.Build())
	})
}

// check parses a tarball, and expects of one that is taken that its path can be
// asked for and that its entries make valid packuments.
func check(ctx context.Context, t *testing.T, body []byte) {
	n := npm.New()
	parsed, err := n.Parse(ctx, format.Upload{Filename: "f", Content: bytes.NewReader(body), Size: int64(len(body))})
	if err != nil {
		return
	}
	p := parsed.Package()
	p.Files[0].Path = n.Path(p, p.Files[0].Name, node, "")
	if r, ok := n.Resolve(format.Query{Path: p.Files[0].Path}); !ok || r.Paths[0] != p.Files[0].Path || strings.Contains(p.Files[0].Path, "..") && strings.Contains(p.Files[0].Path, "/../") {
		t.Fatalf("path %q", p.Files[0].Path)
	}
	if _, ok := n.Resolve(format.Query{Path: "npm/" + p.Name}); !ok {
		t.Fatalf("name %q", p.Name)
	}
	entries, err := parsed.Entries(format.Listing{Distro: node, Files: p.Files})
	if err != nil {
		t.Fatal(err)
	}
	amended, err := n.Amend(entries, p.Attributes)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"full", "abbreviated"} {
		text := packument(kind, p.Name, []listed{{p, entries}, {p, amended}}, map[string]string{"latest": p.Version})
		var document struct {
			Name     string
			Versions map[string]struct {
				Name, Version string
				Dist          struct{ Tarball string }
			}
		}
		if err := json.Unmarshal([]byte(text), &document); err != nil || document.Name != p.Name || document.Versions[p.Version].Name != p.Name || document.Versions[p.Version].Version != p.Version ||
			document.Versions[p.Version].Dist.Tarball != "https://packages.example.com/alice/demo/"+p.Files[0].Path {
			t.Fatalf("%v in %s", err, text)
		}
	}
}
