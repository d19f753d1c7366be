package rpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	leadSize = 96
	// maxEntries and maxStore bound a header: its tags, and its data in bytes.
	// rpm itself allows 256 MiB, which nobody comes near.
	maxEntries = 0xffff
	maxStore   = 32 << 20
)

// The types of header data.
const (
	typeInt8        = 2
	typeInt16       = 3
	typeInt32       = 4
	typeInt64       = 5
	typeString      = 6
	typeBinary      = 7
	typeStringArray = 8
	typeI18NString  = 9
)

// header is an RPM header structure: tags, and a store that holds their data.
type header struct {
	index map[uint32]indexEntry
	store []byte
	start int64 // offset in the file
	end   int64
	raw   []byte // as it stands in the file
}

type indexEntry struct{ kind, offset, count uint32 }

var errTruncated = errors.New("it is cut off")

// readHeader reads the header at an offset of a file of some size.
func readHeader(r io.ReaderAt, offset, size int64) (*header, error) {
	intro := make([]byte, 16)
	if size-offset < int64(len(intro)) {
		return nil, errTruncated
	}
	if _, err := r.ReadAt(intro, offset); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if string(intro[:4]) != "\x8e\xad\xe8\x01" {
		return nil, errors.New("a header has no magic number")
	}
	entries, store := binary.BigEndian.Uint32(intro[8:]), binary.BigEndian.Uint32(intro[12:])
	if entries > maxEntries || store > maxStore {
		return nil, fmt.Errorf("a header says it has %d tags and %d bytes, more than %d and %d", entries, store, maxEntries, maxStore)
	}
	h := &header{index: make(map[uint32]indexEntry, entries), start: offset}
	h.end = offset + int64(len(intro)) + 16*int64(entries) + int64(store)
	if h.end > size {
		return nil, errTruncated
	}
	h.raw = make([]byte, h.end-offset)
	if _, err := r.ReadAt(h.raw, offset); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	h.store = h.raw[len(h.raw)-int(store):]
	for i := range int(entries) {
		e := h.raw[16+16*i:]
		tag := binary.BigEndian.Uint32(e)
		h.index[tag] = indexEntry{binary.BigEndian.Uint32(e[4:]), binary.BigEndian.Uint32(e[8:]), binary.BigEndian.Uint32(e[12:])}
	}
	return h, nil
}

func (h *header) has(tag uint32) bool { _, ok := h.index[tag]; return ok }

// data is what a tag's data begins with.
func (h *header) data(tag uint32) (e indexEntry, data []byte, err error) {
	e, ok := h.index[tag]
	if !ok {
		return e, nil, nil
	}
	if int64(e.offset) > int64(len(h.store)) {
		return e, nil, fmt.Errorf("the data of tag %d lies outside of the header", tag)
	}
	return e, h.store[e.offset:], nil
}

// strings are the values of a tag of strings. A missing tag has none.
func (h *header) strings(tag uint32) ([]string, error) {
	e, data, err := h.data(tag)
	if err != nil || data == nil {
		return nil, err
	}
	switch {
	case e.kind != typeString && e.kind != typeStringArray && e.kind != typeI18NString, e.kind == typeString && e.count != 1:
		return nil, fmt.Errorf("tag %d holds no strings", tag)
	case int64(e.count) > int64(len(data)): // each takes a byte at least
		return nil, fmt.Errorf("tag %d has more strings than fit", tag)
	}
	all := make([]string, 0, e.count)
	rest := string(data)
	for range e.count {
		value, after, ok := strings.Cut(rest, "\x00")
		if !ok {
			return nil, fmt.Errorf("a string of tag %d has no end", tag)
		}
		if !utf8.ValidString(value) {
			return nil, fmt.Errorf("tag %d is not UTF-8: %.60q", tag, value)
		}
		all = append(all, value)
		rest = after
	}
	return all, nil
}

// string is the first value of a tag of strings, "" without it. Of texts in
// several languages that is the one of the C locale.
func (h *header) string(tag uint32) (string, error) {
	all, err := h.strings(tag)
	if err != nil || len(all) == 0 {
		return "", err
	}
	return all[0], nil
}

// numbers are the values of a tag of unsigned integers.
func (h *header) numbers(tag uint32) ([]uint64, error) {
	e, data, err := h.data(tag)
	if err != nil || data == nil {
		return nil, err
	}
	width, ok := map[uint32]int64{typeInt8: 1, typeInt16: 2, typeInt32: 4, typeInt64: 8}[e.kind]
	if !ok || int64(e.count)*width > int64(len(data)) {
		return nil, fmt.Errorf("tag %d holds no %d numbers", tag, e.count)
	}
	all := make([]uint64, e.count)
	for i := range all {
		p := data[int64(i)*width:]
		switch width {
		case 1:
			all[i] = uint64(p[0])
		case 2:
			all[i] = uint64(binary.BigEndian.Uint16(p))
		case 4:
			all[i] = uint64(binary.BigEndian.Uint32(p))
		case 8:
			all[i] = binary.BigEndian.Uint64(p)
		}
	}
	return all, nil
}

// number is the first value of the first of some tags that is there.
func (h *header) number(tags ...uint32) (value uint64, ok bool, err error) {
	for _, tag := range tags {
		all, err := h.numbers(tag)
		if err != nil {
			return 0, false, err
		}
		if len(all) > 0 {
			return all[0], true, nil
		}
	}
	return 0, false, nil
}
