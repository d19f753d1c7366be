package deb

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

const (
	// maxControlMember bounds control.tar, compressed and not, in bytes: it
	// also holds the maintainer scripts and a checksum of every file.
	maxControlMember = 64 << 20
	// maxControlFiles bounds the files in it.
	maxControlFiles = 10_000
)

// binaryPackage is a .deb that has been read.
type binaryPackage struct {
	control stanza
	upload  format.Upload
}

func parseBinary(ctx context.Context, u format.Upload) (format.Parsed, error) {
	control, err := readBinary(ctx, u)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, refuse(u, "Debian package", err)
	}
	return &binaryPackage{control, u}, nil
}

// readBinary reads the control file and checks it.
func readBinary(ctx context.Context, u format.Upload) (stanza, error) {
	all, err := members(u.Content, u.Size)
	if err != nil {
		return nil, err
	}
	control, err := layout(u.Content, all)
	if err != nil {
		return nil, err
	}
	text, err := controlFile(ctx, u.Content, control)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", control.name, err)
	}
	s, err := parseStanza(text)
	if err != nil {
		return nil, fmt.Errorf("its control file: %w", err)
	}
	if _, err := s.need("Package", packageName); err != nil {
		return nil, fmt.Errorf("its control file: %w", err)
	}
	if _, err := s.need("Version", version); err != nil {
		return nil, fmt.Errorf("its control file: %w", err)
	}
	a, err := s.need("Architecture", architecture)
	if err != nil {
		return nil, fmt.Errorf("its control file: %w", err)
	}
	if a == listSource || a == "any" {
		return nil, fmt.Errorf("its control file: %q is no architecture of a binary package", a)
	}
	return s, nil
}

// layout checks that the members stand as deb(5) says, and returns the control
// member. The data is looked at, but not unpacked.
func layout(r io.ReaderAt, all []member) (control member, err error) {
	if len(all) == 0 || all[0].name != "debian-binary" {
		return control, errors.New("its first member is not debian-binary")
	}
	version := make([]byte, min(all[0].size, 4))
	if _, err := r.ReadAt(version, all[0].offset); err != nil {
		return control, fmt.Errorf("read debian-binary: %w", err)
	}
	if !bytes.HasPrefix(version, []byte("2.")) {
		return control, fmt.Errorf("its format is %q, not 2.0", version)
	}
	var rest []member
	for _, m := range all[1:] {
		if !strings.HasPrefix(m.name, "_") { // free for others to use
			rest = append(rest, m)
		}
	}
	if len(rest) < 2 || !strings.HasPrefix(rest[0].name, "control.tar") || !strings.HasPrefix(rest[1].name, "data.tar") {
		return control, errors.New("debian-binary is not followed by control.tar and data.tar")
	}
	if err := checkData(r, rest[1]); err != nil {
		return control, err
	}
	return rest[0], nil
}

// checkData compares the first bytes of the data with the compression that its
// name tells.
func checkData(r io.ReaderAt, data member) error {
	magic, known := map[string]string{
		"": "", ".gz": "\x1f\x8b", ".xz": "\xfd7zXZ\x00", ".zst": "\x28\xb5\x2f\xfd", ".bz2": "BZh", ".lzma": "",
	}[strings.TrimPrefix(data.name, "data.tar")]
	if !known {
		return fmt.Errorf("its data member %q has a compression that dpkg does not know", data.name)
	}
	head := make([]byte, min(data.size, int64(len(magic))))
	if _, err := r.ReadAt(head, data.offset); err != nil && len(head) > 0 {
		return fmt.Errorf("read %s: %w", data.name, err)
	}
	if string(head) != magic {
		return fmt.Errorf("its data member %q is compressed in another way", data.name)
	}
	return nil
}

// controlFile reads the file "control" out of the control member.
func controlFile(ctx context.Context, r io.ReaderAt, m member) ([]byte, error) {
	if m.size > maxControlMember {
		return nil, fmt.Errorf("it has more than %d MiB", maxControlMember>>20)
	}
	unpacked, closer, err := decompress(strings.TrimPrefix(m.name, "control.tar"), func() io.Reader { return io.NewSectionReader(r, m.offset, m.size) })
	if err != nil {
		return nil, err
	}
	defer closer()
	limited := &io.LimitedReader{R: unpacked, N: maxControlMember}
	archive := tar.NewReader(limited)
	for range maxControlFiles {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		h, err := archive.Next()
		switch {
		case limited.N == 0:
			return nil, fmt.Errorf("it unpacks to more than %d MiB", maxControlMember>>20)
		case errors.Is(err, io.EOF):
			return nil, errors.New("it has no file control")
		case err != nil:
			return nil, err
		}
		if path.Clean("/"+h.Name) != "/control" || h.Typeflag != tar.TypeReg {
			continue
		}
		if h.Size > maxControl {
			return nil, fmt.Errorf("its control file has %d bytes, more than the %d that are allowed", h.Size, maxControl)
		}
		text := make([]byte, h.Size)
		if _, err := io.ReadFull(archive, text); err != nil {
			return nil, fmt.Errorf("its control file is cut off: %w", err)
		}
		return text, nil
	}
	return nil, fmt.Errorf("it has more than %d files", maxControlFiles)
}

// decompress opens one of the compressions of a control member (deb(5)).
func decompress(suffix string, open func() io.Reader) (r io.Reader, closer func(), err error) {
	nothing := func() {}
	switch suffix {
	case "":
		return open(), nothing, nil
	case ".gz":
		r, err = gzip.NewReader(open())
		return r, nothing, err
	case ".xz":
		if err := checkXZ(open()); err != nil {
			return nil, nothing, err
		}
		r, err = xz.ReaderConfig{SingleStream: true}.NewReader(open())
		return r, nothing, err
	case ".zst":
		d, err := zstd.NewReader(open(), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxDictionary))
		if err != nil {
			return nil, nothing, err
		}
		return d, d.Close, nil
	}
	return nil, nothing, fmt.Errorf("the compression %q is none of gz, xz and zst", suffix)
}

// Package implements format.Parsed. The file gets the name that dpkg gives it,
// whatever the client called it.
func (b *binaryPackage) Package() *repo.Package {
	s := b.control
	p := &repo.Package{
		Type: repo.Deb, Name: s.get("Package"), Architecture: s.get("Architecture"), List: s.get("Architecture"),
		Dependencies: dependencies(s, "depends", "pre-depends", "recommends", "suggests", "enhances"),
	}
	setVersion(p, s.get("Version"))
	p.Summary, p.Description = describe(s.get("Description"))
	p.Files = []repo.File{{Name: fmt.Sprintf("%s_%s_%s.deb", p.Name, p.Version, p.Architecture), Size: b.upload.Size, Digests: b.upload.Digests}}
	return p
}

// own are the fields that the repository gives; a package's are dropped.
var own = map[string]bool{
	"filename": true, "size": true, "md5sum": true, "sha1": true, "sha256": true, "sha512": true, "description": true, "directory": true,
	"files": true, "checksums-sha1": true, "checksums-sha256": true, "checksums-sha512": true, "status": true,
}

// Entries implements format.Parsed: the stanza of Packages.
func (b *binaryPackage) Entries(l format.Listing) ([]format.Entry, error) {
	f := l.Files[0]
	var out bytes.Buffer
	for _, v := range b.control {
		if !own[strings.ToLower(v.name)] {
			writeField(&out, v.name, v.value)
		}
	}
	writeField(&out, "Filename", strings.TrimPrefix(f.Path, l.Distro.OS+"/"))
	writeField(&out, "Size", fmt.Sprint(f.Size))
	writeField(&out, "MD5sum", f.MD5)
	writeField(&out, "SHA1", f.SHA1)
	writeField(&out, "SHA256", f.SHA256)
	writeField(&out, "SHA512", f.SHA512)
	if d := b.control.get("Description"); d != "" {
		writeField(&out, "Description", d)
	}
	out.WriteByte('\n')
	return []format.Entry{{Kind: kindPackages, Text: out.Bytes()}}, nil
}

func writeField(out *bytes.Buffer, name, value string) {
	out.WriteString(name)
	out.WriteByte(':')
	if value != "" && value[0] != '\n' {
		out.WriteByte(' ')
	}
	out.WriteString(value)
	out.WriteByte('\n')
}
