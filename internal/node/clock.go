package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/clock"
	"packagecloud/internal/repo"
)

// clockTolerance is by how much clocks may be apart: what apt bears (its
// Acquire::Max-FutureTime).
const clockTolerance = 10 * time.Second

// clockInterval is how often a server compares clocks.
const clockInterval = time.Minute

// CheckClock says in words for people what is wrong with clocks, and what to do;
// nothing if they agree. It compares the clock of this machine with that of the
// database and of the bucket, and with the times of what was published. Nobody tells
// it which one is wrong: the words name both.
func (n *Node) CheckClock(ctx context.Context) (wrong []string, err error) {
	const here = "the clock of this machine"
	own := clock.Now()
	now, err := n.DB.Clock(ctx, own)
	if err != nil {
		return nil, err
	}
	dating := here // the clock that dates what is published
	if n.DB.Shared() {
		dating = "the clock of the machine with PostgreSQL"
		wrong = apart(wrong, here, own, dating, now)
	}
	if store, ok := n.Blobs.(blob.Timekeeper); ok {
		if _, err := n.Blobs.Stat(ctx, blob.IdentityKey); err != nil && !errors.Is(err, blob.ErrNotFound) {
			return wrong, err
		}
		wrong = apart(wrong, dating, now, "the clock of the bucket", store.Now())
	}
	latest, err := n.DB.LatestPublication(ctx)
	if err != nil {
		return wrong, err
	}
	if ahead := latest.Sub(now); ahead > clockTolerance {
		wrong = append(wrong, fmt.Sprintf("something was published at %s, which is %s ahead of %s (%s), and apt refuses it until then: if that clock is right now, servers publish it again within seconds; if it is behind, set it right",
			latest.UTC().Format(time.RFC3339), ahead.Round(time.Second), dating, now.UTC().Format(time.RFC3339)))
	}
	return wrong, nil
}

// apart adds that two clocks are apart, if they are.
func apart(wrong []string, one string, at time.Time, other string, otherAt time.Time) []string {
	off, word := at.Sub(otherAt), "ahead of"
	if off < 0 {
		off, word = -off, "behind"
	}
	if off <= clockTolerance {
		return wrong
	}
	return append(wrong, fmt.Sprintf("%s (%s) is %s %s %s: set the wrong one right (timedatectl set-ntp true, or chronyc makestep)",
		one, at.UTC().Format(time.RFC3339), off.Round(time.Second), word, other))
}

// ClockWarnings are what was wrong with clocks when WatchClock looked last, a minute
// ago or a little more. What is older misleads no client: people read it.
func (n *Node) ClockWarnings() []string {
	if w := n.clockWarnings.Load(); w != nil {
		return *w
	}
	return nil
}

// WatchClock compares clocks until the context ends, and logs what is wrong. The
// request that it makes of a bucket also tells the bucket's clock, by which links
// are signed.
func (n *Node) WatchClock(ctx context.Context) {
	ticker := time.NewTicker(clockInterval)
	defer ticker.Stop()
	for {
		n.lookAtClock(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (n *Node) lookAtClock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, clockInterval/2)
	defer cancel()
	wrong, err := n.CheckClock(ctx)
	if err != nil {
		if ctx.Err() == nil {
			n.Log.Log(ctx, min(repo.LogLevel(err), slog.LevelWarn), "cannot compare the clocks", "error", err)
		}
		return
	}
	for _, w := range wrong {
		n.Log.WarnContext(ctx, "a clock is wrong", "words", w)
	}
	n.clockWarnings.Store(&wrong)
}
