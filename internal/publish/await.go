package publish

import "context"

// AwaitScope waits until everything that was recorded for a scope until now is
// published, and every node knows.
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
