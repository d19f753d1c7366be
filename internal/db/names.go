package db

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"time"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// Name is a list of a scope whose format has documents for each of them.
type Name struct {
	ID   int64
	List string
	// Listed says that the live generation has documents of the list, and
	// Present that it has a package now.
	Listed, Present bool
}

// present is the condition that a name has a package to list. Names are never taken out
// of the table: what is listed follows from the packages.
const present = `EXISTS (SELECT 1 FROM packages p WHERE p.scope_id = n.scope_id AND p.list = n.list AND ` + listable + `)`

// EnsureName records a list of a scope, if it is not there yet.
func (t *Tx) EnsureName(ctx context.Context, scopeID int64, list string) error {
	_, err := t.q.ExecContext(ctx, `INSERT INTO names (scope_id, list) VALUES ($1, $2) ON CONFLICT DO NOTHING`, scopeID, list)
	if err != nil {
		return fmt.Errorf("record the name %s: %w", list, err)
	}
	return nil
}

// LockName lets one transaction at a time decide about the tags of a list, by
// the versions that it has.
func (t *Tx) LockName(ctx context.Context, scopeID int64, list string) error {
	if !t.postgres {
		return nil // there is one writer
	}
	if _, err := t.q.ExecContext(ctx, `SELECT FROM names WHERE scope_id = $1 AND list = $2 FOR UPDATE`, scopeID, list); err != nil {
		return fmt.Errorf("lock the name %s: %w", list, err)
	}
	return nil
}

// Name finds a list of a scope.
func (r Reader) Name(ctx context.Context, scopeID int64, list string) (Name, error) {
	n := Name{List: list}
	err := r.q.QueryRowContext(ctx, `SELECT n.id, n.listed, `+present+` FROM names n WHERE n.scope_id = $1 AND n.list = $2`, scopeID, list).
		Scan(&n.ID, &n.Listed, &n.Present)
	return n, found(err, "name "+list)
}

// Names are up to limit of the names of a scope behind an id, by id.
func (r Reader) Names(ctx context.Context, scopeID, after int64, limit int) ([]Name, error) {
	scan := func(s scanner) (n Name, err error) {
		err = s.Scan(&n.ID, &n.List, &n.Listed, &n.Present)
		return n, err
	}
	return collect(ctx, r.q, "names", scan, `
		SELECT n.id, n.list, n.listed, `+present+` FROM names n WHERE n.scope_id = $1 AND n.id > $2 ORDER BY n.id LIMIT $3`, scopeID, after, limit)
}

// CountNames is the number of names of a scope that have packages.
func (r Reader) CountNames(ctx context.Context, scopeID int64) (int64, error) {
	var count int64
	if err := r.q.QueryRowContext(ctx, `SELECT count(*) FROM names n WHERE n.scope_id = $1 AND `+present, scopeID).Scan(&count); err != nil {
		return 0, fmt.Errorf("count the names of scope %d: %w", scopeID, err)
	}
	return count, nil
}

// FirstName is the first of the names of a scope that have packages; the zero
// Name if there is none.
func (r Reader) FirstName(ctx context.Context, scopeID int64) (Name, error) {
	n := Name{Present: true}
	err := r.q.QueryRowContext(ctx, `SELECT n.id, n.list, n.listed FROM names n WHERE n.scope_id = $1 AND `+present+` ORDER BY n.id LIMIT 1`, scopeID).
		Scan(&n.ID, &n.List, &n.Listed)
	if err == sql.ErrNoRows {
		return Name{}, nil
	}
	return n, found(err, "first name")
}

// EachName yields the names of a scope that have packages and whose ids are at
// least from and below to, by id. The list is valid until yield returns.
func (r Reader) EachName(ctx context.Context, scopeID, from, to int64, yield func(id int64, list []byte) error) error {
	return r.yield(ctx, "names", yield, `
		SELECT n.id, n.list FROM names n WHERE n.scope_id = $1 AND n.id >= $2 AND n.id < $3 AND `+present+` ORDER BY n.id`, scopeID, from, to)
}

// MarkListed notes of which lists a new generation has documents.
func (t *Tx) MarkListed(ctx context.Context, ids []int64, listed bool) error {
	return t.each(ctx, "mark names", `UPDATE names SET listed = $1 WHERE id`, ids, listed)
}

// RelistAll records that every list of a scope must be rendered from the rows.
func (t *Tx) RelistAll(ctx context.Context, scopeID int64, now time.Time) error {
	_, err := t.q.ExecContext(ctx, `
		INSERT INTO changes (scope_id, kind, list, created_at) SELECT scope_id, 'relist', list, $2 FROM names WHERE scope_id = $1 ORDER BY id`,
		scopeID, millis(now))
	if err != nil {
		return fmt.Errorf("order the lists of scope %d: %w", scopeID, err)
	}
	return nil
}

// Tags are the tags of a list.
func (r Reader) Tags(ctx context.Context, scopeID int64, list string) (map[string]string, error) {
	tags := make(map[string]string)
	scan := func(s scanner) (tag string, err error) {
		var value string
		err = s.Scan(&tag, &value)
		tags[tag] = value
		return tag, err
	}
	_, err := collect(ctx, r.q, "tags", scan, `SELECT tag, value FROM tags WHERE scope_id = $1 AND list = $2`, scopeID, list)
	return tags, err
}

// SetTag makes a tag of a list stand for a value.
func (t *Tx) SetTag(ctx context.Context, scopeID int64, list, tag, value string) error {
	_, err := t.q.ExecContext(ctx, `
		INSERT INTO tags (scope_id, list, tag, value) VALUES ($1, $2, $3, $4)
		ON CONFLICT (scope_id, list, tag) DO UPDATE SET value = excluded.value`, scopeID, list, tag, value)
	if err != nil {
		return fmt.Errorf("set tag %s of %s: %w", tag, list, err)
	}
	return nil
}

// DeleteTag removes a tag of a list. It reports whether there was one.
func (t *Tx) DeleteTag(ctx context.Context, scopeID int64, list, tag string) (bool, error) {
	res, err := t.q.ExecContext(ctx, `DELETE FROM tags WHERE scope_id = $1 AND list = $2 AND tag = $3`, scopeID, list, tag)
	if err != nil {
		return false, fmt.Errorf("delete tag %s of %s: %w", tag, list, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("delete tag %s of %s: %w", tag, list, err)
	}
	return n == 1, nil
}

// Retag lets the format decide about the tags of a list, after what happened to
// it: the change needs no Tags and no Versions. The list must have a name.
func (t *Tx) Retag(ctx context.Context, tagger format.Tagger, scopeID int64, list string, change format.TagChange) error {
	// Two deletions at once would each take the other's version for the latest.
	if err := t.LockName(ctx, scopeID, list); err != nil {
		return err
	}
	before, err := t.Tags(ctx, scopeID, list)
	if err != nil {
		return err
	}
	change.Tags = maps.Clone(before)
	if change.Versions, err = t.VersionsListed(ctx, Listed{ScopeID: scopeID, Lists: [3]string{list}}); err != nil {
		return err
	}
	after := tagger.Retag(change)
	for tag := range before {
		if _, ok := after[tag]; !ok {
			if _, err := t.DeleteTag(ctx, scopeID, list, tag); err != nil {
				return err
			}
		}
	}
	for tag, value := range after {
		if before[tag] == value {
			continue
		}
		if err := t.SetTag(ctx, scopeID, list, tag, value); err != nil {
			return err
		}
	}
	return nil
}

// maxWords bounds the words of a search.
const maxWords = 10

// SearchTagged finds packages of a scope, of each list the one whose version a
// tag stands for, in order of names, and tells how many there are in all.
func (r Reader) SearchTagged(ctx context.Context, scopeID int64, s format.Search) ([]repo.Package, int64, error) {
	from := ` FROM packages p JOIN tags t ON t.scope_id = p.scope_id AND t.list = p.list AND t.value = p.version`
	where := ` WHERE p.scope_id = $1 AND t.tag = $2 AND ` + listable
	args := []any{scopeID, s.Tag}
	for _, word := range s.Words[:min(len(s.Words), maxWords)] {
		args = append(args, containing(word))
		where += fmt.Sprintf(` AND (lower(p.name) LIKE $%d ESCAPE '!' OR lower(p.summary) LIKE $%d ESCAPE '!')`, len(args), len(args))
	}
	var total int64
	if err := r.q.QueryRowContext(ctx, `SELECT count(*)`+from+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count what is searched for: %w", err)
	}
	tables := packageTables + ` JOIN tags t ON t.scope_id = p.scope_id AND t.list = p.list AND t.value = p.version`
	limit := fmt.Sprintf(` ORDER BY p.name, p.id LIMIT $%d OFFSET $%d`, len(args)+1, len(args)+2)
	all, err := collect(ctx, r.q, "packages", scanPackage, `SELECT `+packageColumns+tables+where+limit, append(args, s.Size, s.From)...)
	return all, total, err
}
