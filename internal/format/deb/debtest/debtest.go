// Package debtest makes Debian packages: for tests, for benchmarks, and for
// somebody who wants to try the server. They install on any Debian derivative.
package debtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Package is a binary package to be made. Zero fields get usable values.
type Package struct {
	Name, Version, Architecture string // "hello", "1.0", "all"
	// Fields are more lines of the control file, each with its newline.
	Fields string
	// Control replaces the whole control file.
	Control []byte
	// Files are installed, by path without a leading slash.
	Files map[string][]byte
	// Compression of the two tar members: "gz", "xz", "zst" or "none". The
	// default is gz.
	ControlCompression, DataCompression string
}

// Filename is the name that dpkg gives the package.
func (p Package) Filename() string {
	p = p.complete()
	_, version, ok := strings.Cut(p.Version, ":")
	if !ok {
		version = p.Version
	}
	return p.Name + "_" + version + "_" + p.Architecture + ".deb"
}

func (p Package) complete() Package {
	for _, d := range []struct {
		field *string
		value string
	}{{&p.Name, "hello"}, {&p.Version, "1.0"}, {&p.Architecture, "all"}, {&p.ControlCompression, "gz"}, {&p.DataCompression, "gz"}} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if p.Control == nil {
		p.Control = fmt.Appendf(nil, "Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Nobody <nobody@example.com>\n%sDescription: test package %s\n It does nothing.\n",
			p.Name, p.Version, p.Architecture, p.Fields, p.Name)
	}
	return p
}

// Build makes the package. The same Package gives the same bytes.
func (p Package) Build() []byte {
	p = p.complete()
	control := archive(map[string][]byte{"./control": p.Control})
	data := archive(p.Files)
	return Ar([]Member{
		{"debian-binary", []byte("2.0\n")},
		{"control.tar" + suffix(p.ControlCompression), compress(control, p.ControlCompression)},
		{"data.tar" + suffix(p.DataCompression), compress(data, p.DataCompression)},
	})
}

func suffix(compression string) string {
	if compression == "none" {
		return ""
	}
	return "." + compression
}

var epoch = time.Unix(1_700_000_000, 0)

// archive makes a tar archive, with the folders that dpkg wants to see.
func archive(files map[string][]byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	folders := map[string]bool{}
	put := func(h tar.Header, body []byte) {
		h.ModTime, h.Uname, h.Gname, h.Format = epoch, "root", "root", tar.FormatGNU
		must(w.WriteHeader(&h))
		_, err := w.Write(body)
		must(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		clean := strings.TrimPrefix(name, "./")
		for i, c := range "./" + clean {
			if folder := ("./" + clean)[:i+1]; c == '/' && !folders[folder] {
				folders[folder] = true
				put(tar.Header{Name: folder, Typeflag: tar.TypeDir, Mode: 0o755}, nil)
			}
		}
		mode := int64(0o644)
		if strings.Contains(clean, "bin/") {
			mode = 0o755
		}
		put(tar.Header{Name: "./" + clean, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(files[name]))}, files[name])
	}
	must(w.Close())
	return b.Bytes()
}

func compress(body []byte, compression string) []byte {
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch compression {
	case "none":
		return body
	case "gz":
		w = gzip.NewWriter(&b)
	case "xz":
		w, err = xz.NewWriter(&b)
	case "zst":
		w, err = zstd.NewWriter(&b)
	default:
		err = fmt.Errorf("unknown compression %q", compression)
	}
	must(err)
	_, err = w.Write(body)
	must(err)
	must(w.Close())
	return b.Bytes()
}

// Member is a file of an ar archive.
type Member struct {
	Name string
	Body []byte
}

// Ar makes an ar archive.
func Ar(members []Member) []byte {
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, m := range members {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", m.Name, epoch.Unix(), 0, 0, 0o100644, len(m.Body))
		b.Write(m.Body)
		if len(m.Body)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// Source makes a native source package that unpacks: the .dsc, and the other
// files by name.
func Source(name, version string) (dsc []byte, files map[string][]byte) {
	root := name + "-" + version + "/"
	tarball := compress(archive(map[string][]byte{
		root + "debian/control":       fmt.Appendf(nil, "Source: %[1]s\nMaintainer: Nobody <nobody@example.com>\n\nPackage: %[1]s\nArchitecture: all\nDescription: test\n", name),
		root + "debian/changelog":     fmt.Appendf(nil, "%s (%s) unstable; urgency=low\n\n  * Test.\n\n -- Nobody <nobody@example.com>  Tue, 14 Nov 2023 22:13:20 +0000\n", name, version),
		root + "debian/source/format": []byte("3.0 (native)\n"),
	}), "gz")
	file := name + "_" + version + ".tar.gz"
	sum := func(digest []byte) string { return fmt.Sprintf(" %x %d %s\n", digest, len(tarball), file) }
	md5sum, sha1sum, sha256sum := md5.Sum(tarball), sha1.Sum(tarball), sha256.Sum256(tarball)
	dsc = fmt.Appendf(nil, "Format: 3.0 (native)\nSource: %[1]s\nBinary: %[1]s\nArchitecture: all\nVersion: %[2]s\nMaintainer: Nobody <nobody@example.com>\nBuild-Depends: debhelper-compat (= 13)\nPackage-List:\n %[1]s deb misc optional arch=all\nChecksums-Sha1:\n%[3]sChecksums-Sha256:\n%[4]sFiles:\n%[5]s",
		name, version, sum(sha1sum[:]), sum(sha256sum[:]), sum(md5sum[:]))
	return dsc, map[string][]byte{file: tarball}
}

// must ends the program: what is made here is made in memory.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
