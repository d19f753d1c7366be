package rpmtest

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
)

// The types of header data.
const (
	Int8        = 2
	Int16       = 3
	Int32       = 4
	Int64       = 5
	String      = 6
	Binary      = 7
	StringArray = 8
	I18NString  = 9
)

// Raw is a package as its headers say it, right or wrong. Build computes digests,
// sizes and regions, so that what is odd is only what a test makes odd.
type Raw struct {
	Signature []Tag // beside those that Build computes
	Header    []Tag
	Payload   []byte
	NoRegion  bool // as packages of RPM 3
}

// Tag is an entry of a header.
type Tag struct {
	Tag, Type, Count uint32
	Data             []byte
	Shared           bool // its data are those of the entry before it
}

// Strings is a tag of some strings.
func Strings(tag uint32, all ...string) Tag {
	return Tag{Tag: tag, Type: StringArray, Count: uint32(len(all)), Data: []byte(strings.Join(all, "\x00") + "\x00")}
}

// Text is a tag of one string.
func Text(tag uint32, s string) Tag {
	return Tag{Tag: tag, Type: String, Count: 1, Data: []byte(s + "\x00")}
}

// Numbers is a tag of numbers of a type.
func Numbers(tag, kind uint32, all ...uint64) Tag {
	t := Tag{Tag: tag, Type: kind, Count: uint32(len(all))}
	for _, n := range all {
		switch kind {
		case Int16:
			t.Data = binary.BigEndian.AppendUint16(t.Data, uint16(n))
		case Int32:
			t.Data = binary.BigEndian.AppendUint32(t.Data, uint32(n))
		case Int64:
			t.Data = binary.BigEndian.AppendUint64(t.Data, n)
		default:
			t.Data = append(t.Data, byte(n))
		}
	}
	return t
}

// The tags that say whether a header is whole.
const (
	regionSignatures = 62
	regionImmutable  = 63
	regionSize       = 16
)

// The tags of the signature header that Build computes.
const (
	sigSHA1   = 269
	sigSHA256 = 273
	sigSize   = 1000
	sigMD5    = 1004
)

// Raw is the package as its headers say it.
func (p Package) Raw() Raw { return Read(p.Build()) }

// Read takes a package apart that somebody else built.
func Read(body []byte) Raw {
	const leadSize = 96
	var r Raw
	tags, end := readHeader(body, leadSize)
	r.Signature = slices.DeleteFunc(tags, func(t Tag) bool {
		return slices.Contains([]uint32{regionSignatures, sigSHA1, sigSHA256, sigSize, sigMD5}, t.Tag)
	})
	tags, end = readHeader(body, end+(8-end%8)%8)
	r.Header = slices.DeleteFunc(tags, func(t Tag) bool { return t.Tag == regionImmutable })
	r.Payload = body[end:]
	return r
}

func readHeader(body []byte, at int) (tags []Tag, end int) {
	number := func(i int) uint32 { return binary.BigEndian.Uint32(body[i:]) }
	n, size := int(number(at+8)), int(number(at+12))
	store := body[at+16+16*n:][:size]
	for i := range n {
		e := at + 16 + 16*i
		t := Tag{Tag: number(e), Type: number(e + 4), Count: number(e + 12)}
		t.Data = store[number(e+8):][:length(t, store[number(e+8):])]
		tags = append(tags, t)
	}
	return tags, at + 16 + 16*n + size
}

// length is that of a tag's data, which stand at the beginning of a store.
func length(t Tag, store []byte) (n int) {
	switch t.Type {
	case String, StringArray, I18NString:
		for range t.Count {
			n += bytes.IndexByte(store[n:], 0) + 1
		}
		return n
	default:
		return int(t.Count) * width(t.Type)
	}
}

func width(kind uint32) int {
	switch kind {
	case Int16:
		return 2
	case Int32:
		return 4
	case Int64:
		return 8
	default:
		return 1
	}
}

// Set puts tags in place of those with their numbers, in the order of numbers.
func (r *Raw) Set(tags ...Tag) {
	for _, t := range tags {
		r.Remove(t.Tag)
		r.Header = append(r.Header, t)
	}
	slices.SortStableFunc(r.Header, func(a, b Tag) int { return int(a.Tag) - int(b.Tag) })
}

// Remove takes tags out.
func (r *Raw) Remove(tags ...uint32) {
	r.Header = slices.DeleteFunc(slices.Clone(r.Header), func(t Tag) bool { return slices.Contains(tags, t.Tag) })
}

// Get is a tag of the header; nil if it is not there.
func (r *Raw) Get(tag uint32) *Tag {
	for i := range r.Header {
		if r.Header[i].Tag == tag {
			return &r.Header[i]
		}
	}
	return nil
}

// Build makes the package.
func (r Raw) Build() []byte {
	header := writeHeader(r.Header, regionImmutable, r.NoRegion)
	sum1, sum256 := sha1.Sum(header), sha256.Sum256(header)
	md := md5.New()
	md.Write(header)
	md.Write(r.Payload)
	signature := append([]Tag{
		Text(sigSHA1, hex.EncodeToString(sum1[:])),
		Text(sigSHA256, hex.EncodeToString(sum256[:])),
		Numbers(sigSize, Int32, uint64(len(header)+len(r.Payload))),
		{Tag: sigMD5, Type: Binary, Count: md5.Size, Data: md.Sum(nil)},
	}, r.Signature...)
	slices.SortStableFunc(signature, func(a, b Tag) int { return int(a.Tag) - int(b.Tag) })
	b := append([]byte("\xed\xab\xee\xdb\x03\x00\x00\x00\x00\x01"), make([]byte, 66)...)
	b = append(b, 0, 1, 0, 5)
	b = append(b, make([]byte, 16)...)
	b = append(b, writeHeader(signature, regionSignatures, false)...)
	b = append(b, make([]byte, (8-len(b)%8)%8)...)
	return slices.Concat(b, header, r.Payload)
}

func writeHeader(tags []Tag, region uint32, without bool) []byte {
	var index, store []byte
	entry := func(tag, kind, offset, count uint32) {
		for _, n := range []uint32{tag, kind, offset, count} {
			index = binary.BigEndian.AppendUint32(index, n)
		}
	}
	last := 0
	for _, t := range tags {
		if !t.Shared {
			store = append(store, make([]byte, (width(t.Type)-len(store)%width(t.Type))%width(t.Type))...)
			last = len(store)
			store = append(store, t.Data...)
		}
		entry(t.Tag, t.Type, uint32(last), t.Count)
	}
	if !without {
		rest := index
		index = nil
		entry(region, Binary, uint32(len(store)), regionSize)
		size := int32(len(index) + len(rest))
		index = append(index, rest...)
		for _, n := range []uint32{region, Binary, uint32(-size), regionSize} {
			store = binary.BigEndian.AppendUint32(store, n)
		}
	}
	h := []byte("\x8e\xad\xe8\x01\x00\x00\x00\x00")
	h = binary.BigEndian.AppendUint32(h, uint32(len(index)/16))
	h = binary.BigEndian.AppendUint32(h, uint32(len(store)))
	return slices.Concat(h, index, store)
}
