// Package npmtest makes npm packages: for tests, for benchmarks, and for
// somebody who wants to try the server.
package npmtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"packagecloud/internal/format"
)

// Package is a package to be made. Zero fields get usable values.
type Package struct {
	Name, Version string // "hello", "1.0.0"
	// Fields are more fields of package.json, as JSON: `"main":"x.js"`.
	Fields string
	// Manifest replaces the whole package.json.
	Manifest []byte
	// Files are further ones, by path below the package.
	Files map[string][]byte
	// Root is the folder that everything lies in, "package" by default.
	Root string
}

func (p Package) complete() Package {
	if p.Name == "" {
		p.Name = "hello"
	}
	if p.Version == "" {
		p.Version = "1.0.0"
	}
	if p.Root == "" {
		p.Root = "package"
	}
	if p.Manifest == nil {
		name, _ := json.Marshal(p.Name)
		version, _ := json.Marshal(p.Version)
		p.Manifest = fmt.Appendf(nil, `{"name":%s,"version":%s`, name, version)
		if p.Fields != "" {
			p.Manifest = append(append(p.Manifest, ','), p.Fields...)
		}
		p.Manifest = append(p.Manifest, '}')
	}
	return p
}

// Build makes the tarball. It is the same for the same package, and not
// compressed, so that it stays the same with other versions of the compressor.
func (p Package) Build() []byte {
	p = p.complete()
	entries := []tar.Header{File(p.Root+"/package.json", p.Manifest)}
	bodies := [][]byte{p.Manifest}
	for _, name := range slices.Sorted(maps.Keys(p.Files)) {
		entries = append(entries, File(p.Root+"/"+name, p.Files[name]))
		bodies = append(bodies, p.Files[name])
	}
	return Tarball(entries, bodies)
}

// File is the header of a regular file.
func File(name string, body []byte) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(body))}
}

// Tarball makes a tarball of any entries.
func Tarball(entries []tar.Header, bodies [][]byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range entries {
		if err := w.WriteHeader(&entries[i]); err != nil {
			panic(err)
		}
		if i < len(bodies) {
			if _, err := w.Write(bodies[i]); err != nil {
				panic(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return Gzip(b.Bytes())
}

// RawEntry is an entry of a tar archive, its header and its body, of any kind and with
// any name of up to 100 bytes: archive/tar does not write those that are odd.
func RawEntry(kind byte, name string, body []byte) []byte {
	return append(append(rawHeader(kind, name, "", len(body)), body...), make([]byte, -len(body)&511)...)
}

// RawLink is such an entry that is a link.
func RawLink(kind byte, name, target string) []byte { return rawHeader(kind, name, target, 0) }

func rawHeader(kind byte, name, target string, size int) []byte {
	header := make([]byte, 512)
	copy(header[:100], name)
	copy(header[100:], "0000644\x000000000\x000000000\x00")
	copy(header[124:], fmt.Sprintf("%011o\x0000000000000\x00", size))
	copy(header[148:], "        ")
	header[156] = kind
	copy(header[157:257], target)
	copy(header[257:], "ustar\x0000")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
	return header
}

// Gzip makes a gzip file of one member.
func Gzip(parts ...[]byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.NoCompression)
	for _, p := range parts {
		if _, err := z.Write(p); err != nil {
			panic(err)
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Scratch is a place in memory for what a request says (format.Call.Scratch).
func Scratch(context.Context) (format.Scratch, error) { return new(scratch), nil }

type scratch struct{ bytes.Buffer }

func (s *scratch) ReadAt(p []byte, offset int64) (int, error) {
	return bytes.NewReader(s.Bytes()).ReadAt(p, offset)
}
