package rpm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// The tags of regions.
const (
	regionImage      = 61
	regionSignatures = 62
	regionImmutable  = 63
)

// Tags of the signature header.
const (
	sigSHA1        = 269
	sigLongSize    = 270
	sigLongArchive = 271
	sigSHA256      = 273
	sigSize        = 1000
	sigMD5         = 1004
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
	tagPayloadDigest = 5092
	tagDigestKind    = 5093
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
	files        fileList
	changelog    []change
}

// change is an entry of the changelog.
type change struct {
	author, text string
	time         uint64
}

// Parse implements format.Format. It reads the headers, checks their digests
// and that the file is as long as they say; the payload is not unpacked.
func (Format) Parse(ctx context.Context, u format.Upload) (format.Parsed, error) {
	p, err := read(ctx, u)
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

// sure marks the errors of a reader, and ends when the client has gone.
type sure struct {
	ctx context.Context //nolint:containedctx // of one Parse
	io.ReaderAt
}

func (s sure) ReadAt(p []byte, offset int64) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, &readError{err}
	}
	n, err := s.ReaderAt.ReadAt(p, offset)
	if n == len(p) {
		return n, nil
	}
	return n, &readError{fmt.Errorf("%d bytes at %d: %w", len(p), offset, err)}
}

func read(ctx context.Context, u format.Upload) (*rpmPackage, error) {
	content := sure{ctx, u.Content}
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
	signature, err := readHeader(content, leadSize, u.Size, signatureLayout)
	if err != nil {
		return nil, fmt.Errorf("signature header: %w", err)
	}
	start := signature.end + (8-signature.end%8)%8
	want := headerLayout
	want.reserve = func(store, kept int64) error {
		if err := u.NeedMemory(memory(store, kept)); err != nil {
			return &readError{err}
		}
		return nil
	}
	h, err := readHeader(content, start, u.Size, want)
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
	if signature.has(sigPayloadSize) && h.has(tagArchiveSize) { // rpm reads no such package
		return nil, errors.New("both of its headers say how long its payload is unpacked")
	}
	p.archiveSize, _ = signature.first(sigLongArchive, sigPayloadSize)
	if err := p.fill(h); err != nil {
		return nil, err
	}
	return p, checkPayload(content, h, u.Size)
}

// kindSHA256 is SHA-256 among the digests of RFC 9580.
const kindSHA256 = 8

// checkPayload compares the payload with its digest in the header, if there is one:
// rpm installs nothing else. Packages of before rpm 4.14 have none.
func checkPayload(r io.ReaderAt, h *header, size int64) error {
	want := h.string(tagPayloadDigest)
	if kind, _ := h.first(tagDigestKind); want == "" || kind != kindSHA256 {
		return nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(r, h.end, size-h.end)); err != nil {
		return err
	}
	if have := hex.EncodeToString(sum.Sum(nil)); !strings.EqualFold(want, have) {
		return errors.New("its payload is damaged: the digest differs")
	}
	return nil
}

// memory is what reading a header may need: the tags that are kept, what is made of
// them, and the entries, whose texts may be six times as long when they are escaped,
// and whose paths are expanded.
func memory(store, kept int64) int64 {
	return 8*kept + min(2*maxExpansion*store, 2*format.MaxEntry)
}

// checkDigests compares the header with the digests in the signature header.
func checkDigests(signature, h *header) error {
	for _, d := range []struct {
		tag  uint32
		have string
	}{{sigSHA1, h.sha1}, {sigSHA256, h.sha256}} {
		if want := signature.string(d.tag); want != "" && !strings.EqualFold(want, d.have) {
			return errors.New("its header was changed after it was built: the digest differs")
		}
	}
	return nil
}

// checkSize compares the length of the file with what the headers say.
func checkSize(signature, h *header, size int64) error {
	want, ok := signature.first(sigLongSize, sigSize)
	if !ok {
		payload, ok := h.first(tagPayloadSize)
		if !ok {
			return errors.New("it does not say how long it is")
		}
		want = payload + uint64(h.end-h.start)
	}
	if have := uint64(size - h.start); have != want {
		return fmt.Errorf("its header and payload have %d bytes, and it says %d: it is cut off or damaged", have, want)
	}
	return nil
}

// textTags are the tags that are listed as they are, with their names.
var textTags = map[uint32]string{
	tagName: "name", tagVersion: "version", tagRelease: "release", tagArch: "architecture", tagSummary: "summary", tagDescription: "description",
	tagBuildHost: "build host", tagVendor: "vendor", tagLicense: "license", tagPackager: "packager", tagGroup: "group", tagURL: "URL", tagSourceRPM: "source package",
}

var signatureLayout = layout{
	region: regionSignatures, tags: maxSignatureTags, store: maxSignatureStore,
	types: map[uint32]uint32{
		sigSHA1: typeString, sigLongSize: typeInt64, sigLongArchive: typeInt64, sigSHA256: typeString,
		sigSize: typeInt32, sigMD5: typeBinary, sigPayloadSize: typeInt32,
	},
	keep: set(sigSHA1, sigLongSize, sigLongArchive, sigSHA256, sigSize, sigPayloadSize),
}

var headerLayout = layout{
	region: regionImmutable, exact: true, tags: maxTags, store: maxStore,
	types: knownTypes(),
	keep:  keptTags(),
	bound: boundCounts,
	// What belongs into the signature header (headerMergeLegacySigs in lib/package.cc).
	rejected: set(257, 259, 261, 262, 267, 268, sigSHA1, sigLongSize, sigLongArchive, sigSHA256, 276, 277, 278, 279),
}

func set(tags ...uint32) map[uint32]bool {
	s := make(map[uint32]bool, len(tags))
	for _, tag := range tags {
		s[tag] = true
	}
	return s
}

func knownTypes() map[uint32]uint32 {
	types := make(map[uint32]uint32)
	for kind, tags := range knownTags {
		for _, tag := range tags {
			types[tag] = kind
		}
	}
	return types
}

func keptTags() map[uint32]bool {
	kept := set(append(slices.Collect(maps.Keys(textTags)), tagEpoch, tagBuildTime, tagSize, tagLongSize, tagArchiveSize, tagPayloadSize, tagPayloadDigest, tagDigestKind, tagSourcePackage, tagNoSource, tagNoPatch,
		tagOldFileNames, tagFileModes, tagFileFlags, tagDirIndexes, tagBaseNames, tagDirNames, tagChangelogTime, tagChangelogName, tagChangelogText)...)
	for _, kind := range slices.Concat(dependencyKinds, oldKinds) {
		kept[kind.names], kept[kind.versions], kept[kind.flags] = true, true, true
	}
	return kept
}

// maxRelations and maxFiles bound what one package may list. The largest packages
// that are known have some 40,000 relations (kernels with a symbol each) and
// 150,000 files.
const (
	maxRelations = 1 << 17
	maxFiles     = 1 << 19
)

// boundCounts bounds the memory of what is made from a header, before any of its
// data are read.
func boundCounts(index []indexEntry) error {
	relations := uint64(0)
	for _, e := range index {
		switch e.tag {
		case tagBaseNames, tagDirNames, tagOldFileNames:
			if e.count > maxFiles {
				return fmt.Errorf("it has %d files, more than %d", e.count, maxFiles)
			}
		default:
			if isRelation(e.tag) {
				relations += uint64(e.count)
			}
		}
	}
	if relations > maxRelations {
		return fmt.Errorf("it has %d relations to other packages, more than %d", relations, maxRelations)
	}
	return nil
}

func isRelation(tag uint32) bool {
	for _, kind := range slices.Concat(dependencyKinds, oldKinds) {
		if tag == kind.names {
			return true
		}
	}
	return false
}

var (
	validName    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}$`)
	validVersion = regexp.MustCompile(`^[A-Za-z0-9._+~^]{1,128}$`)
	validArch    = regexp.MustCompile(`^[a-z0-9_]{1,40}$`)
)

// fill takes everything from the header.
func (p *rpmPackage) fill(h *header) error {
	p.text = make(map[uint32]string)
	for tag, name := range textTags {
		text := h.string(tag)
		if err := checkText(text); err != nil {
			return fmt.Errorf("its %s: %w", name, err)
		}
		p.text[tag] = toUTF8(text)
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
	if isSource(h) {
		p.architecture, p.nosource = "src", h.has(tagNoSource) || h.has(tagNoPatch)
	} else if p.architecture == "src" || p.architecture == "nosrc" {
		return fmt.Errorf("its architecture is %s, and it is no source package", p.architecture)
	}
	if epoch, ok := h.first(tagEpoch); ok {
		e := int64(epoch)
		p.epoch = &e
	}
	p.buildTime, _ = h.first(tagBuildTime)
	p.installedSize, _ = h.first(tagLongSize, tagSize)
	if p.archiveSize == 0 {
		p.archiveSize, _ = h.first(tagArchiveSize)
	}
	if err := p.readFiles(h); err != nil {
		return err
	}
	if err := p.readDependencies(h); err != nil {
		return err
	}
	return p.readChangelog(h)
}

// isSource tells a source package as rpm does. Some builders write neither tag:
// what they make is a source package if all of its files lie in one folder without
// a name (headerIsSourceHeuristic in lib/header.cc).
func isSource(h *header) bool {
	switch {
	case h.has(tagSourcePackage):
		return true
	case h.has(tagSourceRPM):
		return false
	default:
		return h.count(tagDirNames) == 1 && h.string(tagDirNames) == ""
	}
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
