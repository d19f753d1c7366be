package publish

import (
	"bytes"
	"context"
	"slices"

	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/index"
)

// frame makes heads and tails of a document.
type frame struct {
	format.Framing
	make func(format.Framing) (head, tail []byte)
}

// kept is the number of entries that stand in the head.
func (f *frame) kept() int64 {
	if f.First != nil {
		return 1
	}
	return 0
}

// around frames so many entries in segments.
func (f *frame) around(entries int64) (head, tail []byte) {
	with := f.Framing
	with.Entries = entries + f.kept()
	return f.make(with)
}

// counts reports whether the head tells the number of entries. Nothing that the
// tail alone needs is rendered for that.
func (f *frame) counts() bool {
	with := f.Framing
	with.Versions, with.Tags, with.Entries = nil, nil, 1+f.kept()
	some, _ := f.make(with)
	with.Entries++
	more, _ := f.make(with)
	return !bytes.Equal(some, more)
}

// listedVersions are the versions in a list, which documents that follow each
// other share.
func (g *generation) listedVersions(ctx context.Context, tx *db.Tx, list db.Listed) ([]format.Version, error) {
	if g.versions == nil || g.versionsOf != list {
		all, err := tx.VersionsListed(ctx, list)
		if err != nil {
			return nil, err
		}
		g.versions, g.versionsOf = all, list
	}
	return g.versions, nil
}

// framing asks for what the frame of a document needs, and tells the update of
// it. An entry that comes to the head or leaves it is touched: it leaves its
// segment or comes to it.
func (g *generation) framing(ctx context.Context, tx *db.Tx, d *document, u *index.Update) (f *frame, err error) {
	f = &frame{Framing: format.Framing{Kind: d.Kind, List: d.Lists[0]}, make: g.format.Frame}
	if d.Needs.First {
		was := d.row.First
		if d.row.First, f.First, err = d.source.first(ctx); err != nil {
			return nil, err
		}
		// The head is written anew if its entry is another one, or says
		// something else.
		u.Whole = was != d.row.First || slices.Contains(u.Touched, d.row.First)
		if was != d.row.First {
			u.Touched = append(u.Touched, was, d.row.First)
		}
		u.Touched = slices.DeleteFunc(u.Touched, func(id int64) bool { return id == 0 })
		slices.Sort(u.Touched)
		u.Touched = slices.Compact(u.Touched)
	}
	if d.Needs.Versions {
		if f.Versions, err = g.listedVersions(ctx, tx, d.listed(g)); err != nil {
			return nil, err
		}
	}
	if d.Needs.Tags {
		if f.Tags, err = tx.Tags(ctx, g.scope.ID, d.Lists[0]); err != nil {
			return nil, err
		}
	}
	u.Frame = f.around
	kept := d.row.First
	u.Entries = func(ctx context.Context, from, to int64, yield func(int64, []byte) error) error {
		return d.source.entries(ctx, from, to, func(id int64, text []byte) error {
			if id == kept {
				return nil
			}
			return yield(id, text)
		})
	}
	return f, nil
}
