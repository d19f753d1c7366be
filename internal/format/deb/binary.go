package deb

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

const (
	// maxControlMember bounds control.tar, compressed and not, in bytes: it
	// also holds the maintainer scripts and a checksum of every file. It is read
	// as a stream.
	maxControlMember = 256 << 20
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
	text, err := controlFile(ctx, u, control)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", control.name, err)
	}
	s, err := parseStanza(text)
	if err == nil {
		err = checkControl(s)
	}
	if err != nil {
		return nil, fmt.Errorf("its control file: %w", err)
	}
	return s, nil
}

// checkControl refuses what dpkg refuses of a control file and no listing shows,
// and what would make no file name. The gate judges the rest.
func checkControl(s stanza) error {
	if err := checkListed(kindPackages, s.without(own)); err != nil {
		return err
	}
	for _, f := range s {
		if reason := unusable[strings.ToLower(f.name)]; reason != "" {
			return fmt.Errorf("the field %s %s", f.name, reason)
		}
	}
	if f, _ := s.find("Conffiles"); !conffiles.MatchString(f.value) {
		return faulty(f, errors.New("each of its lines is a path and a digest"))
	}
	if err := checkArchives(s); err != nil {
		return err
	}
	if n := len(binaryFilename(s, s.get("Version"))); n > maxFilename {
		return fmt.Errorf("its file name would have %d bytes, more than the %d that are allowed: shorten its name or version", n, maxFilename)
	}
	return nil
}

// unusable are fields with which no package can be installed, or not as the
// version that it is listed under.
var unusable = map[string]string{
	"status": ofStatus, "config-version": ofStatus, "triggers-pending": ofStatus, "triggers-awaited": ofStatus,
	"revision": ofVersion, "package-revision": ofVersion, "package_revision": ofVersion,
}

const (
	ofStatus  = "belongs into the status file of dpkg, which refuses it here"
	ofVersion = "is obsolete: dpkg adds it to the version, and apt does not"
)

// conffiles is what dpkg takes in a field that it writes itself.
var conffiles = regexp.MustCompile(`^(\n [^\n]+ [^ \n]+)*$`)

// checkArchives refuses fields that say where the package itself is found, and
// whose words dpkg does not find to be as many in each. A listing has our own.
func checkArchives(s stanza) error {
	count := 0
	for _, name := range []string{"Filename", "Size", "MD5sum"} {
		f, ok := s.find(name)
		n := len(strings.Fields(f.value))
		switch {
		case !ok:
		case n == 0 || count != 0 && n != count:
			return faulty(f, errors.New("dpkg wants as many words in each of Filename, Size and MD5sum"))
		default:
			count = n
		}
	}
	return nil
}

// formatVersion is what debian-binary may say.
var formatVersion = regexp.MustCompile(`^2\.[0-9]+\n`)

// layout checks that the members stand as deb(5) says, and returns the control
// member. The data is looked at, but not unpacked.
func layout(r io.ReaderAt, all []member) (control member, err error) {
	if len(all) == 0 || all[0].name != "debian-binary" {
		return control, errors.New("its first member is not debian-binary")
	}
	version := make([]byte, min(all[0].size, 40))
	if _, err := r.ReadAt(version, all[0].offset); err != nil {
		return control, fmt.Errorf("read debian-binary: %w", err)
	}
	if !formatVersion.Match(version) {
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
	if rest[0].size == 0 || rest[1].size == 0 {
		return control, errors.New("control.tar or data.tar is empty")
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
func controlFile(ctx context.Context, u format.Upload, m member) ([]byte, error) {
	if m.size > maxControlMember {
		return nil, fmt.Errorf("it has more than %d MiB", maxControlMember>>20)
	}
	unpacked, closer, err := decompress(strings.TrimPrefix(m.name, "control.tar"), io.NewSectionReader(u.Content, m.offset, m.size), u.NeedMemory)
	if err != nil {
		return nil, err
	}
	defer closer()
	limited := &io.LimitedReader{R: format.Until(ctx, unpacked), N: maxControlMember}
	text, err := onlyControl(tar.NewReader(limited))
	if err == nil {
		err = drain(limited)
	}
	if err != nil && limited.N == 0 {
		return nil, fmt.Errorf("it unpacks to more than %d MiB", maxControlMember>>20)
	}
	return text, err
}

// drain reads to the end, where the checksum of what has been unpacked stands.
// What follows a gzip stream, and is none, is ignored as dpkg ignores it.
func drain(r io.Reader) error {
	if _, err := io.Copy(io.Discard, r); err != nil && !errors.Is(err, gzip.ErrHeader) {
		return err
	}
	return nil
}

// onlyControl reads an archive to its end: of two control files, dpkg takes the
// last one.
func onlyControl(archive *tar.Reader) (text []byte, err error) {
	for range maxControlFiles {
		h, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF) && text == nil:
			return nil, errors.New("it has no file control")
		case errors.Is(err, io.EOF):
			return text, nil
		case err != nil:
			return nil, err
		case path.Clean(h.Name) != "control" && h.Name != "/control":
			continue
		case text != nil:
			return nil, errors.New("it has two files control")
		case h.Typeflag != tar.TypeReg:
			return nil, errors.New("its control is no regular file")
		case h.Size > maxControl:
			return nil, fmt.Errorf("its control file has %d bytes, more than the %d that are allowed", h.Size, maxControl)
		}
		text = make([]byte, h.Size)
		if _, err := io.ReadFull(archive, text); err != nil {
			return nil, fmt.Errorf("its control file is cut off: %w", err)
		}
	}
	return nil, fmt.Errorf("it has more than %d files", maxControlFiles)
}

// Package implements format.Parsed. The file gets the name that dpkg gives it,
// whatever the client called it.
func (b *binaryPackage) Package() *repo.Package {
	s := b.control
	p := &repo.Package{
		Type: repo.Deb, Name: s.get("Package"), Architecture: architectureOf(s), List: listOf(kindPackages, s),
		Dependencies: dependencies(s, "depends", "pre-depends", "recommends", "suggests", "enhances"),
	}
	setVersion(p, s.get("Version"))
	p.Summary, p.Description = describe(s.get("Description"))
	p.Files = []repo.File{{Name: binaryFilename(s, p.Version), Size: b.upload.Size, Digests: b.upload.Digests}}
	return p
}

// Rename implements format.Renamer: dpkg leaves the epoch out of file names, so
// that 1.0 and 1:1.0 have the same one.
func (b *binaryPackage) Rename(taken *repo.Package) (filename string, ok bool) {
	return binaryFilename(b.control, b.control.get("Version")), otherEpoch(b.Package(), taken)
}

// binaryFilename is the name of a package file with a version.
func binaryFilename(s stanza, version string) string {
	extension := "deb"
	if isInstaller(s) {
		extension = "udeb"
	}
	return fmt.Sprintf("%s_%s_%s.%s", s.get("Package"), version, architectureOf(s), extension)
}

// architectureOf is the architecture of a package, or its variant of that.
func architectureOf(s stanza) string {
	return cmp.Or(s.get("Architecture-Variant"), s.get("Architecture"))
}

// isInstaller reports whether it is a package for the installer of Debian alone.
func isInstaller(s stanza) bool { return strings.EqualFold(s.get("Package-Type"), "udeb") }

// listOf is the list where a stanza of a kind of document belongs.
func listOf(kind string, s stanza) string {
	switch {
	case kind == kindSources:
		return listSource
	case isInstaller(s):
		return listInstaller + architectureOf(s)
	}
	return architectureOf(s)
}

// own are the fields that the repository gives; a package's are dropped.
var own = map[string]bool{
	"filename": true, "size": true, "md5sum": true, "sha1": true, "sha256": true, "sha512": true, "description": true, "description-md5": true, "directory": true,
	"files": true, "checksums-sha1": true, "checksums-sha256": true, "checksums-sha512": true,
}

// Entries implements format.Parsed: the stanza of Packages.
func (b *binaryPackage) Entries(l format.Listing) ([]format.Entry, error) {
	f := l.Files[0]
	var out bytes.Buffer
	for _, v := range b.control.without(own) {
		writeField(&out, v.name, v.value)
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
