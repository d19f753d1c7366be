package publish

import "context"

// AwaitScope waits until everything that was recorded for a scope until now is
// published, and every node knows.
func (w *Worker) AwaitScope(ctx context.Context, scopeID int64) error {
	last, err := w.DB.LastChange(ctx, scopeID)
	if err != nil || last == 0 {
		return err
	}
	for {
		flipped := w.listen(&w.flipped)
		waits, err := w.DB.ChangeWaits(ctx, scopeID, last)
		switch {
		case err != nil:
			return err
		case !waits && w.DB.Shared():
			return wait(ctx, nil, Freshness)
		case !waits:
			return nil
		}
		if err := wait(ctx, flipped, pollInterval/4); err != nil {
			return err
		}
	}
}
