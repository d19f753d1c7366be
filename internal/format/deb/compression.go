package deb

import (
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"

	"packagecloud/internal/format"
)

// maxDictionary is the most memory that a compressed stream may ask for: that
// of xz -9.
const maxDictionary = 64 << 20

// decompress opens one of the compressions of a control member (deb(5)). A
// decoder takes as much memory as the stream says that it needs, before it has
// read a byte of data: that is asked for first.
func decompress(suffix string, packed *io.SectionReader, reserve func(int64) error) (r io.Reader, closer func(), err error) {
	nothing := func() {}
	switch suffix {
	case "":
		return packed, nothing, nil
	case ".gz":
		r, err = gzip.NewReader(packed)
		return r, nothing, err
	case ".xz":
		dictionary := xzDictionary(packed)
		if err := reserve(dictionary); err != nil {
			return nil, nothing, err
		}
		x, err := xz.NewReader(packed, uint32(dictionary))
		if err != nil {
			return nil, nothing, err
		}
		x.Multistream(false) // as dpkg
		return x, nothing, nil
	case ".zst":
		window := zstdWindow(packed)
		if err := reserve(window); err != nil {
			return nil, nothing, err
		}
		d, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(uint64(window)))
		if err != nil {
			return nil, nothing, err
		}
		return d, d.Close, nil
	}
	return nil, nothing, fmt.Errorf("the compression %q is none of gz, xz and zst", suffix)
}

// zstdWindow is the window of the first frame, and what needs no asking at least:
// maxDictionary if the frame says none, or more.
func zstdWindow(packed io.ReaderAt) int64 {
	head := make([]byte, zstd.HeaderMaxSize)
	n, _ := packed.ReadAt(head, 0) // a failure is seen when the stream is read
	var h zstd.Header
	if err := h.Decode(head[:n]); err != nil || h.Skippable {
		return maxDictionary
	}
	window := h.WindowSize
	if h.SingleSegment {
		window = h.FrameContentSize
	}
	return int64(min(max(window, format.UnaskedMemory), maxDictionary))
}

// xzDictionary is the dictionary that the first block asks for: maxDictionary if
// it says none, or more. Blocks that ask for more than the first are refused by
// the decoder (The .xz File Format, 1.2.1, sections 3.1 and 5.3.1).
func xzDictionary(packed io.ReaderAt) int64 {
	const header, lzma2 = 12, 0x21
	head := make([]byte, header+1024)
	n, _ := packed.ReadAt(head, 0)
	if n < header+2 {
		return maxDictionary
	}
	flags, rest := head[header+1], head[header+2:n]
	next := func() uint64 {
		v, length := binary.Uvarint(rest)
		rest = rest[max(length, 0):]
		return v
	}
	for _, present := range []byte{0x40, 0x80} { // the two sizes
		if flags&present != 0 {
			next()
		}
	}
	for range flags&3 + 1 {
		id, size := next(), next()
		if size == 0 && id != lzma2 {
			continue
		}
		if size > uint64(len(rest)) || len(rest) == 0 {
			break
		}
		if bits := rest[0]; id == lzma2 && bits <= 40 {
			return min(int64(2|bits&1)<<(bits/2+11), maxDictionary)
		}
		rest = rest[size:]
	}
	return maxDictionary
}
