package publish_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/collect"
	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/verify"
)

// stored lists the keys of all objects.
func (s *system) stored() map[string]bool {
	s.t.Helper()
	keys := map[string]bool{}
	for info, err := range s.blobs.List(s.t.Context(), "") {
		if err != nil {
			s.t.Fatal(err)
		}
		keys[info.Key] = true
	}
	return keys
}

// lacks is which objects of before are no more.
func (s *system) lacks(before map[string]bool) (gone []string) {
	s.t.Helper()
	now := s.stored()
	for key := range before {
		if !now[key] {
			gone = append(gone, key)
		}
	}
	return gone
}

// collecting runs a collector for a while that passes at once, as a server does
// that is started and stopped. The clock goes on by that, and jumps.
func (s *system) collecting(c *clock, span time.Duration, jumps ...time.Duration) {
	s.t.Helper()
	wrong := c.now()
	synctest.Test(s.t, func(t *testing.T) {
		began := time.Now()
		var jumped atomic.Int64
		collector := collect.Collector{
			DB: s.db, Blobs: s.blobs, IndexGrace: time.Hour, PackageGrace: 2 * time.Hour, Log: slog.New(slog.DiscardHandler),
			Now: func() time.Time { return wrong.Add(time.Since(began) + time.Duration(jumped.Load())) },
		}
		ctx, cancel := context.WithTimeout(t.Context(), span)
		defer cancel()
		go func() {
			for _, j := range jumps {
				time.Sleep(span / time.Duration(len(jumps)+1))
				jumped.Add(int64(j))
			}
		}()
		collector.Run(ctx, 5*time.Minute)
	})
	c.wrong += span
	for _, j := range jumps {
		c.wrong += j
	}
}

// TestGraceIsTimeThatPassed runs the collector by clocks that are wrong when it
// starts, and are set ahead and back while it runs: what is needless goes when its
// grace time has passed, and nothing before that. What became needless while the
// clock was wrong is as young as the rest.
func TestGraceIsTimeThatPassed(t *testing.T) {
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	for name, wrong := range map[string][2]time.Duration{ // when things become needless, and from when the collector starts
		"right": {}, "a day ahead": {0, day}, "a year ahead": {0, year}, "was days behind": {-6 * day, 6 * day}, "was a year ahead": {year, -year}, "a year behind": {0, -year},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, dbtest.SQLite(t))
			w := s.worker(s.blobs)
			c := &clock{}
			setClock(w, c.now)
			s.collecting(c, 10*time.Minute)
			p := s.mustPush(one, "a", "1", "x86")
			s.settle(w)

			c.wrong += wrong[0]
			if err := s.remove(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			before := s.stored()
			s.settle(w)
			c.wrong += wrong[1]
			for range 3 { // an hour in which nothing runs is no time that passes
				s.collecting(c, 19*time.Minute, day, -2*day, day)
				c.wrong += time.Hour
			}
			if gone := s.lacks(before); gone != nil {
				t.Fatalf("after 57 minutes of an hour these are gone: %q", gone)
			}
			s.collecting(c, 25*time.Minute)
			if gone := strings.Join(s.lacks(before), " "); !strings.Contains(gone, "indexes/") || strings.Contains(gone, "packages/") {
				t.Errorf("after an hour and a half these are gone: %q", gone)
			}
			s.collecting(c, 5*time.Hour) // a package, and then its bytes
			if gone := strings.Join(s.lacks(before), " "); !strings.Contains(gone, "packages/") {
				t.Errorf("after five hours these are gone: %q", gone)
			}
			s.inspectAt(&clock{wrong: 2 * year}, func(p verify.Problem) { t.Errorf("%s: %s", p.Object, p.What) })
		})
	}
}

// TestOrphanIsOldByRunning has objects without a row, of an upload or publication
// under way, and a clock that is a year ahead: they stay for as long as those can
// take. The times of their files say nothing.
func TestOrphanIsOldByRunning(t *testing.T) {
	s := newSystem(t, dbtest.SQLite(t))
	c := &clock{wrong: 365 * 24 * time.Hour}
	for _, key := range []string{"packages/" + strings.Repeat("a", 64) + "/a.toy", "indexes/" + strings.Repeat("b", 64) + "/b"} {
		if err := s.blobs.Put(t.Context(), key, []byte("x"), blob.Attributes{}); err != nil {
			t.Fatal(err)
		}
	}
	collector := collect.Collector{DB: s.db, Blobs: s.blobs, PackageGrace: time.Hour, Log: slog.New(slog.DiscardHandler), Now: c.now}
	before := s.stored()
	for _, step := range []struct {
		passed time.Duration
		gone   int
	}{{0, 0}, {24 * time.Hour, 0}, {23 * time.Hour, 0}, {2 * time.Hour, 1}, {2 * time.Hour, 2}} { // a package gets a grace time more
		c.wrong += step.passed
		if err := s.db.Update(t.Context(), func(tx *db.Tx) error { return tx.MoveGraceClock(t.Context(), c.now(), step.passed) }); err != nil {
			t.Fatal(err)
		}
		if _, err := collector.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := collector.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if gone := s.lacks(before); len(gone) != step.gone {
			t.Errorf("%s later these are gone: %q", step.passed, gone)
		}
	}
}

// TestGraceClockOfNodes has two nodes on PostgreSQL that move the same clock on.
func TestGraceClockOfNodes(t *testing.T) {
	d := dbtest.Postgres(t)
	now := time.Now()
	move := func(wrong, passed, ran time.Duration) (moved time.Duration) {
		t.Helper()
		now = now.Add(passed)
		before, err := d.GraceTime(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Update(t.Context(), func(tx *db.Tx) error { return tx.MoveGraceClock(t.Context(), now.Add(wrong), ran) }); err != nil {
			t.Fatal(err)
		}
		after, err := d.GraceTime(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return after.Sub(before)
	}
	move(0, 0, 0)
	day := 24 * time.Hour
	for i, c := range []struct{ wrong, passed, ran, want time.Duration }{
		{0, 40 * time.Second, time.Minute, 40 * time.Second}, // one node, and then the other
		{0, 20 * time.Second, time.Minute, 20 * time.Second},
		{day, 40 * time.Second, time.Minute, time.Minute}, // set ahead
		{day, 20 * time.Second, time.Minute, 20 * time.Second},
		{0, time.Minute, time.Minute, 0}, // put right
		{0, time.Minute, time.Minute, time.Minute},
		{0, day, 10 * time.Second, 10 * time.Second}, // nobody ran
	} {
		if got := move(c.wrong, c.passed, c.ran); got != c.want {
			t.Errorf("step %d: the grace clock moves by %s, want %s", i, got, c.want)
		}
	}
}
