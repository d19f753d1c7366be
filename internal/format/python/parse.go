package python

import (
	"archive/tar"
	"archive/zip"
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
	// maxDirectory bounds what is read to learn what a zip file holds, in
	// bytes: some 100,000 files.
	maxDirectory = 8 << 20
	// maxExpansion bounds what an archive unpacks to: so many times its size, but
	// no less than the floor and no more than the roof, in bytes.
	maxExpansion   = 200
	expansionFloor = 64 << 20
	expansionRoof  = 4 << 30
	// maxMembers bounds the files of a tar archive.
	maxMembers = 200_000
)

// parsed implements format.Parsed.
type parsed struct {
	upload format.Upload
	meta   *metadata
	raw    []byte // METADATA of a wheel; nil for what has none to be served
}

// Parse implements format.Format.
func (Format) Parse(ctx context.Context, u format.Upload) (format.Parsed, error) {
	if !plainFile.MatchString(u.Filename) {
		return nil, repo.Invalid("filename", fmt.Sprintf("%q cannot be the name of a Python package: use letters, digits and ._+!-", clip(u.Filename, 100)))
	}
	if !endsIn(u.Filename, endings...) {
		return nil, repo.Invalid("filename", fmt.Sprintf("%s has an ending that installers or indexes do not take: %s", u.Filename, pushThese))
	}
	raw, folder, err := readMetadata(ctx, u)
	if err != nil {
		return nil, err
	}
	m, err := parseMetadata(raw)
	if err != nil {
		return nil, err
	}
	if !names(u.Filename, m.Name, m.Version) {
		return nil, repo.Invalid("filename", fmt.Sprintf("%s is not the name of %s %s, which its metadata says it is", u.Filename, m.Name, m.Version))
	}
	if endsIn(u.Filename, ".whl") && !describes(folder, m.Name, m.Version) {
		return nil, invalid("%s has its metadata in %s, which is not the folder of %s %s: installers find it by that name", u.Filename, clip(folder, 100), m.Name, m.Version)
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
	p := parsed{upload: u, meta: m}
	if strings.HasSuffix(u.Filename, ".whl") {
		p.raw = raw
	}
	return p, nil
}

// Package implements format.Parsed.
func (p parsed) Package() *repo.Package {
	m := p.meta
	pkg := &repo.Package{
		Type: repo.Python, Name: m.Name, Version: m.Version, List: normalize(m.Name), Summary: m.Summary, Description: m.Description,
		Dependencies: m.dependencies(), Files: []repo.File{{Name: p.upload.Filename, Size: p.upload.Size, Digests: p.upload.Digests}},
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
	return []format.Derived{{Name: p.upload.Filename + ".metadata", Body: p.raw}}
}

// readMetadata finds the metadata of an upload, and of a zip file the folder that
// it is in. Its bytes say what kind of archive it is, its name what kind of
// package.
func readMetadata(ctx context.Context, u format.Upload) (raw []byte, folder string, err error) {
	content := io.NewSectionReader(u.Content, 0, u.Size)
	head := make([]byte, 512)
	n, err := u.Content.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, "", err
	}
	head = head[:n]
	switch {
	case endsIn(u.Filename, ".egg-info"):
		raw, err = limited(content, maxMetadata, "its metadata")
		return raw, "", err
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		if !endsIn(u.Filename, ".whl", ".egg", ".zip") {
			return nil, "", invalid("%s is a zip file, and its name must end in .whl, .egg or .zip", u.Filename)
		}
		return fromZip(u)
	case endsIn(u.Filename, ".whl", ".egg", ".zip"):
		return nil, "", invalid("%s is no zip file, and its name says it is one", u.Filename)
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(content)
		if err != nil {
			return nil, "", invalid("%s cannot be unpacked: %v", u.Filename, err)
		}
		if !endsIn(u.Filename, ".tar.gz", ".tgz") { // pip goes by the name
			return nil, "", invalid("%s is a gzip file, and its name must end in .tar.gz or .tgz", u.Filename)
		}
		raw, err = fromTar(ctx, u, z)
		return raw, "", err
	case bytes.HasPrefix(head, []byte("BZh")):
		if !endsIn(u.Filename, ".tar.bz2") {
			return nil, "", invalid("%s is a bzip2 file, and its name must end in .tar.bz2", u.Filename)
		}
		raw, err = fromTar(ctx, u, bzip2.NewReader(content))
		return raw, "", err
	case len(head) == 512 && bytes.HasPrefix(head[257:], []byte("ustar")):
		if !endsIn(u.Filename, ".tar") {
			return nil, "", invalid("%s is a tar file that is not compressed, and its name must end in .tar", u.Filename)
		}
		raw, err = fromTar(ctx, u, content)
		return raw, "", err
	}
	return nil, "", invalid("%s is no Python package: %s", u.Filename, pushThese)
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

// errBudget says that more was read than may be.
var errBudget = errors.New("the directory of the zip file is too large")

// budget reads so many bytes and no more.
type budget struct {
	io.ReaderAt
	left int64
}

func (b *budget) ReadAt(p []byte, at int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errBudget
	}
	return b.ReaderAt.ReadAt(p, at)
}

// fromZip reads the metadata of a wheel, an egg or a zipped source
// distribution, and tells the folder that it is in.
func fromZip(u format.Upload) (raw []byte, folder string, err error) {
	directory := &budget{u.Content, maxDirectory}
	z, err := zip.NewReader(directory, u.Size)
	if err != nil {
		return nil, "", invalid("%s is no sound zip file: %v", u.Filename, err)
	}
	directory.left = 1 << 62 // from here on, what is read is bounded by its kind
	is := metadataOf(u.Filename)
	wheel := endsIn(u.Filename, ".whl")
	var found, described *zip.File
	for _, f := range z.File {
		if unsafePath(f.Name) {
			return nil, "", invalid("%s has a file %q, which would be unpacked elsewhere", u.Filename, clip(f.Name, 100))
		}
		if wheel && f.Name == path.Dir(f.Name)+"/WHEEL" && strings.HasSuffix(path.Dir(f.Name), ".dist-info") && !strings.Contains(path.Dir(f.Name), "/") {
			described = f
		}
		if !is(f.Name) {
			continue
		}
		if found != nil {
			return nil, "", invalid("%s has its metadata twice, as %s and as %s", u.Filename, found.Name, f.Name)
		}
		found = f
	}
	if found == nil {
		return nil, "", missing(u.Filename)
	}
	if wheel && (described == nil || path.Dir(described.Name) != path.Dir(found.Name)) {
		return nil, "", invalid("%s has no file WHEEL beside its METADATA: build it with the wheel format of PEP 427", u.Filename)
	}
	r, err := found.Open()
	if err != nil {
		return nil, "", invalid("%s in %s cannot be read: %v", found.Name, u.Filename, err)
	}
	defer r.Close()
	raw, err = limited(r, maxMetadata, found.Name)
	return raw, path.Dir(found.Name), err
}

// fromTar reads the metadata of a source distribution, and goes through the
// rest of it.
func fromTar(ctx context.Context, u format.Upload, r io.Reader) (raw []byte, err error) {
	limit := min(max(expansionFloor, u.Size*maxExpansion), expansionRoof)
	counted := &io.LimitedReader{R: format.Until(ctx, r), N: limit}
	t := tar.NewReader(counted)
	is := metadataOf(u.Filename)
	for members := 0; ; members++ {
		h, err := t.Next()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case counted.N <= 0:
			return nil, invalid("%s unpacks to more than %d bytes", u.Filename, limit)
		case errors.Is(err, io.EOF):
			if raw == nil {
				return nil, missing(u.Filename)
			}
			return raw, nil
		case err != nil:
			return nil, invalid("%s cannot be unpacked: %v", u.Filename, err)
		case members == maxMembers:
			return nil, invalid("%s has more than %d files", u.Filename, maxMembers)
		case unsafePath(h.Name):
			return nil, invalid("%s has a file %q, which would be unpacked elsewhere", u.Filename, clip(h.Name, 100))
		}
		if h.Typeflag != tar.TypeReg || !is(path.Clean(h.Name)) {
			continue
		}
		if raw != nil {
			return nil, invalid("%s has its metadata twice", u.Filename)
		}
		if raw, err = limited(t, maxMetadata, h.Name); err != nil {
			return nil, err
		}
	}
}

func missing(filename string) error {
	return invalid("%s has no metadata: a wheel has NAME-VERSION.dist-info/METADATA, an egg EGG-INFO/PKG-INFO, a source distribution NAME-VERSION/PKG-INFO", filename)
}

// metadataOf tells where a package has its metadata. It must be there once.
func metadataOf(filename string) func(name string) bool {
	switch lower := strings.ToLower(filename); {
	case strings.HasSuffix(lower, ".whl"):
		return func(name string) bool {
			dir, file := path.Split(name)
			return file == "METADATA" && strings.HasSuffix(dir, ".dist-info/") && strings.Count(dir, "/") == 1
		}
	case strings.HasSuffix(lower, ".egg"):
		return func(name string) bool { return name == "EGG-INFO/PKG-INFO" }
	}
	return func(name string) bool {
		dir, file := path.Split(name)
		return file == "PKG-INFO" && strings.Count(dir, "/") == 1
	}
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
