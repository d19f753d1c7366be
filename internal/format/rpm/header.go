package rpm

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"slices"
	"strings"
)

// The limits of headers. rpm has them too, so that what is refused here cannot
// be installed either (lib/header.cc).
const (
	leadSize          = 96
	maxTags           = 0xffff
	maxStore          = 256<<20 - 1
	maxSignatureTags  = 32
	maxSignatureStore = 64 << 20
	maxCount          = 0xfffff // values of a tag
)

// maxKept bounds the bytes of one header that are held in memory.
const maxKept = 32 << 20

// The types of header data.
const (
	typeChar        = 1
	typeInt8        = 2
	typeInt16       = 3
	typeInt32       = 4
	typeInt64       = 5
	typeString      = 6
	typeBinary      = 7
	typeStringArray = 8
	typeI18NString  = 9
)

// widths are the bytes that a value takes, by type; strings have no width.
var widths = [...]int64{typeChar: 1, typeInt8: 1, typeInt16: 2, typeInt32: 4, typeInt64: 8, typeBinary: 1, typeI18NString: 0}

// layout is what a header must look like.
type layout struct {
	region uint32            // the tag that comes first, and says that the header is whole
	exact  bool              // nothing may follow the region
	tags   uint32            // how many there may be
	store  uint32            // how many bytes of data
	types  map[uint32]uint32 // of the tags that rpm knows
	keep   map[uint32]bool   // the tags to read
	bound  func(index []indexEntry) error
	// reserve is called with the bytes of the store, and those to keep of them,
	// before they are read.
	reserve  func(store, kept int64) error
	rejected map[uint32]bool // tags that must not be there
}

// header is an RPM header structure: a list of tags and a store that holds their
// data. Only the tags that its layout keeps are in memory.
type header struct {
	tags         map[uint32]values
	start, end   int64 // where it stands in the file
	sha1, sha256 string
	whole        bool // it has a region: those of RPM 3 do not
}

// values are the data of one tag.
type values struct {
	kind, count uint32
	data        string
}

// indexEntry says where in the store the data of a tag begins.
type indexEntry struct {
	tag, kind, offset, count uint32
	end                      uint32 // where the data of the next tag begins
}

var errTruncated = errors.New("it is cut off")

// readHeader reads the header at an offset of a file of some size. It checks what
// rpm checks, above all that no two tags share data: a header then says no more
// than its bytes do, and reading it takes time and memory in proportion to them.
func readHeader(r io.ReaderAt, offset, size int64, want layout) (*header, error) {
	intro := make([]byte, 16)
	if size-offset < int64(len(intro)) {
		return nil, errTruncated
	}
	if _, err := r.ReadAt(intro, offset); err != nil {
		return nil, err
	}
	if string(intro[:4]) != "\x8e\xad\xe8\x01" {
		return nil, errors.New("a header has no magic number")
	}
	tags, store := binary.BigEndian.Uint32(intro[8:]), binary.BigEndian.Uint32(intro[12:])
	if tags > want.tags || store > want.store {
		return nil, fmt.Errorf("a header says it has %d tags and %d bytes, more than %d and %d", tags, store, want.tags, want.store)
	}
	h := &header{tags: make(map[uint32]values), start: offset}
	data := offset + int64(len(intro)) + 16*int64(tags)
	h.end = data + int64(store)
	if h.end > size {
		return nil, errTruncated
	}
	if tags == 0 {
		return nil, errors.New("a header has no tags")
	}
	text := make([]byte, 16*tags)
	if _, err := r.ReadAt(text, offset+int64(len(intro))); err != nil {
		return nil, err
	}
	h.whole = binary.BigEndian.Uint32(text) == want.region
	index, err := want.index(text, io.NewSectionReader(r, data, int64(store)))
	if err != nil {
		return nil, err
	}
	sums := []hash.Hash{sha1.New(), sha256.New()}
	sum := io.MultiWriter(sums[0], sums[1])
	if _, err := sum.Write(slices.Concat(intro, text)); err != nil {
		return nil, err
	}
	if err := h.readStore(bufio.NewReaderSize(io.NewSectionReader(r, data, int64(store)), 64<<10), index, want.keep, sum); err != nil {
		return nil, err
	}
	h.sha1, h.sha256 = hex.EncodeToString(sums[0].Sum(nil)), hex.EncodeToString(sums[1].Sum(nil))
	return h, nil
}

// index reads and checks the list of tags, without the one of the region.
func (want layout) index(text []byte, store *io.SectionReader) ([]indexEntry, error) {
	index := make([]indexEntry, len(text)/16)
	for i := range index {
		e := text[16*i:]
		index[i] = indexEntry{tag: binary.BigEndian.Uint32(e), kind: binary.BigEndian.Uint32(e[4:]), offset: binary.BigEndian.Uint32(e[8:]), count: binary.BigEndian.Uint32(e[12:])}
	}
	size := uint32(store.Size())
	trailer, regionEnd := size, size
	if index[0].tag == want.region {
		if err := want.checkRegion(index[0], len(index), store); err != nil {
			return nil, err
		}
		trailer, regionEnd = index[0].offset, index[0].offset+regionSize
		index = index[1:]
	}
	for i := range index {
		e := &index[i]
		if e.end = size; i+1 < len(index) {
			e.end = index[i+1].offset
		}
		if e.offset < regionEnd {
			e.end = min(e.end, trailer)
		}
		if err := want.checkEntry(*e, size); err != nil {
			return nil, err
		}
	}
	if want.bound != nil {
		if err := want.bound(index); err != nil {
			return nil, err
		}
	}
	kept, err := want.kept(index)
	if err == nil && want.reserve != nil {
		err = want.reserve(store.Size(), kept)
	}
	return index, err
}

// regionSize is that of the region's data, which repeats its tag.
const regionSize = 16

// checkRegion compares the tag of the region with its data, the trailer.
func (want layout) checkRegion(e indexEntry, tags int, store *io.SectionReader) error {
	if e.kind != typeBinary || e.count != regionSize || int64(e.offset)+regionSize > store.Size() || want.exact && int64(e.offset)+regionSize != store.Size() {
		return errors.New("the region of a header is damaged")
	}
	trailer := make([]byte, regionSize)
	if _, err := store.ReadAt(trailer, int64(e.offset)); err != nil {
		return err
	}
	tag, length := binary.BigEndian.Uint32(trailer), -int32(binary.BigEndian.Uint32(trailer[8:]))
	image := want.region == regionSignatures && tag == regionImage // by very old rpm
	if tag != want.region && !image || binary.BigEndian.Uint32(trailer[4:]) != typeBinary || binary.BigEndian.Uint32(trailer[12:]) != regionSize ||
		length%16 != 0 || length < 0 || int(length/16) > tags || want.exact && int(length/16) != tags {
		return errors.New("the region of a header is damaged")
	}
	return nil
}

// firstTag is the lowest number of a tag that is no region.
const firstTag = 100

// checkEntry checks what an entry of the index says, as far as that can be done
// without the data.
func (want layout) checkEntry(e indexEntry, size uint32) error {
	if want.rejected[e.tag] {
		return fmt.Errorf("tag %d belongs into the signature header", e.tag)
	}
	if known, ok := want.types[e.tag]; ok && known != class(e.kind) {
		return fmt.Errorf("tag %d has type %d", e.tag, e.kind)
	}
	if e.tag < firstTag || e.tag > math.MaxInt32 || e.kind < typeChar || e.kind > typeI18NString {
		return fmt.Errorf("a header has tag %d of type %d", e.tag, e.kind)
	}
	if e.count == 0 || e.count > maxCount && e.kind != typeBinary {
		return fmt.Errorf("tag %d has %d values, and may have 1 to %d", e.tag, e.count, maxCount)
	}
	width := widths[e.kind]
	if e.offset > size || e.end < e.offset || width > 1 && int64(e.offset)%width != 0 || int64(e.count)*max(width, 1) > int64(e.end-e.offset) {
		return fmt.Errorf("the data of tag %d lie outside of the header or in those of another tag", e.tag)
	}
	if e.kind == typeString && e.count != 1 {
		return fmt.Errorf("tag %d has %d values, and may have 1", e.tag, e.count)
	}
	return nil
}

// kept are the bytes that the tags to keep take. Those that stand there twice are
// refused: rpm may take either.
func (want layout) kept(index []indexEntry) (kept int64, err error) {
	seen := make(map[uint32]bool, len(want.keep))
	for _, e := range index {
		if !want.keep[e.tag] {
			continue
		}
		if seen[e.tag] {
			return 0, fmt.Errorf("tag %d stands there twice", e.tag)
		}
		seen[e.tag] = true
		kept += int64(e.end - e.offset)
	}
	if kept > maxKept {
		return 0, fmt.Errorf("what is listed of it takes %d bytes, more than %d", kept, maxKept)
	}
	return kept, nil
}

// class is the type of a tag, where all types of strings are one.
func class(kind uint32) uint32 {
	if kind == typeStringArray || kind == typeI18NString {
		return typeString
	}
	return kind
}

// readStore reads the store from its beginning to its end: the data of the tags to
// keep, and of all others whether they have the strings that the index says.
func (h *header) readStore(r io.Reader, index []indexEntry, keep map[uint32]bool, sum io.Writer) error {
	r = io.TeeReader(r, sum)
	at := int64(0)
	for _, e := range index {
		if _, err := io.CopyN(io.Discard, r, int64(e.offset)-at); err != nil {
			return err
		}
		var data strings.Builder
		ends := &endCounter{}
		to := io.Writer(ends)
		if keep[e.tag] {
			data.Grow(int(e.end - e.offset))
			to = io.MultiWriter(&data, ends)
		}
		if _, err := io.CopyN(to, r, int64(e.end-e.offset)); err != nil {
			return err
		}
		if class(e.kind) == typeString && ends.n < int64(e.count) {
			return fmt.Errorf("tag %d has fewer than its %d strings", e.tag, e.count)
		}
		if keep[e.tag] {
			h.tags[e.tag] = values{e.kind, e.count, data.String()}
		}
		at = int64(e.end)
	}
	_, err := io.Copy(io.Discard, r)
	return err
}

// endCounter counts the ends of strings in what is written to it.
type endCounter struct{ n int64 }

func (c *endCounter) Write(p []byte) (int, error) {
	c.n += int64(bytes.Count(p, []byte{0}))
	return len(p), nil
}

func (h *header) has(tag uint32) bool { _, ok := h.tags[tag]; return ok }

// strings reads the values of a tag of strings one after the other.
func (h *header) strings(tag uint32) *stringReader {
	v := h.tags[tag]
	return &stringReader{v.count, v.data}
}

type stringReader struct {
	left uint32
	data string
}

// next is the next string; "" when there is none.
func (r *stringReader) next() (value string) {
	if r.left > 0 {
		r.left--
		value, r.data, _ = strings.Cut(r.data, "\x00")
	}
	return value
}

// string is the first value of a tag of strings, "" without it. Of texts in
// several languages that is the one of the C locale.
func (h *header) string(tag uint32) string { return h.strings(tag).next() }

func (h *header) count(tag uint32) int { return int(h.tags[tag].count) }

// number is one of the values of a tag of unsigned integers, 0 if it is not there.
func (h *header) number(tag uint32, i int) uint64 {
	v := h.tags[tag]
	if i >= int(v.count) {
		return 0
	}
	switch p := v.data[int64(i)*widths[v.kind]:]; v.kind {
	case typeInt16:
		return uint64(p[0])<<8 | uint64(p[1])
	case typeInt32:
		return uint64(p[0])<<24 | uint64(p[1])<<16 | uint64(p[2])<<8 | uint64(p[3])
	case typeInt64:
		return binary.BigEndian.Uint64([]byte(p[:8]))
	default:
		return uint64(p[0])
	}
}

// first is the first value of the first of some tags that is there.
func (h *header) first(tags ...uint32) (value uint64, ok bool) {
	for _, tag := range tags {
		if h.has(tag) {
			return h.number(tag, 0), true
		}
	}
	return 0, false
}
