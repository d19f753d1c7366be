package collect

import "time"

// jump is how far a clock may be set ahead while the collector runs.
const jump = 10 * time.Minute

// watch finds out that the clock was set ahead. What is compared with it would
// seem older than it is, and be removed before its grace time is over. The zero
// value believes the clock as it is first.
type watch struct {
	wall    time.Time
	elapsed time.Duration // by a clock that nobody sets
	held    time.Duration // since when, by that clock, wall has been left behind; 0: it has not
}

// ahead is how far the clock was set ahead; 0 if it can be believed. A clock that
// stays ahead for orphanAge is believed, or one that was put right, or a machine
// that slept, would stop the collection for ever.
func (w *watch) ahead(wall time.Time, elapsed time.Duration) time.Duration {
	wall = wall.Round(0) // without the monotonic reading
	by := wall.Sub(w.wall) - (elapsed - w.elapsed)
	switch {
	case w.wall.IsZero(), by <= jump, w.held > 0 && elapsed-w.held >= orphanAge:
		*w = watch{wall: wall, elapsed: elapsed}
		return 0
	case w.held == 0:
		w.held = max(elapsed, 1)
	}
	return by
}
