// Package collect removes what nobody can ask for any more: index files and
// segments of old generations, packages that were deleted, and bytes that
// nothing refers to. Everything stays for a grace time first, so that a client
// in the middle of an update never meets a gap.
//
// Rows go before bytes, so that a crash leaves bytes without a row, which a
// sweep finds, and never a row without bytes.
package collect

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/db"
	"packagecloud/internal/repo"
)

const (
	// batch is how many rows one transaction takes.
	batch = 500
	// orphanAge is for how long sweeps must have found an object without a row
	// until no upload or publication still under way can have made it.
	orphanAge = 48 * time.Hour
	// sweepInterval is how often objects without a row are looked for.
	sweepInterval = 24 * time.Hour
	// step bounds how far the grace clock moves at once. What happens in between
	// is taken for older than it is by that much, so it is added to every grace time.
	step = 2 * time.Minute
)

// Collector removes. Its fields must not change once it is used.
//
// Nothing that it does depends on the time of day: grace times are counted by the
// grace clock (db.Tx.MoveGraceClock), which goes on while a server runs. A clock
// that is a year ahead, even when the server starts, removes nothing early; a
// server that was off for a year keeps what was not needed for its grace time more.
type Collector struct {
	DB    *db.DB
	Blobs blob.Store
	// IndexGrace is how long files of a generation stay after the next one
	// went live.
	IndexGrace time.Duration
	// PackageGrace is how long a package stays after the generation without it
	// went live, and its bytes after the last package with them is gone.
	PackageGrace time.Duration
	Log          *slog.Logger
	// Now is the clock of this machine.
	Now func() time.Time
}

// Removed counts what was removed.
type Removed struct {
	Files, Segments, Packages, Blobs, Orphans int
}

// Run collects until the context ends: rows every interval, orphans after the
// first interval and then once in a day.
func (c *Collector) Run(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(min(interval, step/2))
	defer ticker.Stop()
	moved := time.Now()
	collected, swept := moved, moved.Add(-sweepInterval)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := c.Move(ctx, time.Since(moved))
		if err == nil {
			moved = time.Now()
		}
		var removed Removed
		if err == nil && time.Since(collected) >= interval {
			collected = time.Now()
			removed, err = c.Collect(ctx)
		}
		if err == nil && collected.Sub(swept) >= sweepInterval {
			swept = collected
			removed.Orphans, err = c.Sweep(ctx)
		}
		if err != nil && ctx.Err() == nil {
			c.Log.Log(ctx, repo.LogLevel(err), "cannot collect garbage", "error", err)
		}
		if removed != (Removed{}) {
			c.Log.InfoContext(ctx, "collected garbage", "files", removed.Files, "segments", removed.Segments,
				"packages", removed.Packages, "blobs", removed.Blobs, "orphans", removed.Orphans)
		}
	}
}

// Move moves the grace clock on, by no more than the caller has run since it did
// so last.
func (c *Collector) Move(ctx context.Context, ran time.Duration) error {
	return c.DB.Update(ctx, func(tx *db.Tx) error {
		now, err := tx.Clock(ctx, c.Now())
		if err != nil {
			return err
		}
		return tx.MoveGraceClock(ctx, now, min(ran, step))
	})
}

// before is the time by the grace clock before which something must have become
// needless for its grace time to be over.
func before(ctx context.Context, r db.Reader, grace time.Duration) (time.Time, error) {
	now, err := r.GraceTime(ctx)
	return now.Add(-grace - step), err
}

// Collect removes what is due.
func (c *Collector) Collect(ctx context.Context) (r Removed, err error) {
	for _, step := range []struct {
		removed *int
		run     func(context.Context) (int, error)
	}{{&r.Files, c.files}, {&r.Segments, c.segments}, {&r.Packages, c.packages}, {&r.Blobs, c.blobs}} {
		for {
			n, err := step.run(ctx)
			*step.removed += n
			if err != nil {
				return r, err
			}
			if n < batch {
				break
			}
		}
	}
	return r, nil
}

// files removes index files of old generations.
func (c *Collector) files(ctx context.Context) (int, error) {
	limit, err := before(ctx, c.DB.Reader, c.IndexGrace)
	if err != nil {
		return 0, err
	}
	files, err := c.DB.RetiredFiles(ctx, limit, batch)
	if err != nil || len(files) == 0 {
		return 0, err
	}
	ids := make([]int64, 0, len(files))
	for _, f := range files {
		ids = append(ids, f.ID)
	}
	if err := c.DB.Update(ctx, func(tx *db.Tx) error { return tx.ForgetFiles(ctx, ids) }); err != nil {
		return 0, err
	}
	for _, f := range files {
		if f.Object == "" {
			continue // a form of a document that was never stored as a whole
		}
		if err := c.remove(ctx, f.Object); err != nil {
			return 0, err
		}
	}
	return len(files), nil
}

// segments removes segments that only old generations have.
func (c *Collector) segments(ctx context.Context) (int, error) {
	limit, err := before(ctx, c.DB.Reader, c.IndexGrace)
	if err != nil {
		return 0, err
	}
	segments, err := c.DB.RetiredSegments(ctx, limit, batch)
	if err != nil || len(segments) == 0 {
		return 0, err
	}
	if err := c.DB.Update(ctx, func(tx *db.Tx) error { return tx.ForgetSegments(ctx, segments) }); err != nil {
		return 0, err
	}
	for _, s := range segments {
		if s.Object == "" {
			continue
		}
		if err := c.remove(ctx, s.Object); err != nil {
			return 0, err
		}
	}
	return len(segments), nil
}

// remove removes an object whose row is gone. That no other row names it is so
// by the way objects are named; but what is removed cannot be had back.
func (c *Collector) remove(ctx context.Context, key string) error {
	used, err := c.DB.ObjectInUse(ctx, key)
	if err != nil || used {
		return err
	}
	return c.Blobs.Delete(ctx, key)
}

// packages forgets deleted packages and dooms bytes that nobody refers to now.
func (c *Collector) packages(ctx context.Context) (n int, err error) {
	err = c.DB.Update(ctx, func(tx *db.Tx) error {
		limit, err := before(ctx, tx.Reader, c.PackageGrace)
		if err != nil {
			return err
		}
		n, err = tx.ForgetPackages(ctx, limit, batch)
		return err
	})
	return n, err
}

// blobs removes doomed bytes. Object and row go while the row is locked: an
// upload of the same bytes waits, and then stores them again.
func (c *Collector) blobs(ctx context.Context) (n int, err error) {
	err = c.DB.Update(ctx, func(tx *db.Tx) error {
		n = 0
		limit, err := before(ctx, tx.Reader, c.PackageGrace)
		if err != nil {
			return err
		}
		blobs, err := tx.DoomedBlobs(ctx, limit, batch)
		if err != nil {
			return err
		}
		for _, b := range blobs {
			if err := c.Blobs.Delete(ctx, b.Object); err != nil {
				return err
			}
			if err := tx.ForgetBlob(ctx, b); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

// Sweep finds objects that no row refers to, and have been without one since a
// sweep long ago. Those of publications are removed: their names are never used
// again. Package files are given a doomed row and go the way of all others,
// because an upload may claim them.
func (c *Collector) Sweep(ctx context.Context) (n int, err error) {
	began, err := c.DB.GraceTime(ctx)
	if err != nil {
		return 0, err
	}
	for info, err := range c.Blobs.List(ctx, "") {
		if err != nil {
			return n, err
		}
		if info.Key == blob.IdentityKey {
			continue
		}
		used, err := c.DB.ObjectInUse(ctx, info.Key)
		if err != nil {
			return n, err
		}
		if used {
			continue
		}
		removed, err := c.orphan(ctx, info.Key, began)
		if err != nil {
			return n, fmt.Errorf("remove the orphan %s: %w", info.Key, err)
		}
		if removed {
			n++
		}
	}
	return n, c.DB.Update(ctx, func(tx *db.Tx) error { return tx.ForgetOrphans(ctx, began) })
}

// orphan removes an object without a row, or has it removed, if that is what it
// was for long enough.
func (c *Collector) orphan(ctx context.Context, key string, sweep time.Time) (removed bool, err error) {
	digest, isPackage := strings.CutPrefix(key, "packages/")
	err = c.DB.Update(ctx, func(tx *db.Tx) error {
		found, err := tx.NoteOrphan(ctx, key, sweep)
		if err != nil {
			return err
		}
		if removed = sweep.Sub(found) >= orphanAge+step; !removed || !isPackage {
			return nil
		}
		now, err := tx.Clock(ctx, c.Now())
		if err != nil {
			return err
		}
		digest, name, _ := strings.Cut(digest, "/")
		return tx.AdoptOrphan(ctx, digest, name, key, now)
	})
	if err != nil || !removed || isPackage {
		return removed, err
	}
	return true, c.Blobs.Delete(ctx, key)
}
