package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sort"

	"packagecloud/internal/format"
)

// A gzip member of a segment is a header without fields, blocks that end on a
// byte, an empty last block, and the trailer (RFC 1952, 2.3).
const (
	gzipHeader  = 10
	gzipTrailer = 8
)

// lastBlock is an empty block with fixed codes, which is the last one of a
// member that was flushed before it was closed (RFC 1951, 3.2.6).
var lastBlock = []byte{3, 0}

// Single is the gzip form of a document as one member. What is sent as a
// Content-Encoding must be: uv, and curl with all that is made with it, read no
// more.
//
// It has the blocks of the segments' members, one after the other, and the
// checksum made of theirs.
type Single struct {
	segments []Segment
	ends     []int64 // offset behind the blocks of each segment
}

// Single is the document in gzip, as one member.
func (d *Document) Single() *Single {
	s := &Single{segments: d.segments, ends: make([]int64, len(d.segments))}
	end := int64(gzipHeader)
	for i, g := range d.segments {
		end += g.Size[format.Gzip] - gzipHeader - int64(len(lastBlock)) - gzipTrailer
		s.ends[i] = end
	}
	return s
}

// Size is its length in bytes.
func (s *Single) Size() int64 {
	end := int64(gzipHeader)
	if n := len(s.ends); n > 0 {
		end = s.ends[n-1]
	}
	return end + int64(len(lastBlock)) + gzipTrailer
}

// Reader reads it from store, a segment at a time.
func (s *Single) Reader(ctx context.Context, store Store) *SingleReader {
	return &SingleReader{ctx: ctx, single: s, store: store, held: -1, sums: make([]uint32, len(s.segments)), known: make([]bool, len(s.segments))}
}

// SingleReader is an io.ReadSeeker over a Single. It must not be used by several
// goroutines at once, nor after its context has ended.
type SingleReader struct {
	ctx    context.Context // of the request that is being answered
	single *Single
	store  Store
	at     int64

	held  int // number of the segment in body, -1 for none
	body  []byte
	sums  []uint32 // CRC-32 of the text of each segment
	known []bool
}

// Seek implements io.Seeker.
func (r *SingleReader) Seek(offset int64, whence int) (int64, error) {
	return seek(&r.at, r.single.Size(), offset, whence)
}

// Read implements io.Reader.
func (r *SingleReader) Read(p []byte) (int, error) {
	ends := r.single.ends
	i := sort.Search(len(ends), func(i int) bool { return ends[i] > r.at })
	var from []byte
	var start int64
	switch {
	case r.at < gzipHeader:
		from = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}
	case i < len(ends):
		if err := r.load(i); err != nil {
			return 0, err
		}
		from, start = r.body, ends[i]-int64(len(r.body))
	default:
		var err error
		if from, err = r.tail(); err != nil {
			return 0, err
		}
		start = r.single.Size() - int64(len(from))
	}
	if r.at-start >= int64(len(from)) {
		return 0, io.EOF
	}
	n := copy(p, from[r.at-start:])
	r.at += int64(n)
	return n, nil
}

// load makes segment i the one whose blocks are held.
func (r *SingleReader) load(i int) error {
	if r.held == i {
		return nil
	}
	r.held = -1
	member, err := r.single.segments[i].form(r.ctx, r.store, format.Gzip)
	if err != nil {
		return err
	}
	end := len(member) - gzipTrailer - len(lastBlock)
	if end < gzipHeader || member[3] != 0 || !bytes.Equal(member[end:end+len(lastBlock)], lastBlock) {
		return fmt.Errorf("segment %d cannot be joined with others: run packagecloud-ctl reindex-everything", r.single.segments[i].First)
	}
	r.body, r.held = member[gzipHeader:end], i
	r.sums[i], r.known[i] = binary.LittleEndian.Uint32(member[len(member)-gzipTrailer:]), true
	return nil
}

// tail is what stands behind the blocks of all segments.
func (r *SingleReader) tail() ([]byte, error) {
	var sum uint32
	var size int64
	for i, g := range r.single.segments {
		if !r.known[i] {
			if err := r.load(i); err != nil {
				return nil, err
			}
		}
		sum = joinSums(sum, r.sums[i], g.Size[format.Plain])
		size += g.Size[format.Plain]
	}
	tail := bytes.Clone(lastBlock)
	tail = binary.LittleEndian.AppendUint32(tail, sum)
	return binary.LittleEndian.AppendUint32(tail, uint32(size)), nil
}

// joinSums is the CRC-32 of two texts one after the other, given their own and
// the length of the second: the first is multiplied by x to the number of bits
// that follow it, modulo the polynomial. Bit 31 is x to the power of 0, as in
// zlib's crc32_combine.
func joinSums(first, second uint32, length int64) uint32 {
	shift, power := uint32(1)<<31, uint32(1)<<23 // 1, and x^8: a byte
	for ; length > 0; length >>= 1 {
		if length&1 != 0 {
			shift = multiply(shift, power)
		}
		power = multiply(power, power)
	}
	return multiply(shift, first) ^ second
}

// multiply multiplies polynomials modulo that of IEEE's CRC-32.
func multiply(a, b uint32) (product uint32) {
	const ieee = 0xedb88320
	for bit := uint32(1) << 31; bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		carry := b&1 != 0
		if b >>= 1; carry {
			b ^= ieee
		}
	}
	return product
}
