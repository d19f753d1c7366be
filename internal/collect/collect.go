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
	// orphanAge is the age of an object without a row that no upload or
	// publication still under way can have made.
	orphanAge = 48 * time.Hour
)

// Collector removes. Its fields must not change once it is used.
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
	// Clock is the clock that ages are told by; nil means db.Reader.Clock. It is
	// that of PostgreSQL where nodes share it, so that a node whose own clock is
	// ahead removes nothing early.
	Clock func(ctx context.Context, r db.Reader) (time.Time, error)
}

// Removed counts what was removed.
type Removed struct {
	Files, Segments, Packages, Blobs, Orphans int
}

// Run collects until the context ends: rows every interval, orphans once in a
// day and after the first interval.
func (c *Collector) Run(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var swept time.Time
	var watch watch
	started := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if ahead := watch.ahead(c.Now(), time.Since(started)); ahead > 0 {
			c.Log.WarnContext(ctx, "no garbage is collected, because the clock was set ahead: if it is right now, restart the server, or wait", "ahead", ahead, "wait", orphanAge)
			continue
		}
		removed, err := c.Collect(ctx)
		if err == nil && c.Now().Sub(swept) > 24*time.Hour {
			swept = c.Now()
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

func (c *Collector) clock(ctx context.Context, r db.Reader) (time.Time, error) {
	if c.Clock != nil {
		return c.Clock(ctx, r)
	}
	return r.Clock(ctx, c.Now())
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
	now, err := c.clock(ctx, c.DB.Reader)
	if err != nil {
		return 0, err
	}
	files, err := c.DB.RetiredFiles(ctx, now.Add(-c.IndexGrace), batch)
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
	now, err := c.clock(ctx, c.DB.Reader)
	if err != nil {
		return 0, err
	}
	segments, err := c.DB.RetiredSegments(ctx, now.Add(-c.IndexGrace), batch)
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
		now, err := c.clock(ctx, tx.Reader)
		if err != nil {
			return err
		}
		n, err = tx.ForgetPackages(ctx, now.Add(-c.PackageGrace), batch, now)
		return err
	})
	return n, err
}

// blobs removes doomed bytes. Object and row go while the row is locked: an
// upload of the same bytes waits, and then stores them again.
func (c *Collector) blobs(ctx context.Context) (n int, err error) {
	err = c.DB.Update(ctx, func(tx *db.Tx) error {
		n = 0
		now, err := c.clock(ctx, tx.Reader)
		if err != nil {
			return err
		}
		blobs, err := tx.DoomedBlobs(ctx, now.Add(-c.PackageGrace), batch)
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

// Sweep finds old objects that no row refers to. Those of publications are
// removed: their names are never used again. Package files are given a doomed
// row and go the way of all others, because an upload may claim them.
func (c *Collector) Sweep(ctx context.Context) (n int, err error) {
	now, err := c.clock(ctx, c.DB.Reader)
	if err != nil {
		return 0, err
	}
	for info, err := range c.Blobs.List(ctx, "") {
		if err != nil {
			return n, err
		}
		if now.Sub(info.ModTime) < orphanAge || info.Key == blob.IdentityKey {
			continue
		}
		used, err := c.DB.ObjectInUse(ctx, info.Key)
		if err != nil {
			return n, err
		}
		if used {
			continue
		}
		if err := c.orphan(ctx, info); err != nil {
			return n, fmt.Errorf("remove the orphan %s: %w", info.Key, err)
		}
		n++
	}
	return n, nil
}

func (c *Collector) orphan(ctx context.Context, info blob.Info) error {
	digest, ok := strings.CutPrefix(info.Key, "packages/")
	if !ok {
		return c.Blobs.Delete(ctx, info.Key)
	}
	digest, name, _ := strings.Cut(digest, "/")
	return c.DB.Update(ctx, func(tx *db.Tx) error {
		now, err := c.clock(ctx, tx.Reader)
		if err != nil {
			return err
		}
		return tx.AdoptOrphan(ctx, digest, name, info.Key, now)
	})
}
