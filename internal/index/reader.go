package index

import (
	"context"
	"errors"
	"io"
	"sort"

	"packagecloud/internal/format"
)

// Document is a rendered document in one encoding, to be read.
type Document struct {
	Encoding format.Encoding
	segments []Segment
	ends     []int64 // offset behind each segment
}

// NewDocument puts a document together from all of its segments in order.
func NewDocument(e format.Encoding, segments []Segment) *Document {
	d := &Document{Encoding: e, segments: segments, ends: make([]int64, len(segments))}
	var end int64
	for i, s := range segments {
		end += s.Size[e]
		d.ends[i] = end
	}
	return d
}

// Size is the document's length in bytes.
func (d *Document) Size() int64 {
	if len(d.ends) == 0 {
		return 0
	}
	return d.ends[len(d.ends)-1]
}

// Reader reads the document from store. It reads one segment at a time and
// keeps no more than that.
func (d *Document) Reader(ctx context.Context, store Store) *Reader {
	return &Reader{ctx: ctx, doc: d, store: store, held: -1}
}

// Ahead reads the first segment that is an object, in one encoding, and returns a
// store that has it at hand. What is wrong with the store is known then before an
// answer begins that cannot be taken back.
func (d *Document) Ahead(ctx context.Context, store Store, e format.Encoding) (Store, error) {
	for i := range d.segments {
		s := &d.segments[i]
		if s.Object == "" {
			continue
		}
		offset, n := s.span(e)
		body, err := s.read(ctx, store, offset, n)
		return &ahead{Store: store, key: s.Object, offset: offset, body: body}, err
	}
	return store, nil
}

// ahead is a store of which a part of one object was read.
type ahead struct {
	Store
	key    string
	offset int64
	body   []byte
}

// Get implements Store.
func (a *ahead) Get(ctx context.Context, key string, offset, n int64) ([]byte, error) {
	if key == a.key && offset == a.offset && n == int64(len(a.body)) {
		return a.body, nil
	}
	return a.Store.Get(ctx, key, offset, n)
}

// Reader is an io.ReadSeeker over a Document. It must not be used by several
// goroutines at once, nor after its context has ended.
type Reader struct {
	ctx   context.Context // of the request that is being answered
	doc   *Document
	store Store
	at    int64

	held int // number of the segment in body, -1 for none
	body []byte
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	i := sort.Search(len(r.doc.ends), func(i int) bool { return r.doc.ends[i] > r.at })
	if i == len(r.doc.ends) {
		return 0, io.EOF
	}
	if err := r.load(i); err != nil {
		return 0, err
	}
	start := r.doc.ends[i] - int64(len(r.body))
	n := copy(p, r.body[r.at-start:])
	r.at += int64(n)
	return n, nil
}

// Seek implements io.Seeker.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	return seek(&r.at, r.doc.Size(), offset, whence)
}

// seek moves a position in a document of a size, as io.Seeker says.
func seek(at *int64, size, offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += *at
	case io.SeekEnd:
		offset += size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start of a document")
	}
	*at = offset
	return offset, nil
}

// load makes segment i the one that is held.
func (r *Reader) load(i int) (err error) {
	if r.held == i {
		return nil
	}
	if r.body, err = r.doc.segments[i].form(r.ctx, r.store, r.doc.Encoding); err != nil {
		r.held = -1
		return err
	}
	r.held = i
	return nil
}
