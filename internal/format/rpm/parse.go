package rpm

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// Tags of the signature header.
const (
	sigLongSize    = 270
	sigLongArchive = 271
	sigSHA1        = 269
	sigSHA256      = 273
	sigSize        = 1000
	sigPayloadSize = 1007
)

// Tags of the header.
const (
	tagName          = 1000
	tagVersion       = 1001
	tagRelease       = 1002
	tagEpoch         = 1003
	tagSummary       = 1004
	tagDescription   = 1005
	tagBuildTime     = 1006
	tagBuildHost     = 1007
	tagSize          = 1009
	tagVendor        = 1011
	tagLicense       = 1014
	tagPackager      = 1015
	tagGroup         = 1016
	tagURL           = 1020
	tagArch          = 1022
	tagOldFileNames  = 1027
	tagFileModes     = 1030
	tagFileFlags     = 1037
	tagSourceRPM     = 1044
	tagArchiveSize   = 1046
	tagNoSource      = 1051
	tagNoPatch       = 1052
	tagChangelogTime = 1080
	tagChangelogName = 1081
	tagChangelogText = 1082
	tagSourcePackage = 1106
	tagDirIndexes    = 1116
	tagBaseNames     = 1117
	tagDirNames      = 1118
	tagLongSize      = 5009
	tagPayloadSize   = 5112 // compressed, in packages of RPM 6
)

// rpmPackage is an .rpm that has been read.
type rpmPackage struct {
	upload       format.Upload
	name         string
	version      string
	release      string
	epoch        *int64
	architecture string // "src" for source packages
	nosource     bool
	text         map[uint32]string // of plain tags

	buildTime, installedSize, archiveSize uint64
	headerStart, headerEnd                int64

	dependencies map[string][]dependency // by the kind's name
	files        []file
	changelog    []change
}

// file is an installed file.
type file struct {
	path string
	kind string // "", "dir" or "ghost"
}

// change is an entry of the changelog.
type change struct {
	author, text string
	time         uint64
}

// Parse implements format.Format. It reads the headers, checks their digests
// and that the file is as long as they say; the payload is not unpacked.
func (Format) Parse(_ context.Context, u format.Upload) (format.Parsed, error) {
	p, err := read(u)
	if err != nil {
		var failed *readError
		if errors.As(err, &failed) {
			return nil, fmt.Errorf("read %s: %w", u.Filename, err)
		}
		return nil, repo.Invalid("package_file", fmt.Sprintf("%q is not a valid RPM package: %v", u.Filename, err))
	}
	return p, nil
}

// readError is a failure to read, which is no fault of the package.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }

// sure marks the errors of a reader.
type sure struct{ io.ReaderAt }

func (s sure) ReadAt(p []byte, offset int64) (int, error) {
	n, err := s.ReaderAt.ReadAt(p, offset)
	if n == len(p) {
		return n, nil
	}
	return n, &readError{fmt.Errorf("%d bytes at %d: %w", len(p), offset, err)}
}

func read(u format.Upload) (*rpmPackage, error) {
	content := sure{u.Content}
	lead := make([]byte, leadSize)
	if u.Size < leadSize {
		return nil, errTruncated
	}
	if _, err := content.ReadAt(lead, 0); err != nil {
		return nil, err
	}
	switch {
	case strings.HasPrefix(string(lead), "!<arch>\n"):
		return nil, errors.New("it is a Debian package: push it to a Debian distribution")
	case string(lead[:4]) != "\xed\xab\xee\xdb":
		return nil, errors.New("it does not begin like one")
	}
	signature, err := readHeader(content, leadSize, u.Size)
	if err != nil {
		return nil, fmt.Errorf("signature header: %w", err)
	}
	start := signature.end + (8-signature.end%8)%8
	h, err := readHeader(content, start, u.Size)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if err := checkDigests(signature, h); err != nil {
		return nil, err
	}
	if err := checkSize(signature, h, u.Size); err != nil {
		return nil, err
	}
	p := &rpmPackage{upload: u, headerStart: h.start, headerEnd: h.end}
	if p.archiveSize, _, err = signature.number(sigLongArchive, sigPayloadSize); err != nil {
		return nil, err
	}
	return p, p.fill(h)
}

// checkDigests compares the header with the digests in the signature header.
func checkDigests(signature, h *header) error {
	sum1, sum256 := sha1.Sum(h.raw), sha256.Sum256(h.raw)
	for _, d := range []struct {
		tag  uint32
		have string
	}{{sigSHA1, hex.EncodeToString(sum1[:])}, {sigSHA256, hex.EncodeToString(sum256[:])}} {
		want, err := signature.string(d.tag)
		if err != nil {
			return err
		}
		if want != "" && !strings.EqualFold(want, d.have) {
			return errors.New("its header was changed after it was built: the digest differs")
		}
	}
	return nil
}

// checkSize compares the length of the file with what the headers say.
func checkSize(signature, h *header, size int64) error {
	want, ok, err := signature.number(sigLongSize, sigSize)
	if err != nil {
		return err
	}
	if !ok {
		payload, has, err := h.number(tagPayloadSize)
		if err != nil || !has {
			return errors.Join(errors.New("it does not say how long it is"), err)
		}
		want = payload + uint64(h.end-h.start)
	}
	if have := uint64(size - h.start); have != want {
		return fmt.Errorf("its header and payload have %d bytes, and it says %d: it is cut off or damaged", have, want)
	}
	return nil
}

var (
	validName    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}$`)
	validVersion = regexp.MustCompile(`^[A-Za-z0-9._+~^]{1,128}$`)
	validArch    = regexp.MustCompile(`^[a-z0-9_]{1,40}$`)
)

// fill takes everything from the header.
func (p *rpmPackage) fill(h *header) (err error) {
	p.text = make(map[uint32]string)
	for _, tag := range []uint32{
		tagName, tagVersion, tagRelease, tagSummary, tagDescription, tagBuildHost, tagVendor, tagLicense, tagPackager, tagGroup, tagURL, tagArch, tagSourceRPM,
	} {
		if p.text[tag], err = h.string(tag); err != nil {
			return err
		}
	}
	p.name, p.version, p.release, p.architecture = p.text[tagName], p.text[tagVersion], p.text[tagRelease], p.text[tagArch]
	for _, f := range []struct {
		what, value string
		pattern     *regexp.Regexp
	}{{"name", p.name, validName}, {"version", p.version, validVersion}, {"release", p.release, validVersion}, {"architecture", p.architecture, validArch}} {
		if !f.pattern.MatchString(f.value) {
			return fmt.Errorf("its %s %.60q is not valid", f.what, f.value)
		}
	}
	if p.text[tagSourceRPM] == "" || h.has(tagSourcePackage) {
		p.architecture, p.nosource = "src", h.has(tagNoSource) || h.has(tagNoPatch)
	}
	epoch, ok, err := h.number(tagEpoch)
	if err != nil {
		return err
	}
	if ok {
		e := int64(epoch & 0xffffffff)
		p.epoch = &e
	}
	if p.buildTime, _, err = h.number(tagBuildTime); err != nil {
		return err
	}
	if p.installedSize, _, err = h.number(tagLongSize, tagSize); err != nil {
		return err
	}
	if p.archiveSize == 0 {
		if p.archiveSize, _, err = h.number(tagArchiveSize); err != nil {
			return err
		}
	}
	if err := p.readDependencies(h); err != nil {
		return err
	}
	if err := p.readFiles(h); err != nil {
		return err
	}
	return p.readChangelog(h)
}

// Package implements format.Parsed.
func (p *rpmPackage) Package() *repo.Package {
	v := &repo.Package{
		Type: repo.RPM, Name: p.name, Version: p.version, Release: p.release, Epoch: p.epoch, Architecture: p.architecture, List: list(p.architecture),
		Summary: p.text[tagSummary], Description: p.text[tagDescription],
	}
	if l := p.text[tagLicense]; l != "" {
		v.Licenses = []string{l}
	}
	var requires []string
	for _, d := range p.dependencies["requires"] {
		requires = append(requires, d.String())
	}
	if requires != nil {
		v.Dependencies = []repo.Dependencies{{Context: "requires", Names: requires}}
	}
	suffix := p.architecture
	if p.nosource {
		suffix = "nosrc"
	}
	name := fmt.Sprintf("%s-%s-%s.%s.rpm", p.name, p.version, p.release, suffix)
	v.Files = []repo.File{{Name: name, Size: p.upload.Size, Digests: p.upload.Digests}}
	return v
}
