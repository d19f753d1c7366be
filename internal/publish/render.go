package publish

import (
	"context"
	"fmt"
	"slices"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/index"
)

// exactHead is the size of a document, in bytes of text, up to which it is
// hashed anew from its start when its head has to say another number of
// packages. In a larger one the head keeps the number that it was last rendered
// with: the cost must follow the change, and no client looks at that number.
const exactHead = 4 << 20

// update renders a document if the changes touch it.
func (g *generation) update(ctx context.Context, tx *db.Tx, d *document) error {
	d.source = g.sourceOf(tx, d)
	u := index.Update{
		Touched: d.source.touched(g),
		Rebuild: d.row.ChangedAt.IsZero() || g.rebuilds(d),
		Key: func(first int64) string {
			return fmt.Sprintf("segments/%d/%d-%d-%s", d.row.ID, g.number, first, g.lease[:8])
		},
	}
	if len(u.Touched) == 0 && !u.Rebuild && !g.reframes(d) {
		return nil
	}
	if g.named != nil && !d.Names {
		total, err := d.source.count(ctx)
		if err != nil {
			return err
		}
		if total == 0 {
			return g.vanish(ctx, tx, d)
		}
		u.Rebuild = u.Rebuild || d.row.Entries == 0 // it had vanished
	}
	f, err := g.framing(ctx, tx, d, &u)
	if err != nil {
		return err
	}
	if err := g.load(ctx, tx, d, f, &u); err != nil {
		return err
	}
	store := &recent{Segments: Segments{g.Blobs}}
	outcome, err := u.Run(ctx, store)
	if err != nil {
		return err
	}
	d.outcome = outcome
	d.row.Entries, d.row.Forms, d.row.ChangedAt = outcome.Entries+f.kept(), outcome.Forms, g.now
	for _, e := range d.Encodings {
		form := outcome.Forms[e]
		g.files = append(g.files, db.File{
			ScopeID: g.scope.ID, Path: d.Name + e.Suffix(), Generation: g.number, SHA256: form.SHA256, Size: form.Size,
			CreatedAt: g.now, DocumentID: d.row.ID, Encoding: e, ContentType: contentType(d.Document, e),
		})
	}
	// Those of one name become objects when somebody asks for them.
	if g.composer == nil || g.named != nil {
		return nil
	}
	return g.wholes(ctx, tx, d, &u, store)
}

// rebuilds reports whether a document is to be rendered from the rows.
func (g *generation) rebuilds(d *document) bool {
	return g.has(db.Rebuild) && (g.named == nil || d.Names) || !d.Names && g.relisted[d.Lists[0]]
}

// reframes reports whether something changed that only the frame of a document
// shows.
func (g *generation) reframes(d *document) bool {
	return d.Needs.Tags && !d.Names && g.retagged[d.Lists[0]]
}

// vanish takes a document without entries out of the generation.
func (g *generation) vanish(ctx context.Context, tx *db.Tx, d *document) error {
	if d.row.Entries == 0 {
		return nil
	}
	return g.retire(ctx, tx, d)
}

// withdraw takes a document out of the generation that the scope has no more. If
// it comes again it is new.
func (g *generation) withdraw(ctx context.Context, tx *db.Tx, d *document) error {
	err := g.retire(ctx, tx, d)
	d.row.ChangedAt = time.Time{}
	return err
}

func (g *generation) retire(ctx context.Context, tx *db.Tx, d *document) error {
	live, err := tx.LiveSegments(ctx, d.row.ID, index.HeadFirst)
	if err != nil {
		return err
	}
	d.outcome = &index.Outcome{}
	for _, s := range live {
		d.outcome.Retired = append(d.outcome.Retired, s.First)
	}
	d.row.Entries, d.row.First, d.row.Forms, d.row.ChangedAt = 0, 0, [format.Encodings]format.Form{}, g.now
	for _, e := range d.Encodings {
		g.gone = append(g.gone, d.Name+e.Suffix())
	}
	return nil
}

// load reads the segments that an update needs: those from the first touched
// one on, or all of them where the document begins anew.
func (g *generation) load(ctx context.Context, tx *db.Tx, d *document, f *frame, u *index.Update) (err error) {
	u.Whole = u.Whole || u.Rebuild || f.counts() && d.row.Forms[format.Plain].Size <= exactHead
	if !u.Whole {
		from := index.TailFirst - 1 // for a new tail
		if len(u.Touched) > 0 {
			from = u.Touched[0]
		}
		if u.Live, err = tx.LiveSegments(ctx, d.row.ID, from); err != nil {
			return err
		}
		// A document that listed nothing has no segment to begin at.
		u.Whole = !slices.ContainsFunc(u.Live, func(s index.Segment) bool {
			return s.First != index.HeadFirst && s.First != index.TailFirst
		})
	}
	if !u.Whole {
		return nil
	}
	if u.Live, err = tx.LiveSegments(ctx, d.row.ID, index.HeadFirst); err != nil {
		return err
	}
	// Counting looks at every row of the listing: only where it must be known.
	total, err := d.source.count(ctx)
	u.Total = total - f.kept()
	return err
}

// Segments is an index.Store of segment objects in blob storage.
type Segments struct{ blob.Store }

// Put implements index.Store.
func (s Segments) Put(ctx context.Context, key string, body []byte) error {
	return s.Store.Put(ctx, key, body, blob.Attributes{ContentType: "application/octet-stream", Class: blob.Index})
}

// Get implements index.Store.
func (s Segments) Get(ctx context.Context, key string, offset, n int64) ([]byte, error) {
	object, err := s.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer object.Close()
	body := make([]byte, n)
	if _, err := object.ReadAt(body, offset); err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return body, nil
}
