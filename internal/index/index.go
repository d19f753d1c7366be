// Package index is the segment engine: it turns the entries of a document
// into compressed, hashed bytes at a cost that follows the change and not the
// length of the document.
//
// A document is a row of segments. A segment holds the entries whose ids lie
// in a range, about TargetSize bytes of text, as one gzip member and one zstd
// frame; members and frames may be concatenated, so a document's compressed
// forms are those of its segments one after the other. With each segment is
// kept the Mark where it starts: offsets and the states of the running
// SHA-256 sums. Adding an entry therefore renders and compresses the last
// segment and hashes on from its Mark; nothing before it is read. A removal
// renders its own segment, and hashes what follows again.
//
// Which ids exist and what their texts are is the caller's: what a segment
// says is a pure function of its range and of the entries in it.
package index

import (
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"fmt"
	"hash"
	"math"

	"packagecloud/internal/format"
)

// TargetSize is the text of a full segment, in bytes. One gzip member per
// 256 KiB costs 1.2 % in size against a single stream.
const TargetSize = 256 << 10

// Ids that mark the two segments outside the entries: what a frame puts
// before and after them. Entry ids lie strictly between.
const (
	HeadFirst int64 = math.MinInt64
	TailFirst int64 = math.MaxInt64
)

// inlineLimit is the encoded size up to which a segment is kept with its row
// and not as an object: heads, tails and the listing of nearly nothing.
const inlineLimit = 1 << 10

// Segment is a run of entries of a document, rendered.
type Segment struct {
	// First is the lowest id that belongs to the segment; the next segment's
	// First ends it. Ids below the first segment's First belong to that one.
	First   int64
	Entries int64
	Size    [format.Encodings]int64 // bytes in each encoding

	// Object is the storage key of the gzip member followed by the zstd
	// frame. It is "" if Inline has them.
	Object string
	Inline []byte

	Start Mark // where it begins in the live generation; not kept for the tail
}

// Mark is a position in a document: everything before it, summed up.
type Mark struct {
	Entries int64
	Offset  [format.Encodings]int64
	// State has the SHA-256 of the bytes before, to be resumed; nil at the
	// very start.
	State [format.Encodings][]byte
}

// Store keeps segment objects. Put is durable before it returns.
type Store interface {
	Put(ctx context.Context, key string, body []byte) error
	// Get reads n bytes of an object from offset on.
	Get(ctx context.Context, key string, offset, n int64) ([]byte, error)
}

// sums are the running hashes and lengths of all encodings of a document.
type sums struct {
	entries int64
	offset  [format.Encodings]int64
	hash    [format.Encodings]hash.Hash
}

func resume(m Mark) (*sums, error) {
	s := &sums{entries: m.Entries, offset: m.Offset}
	for e := range s.hash {
		s.hash[e] = sha256.New()
		if m.State[e] == nil {
			continue
		}
		if err := s.hash[e].(encoding.BinaryUnmarshaler).UnmarshalBinary(m.State[e]); err != nil {
			return nil, fmt.Errorf("resume the hash of the %s form: %w", format.Encoding(e).Suffix(), err)
		}
	}
	return s, nil
}

// mark is where the next segment starts.
func (s *sums) mark() (Mark, error) {
	m := Mark{Entries: s.entries, Offset: s.offset}
	if s.offset == ([format.Encodings]int64{}) {
		return m, nil
	}
	for e, h := range s.hash {
		state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			return Mark{}, fmt.Errorf("save the hash of the %s form: %w", format.Encoding(e).Suffix(), err)
		}
		m.State[e] = state
	}
	return m, nil
}

func (s *sums) add(entries int64, forms [format.Encodings][]byte) {
	s.entries += entries
	for e, b := range forms {
		s.offset[e] += int64(len(b))
		s.hash[e].Write(b)
	}
}

func (s *sums) forms() (f [format.Encodings]format.Form) {
	for e, h := range s.hash {
		f[e] = format.Form{SHA256: hex.EncodeToString(h.Sum(nil)), Size: s.offset[e]}
	}
	return f
}
