package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"packagecloud/internal/blob"
	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/index"
	"packagecloud/internal/repo"
)

const (
	// wholePlain is the size from which the plain form of a document is not
	// stored as an object of its own: hardly any client wants it, and it would
	// be a large copy for each generation. It is made when somebody asks.
	wholePlain = 5 << 20
	// recentBytes bounds the segments of one publication that are kept in
	// memory to be composed of; further ones are read back.
	recentBytes = 16 << 20
	// composing is how many objects are composed at the same time.
	composing = 4
)

// whole is a form of a document that is to be stored as one object, because
// clients fetch it from the store itself.
type whole struct {
	key        string
	parts      []blob.Part
	attributes blob.Attributes
}

// wholes plans the objects of the forms of a document that was rendered.
func (g *generation) wholes(ctx context.Context, tx *db.Tx, d *document, u *index.Update, store *recent) error {
	for i := range g.files {
		f := &g.files[i]
		if f.DocumentID != d.row.ID || f.Encoding == format.Plain && f.Size >= wholePlain {
			continue
		}
		p, err := g.pieces(ctx, tx, d, u, f.Encoding, store)
		if err != nil {
			return fmt.Errorf("compose %s: %w", f.Path, err)
		}
		f.Object = repo.IndexKey(f.SHA256, g.objectName(path.Base(f.Path)))
		g.compose = append(g.compose, whole{f.Object, p.parts, Attributes(*f)})
	}
	return nil
}

// compressed are the types of the compressed forms.
var compressed = [format.Encodings]string{format.Gzip: "application/gzip", format.Zstd: "application/zstd"}

// contentType is that of a form of a document.
func contentType(d format.Document, e format.Encoding) string {
	if e == format.Plain {
		return d.ContentType
	}
	return compressed[e]
}

// Attributes are those of a file of a generation that is an object.
func Attributes(f db.File) blob.Attributes {
	return blob.Attributes{ContentType: f.ContentType, Class: blob.Index}
}

// pieces are the pieces of a form of a document, one after the other: ranges
// of the object that the live generation has, and segments.
type pieces struct {
	old   string // key of the live object, "" if there is none
	parts []blob.Part
}

func (g *generation) pieces(ctx context.Context, tx *db.Tx, d *document, u *index.Update, e format.Encoding, store *recent) (*pieces, error) {
	p := new(pieces)
	live, err := tx.LiveFile(ctx, g.scope.ID, d.Name+e.Suffix())
	if err != nil && !errors.Is(err, repo.ErrNotFound) {
		return nil, err
	}
	p.old = live.Object
	if !u.Whole {
		if err := g.prefix(ctx, tx, d, u, e, p, store); err != nil {
			return nil, err
		}
	}
	retired := make(map[int64]bool, len(d.outcome.Retired))
	for _, first := range d.outcome.Retired {
		retired[first] = true
	}
	added := slices.Clone(d.outcome.Added)
	slices.SortFunc(added, func(a, b index.Segment) int { return cmp.Compare(a.First, b.First) })
	for _, s := range u.Live {
		if retired[s.First] {
			continue
		}
		for len(added) > 0 && added[0].First < s.First {
			if err := p.segment(ctx, added[0], e, store); err != nil {
				return nil, err
			}
			added = added[1:]
		}
		// Where the tail starts is not recorded.
		if p.old != "" && s.First != index.TailFirst {
			p.copied(s.Start.Offset[e], s.Size[e])
		} else if err := p.segment(ctx, s, e, store); err != nil {
			return nil, err
		}
	}
	for _, s := range added {
		if err := p.segment(ctx, s, e, store); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// prefix puts what comes before the segments that were loaded.
func (g *generation) prefix(ctx context.Context, tx *db.Tx, d *document, u *index.Update, e format.Encoding, p *pieces, store *recent) error {
	if p.old != "" {
		p.copied(0, u.Live[0].Start.Offset[e])
		return nil
	}
	// The live generation was not published to this store, or not as a whole.
	segments, err := tx.Segments(ctx, d.row.ID, g.scope.Generation)
	if err != nil {
		return err
	}
	for _, s := range segments {
		if s.First >= u.Live[0].First {
			break
		}
		if err := p.segment(ctx, s, e, store); err != nil {
			return err
		}
	}
	return nil
}

// copied puts a range of the live object.
func (p *pieces) copied(offset, size int64) {
	if size == 0 {
		return
	}
	if n := len(p.parts); n > 0 {
		if last := &p.parts[n-1]; last.Key == p.old && last.Offset+last.Size == offset {
			last.Size += size
			return
		}
	}
	p.parts = append(p.parts, blob.Part{Key: p.old, Offset: offset, Size: size})
}

// segment puts one form of a segment: its bytes if they are at hand, or else
// the range of its object.
func (p *pieces) segment(ctx context.Context, s index.Segment, e format.Encoding, store *recent) error {
	if s.Size[e] == 0 {
		return nil
	}
	if s.Object != "" && e != format.Plain && !store.has(s.Object) {
		offset := int64(0)
		if e == format.Zstd {
			offset = s.Size[format.Gzip] // the object is the gzip member, then the zstd frame
		}
		p.parts = append(p.parts, blob.Part{Key: s.Object, Offset: offset, Size: s.Size[e]})
		return nil
	}
	body, err := io.ReadAll(index.NewDocument(e, []index.Segment{s}).Reader(ctx, store))
	if err != nil {
		return err
	}
	p.parts = append(p.parts, blob.Part{Size: int64(len(body)), Body: body})
	return nil
}

// storeWholes stores what wholes planned.
func (g *generation) storeWholes(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(composing)
	for _, w := range g.compose {
		all.Go(func() error {
			if err := g.composer.Compose(ctx, w.key, w.parts, w.attributes); err != nil {
				return fmt.Errorf("store %s: %w", w.key, err)
			}
			return nil
		})
	}
	return all.Wait()
}

// recent is an index.Store that remembers the segments it has just stored.
type recent struct {
	Segments
	mu     sync.Mutex
	size   int
	bodies map[string][]byte
}

// Put implements index.Store.
func (r *recent) Put(ctx context.Context, key string, body []byte) error {
	if err := r.Segments.Put(ctx, key, body); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.size += len(body); r.size <= recentBytes {
		if r.bodies == nil {
			r.bodies = make(map[string][]byte)
		}
		r.bodies[key] = body
	}
	return nil
}

// Get implements index.Store.
func (r *recent) Get(ctx context.Context, key string, offset, n int64) ([]byte, error) {
	r.mu.Lock()
	body, ok := r.bodies[key]
	r.mu.Unlock()
	if ok {
		return body[offset : offset+n], nil
	}
	return r.Segments.Get(ctx, key, offset, n)
}

func (r *recent) has(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.bodies[key]
	return ok
}
