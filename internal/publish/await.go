package publish

import (
	"context"
	"fmt"

	"packagecloud/internal/repo"
)

// patience is how many publications of a scope may fail before whoever waits for
// it is told. The first failure may pass, and is tried again after a second.
const patience = 2

// failing is why the scope cannot be published, where that goes on; nil if it
// can, as far as is known.
func (w *Worker) failing(ctx context.Context, scopeID int64) error {
	s, err := w.DB.ScopeByID(ctx, scopeID)
	if err != nil || s.Failures < patience {
		return err
	}
	return fmt.Errorf("%w: %s could not be published %d times in a row: %s", repo.ErrUnavailable, s.Distro, s.Failures, s.LastError)
}

// AwaitScope waits until everything that was recorded for a scope until now is
// published, and every node knows. repo.ErrUnavailable says that it cannot be.
func (w *Worker) AwaitScope(ctx context.Context, scopeID int64) error {
	last, err := w.DB.LastChange(ctx, scopeID)
	if err != nil {
		return err
	}
	if last == 0 {
		return w.settled(ctx, scopeID)
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
			return w.settled(ctx, scopeID)
		}
		if err := w.failing(ctx, scopeID); err != nil {
			return err
		}
		if err := wait(ctx, flipped, pollInterval/4); err != nil {
			return err
		}
	}
}

// serving flips a scope and lets this node serve the new generation. Whoever
// finds in the database that it is live waits for both, by settled.
func (w *Worker) serving(scopeID int64, flip func() error) error {
	w.countFlips(scopeID, +1)
	err := flip()
	// Also after an error: the transaction may have been committed all the same.
	if w.Flipped != nil {
		w.Flipped(scopeID)
	}
	w.countFlips(scopeID, -1)
	w.broadcast(&w.flipped)
	return err
}

// countFlips notes that so many flips of a scope began or ended, and tells how
// many there are.
func (w *Worker) countFlips(scopeID int64, change int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.flips == nil {
		w.flips = make(map[int64]int)
	}
	n := w.flips[scopeID] + change
	if w.flips[scopeID] = n; n == 0 {
		delete(w.flips, scopeID)
	}
	return n
}

// settled waits until this node serves what is live of a scope.
func (w *Worker) settled(ctx context.Context, scopeID int64) error {
	for {
		flipped := w.listen(&w.flipped)
		if w.countFlips(scopeID, 0) == 0 {
			return nil
		}
		if err := wait(ctx, flipped, pollInterval); err != nil {
			return err
		}
	}
}
