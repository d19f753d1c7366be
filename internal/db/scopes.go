package db

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"packagecloud/internal/repo"
)

// ChangeKind tells what a publication has to do.
type ChangeKind string

// The kinds of change.
const (
	PackageChange ChangeKind = "package" // a package came or went, or its entries changed
	// ContentsChange says that the files of a package were read.
	ContentsChange ChangeKind = "contents"
	ListChange     ChangeKind = "list"    // what frames a list changed: its tags
	Relist         ChangeKind = "relist"  // render the documents of a list from the rows
	Refresh        ChangeKind = "refresh" // make and sign the entry points anew
	Rebuild        ChangeKind = "rebuild" // render every document from the rows
	Recheck        ChangeKind = "recheck" // check the packages by the gate, if it is newer than the one before
)

// Change is something that waits to be published.
type Change struct {
	ID        int64
	Kind      ChangeKind
	PackageID int64  // of a PackageChange or ContentsChange
	List      string // of a ListChange or Relist
}

// ScopeState is a scope as publishing sees it.
type ScopeState struct {
	ID           int64
	RepositoryID int64
	Distro       repo.DistroVersion
	Generation   int64 // 0: never published
	PublishedAt  time.Time
	Failures     int64 // publications that failed in a row
	LastError    string
	Gate         int // format.GateVersion by which all its packages were checked
	// Origin is the host that its entry points name, the same for ever unless an
	// administrator changes it; "" before the first generation, and where a
	// program before schema version 5 published last.
	Origin string
	// URL is the public URL that the links in its documents are of; "" before the
	// first generation, and where a program before schema version 5 published last.
	URL string
	// LatestAt is the latest time that a generation ever had. It is later than
	// PublishedAt where the clock was put back.
	LatestAt time.Time
}

const scopeColumns = `s.id, s.repository_id, s.distro_id, s.os, s.version, s.format, s.generation, s.published_at, s.failures, s.last_error, s.gate, s.origin, s.latest_at, s.url`

func scanScope(s scanner) (v ScopeState, err error) {
	var published, latest int64
	err = s.Scan(&v.ID, &v.RepositoryID, &v.Distro.ID, &v.Distro.OS, &v.Distro.Version, &v.Distro.Format, &v.Generation, &published, &v.Failures, &v.LastError, &v.Gate, &v.Origin, &latest, &v.URL)
	v.PublishedAt, v.LatestAt = fromMillis(published), fromMillis(latest)
	return v, err
}

// Scope finds a scope of a repository.
func (r Reader) Scope(ctx context.Context, repositoryID int64, os, version string) (ScopeState, error) {
	v, err := scanScope(r.q.QueryRowContext(ctx, `SELECT `+scopeColumns+` FROM scopes s WHERE s.repository_id = $1 AND s.os = $2 AND s.version = $3`, repositoryID, os, version))
	return v, found(err, "distribution "+os+"/"+version)
}

// ScopeByID finds a scope.
func (r Reader) ScopeByID(ctx context.Context, id int64) (ScopeState, error) {
	v, err := scanScope(r.q.QueryRowContext(ctx, `SELECT `+scopeColumns+` FROM scopes s WHERE s.id = $1`, id))
	return v, found(err, fmt.Sprintf("scope %d", id))
}

// Scopes lists all scopes.
func (r Reader) Scopes(ctx context.Context) ([]ScopeState, error) {
	return collect(ctx, r.q, "scopes", scanScope, `SELECT `+scopeColumns+` FROM scopes s ORDER BY s.id`)
}

// ScopesOf lists the scopes of a repository.
func (r Reader) ScopesOf(ctx context.Context, repositoryID int64) ([]ScopeState, error) {
	return collect(ctx, r.q, "scopes", scanScope, `SELECT `+scopeColumns+` FROM scopes s WHERE s.repository_id = $1 ORDER BY s.os, s.version`, repositoryID)
}

// Filled lists the distribution versions for which a repository has packages.
func (r Reader) Filled(ctx context.Context, repositoryID int64) ([]repo.DistroVersion, error) {
	scan := func(s scanner) (v repo.DistroVersion, err error) {
		return v, s.Scan(&v.ID, &v.OS, &v.Version, &v.Format)
	}
	return collect(ctx, r.q, "distributions with packages", scan, `SELECT s.distro_id, s.os, s.version, s.format FROM scopes s
		WHERE s.repository_id = $1 AND EXISTS (SELECT 1 FROM packages p WHERE p.scope_id = s.id AND p.deleted_at IS NULL)
		ORDER BY s.os, s.version`, repositoryID)
}

// EnsureScope finds the scope of a repository for a distribution version, or
// records it.
func (t *Tx) EnsureScope(ctx context.Context, repositoryID int64, v repo.DistroVersion) (int64, error) {
	const find = `SELECT id FROM scopes WHERE repository_id = $1 AND os = $2 AND version = $3`
	var id int64
	err := t.q.QueryRowContext(ctx, find, repositoryID, v.OS, v.Version).Scan(&id)
	if err != sql.ErrNoRows {
		return id, found(err, "scope "+v.String())
	}
	_, err = t.q.ExecContext(ctx, `INSERT INTO scopes (repository_id, distro_id, format, os, version) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		repositoryID, v.ID, v.Format, v.OS, v.Version)
	if err != nil {
		return 0, fmt.Errorf("create scope %s: %w", v, err)
	}
	err = t.q.QueryRowContext(ctx, find, repositoryID, v.OS, v.Version).Scan(&id)
	return id, found(err, "scope "+v.String())
}

// AddChange records that a scope must be published.
func (t *Tx) AddChange(ctx context.Context, scopeID int64, kind ChangeKind, packageID int64, now time.Time) error {
	_, err := t.q.ExecContext(ctx, `INSERT INTO changes (scope_id, kind, package_id, created_at) VALUES ($1, $2, $3, $4)`, scopeID, kind, packageID, millis(now))
	if err != nil {
		return fmt.Errorf("record change of scope %d: %w", scopeID, err)
	}
	return nil
}

// AddListChange records that the documents of a list must be published.
func (t *Tx) AddListChange(ctx context.Context, scopeID int64, kind ChangeKind, list string, now time.Time) error {
	_, err := t.q.ExecContext(ctx, `INSERT INTO changes (scope_id, kind, list, created_at) VALUES ($1, $2, $3, $4)`, scopeID, kind, list, millis(now))
	if err != nil {
		return fmt.Errorf("record change of scope %d: %w", scopeID, err)
	}
	return nil
}

// Changes lists what waits to be published in a scope, the oldest first and at
// most so many.
func (r Reader) Changes(ctx context.Context, scopeID int64, limit int) ([]Change, error) {
	scan := func(s scanner) (c Change, err error) {
		err = s.Scan(&c.ID, &c.Kind, &c.PackageID, &c.List)
		return c, err
	}
	return collect(ctx, r.q, "changes", scan, `SELECT id, kind, package_id, list FROM changes WHERE scope_id = $1 ORDER BY id LIMIT $2`, scopeID, limit)
}

// LastChange is the id of the newest change that waits in a scope; 0 if none
// does.
func (r Reader) LastChange(ctx context.Context, scopeID int64) (int64, error) {
	var id int64
	if err := r.q.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM changes WHERE scope_id = $1`, scopeID).Scan(&id); err != nil {
		return 0, fmt.Errorf("look for changes of scope %d: %w", scopeID, err)
	}
	return id, nil
}

// ChangeWaits reports whether a change of a scope waits whose id is not above
// the given one.
func (r Reader) ChangeWaits(ctx context.Context, scopeID, id int64) (bool, error) {
	var waits bool
	if err := r.q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM changes WHERE scope_id = $1 AND id <= $2)`, scopeID, id).Scan(&waits); err != nil {
		return false, fmt.Errorf("look for changes of scope %d: %w", scopeID, err)
	}
	return waits, nil
}

// Backlog is the number of changes that wait, and since when the oldest one
// does; the zero time if none does.
func (r Reader) Backlog(ctx context.Context) (int64, time.Time, error) {
	var n int64
	var oldest sql.NullInt64
	if err := r.q.QueryRowContext(ctx, `SELECT count(*), min(created_at) FROM changes`).Scan(&n, &oldest); err != nil {
		return 0, time.Time{}, fmt.Errorf("count changes: %w", err)
	}
	if !oldest.Valid {
		return n, time.Time{}, nil
	}
	return n, fromMillis(oldest.Int64), nil
}

const rebuilds = `SELECT EXISTS (SELECT 1 FROM changes WHERE scope_id = $1 AND kind = 'rebuild')`

// Rebuilds reports whether everything of a scope waits to be rendered from the
// rows.
func (r Reader) Rebuilds(ctx context.Context, scopeID int64) (bool, error) {
	var yes bool
	if err := r.q.QueryRowContext(ctx, rebuilds, scopeID).Scan(&yes); err != nil {
		return false, fmt.Errorf("look for changes of scope %d: %w", scopeID, err)
	}
	return yes, nil
}

// LostPackages lists the packages that wait to be published, or to be taken
// out, without a change that says so. There are none unless rows were lost.
func (r Reader) LostPackages(ctx context.Context) ([]int64, error) {
	scan := func(s scanner) (id int64, err error) { err = s.Scan(&id); return id, err }
	return collect(ctx, r.q, "packages", scan, `
		SELECT p.id FROM packages p
		WHERE (p.deleted_at IS NULL AND NOT p.indexed AND p.withheld IS NULL OR p.deleted_at IS NOT NULL AND p.retired_at IS NULL)
			AND NOT EXISTS (SELECT 1 FROM changes c WHERE c.scope_id = p.scope_id AND c.package_id = p.id)
		ORDER BY p.id LIMIT 1000`)
}

// RebuildingScopes lists the scopes that are to be rendered from the rows, or
// are in the middle of it.
func (r Reader) RebuildingScopes(ctx context.Context) ([]int64, error) {
	scan := func(s scanner) (id int64, err error) { err = s.Scan(&id); return id, err }
	return collect(ctx, r.q, "changes", scan, `SELECT DISTINCT scope_id FROM changes WHERE kind IN ('rebuild', 'relist') ORDER BY scope_id`)
}

// Clock is the one clock by which the times of scopes are set and compared:
// that of PostgreSQL, or own, the clock of this machine, with SQLite. So it does
// not matter when the clocks of nodes are apart.
func (r Reader) Clock(ctx context.Context, own time.Time) (time.Time, error) {
	if !r.postgres {
		return own, nil
	}
	var ms int64
	if err := r.q.QueryRowContext(ctx, `SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)`).Scan(&ms); err != nil {
		return time.Time{}, fmt.Errorf("read the clock of the database: %w", err)
	}
	return fromMillis(ms), nil
}

// Timing bounds how far ahead the times of a scope can lie that were set by a
// clock that was right. What is further ahead was set while the clock was ahead
// and is void.
type Timing struct {
	Now   time.Time
	Lease time.Duration // how long a lease lasts
	Rest  time.Duration // how long a scope rests at most
}

// canLease is the condition that a scope can be leased, for the parameters
// times gives. The last of them ends leases and rests that no right clock set.
const canLease = `(lease_until <= $1 OR lease_until > $2) AND (not_before <= $1 OR not_before > $3)`

func (t Timing) times() []any {
	return []any{millis(t.Now), millis(t.Now.Add(t.Lease)), millis(t.Now.Add(t.Rest))}
}

// keyed is the condition that the repository of a scope has its key. Making one
// takes long, so nobody holds a lease while one is made.
const keyed = `EXISTS (SELECT 1 FROM keys WHERE keys.repository_id = scopes.repository_id AND keys.active)`

// maxWaiting is how many scopes with changes are looked at to find the next one.
const maxWaiting = 200

// waiting is the beginning of a query: the scopes that have changes, or maxWaiting
// of them from a place on that the parameter $4 says, from 0 to 1. It steps from
// scope to scope through the index, and after the last one goes on with the first,
// so that its cost does not grow with what waits. The places are random, or scopes
// that cannot be leased would hide the others for ever.
var waiting = fmt.Sprintf(`
	WITH RECURSIVE around (scope_id) AS (
		SELECT min(scope_id) FROM changes WHERE scope_id >= (
			SELECT min(scope_id) + CAST(CAST($4 AS DOUBLE PRECISION) * (max(scope_id) - min(scope_id)) AS BIGINT)
			FROM (SELECT (SELECT min(scope_id) FROM changes) AS scope_id UNION ALL SELECT max(scope_id) FROM changes) AS ends)
		UNION
		SELECT coalesce((SELECT min(c.scope_id) FROM changes c WHERE c.scope_id > around.scope_id), (SELECT min(c.scope_id) FROM changes c))
		FROM around WHERE around.scope_id IS NOT NULL
	), waiting AS (
		SELECT scope_id FROM around LIMIT %d
	)`, maxWaiting)

var nextDue = waiting + `
	SELECT min(CASE WHEN ` + canLease + ` THEN 0 WHEN not_before > lease_until THEN not_before ELSE lease_until END)
	FROM waiting CROSS JOIN scopes WHERE scopes.id = waiting.scope_id AND ` + keyed

// NextDue is how long it takes until the next scope can be leased: 0 if one can
// be now. ok is false if nothing waits. Of very many scopes it looks at some.
func (r Reader) NextDue(ctx context.Context, t Timing) (rest time.Duration, ok bool, err error) {
	var ms sql.NullInt64
	if err := r.q.QueryRowContext(ctx, nextDue, append(t.times(), rand.Float64())...).Scan(&ms); err != nil {
		return 0, false, fmt.Errorf("look for scopes to publish: %w", err)
	}
	return max(0, fromMillis(ms.Int64).Sub(t.Now)), ms.Valid, nil
}

var leaseScope = waiting + `, oldest AS (
		SELECT scope_id, (SELECT min(c.id) FROM changes c WHERE c.scope_id = waiting.scope_id) AS first FROM waiting WHERE scope_id IS NOT NULL
	), due AS (
		SELECT scopes.id, scopes.repository_id, oldest.first, (SELECT CASE WHEN c.created_at > $1 THEN 0 ELSE c.created_at END FROM changes c WHERE c.id = oldest.first) AS came
		FROM oldest CROSS JOIN scopes WHERE scopes.id = oldest.scope_id AND ` + canLease + ` AND ` + keyed + `
	), served AS (
		SELECT repository_id, max(CASE WHEN published_at > $1 THEN 0 ELSE published_at END) AS at FROM scopes WHERE repository_id IN (SELECT repository_id FROM due) GROUP BY repository_id
	), turns AS (
		SELECT due.id, due.first, CASE WHEN came > at THEN came ELSE at END AS turn FROM due JOIN served ON served.repository_id = due.repository_id
	)
	UPDATE scopes SET lease = $5, lease_until = $2
	WHERE id = (SELECT id FROM turns ORDER BY turn, first LIMIT 1) AND ` + canLease + `
	RETURNING `

// LeaseScope takes the lease of a scope that has changes, whose pause is over
// and which nobody publishes. repo.ErrNotFound means there is none.
//
// Of the scopes that are looked at, all unless very many wait, the
// one whose oldest change has waited for longest comes first, and a
// repository that was published meanwhile counts as if its changes had come
// then: so one with many scopes does not hold up the others. A time ahead of the
// clock was set by a clock that was wrong. It counts as long ago, or the scope would
// be the last one until the clock gets there.
func (t *Tx) LeaseScope(ctx context.Context, lease string, now Timing) (ScopeState, error) {
	v, err := scanScope(t.q.QueryRowContext(ctx, leaseScope+strings.ReplaceAll(scopeColumns, "s.", ""), append(now.times(), rand.Float64(), lease)...))
	return v, found(err, "scope to publish")
}

// ErrLeaseLost says that somebody else may publish the scope now.
var ErrLeaseLost = fmt.Errorf("the lease of the scope was lost")

// RenewLease keeps a lease for longer.
func (t *Tx) RenewLease(ctx context.Context, scopeID int64, lease string, until time.Time) error {
	return t.leased(ctx, `UPDATE scopes SET lease_until = $3 WHERE id = $1 AND lease = $2`, scopeID, lease, millis(until))
}

// ReleaseLease ends a lease; the next publication may begin at notBefore.
func (t *Tx) ReleaseLease(ctx context.Context, scopeID int64, lease string, notBefore time.Time) error {
	return t.leased(ctx, `UPDATE scopes SET lease = '', lease_until = 0, not_before = $3 WHERE id = $1 AND lease = $2`, scopeID, lease, millis(notBefore))
}

// DropLeases ends all leases. Only the one process that publishes may do so,
// before it begins: those there are belong to one that was killed.
func (t *Tx) DropLeases(ctx context.Context) error {
	if _, err := t.q.ExecContext(ctx, `UPDATE scopes SET lease = '', lease_until = 0 WHERE lease <> ''`); err != nil {
		return fmt.Errorf("drop leases: %w", err)
	}
	return nil
}

// FailLease ends the lease of a publication that failed; it is tried again at
// notBefore.
func (t *Tx) FailLease(ctx context.Context, scopeID int64, lease, message string, notBefore time.Time) error {
	return t.leased(ctx, `
		UPDATE scopes SET lease = '', lease_until = 0, failures = failures + 1, last_error = $3, not_before = $4
		WHERE id = $1 AND lease = $2`, scopeID, lease, message, millis(notBefore))
}

// Flip makes a generation live that names an origin and, if it is the first one,
// was made with a public URL. It fails with ErrLeaseLost
// unless the lease is held and the scope still has the generation before it.
func (t *Tx) Flip(ctx context.Context, scopeID int64, lease string, generation int64, now time.Time, origin, url string) error {
	return t.leased(ctx, `
		UPDATE scopes SET generation = $3, published_at = $4, failures = 0, last_error = '', origin = $5,
			url = CASE WHEN url = '' THEN $6 ELSE url END,
			latest_at = CASE WHEN latest_at > $4 THEN latest_at ELSE $4 END,
			newer_at = CASE
				WHEN published_at > $4 AND (newer_at <= $4 OR published_at < newer_at) THEN published_at
				WHEN newer_at > $4 THEN newer_at
				ELSE 0 END
		WHERE id = $1 AND lease = $2 AND generation = $3 - 1`, scopeID, lease, generation, millis(now), origin, url)
}

// LatestPublication is the latest time of a live generation; zero if there is none.
func (r Reader) LatestPublication(ctx context.Context) (time.Time, error) {
	var ms sql.NullInt64
	if err := r.q.QueryRowContext(ctx, `SELECT max(published_at) FROM scopes`).Scan(&ms); err != nil {
		return time.Time{}, fmt.Errorf("look for the latest publication: %w", err)
	}
	if ms.Int64 == 0 {
		return time.Time{}, nil
	}
	return fromMillis(ms.Int64), nil
}

// DatedAhead lists the scopes whose live generation has a time after limit, and
// nothing waiting.
func (r Reader) DatedAhead(ctx context.Context, limit time.Time) ([]ScopeState, error) {
	return collect(ctx, r.q, "scopes", scanScope, `SELECT `+scopeColumns+` FROM scopes s
		WHERE s.published_at > $1 AND NOT EXISTS (SELECT 1 FROM changes c WHERE c.scope_id = s.id) ORDER BY s.id`, millis(limit))
}

// DatedBehind lists the scopes of which an earlier generation had a later time
// than the live one, a time that is over now, and nothing waits. Of several such
// times it looks at the next one above the live generation's and at the latest.
func (r Reader) DatedBehind(ctx context.Context, now time.Time) ([]ScopeState, error) {
	return collect(ctx, r.q, "scopes", scanScope, `SELECT `+scopeColumns+` FROM scopes s
		WHERE (s.published_at < s.latest_at AND s.latest_at < $1 OR s.newer_at > 0 AND s.newer_at < $1)
			AND NOT EXISTS (SELECT 1 FROM changes c WHERE c.scope_id = s.id) ORDER BY s.id`, millis(now))
}

// OriginOf is the origin that the scopes of a repository have; "" if none has
// one yet.
func (r Reader) OriginOf(ctx context.Context, repositoryID int64) (string, error) {
	var origin string
	err := r.q.QueryRowContext(ctx, `SELECT coalesce((SELECT origin FROM scopes WHERE repository_id = $1 AND origin <> '' ORDER BY id LIMIT 1), '')`, repositoryID).Scan(&origin)
	if err != nil {
		return "", fmt.Errorf("read the origin of repository %d: %w", repositoryID, err)
	}
	return origin, nil
}

// SetOrigin changes the origin of every scope of a repository that has another
// one, and returns their ids.
func (t *Tx) SetOrigin(ctx context.Context, repositoryID int64, origin string) ([]int64, error) {
	scan := func(s scanner) (id int64, err error) { err = s.Scan(&id); return id, err }
	return collect(ctx, t.q, "scopes", scan, `UPDATE scopes SET origin = $2 WHERE repository_id = $1 AND generation > 0 AND origin <> $2 RETURNING id`, repositoryID, origin)
}

// MovedScopes lists the scopes of a format whose documents have links of another
// public URL than this one, and notes that they have this one. Where it is not
// known they count as having it.
func (t *Tx) MovedScopes(ctx context.Context, format, url string) ([]int64, error) {
	scan := func(s scanner) (id int64, err error) { err = s.Scan(&id); return id, err }
	moved, err := collect(ctx, t.q, "scopes", scan, `SELECT id FROM scopes WHERE format = $1 AND url NOT IN ('', $2) AND generation > 0 ORDER BY id`, format, url)
	if err != nil {
		return nil, err
	}
	if _, err := t.q.ExecContext(ctx, `UPDATE scopes SET url = $2 WHERE format = $1 AND url <> $2`, format, url); err != nil {
		return nil, fmt.Errorf("record the URL of scopes: %w", err)
	}
	return moved, nil
}

// leased runs a statement that must change the one row of a leased scope.
func (t *Tx) leased(ctx context.Context, query string, scopeID int64, lease string, args ...any) error {
	res, err := t.q.ExecContext(ctx, query, append([]any{scopeID, lease}, args...)...)
	if err != nil {
		return fmt.Errorf("update leased scope %d: %w", scopeID, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("update leased scope %d: %w", scopeID, err)
	}
	if n != 1 {
		return fmt.Errorf("scope %d: %w", scopeID, ErrLeaseLost)
	}
	return nil
}
