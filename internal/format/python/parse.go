package python

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

const (
	// maxExpansion bounds what an archive unpacks to: so many times its size, but
	// no less than the floor and no more than the roof, in bytes.
	maxExpansion   = 200
	expansionFloor = 64 << 20
	expansionRoof  = 4 << 30
	// maxMembers bounds the files of a tar archive.
	maxMembers = 200_000
)

// kind is what a package is, by the end of its name.
type kind struct{ suffix string }

func (k kind) wheel() bool { return k.suffix == ".whl" }

// contents are what is read of a package.
type contents struct {
	metadata []byte
	folder   string // of the metadata, in a zip file
	wheel    *wheel // of a wheel
}

// parsed implements format.Parsed.
type parsed struct {
	upload format.Upload
	name   string // of the file
	meta   *metadata
	raw    []byte // METADATA of a wheel; nil for what has none to be served
}

// Parse implements format.Format.
func (Format) Parse(ctx context.Context, u format.Upload) (format.Parsed, error) {
	k, c, err := read(ctx, u)
	if err != nil {
		return nil, err
	}
	m, err := parseMetadata(c.metadata, k)
	if err != nil {
		return nil, err
	}
	if k.wheel() && !describes(c.folder, m.Name, m.Version) {
		return nil, invalid("the wheel has its metadata in %s, which is not the folder of %s %s: installers find it by that name", clip(c.folder, 100), m.Name, m.Version)
	}
	// What twine says beside the file.
	for field, want := range map[string]func(string) bool{
		"name":    func(v string) bool { return normalize(v) == normalize(m.Name) },
		"version": func(v string) bool { return canonicalVersion(v) == canonicalVersion(m.Version) },
	} {
		if v := u.Fields[field]; v != "" && !want(v) {
			return nil, repo.Invalid(field, fmt.Sprintf("%q is not what the metadata in the file says, %s %s", clip(v, 100), m.Name, m.Version))
		}
	}
	p := parsed{upload: u, name: u.Filename, meta: m}
	switch {
	case strings.HasSuffix(u.Filename, k.suffix) && names(u.Filename, m.Name, m.Version):
	case u.Fields["filename"] != "": // twine and its like mean the name that they give
		return nil, repo.Invalid("filename", fmt.Sprintf("%s is not the name of %s %s as a %s file, which it is by its contents", clip(u.Filename, 100), m.Name, m.Version, k.suffix))
	default:
		if p.name, err = fileName(k, m, c.wheel); err != nil {
			return nil, err
		}
	}
	if k.wheel() {
		p.raw = c.metadata
	}
	return p, nil
}

// Package implements format.Parsed.
func (p parsed) Package() *repo.Package {
	m := p.meta
	pkg := &repo.Package{
		Type: repo.Python, Name: m.Name, Version: m.Version, List: normalize(m.Name), Summary: m.Summary, Description: m.Description,
		Dependencies: m.dependencies(), Files: []repo.File{{Name: p.name, Size: p.upload.Size, Digests: p.upload.Digests}},
	}
	if m.License != "" {
		pkg.Licenses = []string{m.License}
	}
	return pkg
}

// Derived implements format.Deriving: the METADATA that pip reads without
// fetching the wheel.
func (p parsed) Derived() []format.Derived {
	if p.raw == nil {
		return nil
	}
	return []format.Derived{{Name: p.name + ".metadata", Body: p.raw}}
}

// read finds out what an upload is, and reads its metadata. The bytes say what kind
// of archive it is; its name counts where they leave a choice.
func read(ctx context.Context, u format.Upload) (k kind, c contents, err error) {
	content := io.NewSectionReader(u.Content, 0, u.Size)
	head := make([]byte, 512)
	n, err := u.Content.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return k, c, err
	}
	head = head[:n]
	var archive io.Reader
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return fromZip(u)
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		k = hinted(u.Filename, ".tar.gz", ".tgz")
		if archive, err = gzip.NewReader(content); err != nil {
			return k, c, invalid("it cannot be unpacked: %v", err)
		}
	case bytes.HasPrefix(head, []byte("BZh")):
		k, archive = kind{".tar.bz2"}, bzip2.NewReader(content)
	case len(head) == 512 && bytes.HasPrefix(head[257:], []byte("ustar")):
		k, archive = kind{".tar"}, content
	case strings.HasSuffix(u.Filename, ".egg-info"):
		if err := u.NeedMemory(textMemory * min(u.Size, maxMetadata)); err != nil {
			return k, c, err
		}
		c.metadata, err = limited(content, maxMetadata, "its metadata")
		return kind{".egg-info"}, c, err
	default:
		return k, c, invalid("%s is no Python package: %s", clip(u.Filename, 100), pushThese)
	}
	c.metadata, err = fromTar(ctx, u, archive)
	return k, c, err
}

// hinted is the kind that a file name has, of those that its bytes may be; the
// first of them if it has none.
func hinted(filename string, suffixes ...string) kind {
	for _, s := range suffixes {
		if strings.HasSuffix(filename, s) {
			return kind{s}
		}
	}
	return kind{suffixes[0]}
}

// limited reads all of r, which must not be more than limit bytes.
func limited(r io.Reader, limit int64, what string) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, invalid("%s cannot be read: %v", what, err)
	}
	if int64(len(body)) > limit {
		return nil, invalid("%s is larger than %d bytes", what, limit)
	}
	return body, nil
}

// fromTar reads the metadata of a source distribution, and goes through the
// rest of it.
func fromTar(ctx context.Context, u format.Upload, r io.Reader) (raw []byte, err error) {
	limit := min(max(expansionFloor, u.Size*maxExpansion), expansionRoof)
	counted := &io.LimitedReader{R: format.Until(ctx, r), N: limit}
	t := tar.NewReader(counted)
	for members := 0; ; members++ {
		h, err := t.Next()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case counted.N <= 0:
			return nil, invalid("it unpacks to more than %d bytes", limit)
		case errors.Is(err, io.EOF):
			if raw == nil {
				return nil, missing()
			}
			return raw, nil
		case err != nil:
			return nil, invalid("it cannot be unpacked: %v", err)
		case members == maxMembers:
			return nil, invalid("it has more than %d files", maxMembers)
		case unsafePath(h.Name):
			return nil, invalid("it has a file %q, which would be unpacked elsewhere", clip(h.Name, 100))
		}
		if h.Typeflag != tar.TypeReg || !isInfo(path.Clean(h.Name)) {
			continue
		}
		if raw != nil {
			return nil, invalid("it has its metadata twice")
		}
		if err := u.NeedMemory(textMemory * min(h.Size, maxMetadata)); err != nil {
			return nil, err
		}
		if raw, err = limited(t, maxMetadata, h.Name); err != nil {
			return nil, err
		}
	}
}

func missing() error {
	return invalid("it has no metadata: a wheel has NAME-VERSION.dist-info/METADATA, an egg EGG-INFO/PKG-INFO, a source distribution NAME-VERSION/PKG-INFO")
}

// isInfo tells where a source distribution has its metadata. It must be there once.
func isInfo(name string) bool {
	dir, file := path.Split(name)
	return file == "PKG-INFO" && strings.Count(dir, "/") == 1
}

// unsafePath reports whether a name in an archive leads out of the folder that
// it is unpacked to.
func unsafePath(name string) bool {
	name = strings.ReplaceAll(name, `\`, "/")
	if strings.HasPrefix(name, "/") || len(name) > 1 && name[1] == ':' || strings.ContainsRune(name, 0) {
		return true
	}
	for step := range strings.SplitSeq(name, "/") {
		if step == ".." {
			return true
		}
	}
	return false
}
