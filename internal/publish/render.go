package publish

import (
	"context"
	"fmt"
	"slices"

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
	u := index.Update{
		Touched: g.touching(d),
		Rebuild: d.row.ChangedAt.IsZero() || g.has(db.Rebuild),
		Frame:   func(entries int64) (head, tail []byte) { return g.format.Frame(d.Kind, entries) },
		Key: func(first int64) string {
			return fmt.Sprintf("segments/%d/%d-%d-%s", d.row.ID, g.number, first, g.lease[:8])
		},
	}
	if len(u.Touched) == 0 && !u.Rebuild {
		return nil
	}
	listed := db.Listed{ScopeID: g.scope.ID, Lists: d.Lists}
	u.Entries = func(ctx context.Context, from, to int64, yield func(int64, []byte) error) error {
		return tx.Entries(ctx, listed, d.Kind, from, to, yield)
	}
	if err := g.load(ctx, tx, d, listed, &u); err != nil {
		return err
	}
	store := &recent{Segments: Segments{g.Blobs}}
	outcome, err := u.Run(ctx, store)
	if err != nil {
		return err
	}
	d.outcome = outcome
	d.row.Entries, d.row.Forms, d.row.ChangedAt = outcome.Entries, outcome.Forms, g.now
	for _, e := range d.Encodings {
		form := outcome.Forms[e]
		g.files = append(g.files, db.File{
			ScopeID: g.scope.ID, Path: d.Name + e.Suffix(), Generation: g.number, SHA256: form.SHA256, Size: form.Size,
			CreatedAt: g.now, DocumentID: d.row.ID, Encoding: e,
		})
	}
	if g.composer == nil {
		return nil
	}
	return g.wholes(ctx, tx, d, &u, store)
}

// touching are the ids of the changed packages that a document lists.
func (g *generation) touching(d *document) (ids []int64) {
	for _, t := range g.touched {
		if t.List == d.Lists[0] || t.List == d.Lists[1] {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

// load reads the segments that an update needs: those from the first touched
// one on, or all of them where the document begins anew.
func (g *generation) load(ctx context.Context, tx *db.Tx, d *document, listed db.Listed, u *index.Update) (err error) {
	head, _ := u.Frame(d.row.Entries)
	u.Whole = u.Rebuild || len(head) > 0 && d.row.Forms[format.Plain].Size <= exactHead
	if !u.Whole {
		if u.Live, err = tx.LiveSegments(ctx, d.row.ID, u.Touched[0]); err != nil {
			return err
		}
		// A document that listed nothing has no segment to begin at.
		u.Whole = !slices.ContainsFunc(u.Live, func(s index.Segment) bool {
			return s.First != index.HeadFirst && s.First != index.TailFirst
		})
	}
	if u.Whole {
		if u.Live, err = tx.LiveSegments(ctx, d.row.ID, index.HeadFirst); err != nil {
			return err
		}
		u.Total, err = tx.CountListed(ctx, listed)
	}
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
