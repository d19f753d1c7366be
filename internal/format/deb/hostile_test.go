package deb_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"packagecloud/internal/format"
	"packagecloud/internal/format/deb"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/repo"
)

func gz(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(body)
	_ = w.Close()
	return b.Bytes()
}

func tarball(name string, body []byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(body)), Mode: 0o644})
	_, _ = w.Write(body)
	_ = w.Close()
	return b.Bytes()
}

// archive is a .deb with a control member of one's own.
func archive(name string, control []byte) []byte {
	return debtest.Ar([]debtest.Member{{Name: "debian-binary", Body: []byte("2.0\n")}, {Name: name, Body: control}, {Name: "data.tar", Body: make([]byte, 1024)}})
}

// hugeDictionary is an xz stream whose block asks for 1.5 GiB.
func hugeDictionary() []byte {
	var b bytes.Buffer
	w, _ := xz.NewWriter(&b)
	_, _ = w.Write(tarball("control", []byte("Package: a\nVersion: 1\nArchitecture: all\n")))
	_ = w.Close()
	body := b.Bytes()
	header := body[12 : 12+(int(body[12])+1)*4]
	header[4] = 39
	binary.LittleEndian.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
	return body
}

func bomb(t *testing.T, w func(io.Writer) io.WriteCloser) []byte {
	t.Helper()
	var b bytes.Buffer
	c := w(&b)
	archive := tar.NewWriter(c)
	zeros := make([]byte, 1<<20)
	if err := archive.WriteHeader(&tar.Header{Name: "big", Typeflag: tar.TypeReg, Size: 300 << 20}); err != nil {
		t.Fatal(err)
	}
	for range 300 {
		if _, err := archive.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), c.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRefuses(t *testing.T) {
	good := debtest.Package{}.Build()
	control := func(text string) []byte { return debtest.Package{Control: []byte(text)}.Build() }
	dsc, _ := debtest.Source("a", "1")
	source := func(old, with string) []byte { return []byte(strings.Replace(string(dsc), old, with, 1)) }
	for _, c := range []struct {
		name string
		body []byte
		want string // a part of the message
	}{
		{"nothing", nil, "empty"},
		{"noise", []byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\n"), "control character"},
		{"only the magic", []byte("!<arch>\n"), "debian-binary"},
		{"cut in the data", good[:len(good)-20], "cut off"},
		{"cut in a header", good[:90], "cut off"},
		{"a lying size", bytes.Replace(good, []byte("4         `"), []byte("9999999   `"), 1), "cut off"},
		{"a negative size", bytes.Replace(good, []byte("4         `"), []byte("-4        `"), 1), "has no size"},
		{"bytes after the last member", append(bytes.Clone(good), "rubbish, rubbish, rubbish, rubbish, rubbish, rubbish, rubbish, rubbish"...), "no ar header"},
		{"an rpm", rpmtest.Package{}.Build(), "is an RPM package: push it to an RPM distribution"},
		{"a format of the future", debtest.Ar([]debtest.Member{{Name: "debian-binary", Body: []byte("3.0\n")}}), "not 2.0"},
		{"no control", debtest.Ar([]debtest.Member{{Name: "debian-binary", Body: []byte("2.0\n")}, {Name: "data.tar", Body: nil}}), "not followed by control.tar"},
		{"data in disguise", debtest.Ar([]debtest.Member{{Name: "debian-binary", Body: []byte("2.0\n")}, {Name: "control.tar", Body: make([]byte, 1024)}, {Name: "data.tar.gz", Body: []byte("not gzip")}}), "compressed in another way"},
		{"an unknown compression", archive("control.tar.lz", []byte("x")), "none of gz, xz and zst"},
		{"control is no gzip", archive("control.tar.gz", []byte("hello")), "control.tar.gz"},
		{"control is cut", archive("control.tar.gz", gz(tarball("control", []byte("Package: a\n")))[:30]), "control.tar.gz"},
		{"control is a folder", archive("control.tar", tarball("control/x", nil)), "no file control"},
		{"control of 10 MB", control("Package: a\nVersion: 1\nArchitecture: all\nDescription: " + strings.Repeat("x", 10<<20) + "\n"), "more than the 2097152"},
		{"a gzip bomb", archive("control.tar.gz", bomb(t, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })), "unpacks to more than"},
		{"a zstd bomb", archive("control.tar.zst", bomb(t, func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z })), "unpacks to more than"},
		{"an xz dictionary of 1.5 GiB", archive("control.tar.xz", hugeDictionary()), "dictionary size exceeds max"},
		{"a NUL", control("Package: a\x00\nVersion: 1\nArchitecture: all\n"), `control character '\x00'`},
		{"a name with a path", control("Package: ../../a\nVersion: 1\nArchitecture: all\n"), `its Package "../../a" is refused`},
		{"a version with a path", control("Package: a\nVersion: 1/../2\nArchitecture: all\n"), "Version"},
		{"an architecture with a path", control("Package: a\nVersion: 1\nArchitecture: ../x\n"), "Architecture"},
		{"no version", control("Package: a\nArchitecture: all\n"), "its Version is missing"},
		{"a field twice", control("Package: a\nPackage: b\nVersion: 1\nArchitecture: all\n"), "a second time"},
		{"two paragraphs", control("Package: a\nVersion: 1\nArchitecture: all\n\nPackage: b\n"), "second paragraph"},
		{"no field", control("Package: a\nhello\n"), "is no field"},
		{"a source called binary", control("Package: a\nVersion: 1\nArchitecture: source\n"), "no architecture of a binary package"},
		{"a source file with a path", source("a_1.tar.gz", "../a_1.tar.gz"), "not valid"},
		{"a source with a lying list", source("Checksums-Sha1:\n", "Checksums-Sha1:\n 0000000000000000000000000000000000000000 1 other\n"), "disagree"},
		{"a source that lists itself", source("Files:\n", "Files:\n 00000000000000000000000000000000 1 a_1.dsc\n"), "not valid"},
		{"a source without files", source("Files:", "Xiles:"), "no field Files"},
		{"a source of 3 MB", append(bytes.Clone(dsc), strings.Repeat("x", 3<<20)...), "too large for a .dsc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := deb.New().Parse(t.Context(), upload("a.deb", c.body))
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

// TestReadError is no fault of the package.
func TestReadError(t *testing.T) {
	good := debtest.Package{}.Build()
	u := upload("a.deb", good)
	u.Content = failing{bytes.NewReader(good)}
	_, err := deb.New().Parse(t.Context(), u)
	var invalid *repo.InvalidError
	if !errors.Is(err, errFire) || errors.As(err, &invalid) {
		t.Fatalf("the error is %v", err)
	}
}

var errFire = errors.New("disk on fire")

type failing struct{ io.ReaderAt }

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off > 100 {
		return 0, errFire
	}
	return f.ReaderAt.ReadAt(p, off)
}

func FuzzParse(f *testing.F) {
	for _, c := range []string{"gz", "xz", "zst", "none"} {
		f.Add(debtest.Package{ControlCompression: c, DataCompression: c, Fields: "Depends: a\n"}.Build())
	}
	dsc, _ := debtest.Source("a", "1:1.0-1")
	f.Add(dsc)
	f.Add([]byte("-----BEGIN PGP SIGNED MESSAGE-----\n\n" + string(dsc) + "\n-----BEGIN PGP SIGNATURE-----"))
	f.Add(archive("control.tar.xz", hugeDictionary()))
	f.Fuzz(func(t *testing.T, body []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		d := deb.New()
		parsed, err := d.Parse(ctx, format.Upload{Filename: "f", Content: bytes.NewReader(body), Size: int64(len(body))})
		if err != nil {
			return
		}
		p := parsed.Package()
		for i := range p.Files {
			p.Files[i].Path = d.Path(p, p.Files[i].Name, jammy, "")
			if r, ok := d.Resolve(format.Query{Path: p.Files[i].Path}); !ok || r.Paths[0] != p.Files[i].Path || strings.Contains(p.Files[i].Path, "..") && strings.Contains(p.Files[i].Path, "/../") {
				t.Fatalf("path %q", p.Files[i].Path)
			}
		}
		entries, err := parsed.Entries(format.Listing{Distro: jammy, Files: p.Files})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			// One stanza, which ends in the only empty line.
			if text := string(e.Text); strings.Index(text, "\n\n") != len(text)-2 {
				t.Fatalf("the entry is not one stanza:\n%q", text)
			}
		}
	})
}
