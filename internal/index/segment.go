package index

import (
	"context"
	"fmt"
	"slices"

	"packagecloud/internal/format"
)

// newSegment describes a segment of the given forms that begins at start. Its
// bytes are in Inline.
func newSegment(first, entries int64, forms [format.Encodings][]byte, start Mark) Segment {
	s := Segment{First: first, Entries: entries, Start: start}
	for e, b := range forms {
		s.Size[e] = int64(len(b))
	}
	s.Inline = slices.Concat(forms[format.Gzip], forms[format.Zstd])
	return s
}

// read gives n bytes of the segment's gzip member and zstd frame.
func (s *Segment) read(ctx context.Context, store Store, offset, n int64) ([]byte, error) {
	if s.Object == "" {
		if int64(len(s.Inline)) < offset+n {
			return nil, fmt.Errorf("segment at %d has %d bytes inline, fewer than %d", s.First, len(s.Inline), offset+n)
		}
		return s.Inline[offset : offset+n], nil
	}
	body, err := store.Get(ctx, s.Object, offset, n)
	if err != nil {
		return nil, fmt.Errorf("read segment: %w", err)
	}
	return body, nil
}

// form reads one form of the segment.
func (s *Segment) form(ctx context.Context, store Store, e format.Encoding) ([]byte, error) {
	offset, n := s.span(e)
	body, err := s.read(ctx, store, offset, n)
	if err != nil || e != format.Plain {
		return body, err
	}
	return s.decode(body)
}

// span is where the segment's object has a form: the plain one is kept as zstd.
func (s *Segment) span(e format.Encoding) (offset, n int64) {
	if e == format.Gzip {
		return 0, s.Size[format.Gzip]
	}
	return s.Size[format.Gzip], s.Size[format.Zstd]
}

// forms reads all forms of the segment.
func (s *Segment) forms(ctx context.Context, store Store) (f [format.Encodings][]byte, err error) {
	gz, zst := s.Size[format.Gzip], s.Size[format.Zstd]
	object, err := s.read(ctx, store, 0, gz+zst)
	if err != nil {
		return f, err
	}
	f[format.Gzip], f[format.Zstd] = object[:gz], object[gz:]
	f[format.Plain], err = s.decode(f[format.Zstd])
	return f, err
}

func (s *Segment) decode(frame []byte) ([]byte, error) {
	text, err := decode(frame, s.Size[format.Plain])
	if err != nil {
		return nil, fmt.Errorf("segment %s at %d: %w", s.Object, s.First, err)
	}
	return text, nil
}
