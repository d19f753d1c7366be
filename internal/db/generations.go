package db

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"packagecloud/internal/format"
	"packagecloud/internal/index"
)

// Document is a document of a scope as of its live generation.
type Document struct {
	ID        int64
	Name      string    // format.Document.Name
	List      string    // the first of format.Document.Lists
	ChangedAt time.Time // zero if it was never published
	Entries   int64
	First     int64 // id of the entry that stands in the head; 0: none
	Forms     [format.Encodings]format.Form
}

// Documents lists the documents of a scope.
func (r Reader) Documents(ctx context.Context, scopeID int64) ([]Document, error) {
	return collect(ctx, r.q, "documents", scanDocument, `
		SELECT `+documentColumns+` FROM documents WHERE scope_id = $1 ORDER BY id`, scopeID)
}

const documentColumns = `id, name, list, changed_at, entries, first, plain_size, plain_sha256, gzip_size, gzip_sha256, zstd_size, zstd_sha256`

// Document finds a document of a scope by its name.
func (r Reader) Document(ctx context.Context, scopeID int64, name string) (Document, error) {
	d, err := scanDocument(r.q.QueryRowContext(ctx, `SELECT `+documentColumns+` FROM documents WHERE scope_id = $1 AND name = $2`, scopeID, name))
	return d, found(err, "document "+name)
}

func scanDocument(s scanner) (d Document, err error) {
	var changed int64
	f := &d.Forms
	err = s.Scan(&d.ID, &d.Name, &d.List, &changed, &d.Entries, &d.First, &f[0].Size, &f[0].SHA256, &f[1].Size, &f[1].SHA256, &f[2].Size, &f[2].SHA256)
	if changed != 0 {
		d.ChangedAt = fromMillis(changed)
	}
	return d, err
}

// CreateDocument records an empty document and returns its id.
func (t *Tx) CreateDocument(ctx context.Context, scopeID int64, name, list string) (int64, error) {
	var id int64
	err := t.q.QueryRowContext(ctx, `
		INSERT INTO documents (scope_id, name, list, changed_at, entries, first, plain_size, plain_sha256, gzip_size, gzip_sha256, zstd_size, zstd_sha256)
		VALUES ($1, $2, $3, 0, 0, 0, 0, '', 0, '', 0, '')
		ON CONFLICT (scope_id, name) DO UPDATE SET name = documents.name RETURNING id`, scopeID, name, list).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("create document %s: %w", name, err)
	}
	return id, nil
}

// UpdateDocument writes what a document is in a new generation.
func (t *Tx) UpdateDocument(ctx context.Context, d Document) error {
	f := &d.Forms
	changed := int64(0)
	if !d.ChangedAt.IsZero() {
		changed = millis(d.ChangedAt)
	}
	_, err := t.q.ExecContext(ctx, `
		UPDATE documents SET changed_at = $2, entries = $3, first = $4, plain_size = $5, plain_sha256 = $6,
			gzip_size = $7, gzip_sha256 = $8, zstd_size = $9, zstd_sha256 = $10 WHERE id = $1`,
		d.ID, changed, d.Entries, d.First, f[0].Size, f[0].SHA256, f[1].Size, f[1].SHA256, f[2].Size, f[2].SHA256)
	if err != nil {
		return fmt.Errorf("update document %s: %w", d.Name, err)
	}
	return nil
}

const segmentColumns = `first, entries, plain_size, gzip_size, zstd_size, object, inline`

func scanSegment(s scanner) (g index.Segment, err error) {
	err = s.Scan(&g.First, &g.Entries, &g.Size[0], &g.Size[1], &g.Size[2], &g.Object, &g.Inline)
	return g, err
}

// Segments are the segments of a document as of a generation, without their
// starts.
func (r Reader) Segments(ctx context.Context, documentID, generation int64) ([]index.Segment, error) {
	return collect(ctx, r.q, "segments", scanSegment, `SELECT `+segmentColumns+` FROM segments
		WHERE document_id = $1 AND generation <= $2 AND (retired IS NULL OR retired > $2) ORDER BY first`, documentID, generation)
}

// LiveSegments are the live segments of a document from the one on that holds
// id; all of them if id is index.HeadFirst.
func (r Reader) LiveSegments(ctx context.Context, documentID, id int64) ([]index.Segment, error) {
	from := id
	if id != index.HeadFirst {
		err := r.q.QueryRowContext(ctx, `
			SELECT coalesce(max(CASE WHEN first <= $2 THEN first END), min(first), $2) FROM segments
			WHERE document_id = $1 AND retired IS NULL AND first > $3 AND first < $4`, documentID, id, index.HeadFirst, index.TailFirst).Scan(&from)
		if err != nil {
			return nil, fmt.Errorf("look for the segment of entry %d: %w", id, err)
		}
	}
	scan := func(s scanner) (g index.Segment, err error) {
		m := &g.Start
		err = s.Scan(&g.First, &g.Entries, &g.Size[0], &g.Size[1], &g.Size[2], &g.Object, &g.Inline,
			&m.Entries, &m.Offset[0], &m.Offset[1], &m.Offset[2], &m.State[0], &m.State[1], &m.State[2])
		return g, err
	}
	return collect(ctx, r.q, "segments", scan, `
		SELECT `+segmentColumns+`, start_entries, start_plain, start_gzip, start_zstd, state_plain, state_gzip, state_zstd
		FROM segments WHERE document_id = $1 AND retired IS NULL AND first >= $2 ORDER BY first`, documentID, from)
}

// ApplyOutcome records the segments of a document in a new generation.
func (t *Tx) ApplyOutcome(ctx context.Context, documentID, generation int64, o *index.Outcome) error {
	for _, first := range o.Retired {
		_, err := t.q.ExecContext(ctx, `
			UPDATE segments SET retired = $3, retired_at = `+graceTime+`, state_plain = NULL, state_gzip = NULL, state_zstd = NULL
			WHERE document_id = $1 AND first = $2 AND retired IS NULL`, documentID, first, generation)
		if err != nil {
			return fmt.Errorf("retire segment %d of document %d: %w", first, documentID, err)
		}
	}
	for _, g := range o.Added {
		m := g.Start
		_, err := t.q.ExecContext(ctx, `
			INSERT INTO segments (document_id, first, generation, entries, plain_size, gzip_size, zstd_size, object, inline,
				start_entries, start_plain, start_gzip, start_zstd, state_plain, state_gzip, state_zstd)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
			documentID, g.First, generation, g.Entries, g.Size[0], g.Size[1], g.Size[2], g.Object, g.Inline,
			m.Entries, m.Offset[0], m.Offset[1], m.Offset[2], m.State[0], m.State[1], m.State[2])
		if err != nil {
			return fmt.Errorf("add segment %d of document %d: %w", g.First, documentID, err)
		}
	}
	for _, g := range o.Moved {
		m := g.Start
		_, err := t.q.ExecContext(ctx, `
			UPDATE segments SET start_entries = $3, start_plain = $4, start_gzip = $5, start_zstd = $6, state_plain = $7, state_gzip = $8, state_zstd = $9
			WHERE document_id = $1 AND first = $2 AND retired IS NULL`,
			documentID, g.First, m.Entries, m.Offset[0], m.Offset[1], m.Offset[2], m.State[0], m.State[1], m.State[2])
		if err != nil {
			return fmt.Errorf("move segment %d of document %d: %w", g.First, documentID, err)
		}
	}
	return nil
}

// Touched is a package that came or went since the live generation.
type Touched struct {
	// Contents says that nothing of it changed but the entry of its contents.
	Contents bool
	ID       int64
	List     string
	Gone     bool // deleted
	Withheld bool
}

// Touched lists the packages of a scope that changed, by id, as far as changes
// up to one with an id say so.
func (r Reader) Touched(ctx context.Context, scopeID, last int64) ([]Touched, error) {
	scan := func(s scanner) (v Touched, err error) {
		err = s.Scan(&v.ID, &v.List, &v.Gone, &v.Withheld, &v.Contents)
		return v, err
	}
	return collect(ctx, r.q, "changed packages", scan, `
		SELECT p.id, p.list, p.deleted_at IS NOT NULL, p.withheld IS NOT NULL, min(c.kind) = 'contents' AND max(c.kind) = 'contents'
		FROM changes c JOIN packages p ON p.id = c.package_id
		WHERE c.scope_id = $1 AND c.kind IN ('package', 'contents') AND c.id <= $2
		GROUP BY p.id, p.list, p.deleted_at IS NOT NULL, p.withheld IS NOT NULL ORDER BY p.id`, scopeID, last)
}

// NewLists tells whether a scope has neither documents nor packages of a list yet,
// and how many other lists it has.
func (r Reader) NewLists(ctx context.Context, scopeID int64, list string) (isNew bool, others int, err error) {
	err = r.q.QueryRowContext(ctx, `SELECT NOT EXISTS (SELECT 1 FROM documents WHERE scope_id = $1 AND list = $2)
		AND NOT EXISTS (SELECT 1 FROM packages WHERE scope_id = $1 AND list = $2 AND deleted_at IS NULL)`, scopeID, list).Scan(&isNew)
	if err == nil && isNew {
		err = r.q.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT list FROM documents WHERE scope_id = $1
			UNION SELECT list FROM packages WHERE scope_id = $1) l`, scopeID).Scan(&others)
	}
	if err != nil {
		return false, 0, fmt.Errorf("look for the lists of scope %d: %w", scopeID, err)
	}
	return isNew, others, nil
}

// FinishChanges removes changes that a new generation takes in.
func (t *Tx) FinishChanges(ctx context.Context, ids []int64) error {
	return t.each(ctx, "finish changes", `DELETE FROM changes WHERE id`, ids)
}

// MarkIndexed notes that a live generation lists packages.
func (t *Tx) MarkIndexed(ctx context.Context, ids []int64) error {
	return t.each(ctx, "mark packages as indexed", `UPDATE packages SET indexed = TRUE WHERE NOT indexed AND id`, ids)
}

// MarkUnlisted notes that the live generation leaves out packages that are kept.
func (t *Tx) MarkUnlisted(ctx context.Context, ids []int64) error {
	return t.each(ctx, "mark packages as unlisted", `UPDATE packages SET indexed = FALSE WHERE indexed AND id`, ids)
}

// MarkRetired notes that the live generation lists packages no more.
func (t *Tx) MarkRetired(ctx context.Context, ids []int64) error {
	return t.each(ctx, "mark packages as retired", `UPDATE packages SET retired_at = `+graceTime+` WHERE retired_at IS NULL AND id`, ids)
}

// batches are how many ids statements take at once, so that there are few
// statements: prepared ones are kept.
var batches = []int{512, 32, 1}

// each runs a statement that ends in a column for many ids. Its own arguments
// come first.
func (t *Tx) each(ctx context.Context, act, statement string, ids []int64, args ...any) error {
	for _, size := range batches {
		if len(ids) < size {
			continue
		}
		text := statement + oneOf(len(args)+1, size)
		for ; len(ids) >= size; ids = ids[size:] {
			all := slices.Clip(args)
			for _, id := range ids[:size] {
				all = append(all, id)
			}
			if _, err := t.q.ExecContext(ctx, text, all...); err != nil {
				return fmt.Errorf("%s: %w", act, err)
			}
		}
	}
	return nil
}

// oneOf is an IN with so many arguments, numbered from first on.
func oneOf(first, n int) string {
	var list strings.Builder
	list.WriteString(" IN (")
	for i := range n {
		if i > 0 {
			list.WriteByte(',')
		}
		list.WriteByte('$')
		list.WriteString(strconv.Itoa(first + i))
	}
	list.WriteByte(')')
	return list.String()
}
