package publish_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"packagecloud/internal/auth"
	"packagecloud/internal/blob"
	"packagecloud/internal/blob/fileblob"
	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/format"
	"packagecloud/internal/format/formattest"
	"packagecloud/internal/keyring"
	"packagecloud/internal/publish"
	"packagecloud/internal/repo"
	"packagecloud/internal/seal"
	"packagecloud/internal/sign"
	"packagecloud/internal/upload"
	"packagecloud/internal/verify"
)

var (
	formats = []format.Format{formattest.Toy{}, formattest.Shelf{}}
	one     = repo.DistroVersion{ID: 1, OS: "toyos", Version: "one", Format: "toy"}
	two     = repo.DistroVersion{ID: 2, OS: "toyos", Version: "two", Format: "toy"}
)

// system is everything between an upload and a download.
type system struct {
	t        *testing.T
	db       *db.DB
	blobs    blob.Store
	uploader *upload.Uploader
	user     repo.User
	repo     repo.Repository
	ring     *keyring.Ring
	sealer   auth.Sealer
}

func newSystem(t *testing.T, d *db.DB) *system {
	t.Helper()
	blobs, err := fileblob.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return newSystemOn(t, d, blobs)
}

func newSystemOn(t *testing.T, d *db.DB, blobs blob.Store) *system {
	t.Helper()
	sealer, err := seal.OpenOrCreate(filepath.Join(t.TempDir(), "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	s := &system{t: t, db: d, blobs: blobs, ring: keyring.New(d, sealer, sign.Ed25519), sealer: sealer}
	s.uploader = &upload.Uploader{DB: d, Blobs: blobs, Formats: formats, Now: time.Now}
	err = d.Update(t.Context(), func(tx *db.Tx) error {
		account := db.Account{User: repo.User{Name: "acme", Email: "a@example.com", CreatedAt: time.Now()}}
		if _, err := auth.CreateUser(t.Context(), tx, sealer, &account); err != nil {
			return err
		}
		s.user = account.User
		s.repo = repo.Repository{OwnerID: account.ID, Owner: "acme", Name: "tools", CreatedAt: time.Now()}
		return auth.CreateRepository(t.Context(), tx, sealer, &s.repo)
	})
	if err != nil {
		t.Fatal(err)
	}
	s.makeKeys()
	return s
}

// makeKeys makes the keys of new repositories.
func (s *system) makeKeys() {
	s.t.Helper()
	for {
		made, err := s.ring.MakeOne(s.t.Context(), false)
		if err != nil {
			s.t.Fatal(err)
		}
		if !made {
			return
		}
	}
}

// worker is one of any number of nodes.
func (s *system) worker(blobs blob.Store) *publish.Worker {
	return &publish.Worker{
		DB: s.db, Blobs: blobs, Formats: formats, Origin: "example.com", Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Signer:  func(ctx context.Context, r repo.Repository) (publish.Signer, error) { return s.ring.Signers(ctx, r) },
		MakeKey: s.ring.MakeOne,
	}
}

func (s *system) push(ctx context.Context, v repo.DistroVersion, name, version, list string) (*repo.Package, error) {
	f, err := s.uploader.Receive(ctx, "x.toy", bytes.NewReader(formattest.Package(name, version, list, 10)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return s.uploader.Push(ctx, upload.Push{Repository: s.repo, Distro: v, User: s.user, File: f})
}

func (s *system) mustPush(v repo.DistroVersion, name, version, list string) *repo.Package {
	s.t.Helper()
	p, err := s.push(s.t.Context(), v, name, version, list)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *system) remove(ctx context.Context, p *repo.Package) error {
	return s.db.Update(ctx, func(tx *db.Tx) error {
		if _, err := tx.DeletePackage(ctx, p.ID, time.Now()); err != nil {
			return err
		}
		return tx.AddChange(ctx, p.ScopeID, db.PackageChange, p.ID, time.Now())
	})
}

// settle publishes until nothing waits.
func (s *system) settle(w *publish.Worker) {
	s.t.Helper()
	s.makeKeys()
	for {
		worked, err := w.Step(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		if worked {
			continue
		}
		n, _, err := s.db.Backlog(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		if n == 0 {
			return
		}
		time.Sleep(time.Millisecond) // the pause of a scope
	}
}

// verify expects no problem.
func (s *system) verify() verify.Summary {
	s.t.Helper()
	return s.inspect(func(p verify.Problem) { s.t.Errorf("%s: %s", p.Object, p.What) })
}

// setClock gives a worker a clock, on either engine.
func setClock(w *publish.Worker, now func() time.Time) {
	w.Now = now
	w.Clock = func(context.Context, db.Reader) (time.Time, error) { return now(), nil }
}

func (s *system) inspect(report func(verify.Problem)) verify.Summary {
	s.t.Helper()
	return s.inspectAt(&clock{wrong: 48 * time.Hour}, report) // no test is ahead of that
}

// inspectAt reports what verify finds by a clock.
func (s *system) inspectAt(c *clock, report func(verify.Problem)) verify.Summary {
	s.t.Helper()
	v := verify.Verifier{DB: s.db, Blobs: s.blobs, Formats: formats, Origin: "example.com"}
	v.Clock = func(context.Context, db.Reader) (time.Time, error) { return c.now(), nil }
	summary, err := v.Run(s.t.Context(), report)
	if err != nil {
		s.t.Fatal(err)
	}
	return summary
}

func (s *system) scope(v repo.DistroVersion) db.ScopeState {
	s.t.Helper()
	sc, err := s.db.Scope(s.t.Context(), s.repo.ID, v.OS, v.Version)
	if err != nil {
		s.t.Fatal(err)
	}
	return sc
}

// live is the text of a live document, read through its segments.
func (s *system) live(v repo.DistroVersion, path string) string {
	s.t.Helper()
	text, err := s.find(v, path)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// find is the text of a live document, if there is one.
func (s *system) find(v repo.DistroVersion, path string) (string, error) {
	s.t.Helper()
	scope := s.scope(v)
	f, err := s.db.FileAt(s.t.Context(), scope.ID, path, scope.Generation)
	if err != nil {
		return "", err
	}
	return s.text(f), nil
}

func TestPublish(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		w := s.worker(s.blobs)
		a := s.mustPush(one, "a", "1", "x86")
		s.mustPush(one, "b", "1", "all")
		s.mustPush(two, "a", "1", "x86")
		if _, err := s.push(t.Context(), one, "a", "1", "x86"); !repo.IsTaken(err) {
			t.Fatalf("a second push of the same name: %v", err)
		}
		s.settle(w)
		if got := names(s.live(one, "x86/names")); got != "a b" {
			t.Errorf("x86 lists %q", got)
		}
		if got := names(s.live(one, "all/names")); got != "b" {
			t.Errorf("all lists %q", got)
		}
		if got := s.live(one, "x86/framed"); !strings.HasPrefix(got, "2 entries\n<a") || !strings.HasSuffix(got, "end\n") {
			t.Errorf("framed: %q", got)
		}
		if p, err := d.PackageByID(t.Context(), a.ID); err != nil || !p.Indexed {
			t.Errorf("indexed: %v, %v", p.Indexed, err)
		}
		if got := s.scope(one).Generation; got != 1 {
			t.Errorf("three pushes made %d generations, not one", got)
		}

		if err := s.remove(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		again := s.mustPush(one, "a", "1", "x86") // the name is free at once
		s.settle(w)
		if got := names(s.live(one, "x86/names")); got != "b a" {
			t.Errorf("x86 lists %q", got)
		}
		if again.Files[0].Path != a.Files[0].Path {
			t.Errorf("the same bytes moved from %s to %s", a.Files[0].Path, again.Files[0].Path)
		}
		if summary := s.verify(); summary.Signatures != 4 || summary.Documents != 8 {
			t.Errorf("verified %+v", summary)
		}
	})
}

// TestPathsAreForEver pushes other bytes under a name that was deleted.
func TestPathsAreForEver(t *testing.T) {
	s := newSystem(t, dbtest.SQLite(t))
	before := s.mustPush(one, "a", "1", "x86")
	if err := s.remove(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	f, err := s.uploader.Receive(t.Context(), "x.toy", bytes.NewReader(formattest.Package("a", "1", "x86", 11)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	after, err := s.uploader.Push(t.Context(), upload.Push{Repository: s.repo, Distro: one, User: s.user, File: f})
	if err != nil {
		t.Fatal(err)
	}
	if before.Files[0].Path == after.Files[0].Path {
		t.Errorf("%s stands for two different files", after.Files[0].Path)
	}
	if got, err := s.db.StoredFile(t.Context(), s.repo.ID, before.Files[0].Path); err != nil || got.SHA256 != before.Files[0].SHA256 {
		t.Errorf("the old path gives %s, %v", got.SHA256, err)
	}
}

// TestManyLists: whoever pushes does not choose how many documents a scope has.
func TestManyLists(t *testing.T) {
	s := newSystem(t, dbtest.SQLite(t))
	var invalid *repo.InvalidError
	for i := range 200 {
		p, err := s.push(t.Context(), one, "a", "1", fmt.Sprint("list", i))
		switch {
		case i < 100 && err != nil, i >= 100 && !errors.As(err, &invalid):
			t.Fatalf("list %d: %v", i, err)
		case i < 50: // a deletion makes no room: the documents stay
			if err := s.remove(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.mustPush(one, "b", "1", "list99")
}

func TestEnsure(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		w := s.worker(s.blobs)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { w.Run(ctx, 2) })
		var clients sync.WaitGroup
		for range 10 {
			clients.Go(func() {
				if err := w.Ensure(t.Context(), s.repo, one); err != nil {
					t.Error(err)
				}
			})
		}
		clients.Wait()
		p := s.mustPush(one, "a", "1", "x86")
		w.Wake()
		if err := w.Await(t.Context(), p.ID); err != nil {
			t.Error(err)
		}
		stop()
		wg.Wait()
		if got := names(s.live(one, "x86/names")); got != "a" {
			t.Errorf("x86 lists %q", got)
		}
		s.verify()
	})
}

// TestAwaitServes: who waits for a package is told of it only when this node
// serves the generation, however early the database has it.
func TestAwaitServes(t *testing.T) {
	s := newSystem(t, dbtest.SQLite(t))
	w := s.worker(s.blobs)
	p := s.mustPush(one, "a", "1", "x86")
	var served atomic.Bool
	var clients sync.WaitGroup
	w.Flipped = func(scopeID int64) {
		for name, await := range map[string]func() error{
			"the package": func() error { return w.Await(t.Context(), p.ID) },
			"its scope":   func() error { return w.AwaitScope(t.Context(), scopeID) },
		} {
			clients.Go(func() {
				if err := await(); err != nil || !served.Load() {
					t.Errorf("waiting for %s ends before it is served: %v", name, err)
				}
			})
		}
		time.Sleep(100 * time.Millisecond) // for those to be too early, if they can be
		served.Store(true)
	}
	s.settle(w)
	clients.Wait()
}

// flaky fails, now and then, before or after it stored something.
type flaky struct {
	blob.Store
	on   atomic.Bool
	odds int // one Put in so many fails before it stores something; 0: one in three
}

var errFlaky = errors.New("no storage today")

func (f *flaky) Put(ctx context.Context, key string, body []byte, a blob.Attributes) error {
	if f.on.Load() && rand.IntN(cmp.Or(f.odds, 3)) == 0 {
		return errFlaky
	}
	err := f.Store.Put(ctx, key, body, a)
	if f.on.Load() && rand.IntN(3*cmp.Or(f.odds, 3)) == 0 {
		return errFlaky
	}
	return err
}

// TestManyWorkers lets several nodes publish what several writers push and
// delete, with a storage that fails; in the end the indexes list what was
// acknowledged, and nothing else.
func TestManyWorkers(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		storage := &flaky{Store: s.blobs}
		storage.on.Store(true)
		ctx, stop := context.WithCancel(t.Context())
		var nodes sync.WaitGroup
		for range 3 {
			// Nodes that share nothing but database and storage.
			w := s.worker(storage)
			setClock(w, hurried())
			nodes.Go(func() { w.Run(ctx, 2) })
		}
		var mu sync.Mutex
		want := make(map[string]bool)
		var writers sync.WaitGroup
		for i := range 6 {
			writers.Go(func() {
				for j := range 15 {
					v := []repo.DistroVersion{one, two}[j%2]
					name := fmt.Sprintf("p%d-%d", i, j)
					p, err := s.push(ctx, v, name, "1", []string{"x86", "arm", "all"}[j%3])
					if err != nil {
						t.Error(err)
						return
					}
					if j%4 == 3 {
						if err := s.remove(ctx, p); err != nil {
							t.Error(err)
						}
						continue
					}
					mu.Lock()
					want[v.Version+" "+name] = true
					mu.Unlock()
				}
			})
		}
		writers.Wait()
		storage.on.Store(false)
		deadline := time.Now().Add(time.Minute)
		for n := int64(1); n > 0; {
			var err error
			if n, _, err = d.Backlog(ctx); err != nil {
				t.Fatal(err)
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d changes are not published", n)
			}
			time.Sleep(5 * time.Millisecond)
		}
		stop()
		nodes.Wait()
		got := make(map[string]bool)
		for _, v := range []repo.DistroVersion{one, two} {
			for _, list := range []string{"x86", "arm", "all"} {
				for name := range strings.FieldsSeq(names(s.live(v, list+"/names"))) {
					got[v.Version+" "+name] = true
				}
			}
		}
		for name := range want {
			if !got[name] {
				t.Errorf("%s was acknowledged and is not listed", name)
			}
		}
		for name := range got {
			if !want[name] {
				t.Errorf("%s is listed and was deleted", name)
			}
		}
		s.verify()
	})
}

// hurried is a clock that runs fast, so that pauses and retries are short.
func hurried() func() time.Time {
	start := time.Now()
	return func() time.Time { return start.Add(20 * time.Since(start)) }
}

// TestLostLease lets a second worker take a scope over from one that is stuck:
// the first must not publish what it has made.
func TestLostLease(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		stuck := &stuckStore{Store: s.blobs, reached: make(chan struct{}), release: make(chan struct{})}
		first := s.worker(stuck)
		p := s.mustPush(one, "a", "1", "x86")
		done := make(chan struct{})
		go func() {
			defer close(done)
			if _, err := first.Step(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		<-stuck.reached
		second := s.worker(s.blobs)
		later := time.Now().Add(time.Hour) // its lease has run out
		setClock(second, func() time.Time { return later })
		if worked, err := second.Step(t.Context()); !worked || err != nil {
			t.Fatalf("the second worker: %v, %v", worked, err)
		}
		if err := s.remove(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		setClock(second, func() time.Time { return later.Add(time.Hour) })
		if worked, err := second.Step(t.Context()); !worked || err != nil {
			t.Fatalf("the second worker: %v, %v", worked, err)
		}
		close(stuck.release)
		<-done
		if got := names(s.live(one, "x86/names")); got != "" {
			t.Errorf("a worker without a lease published %q", got)
		}
		s.verify()
	})
}

type stuckStore struct {
	blob.Store
	once             sync.Once
	reached, release chan struct{}
}

func (s *stuckStore) Put(ctx context.Context, key string, body []byte, a blob.Attributes) error {
	s.once.Do(func() {
		close(s.reached)
		<-s.release
	})
	return s.Store.Put(ctx, key, body, a)
}
