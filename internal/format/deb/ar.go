package deb

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	arMagic      = "!<arch>\n"
	arHeaderSize = 60
	// maxMembers bounds the members of an archive. A package has three;
	// signatures may follow.
	maxMembers = 100
)

// member is a file in an ar archive (deb(5), "the common ar format").
type member struct {
	name         string
	offset, size int64
}

// members reads the table of an archive. It fails unless every member lies
// wholly within the archive and nothing else does.
func members(r io.ReaderAt, size int64) (all []member, err error) {
	offset := int64(len(arMagic))
	for offset < size {
		if len(all) == maxMembers {
			return nil, fmt.Errorf("it has more than %d members", maxMembers)
		}
		m, err := readHeader(r, offset, size)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
		offset = m.offset + m.size
		if offset%2 == 1 { // a newline pads to an even offset; at the end it may be missing
			offset++
		}
	}
	return all, nil
}

var errTruncated = errors.New("it is cut off")

func readHeader(r io.ReaderAt, offset, size int64) (member, error) {
	if size-offset < arHeaderSize {
		return member{}, errTruncated
	}
	header := make([]byte, arHeaderSize)
	if _, err := r.ReadAt(header, offset); err != nil {
		return member{}, fmt.Errorf("read: %w", err)
	}
	if string(header[58:]) != "`\n" {
		return member{}, fmt.Errorf("the member at %d has no ar header", offset)
	}
	m := member{name: strings.TrimSuffix(strings.TrimRight(string(header[:16]), " "), "/"), offset: offset + arHeaderSize}
	// dpkg passes over blanks, and reads as far as the next.
	digits, _, _ := strings.Cut(strings.TrimLeft(string(header[48:58]), " "), " ")
	length, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return member{}, fmt.Errorf("the member %q has no size", m.name)
	}
	m.size = int64(length)
	if m.size > size-m.offset {
		return member{}, fmt.Errorf("its member %q says it has %d bytes, and %d follow: %w", m.name, m.size, size-m.offset, errTruncated)
	}
	return m, nil
}
