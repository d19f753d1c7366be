package publish_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/format"
	"packagecloud/internal/index"
	"packagecloud/internal/publish"
	"packagecloud/internal/publish/publishtest"
	"packagecloud/internal/repo"
)

// observe reads the live generation as a client does: the entry point, then a
// document that it names.
func (s *system) observe(ctx context.Context) (l publishtest.Listing, err error) {
	scope, err := s.db.Scope(ctx, s.repo.ID, one.OS, one.Version)
	if err != nil {
		return l, err
	}
	l.Generation = scope.Generation
	entry, err := s.db.FileAt(ctx, scope.ID, "index", scope.Generation)
	if err != nil {
		return l, err
	}
	l.Digest = entry.SHA256
	o, err := s.blobs.Open(ctx, entry.Object)
	if err != nil {
		return l, err
	}
	defer o.Close()
	body, err := io.ReadAll(o)
	if err != nil {
		return l, err
	}
	document, err := s.db.FileAt(ctx, scope.ID, "x86/names", scope.Generation)
	if err != nil {
		return l, err
	}
	if !strings.Contains(string(body), document.SHA256) {
		return l, fmt.Errorf("the entry point of generation %d does not name its document", scope.Generation)
	}
	segments, err := s.db.Segments(ctx, document.DocumentID, scope.Generation)
	if err != nil {
		return l, err
	}
	text, err := io.ReadAll(index.NewDocument(format.Plain, segments).Reader(ctx, publish.Segments{Store: s.blobs}))
	l.Packages = strings.Fields(names(string(text)))
	return l, err
}

// note reads the live generation into a history.
func (s *system) note(h *publishtest.History, note func(time.Time, publishtest.Listing, error)) {
	began := time.Now()
	l, err := s.observe(s.t.Context())
	note(began, l, err)
}

// TestHistory lets writers push and delete, and clients read, while three nodes
// publish with a storage that fails. The checker must find an order of all of it
// in which every answer was right.
func TestHistory(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		s.mustPush(one, "first", "1", "x86")
		s.settle(s.worker(s.blobs))
		h := new(publishtest.History)
		h.Pushed("first", true)
		storage := &flaky{Store: s.blobs, odds: 20}
		storage.on.Store(true)
		ctx, stop := context.WithCancel(t.Context())
		var nodes, clients, writers sync.WaitGroup
		workers := make([]*publish.Worker, 3)
		for i := range workers {
			workers[i] = s.worker(storage)
			workers[i].Now = hurried()
			nodes.Go(func() { workers[i].Run(ctx, 2) })
		}
		for i := range 4 {
			writers.Go(func() {
				for j := range 12 {
					name := fmt.Sprintf("p%d-%d", i, j)
					p, err := s.push(ctx, one, name, "1", "x86")
					if err != nil {
						t.Error(err)
						return
					}
					installable := j%3 == 0
					if installable {
						err := workers[j%len(workers)].Await(ctx, p.ID)
						if installable = err == nil; err != nil && !errors.Is(err, repo.ErrUnavailable) {
							t.Error(err)
							return
						}
					}
					h.Pushed(name, installable)
					if j%4 == 3 {
						h.Deleting(name)
						if err := s.remove(ctx, p); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		reading, ended := context.WithCancel(ctx)
		for range 2 {
			clients.Go(func() {
				for reading.Err() == nil {
					s.note(h, h.Read)
					time.Sleep(5 * time.Millisecond)
				}
			})
		}
		writers.Wait()
		storage.on.Store(false)
		for n := int64(1); n > 0; time.Sleep(5 * time.Millisecond) {
			var err error
			if n, _, err = d.Backlog(ctx); err != nil {
				t.Fatal(err)
			}
		}
		ended()
		clients.Wait()
		stop()
		nodes.Wait()
		s.note(h, h.Last)
		if err := h.Check(time.Minute); err != nil {
			t.Error(err)
		}
	})
}

// TestHistoryFindsFaults plants the faults that publishing must not have, and
// expects the checker to find each.
func TestHistoryFindsFaults(t *testing.T) {
	prepare := func(t *testing.T) (*system, *publishtest.History, string) {
		path := filepath.Join(t.TempDir(), "test.db")
		d, err := db.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		if err := d.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		s, h := newSystem(t, d), new(publishtest.History)
		s.mustPush(one, "a", "1", "x86")
		h.Pushed("a", false)
		return s, h, path
	}

	// A worker that has lost its lease flips all the same: the fence is taken
	// away from under it.
	t.Run("no fence", func(t *testing.T) {
		s, h, path := prepare(t)
		raw, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		stuck := &stuckStore{Store: s.blobs, reached: make(chan struct{}), release: make(chan struct{})}
		done := make(chan error)
		first := s.worker(stuck)
		go func() {
			_, err := first.Step(t.Context())
			done <- err
		}()
		<-stuck.reached
		var lease string
		if err := raw.QueryRowContext(t.Context(), `SELECT lease FROM scopes`).Scan(&lease); err != nil {
			t.Fatal(err)
		}
		s.mustPush(one, "b", "1", "x86")
		h.Pushed("b", false)
		second := s.worker(s.blobs)
		later := time.Now().Add(time.Hour) // the lease has run out
		second.Now = func() time.Time { return later }
		if worked, err := second.Step(t.Context()); !worked || err != nil {
			t.Fatalf("the second worker: %v, %v", worked, err)
		}
		s.note(h, h.Read)
		for _, statement := range []string{
			`UPDATE scopes SET generation = 0, lease = '` + lease + `'`,
			`UPDATE files SET retired = NULL`, // or its own rows would stand in the way
			`DELETE FROM files WHERE generation = 1`,
			`DELETE FROM segments WHERE generation = 1`,
		} {
			if _, err := raw.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		close(stuck.release)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		s.note(h, h.Read)
		if err := h.Check(time.Minute); err == nil {
			t.Error("the checker finds nothing")
		}
	})

	// The row is flipped before the bytes are stored.
	t.Run("rows before bytes", func(t *testing.T) {
		s, h, _ := prepare(t)
		slow := &lateStore{Store: s.blobs}
		if worked, err := s.worker(slow).Step(t.Context()); !worked || err != nil {
			t.Fatalf("worked: %v, %v", worked, err)
		}
		s.note(h, h.Read)
		if err := errors.Join(slow.store(t.Context()), h.Check(time.Minute)); err == nil {
			t.Error("the checker finds nothing")
		}
	})
}

// lateStore says that it has stored what it stores later.
type lateStore struct {
	blob.Store
	late []func(context.Context) error
}

func (l *lateStore) Put(_ context.Context, key string, body []byte, a blob.Attributes) error {
	l.late = append(l.late, func(ctx context.Context) error { return l.Store.Put(ctx, key, body, a) })
	return nil
}

func (l *lateStore) store(ctx context.Context) (err error) {
	for _, put := range l.late {
		err = errors.Join(err, put(ctx))
	}
	return err
}
