// Package publish turns what was recorded into a new generation of a scope, in
// a safe order: render and store everything under names of its own, sign, then
// flip one row. A client sees the old generation or the new one, a crash at any
// point leaves the old one, and what is rendered follows the change.
//
// Workers, on any number of nodes, lease scopes. One publication takes in all
// that waits; the pause before the next one grows with what it cost.
package publish

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

const (
	// leaseTime is how long a scope stays leased to a worker that has died.
	// Workers renew their lease three times in that time.
	leaseTime = 30 * time.Second
	// releaseTime bounds how long giving a lease back may take.
	releaseTime = 10 * time.Second
	// pollInterval is how often an idle worker looks for work that nobody told
	// it of: that of other nodes.
	pollInterval = time.Second
	// maxPause bounds the pause between publications of a scope, and maxRetry
	// that after a failure.
	maxPause = 30 * time.Second
	maxRetry = time.Minute
	// aheadTime is how far ahead of its clock a client bears the time of a
	// generation: apt's Acquire::Max-FutureTime. A generation that is further
	// ahead was made while the clock was.
	aheadTime = 10 * time.Second
	// mendInterval is how often generations are looked for whose time the clock
	// has left behind, or come past, since.
	mendInterval = 10 * time.Second
	// keysInterval is how often repositories are looked for that have no key and
	// nothing waiting.
	keysInterval = 5 * time.Second
	// ensureTime bounds how long the first client of an empty scope waits.
	ensureTime = 20 * time.Second
)

// Signer signs with the keys of a repository.
type Signer interface {
	ClearSign(message []byte, at time.Time) ([]byte, error)
	DetachSign(message []byte, at time.Time) ([]byte, error)
	PublicKey() ([]byte, error)
	// Fingerprints are those of the keys, in the order in which they sign.
	Fingerprints() []string
}

// Worker publishes scopes. Its fields must not change once it is used.
type Worker struct {
	DB      *db.DB
	Blobs   blob.Store
	Formats []format.Format
	// Signer gives the keys of a repository as the database has them now.
	Signer func(ctx context.Context, r repo.Repository) (Signer, error)
	// MakeKey makes the key of a repository that has none, if there is one;
	// waiting asks for one with changes that wait. Nothing of a repository is
	// published before it has its key. nil means that others make them.
	MakeKey func(ctx context.Context, waiting bool) (made bool, err error)
	// Origin is the host of the public URL, with a port if it has one. What was
	// published with another one keeps that.
	Origin string
	// URL is the public URL, without a slash at its end.
	URL string
	// Flipped is called when this worker has made a new generation live; nil
	// is fine.
	Flipped func(scopeID int64)
	Log     *slog.Logger
	// Now is the clock of this machine.
	Now func() time.Time
	// Clock is the clock by which the times of scopes are set and compared; nil
	// means db.Reader.Clock.
	Clock func(ctx context.Context, r db.Reader) (time.Time, error)

	mu      sync.Mutex
	wake    chan struct{} // closed and replaced when there may be work
	flipped chan struct{} // closed and replaced after each flip
	flips   map[int64]int // by scope: flips that this node may not serve yet
}

// Wake tells idle workers that there may be work.
func (w *Worker) Wake() { w.broadcast(&w.wake) }

func (w *Worker) broadcast(c *chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if *c != nil {
		close(*c)
		*c = nil
	}
}

// listen returns a channel that the next broadcast closes.
func (w *Worker) listen(c *chan struct{}) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if *c == nil {
		*c = make(chan struct{})
	}
	return *c
}

// Run publishes with n workers until the context ends. A publication that is
// under way is given up; somebody else begins it again.
func (w *Worker) Run(ctx context.Context, n int) {
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				wake := w.listen(&w.wake)
				worked, err := w.Step(ctx)
				if err != nil && ctx.Err() == nil {
					w.Log.Log(ctx, repo.LogLevel(err), "cannot publish", "error", err)
				}
				if !worked {
					w.idle(ctx, wake, err != nil)
				}
			}
		})
	}
	if w.MakeKey != nil {
		wg.Go(func() { w.makeKeys(ctx) })
	}
	wg.Go(func() { w.mend(ctx) })
	wg.Wait()
}

// makeKeys makes the keys of new repositories, so that no worker has to while
// others wait for it.
func (w *Worker) makeKeys(ctx context.Context) {
	for waiting := false; ctx.Err() == nil; {
		wake := w.listen(&w.wake)
		made, err := w.MakeKey(ctx, waiting)
		if made {
			w.Wake()
			continue
		}
		if err != nil && ctx.Err() == nil {
			w.Log.Log(ctx, repo.LogLevel(err), "cannot make a signing key", "error", err)
		}
		waiting = true
		if wait(ctx, wake, keysInterval) == nil && !closed(wake) {
			waiting = false
		}
	}
}

// closed reports whether a channel that nobody sends to was closed.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// idle waits until there may be work.
func (w *Worker) idle(ctx context.Context, wake <-chan struct{}, failed bool) {
	rest := pollInterval
	if due, ok, err := w.nextDue(ctx); err == nil && ok && !failed {
		// A scope that is due this moment may be contended: do not spin.
		rest = min(rest, max(due, time.Millisecond))
	}
	_ = wait(ctx, wake, rest) // Run looks at the context itself
}

// Step publishes one scope, if one is due. worked is false if there was
// nothing to do; err is then a failure to look. A publication that fails is
// recorded with its scope, logged, and tried again later.
func (w *Worker) Step(ctx context.Context) (worked bool, err error) {
	if due, ok, err := w.nextDue(ctx); err != nil || !ok || due > 0 {
		return false, err
	}
	lease := rand.Text()
	var scope db.ScopeState
	err = w.DB.Update(ctx, func(tx *db.Tx) error {
		now, err := w.timing(ctx, tx.Reader)
		if err == nil {
			scope, err = tx.LeaseScope(ctx, lease, now)
		}
		return err
	})
	if errors.Is(err, repo.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lease a scope: %w", err)
	}
	return true, w.publishLeased(ctx, scope, lease)
}

// nextDue is how long it takes until a scope can be leased, if any waits.
func (w *Worker) nextDue(ctx context.Context) (rest time.Duration, ok bool, err error) {
	now, err := w.timing(ctx, w.DB.Reader)
	if err != nil {
		return 0, false, err
	}
	return w.DB.NextDue(ctx, now)
}

func (w *Worker) clock(ctx context.Context, r db.Reader) (time.Time, error) {
	if w.Clock != nil {
		return w.Clock(ctx, r)
	}
	return r.Clock(ctx, w.Now())
}

// timing is the time by the clock of the database, and how far ahead of it
// leases and pauses can end.
func (w *Worker) timing(ctx context.Context, r db.Reader) (db.Timing, error) {
	now, err := w.clock(ctx, r)
	return db.Timing{Now: now, Lease: leaseTime, Rest: max(maxPause, maxRetry) + aheadTime}, err
}

// publishLeased publishes a leased scope and gives the lease back.
func (w *Worker) publishLeased(ctx context.Context, scope db.ScopeState, lease string) error {
	leased, stop := w.keepLease(ctx, scope.ID, lease)
	start := w.Now()
	published, err := w.publish(leased, scope, lease)
	stop()
	cost := w.Now().Sub(start)

	if err == nil {
		rest := pause(cost)
		if _, ok := w.Blobs.(blob.Composer); ok {
			// The store tells clients when a file was stored, in seconds.
			rest = max(rest, time.Second)
		}
		return w.release(ctx, scope.ID, lease, rest, published)
	}
	if ctx.Err() != nil || errors.Is(err, errKeysChanged) {
		return w.release(ctx, scope.ID, lease, 0, time.Time{})
	}
	if errors.Is(err, db.ErrLeaseLost) || errors.Is(context.Cause(leased), db.ErrLeaseLost) {
		w.Log.WarnContext(ctx, "a publication lost its lease", "distribution", scope.Distro.String(), "repository", scope.RepositoryID)
		return nil
	}
	w.Log.Log(ctx, repo.LogLevel(err), "publication failed", "distribution", scope.Distro.String(), "repository", scope.RepositoryID, "error", err)
	err = w.DB.Update(ctx, func(tx *db.Tx) error {
		now, cerr := w.clock(ctx, tx.Reader)
		return errors.Join(cerr, tx.FailLease(ctx, scope.ID, lease, err.Error(), now.Add(retry(scope.Failures))))
	})
	w.broadcast(&w.flipped) // whoever waits for this publication is told why
	return err
}

// release gives a lease back, also when the worker is being stopped, so that the
// scope need not wait until it runs out.
//
// The next publication may begin after a rest, and not before the time of the
// generation that was published, or generations would run ahead of the clock.
func (w *Worker) release(ctx context.Context, scopeID int64, lease string, rest time.Duration, published time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	err := w.DB.Update(ctx, func(tx *db.Tx) error {
		now, err := w.clock(ctx, tx.Reader)
		if err != nil {
			return err
		}
		notBefore := now.Add(rest)
		if notBefore.Before(published) {
			notBefore = published
		}
		return tx.ReleaseLease(ctx, scopeID, lease, notBefore)
	})
	if errors.Is(err, db.ErrLeaseLost) {
		return nil
	}
	return err
}

// keepLease renews a lease until stop is called. The context it returns ends
// when the lease cannot be held.
func (w *Worker) keepLease(ctx context.Context, scopeID int64, lease string) (leased context.Context, stop func()) {
	leased, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(leaseTime / 3)
		defer ticker.Stop()
		renewed := w.Now()
		for {
			select {
			case <-leased.Done():
				return
			case <-ticker.C:
			}
			now := w.Now()
			err := w.DB.Update(leased, func(tx *db.Tx) error {
				t, err := w.clock(leased, tx.Reader)
				return errors.Join(err, tx.RenewLease(leased, scopeID, lease, t.Add(leaseTime)))
			})
			switch {
			case err == nil:
				renewed = now
			case errors.Is(err, db.ErrLeaseLost), w.Now().Sub(renewed) > leaseTime:
				cancel(errors.Join(db.ErrLeaseLost, err))
				return
			}
		}
	})
	return leased, func() {
		cancel(nil)
		wg.Wait()
	}
}

// pause is how long a scope rests after a publication, and never less than
// makes one generation a second. A lone push meets a scope that has long
// rested; a burst is taken in by a few generations, which leave most of the
// time to others.
func pause(cost time.Duration) time.Duration { return min(2*cost, maxPause) }

// retry is how long a scope rests after it failed so many times before.
func retry(failures int64) time.Duration {
	return min(time.Second<<min(failures, 10), maxRetry)
}

// Freshness bounds how long a node goes on serving the generation that it knew
// to be live after another node has replaced it.
const Freshness = time.Second

// Await waits until a live generation lists a package and every node knows. It
// returns early, with nil, if the package was deleted, and with a
// *repo.InvalidError if it was withheld. repo.ErrUnavailable says that its scope
// cannot be published.
func (w *Worker) Await(ctx context.Context, packageID int64) error {
	for {
		flipped := w.listen(&w.flipped)
		p, err := w.DB.PackageByID(ctx, packageID)
		switch {
		case errors.Is(err, repo.ErrNotFound):
			return nil
		case err != nil:
			return err
		case p.Withheld != "":
			return repo.Invalid("base", "no index lists the package, because its clients would not bear it: "+p.Withheld)
		case p.Indexed && w.DB.Shared():
			return wait(ctx, nil, Freshness)
		case p.Indexed:
			return w.settled(ctx, p.ScopeID)
		}
		if err := w.failing(ctx, p.ScopeID); err != nil {
			return err
		}
		if err := wait(ctx, flipped, pollInterval/4); err != nil {
			return err
		}
	}
}

// Ensure publishes a scope that was never published, with nothing in it yet. It
// returns when it is live; repo.ErrUnavailable says that this takes too long.
func (w *Worker) Ensure(ctx context.Context, r repo.Repository, v repo.DistroVersion) error {
	ctx, cancel := context.WithTimeout(ctx, ensureTime)
	defer cancel()
	var id int64
	err := w.DB.Update(ctx, func(tx *db.Tx) (err error) {
		if id, err = tx.EnsureScope(ctx, r.ID, v); err != nil {
			return err
		}
		waiting, err := tx.Changes(ctx, id, 1)
		if err != nil || len(waiting) > 0 {
			return err
		}
		s, err := tx.ScopeByID(ctx, id)
		if err != nil || s.Generation > 0 {
			return err
		}
		return tx.AddChange(ctx, id, db.Refresh, 0, w.Now())
	})
	if err != nil {
		return err
	}
	w.Wake()
	for {
		flipped := w.listen(&w.flipped)
		s, err := w.DB.ScopeByID(ctx, id)
		if err == nil && s.Generation > 0 {
			return nil
		}
		if err == nil {
			err = wait(ctx, flipped, pollInterval/4)
		}
		if err != nil {
			return fmt.Errorf("publish %s of %s for the first time: %w: %w", v, r.FullName(), repo.ErrUnavailable, err)
		}
	}
}

// wait waits for a signal, at most for some time.
func wait(ctx context.Context, signal <-chan struct{}, atMost time.Duration) error {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-signal:
	case <-timer.C:
	}
	return nil
}
