package publish

import (
	"context"
	"time"

	"packagecloud/internal/db"
	"packagecloud/internal/repo"
)

// mend has generations made again whose time is of no use to clients, because
// the clock was wrong when they were made.
func (w *Worker) mend(ctx context.Context) {
	for ctx.Err() == nil {
		if err := w.Mend(ctx); err != nil && ctx.Err() == nil {
			w.Log.Log(ctx, repo.LogLevel(err), "cannot look for generations of a wrong time", "error", err)
		}
		_ = wait(ctx, nil, mendInterval) // the loop looks at the context
	}
}

// Mend records a change for each scope that is to be dated anew:
//
//   - whose live generation is further ahead than clients bear, because the clock
//     has been put back: apt-get update fails on it;
//   - whose live generation has an earlier time than one before it, now that the
//     later time is over: a client that has taken that one ignores all that is
//     older.
func (w *Worker) Mend(ctx context.Context) error {
	now, err := w.clock(ctx, w.DB.Reader)
	if err != nil {
		return err
	}
	ahead, err := w.DB.DatedAhead(ctx, now.Add(aheadTime))
	if err != nil {
		return err
	}
	behind, err := w.DB.DatedBehind(ctx, now.Add(-time.Second))
	if err != nil {
		return err
	}
	for _, s := range append(ahead, behind...) {
		w.Log.WarnContext(ctx, "a distribution is published again, because the clock was wrong when it was published last", "distribution", s.Distro.String(),
			"repository", s.RepositoryID, "published", s.PublishedAt, "latest", s.LatestAt, "now", now)
		if err := w.DB.Update(ctx, func(tx *db.Tx) error { return tx.AddChange(ctx, s.ID, db.Refresh, 0, now) }); err != nil {
			return err
		}
	}
	if len(ahead)+len(behind) > 0 {
		w.Wake()
	}
	return nil
}
