package publish

import (
	"context"
	"slices"

	"packagecloud/internal/db"
	"packagecloud/internal/format"
)

// source is where the entries of a document come from: the packages that it
// lists, or the names that have packages.
type source interface {
	// touched are the ids of its entries that came, went or changed, sorted.
	touched(g *generation) []int64
	count(ctx context.Context) (int64, error)
	// first is the oldest entry; the id is 0 if there is none.
	first(ctx context.Context) (id int64, text []byte, err error)
	// entries yields those with from <= id < to by id. A text is valid until
	// yield returns.
	entries(ctx context.Context, from, to int64, yield func(id int64, text []byte) error) error
}

func (g *generation) sourceOf(tx *db.Tx, d *document) source {
	if d.Names {
		return names{tx, g, d}
	}
	return packages{tx, d.listed(g), d.Kind, d.contents, format.Located(g.format, g.url, g.repository)}
}

// listed selects the packages of a document.
func (d *document) listed(g *generation) db.Listed {
	return db.Listed{ScopeID: g.scope.ID, Lists: d.Lists}
}

type packages struct {
	tx   *db.Tx
	list db.Listed
	kind string
	// contents says that it lists the contents of packages.
	contents bool
	// located completes the text of an entry.
	located func(text []byte) []byte
}

func (p packages) touched(g *generation) (ids []int64) {
	for _, t := range g.touched {
		if t.Contents && !p.contents {
			continue
		}
		if t.List != "" && slices.Contains(p.list.Lists[:], t.List) {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

func (p packages) count(ctx context.Context) (int64, error) { return p.tx.CountListed(ctx, p.list) }

func (p packages) first(ctx context.Context) (int64, []byte, error) {
	id, err := p.tx.FirstListed(ctx, p.list)
	if err != nil || id == 0 {
		return 0, nil, err
	}
	text, err := p.tx.Entry(ctx, id, p.kind)
	return id, p.located(text), err
}

func (p packages) entries(ctx context.Context, from, to int64, yield func(int64, []byte) error) error {
	return p.tx.Entries(ctx, p.list, p.kind, from, to, func(id int64, text []byte) error { return yield(id, p.located(text)) })
}

type names struct {
	tx *db.Tx
	g  *generation
	d  *document
}

func (n names) touched(g *generation) (ids []int64) {
	for _, name := range g.names {
		if name.Listed != name.Present {
			ids = append(ids, name.ID)
		}
	}
	return ids
}

// count reckons from the live generation: to count all names costs more than a
// publication may.
func (n names) count(ctx context.Context) (int64, error) {
	if n.d.row.ChangedAt.IsZero() || n.g.rebuilds(n.d) {
		return n.tx.CountNames(ctx, n.g.scope.ID)
	}
	total := n.d.row.Entries
	for _, name := range n.g.names {
		switch {
		case name.Present && !name.Listed:
			total++
		case name.Listed && !name.Present:
			total--
		}
	}
	return total, nil
}

func (n names) text(list string) []byte { return n.g.named.NameEntry(n.d.Kind, list) }

func (n names) first(ctx context.Context) (int64, []byte, error) {
	name, err := n.tx.FirstName(ctx, n.g.scope.ID)
	if err != nil || name.ID == 0 {
		return 0, nil, err
	}
	return name.ID, n.text(name.List), nil
}

func (n names) entries(ctx context.Context, from, to int64, yield func(int64, []byte) error) error {
	return n.tx.EachName(ctx, n.g.scope.ID, from, to, func(id int64, list []byte) error {
		return yield(id, n.text(string(list)))
	})
}
