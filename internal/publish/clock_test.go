package publish_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/publish"
	"packagecloud/internal/repo"
	"packagecloud/internal/verify"
)

// clock is the one that times are recorded by: that of the database where nodes
// share it. It can be wrong, and put right.
type clock struct{ wrong time.Duration }

func (c *clock) now() time.Time { return time.Now().Add(c.wrong) }

// TestClockAhead publishes while the clock is a day ahead, which then is put
// right: the scope is published again at once, dated rightly.
func TestClockAhead(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		w := s.worker(s.blobs)
		c := &clock{wrong: 24 * time.Hour}
		setClock(w, c.now)
		s.mustPush(one, "a", "1", "x86")
		s.settle(w)
		c.wrong = 0
		var found []string
		s.inspectAt(c, func(p verify.Problem) { found = append(found, p.What) })
		if len(found) != 1 || !strings.Contains(found[0], "ahead of the clock") {
			t.Errorf("verify says %q", found)
		}
		if err := w.Mend(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.settle(w)
		if at := s.scope(one).PublishedAt; at.After(c.now()) {
			t.Errorf("the live generation is of %s", at)
		}
		s.inspectAt(c, func(p verify.Problem) { t.Errorf("%s: %s", p.Object, p.What) })

		// Clients whose clocks were ahead too have the later one. They ignore all
		// that is older, so something newer comes when that time is over.
		latest := s.scope(one).LatestAt
		c.wrong = 25 * time.Hour
		if err := w.Mend(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.settle(w)
		if at := s.scope(one).PublishedAt; !at.After(latest) {
			t.Errorf("the live generation is of %s, and there was one of %s", at, latest)
		}
		if err := w.Mend(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, _, err := d.Backlog(t.Context()); err != nil || n != 0 {
			t.Errorf("%d changes wait for nothing, %v", n, err)
		}
	})
}

// TestClockBehind publishes while the clock is a day behind: the scope does not
// wait for it, and is dated anew when the clock is right.
func TestClockBehind(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		w := s.worker(s.blobs)
		c := &clock{}
		setClock(w, c.now)
		s.mustPush(one, "a", "1", "x86")
		s.settle(w)
		first := s.scope(one).PublishedAt
		c.wrong = -24 * time.Hour
		s.mustPush(one, "b", "1", "x86")
		s.settle(w)
		if got := s.scope(one); got.Generation < 2 {
			t.Errorf("nothing was published while the clock was behind")
		}
		c.wrong = 2 * time.Second
		if err := w.Mend(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.settle(w)
		if at := s.scope(one).PublishedAt; !at.After(first) {
			t.Errorf("the live generation is of %s, and clients have one of %s", at, first)
		}
		if got := names(s.live(one, "x86/names")); got != "a b" {
			t.Errorf("x86 lists %q", got)
		}
		s.inspectAt(c, func(p verify.Problem) { t.Errorf("%s: %s", p.Object, p.What) })
	})
}

// TestClockAheadThenBehind publishes while the clock is a day ahead, then right,
// then a day behind. What clients have is the one in the middle, and the live one
// is dated after it when the clock is right, and not only after the first.
func TestClockAheadThenBehind(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		w := s.worker(s.blobs)
		c := &clock{}
		setClock(w, c.now)
		var middle time.Time
		for i, wrong := range []time.Duration{24 * time.Hour, 0, -24 * time.Hour, -23 * time.Hour} {
			c.wrong = wrong
			s.mustPush(one, fmt.Sprintf("p%d", i), "1", "x86")
			s.settle(w)
			if wrong == 0 {
				middle = s.scope(one).PublishedAt
			}
		}
		c.wrong = 2 * time.Second
		for range 2 {
			if err := w.Mend(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.settle(w)
		}
		live := s.scope(one)
		if at := live.PublishedAt; !at.After(middle) || at.After(c.now().Add(10*time.Second)) {
			t.Errorf("the live generation is of %s, and clients have one of %s", at, middle)
		}
		if live.Generation != 5 {
			t.Errorf("there are %d generations: it was dated again and again", live.Generation)
		}
	})
}

// TestVoidTimes has a lease, a pause and a retry that were set while the clock
// was a day ahead.
func TestVoidTimes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		s := newSystem(t, d)
		s.mustPush(one, "a", "1", "x86")
		scope := s.scope(one).ID
		s.makeKeys()
		now := time.Now()
		timing := func(at time.Time) db.Timing {
			return db.Timing{Now: at, Lease: 30 * time.Second, Rest: 70 * time.Second}
		}
		lease := func(at time.Time) (worked bool) {
			t.Helper()
			err := d.Update(ctx, func(tx *db.Tx) error { _, err := tx.LeaseScope(ctx, "word", timing(at)); return err })
			return err == nil
		}
		if !lease(now) || lease(now.Add(time.Second)) {
			t.Error("a lease that is held is given away, or one that is free is not")
		}
		if !lease(now.Add(-24 * time.Hour)) {
			t.Error("a lease that was taken a day ahead is held for a day")
		}
		for _, rest := range []time.Duration{time.Minute, 24 * time.Hour} {
			if err := d.Update(ctx, func(tx *db.Tx) error {
				if _, err := tx.LeaseScope(ctx, "word", timing(now.Add(time.Hour))); err != nil {
					return err
				}
				return tx.FailLease(ctx, scope, "word", "no luck", now.Add(rest))
			}); err != nil {
				t.Fatal(err)
			}
			wait, ok, err := d.NextDue(ctx, timing(now))
			if void := rest > time.Hour; err != nil || !ok || void != (wait == 0) || void != lease(now) {
				t.Errorf("a rest of %s: %s, %v, %v", rest, wait, ok, err)
			}
		}
	})
}

// TestNodesApart has nodes whose clocks are minutes apart: the clock of the
// database is the one that counts.
func TestNodesApart(t *testing.T) {
	s := newSystem(t, dbtest.Postgres(t))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	finished := make(chan struct{})
	var nodes []*publish.Worker
	for _, wrong := range []time.Duration{-5 * time.Minute, 5 * time.Minute, 25 * time.Hour} {
		w := s.worker(s.blobs)
		w.Now = func() time.Time { return time.Now().Add(wrong) }
		nodes = append(nodes, w)
	}
	for _, w := range nodes {
		go func() {
			w.Run(ctx, 1)
			finished <- struct{}{}
		}()
	}
	for i := range 4 {
		p := s.mustPush(one, "a", string(rune('1'+i)), "x86")
		if err := nodes[i%len(nodes)].Await(ctx, p.ID); err != nil {
			t.Fatal(err)
		}
		if ahead := time.Until(s.scope(one).PublishedAt); ahead > 10*time.Second || ahead < -time.Minute {
			t.Errorf("a generation is dated %s ahead", ahead)
		}
	}
	stop()
	for range nodes {
		<-finished
	}
	s.inspectAt(&clock{}, func(p verify.Problem) { t.Errorf("%s: %s", p.Object, p.What) })
}

// TestOriginStays changes the public URL: what was published with another one
// keeps it, and so does a new scope of the same repository.
func TestOriginStays(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		w := s.worker(s.blobs)
		setClock(w, hurried())
		s.mustPush(one, "a", "1", "x86")
		s.settle(w)
		moved := s.worker(s.blobs)
		setClock(moved, hurried())
		moved.Origin = "elsewhere.example.com"
		s.mustPush(one, "b", "1", "x86")
		s.mustPush(two, "b", "1", "x86")
		s.settle(moved)
		for _, v := range []repo.DistroVersion{one, two} {
			if got := s.live(v, "index"); !strings.HasPrefix(got, "example.com/acme/tools ") {
				t.Errorf("%s names %.60q", v, got)
			}
		}
		s.verify()
	})
}

// TestOriginOfOlderProgram has a scope that was published before origins were
// recorded: what clients have seen counts.
func TestOriginOfOlderProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	d, err := db.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := newSystem(t, d)
	w := s.worker(s.blobs)
	setClock(w, hurried())
	s.mustPush(one, "a", "1", "x86")
	s.settle(w)
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.ExecContext(t.Context(), `UPDATE scopes SET origin = ''`); err != nil {
		t.Fatal(err)
	}
	w.Origin = "elsewhere.example.com"
	s.mustPush(one, "b", "1", "x86")
	s.settle(w)
	if got := s.live(one, "index"); !strings.HasPrefix(got, "example.com/acme/tools ") {
		t.Errorf("the index names %.60q", got)
	}
	s.verify()
}
