package publish_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/format"
	"packagecloud/internal/format/formattest"
	"packagecloud/internal/publish"
	"packagecloud/internal/repo"
	"packagecloud/internal/upload"
	"packagecloud/internal/verify"
)

// gate refuses packages whose entries hold a word.
type gate struct {
	version int
	word    string
}

func (g gate) GateVersion() int { return g.version }

func (g gate) Check(p *repo.Package, entries []format.Entry) error {
	for _, e := range entries {
		if bytes.Contains(e.Text, []byte(g.word)) {
			return repo.Invalid("name", "clients do not bear the word "+g.word)
		}
	}
	return nil
}

type (
	gatedToy struct {
		formattest.Toy
		gate
	}
	gatedShelf struct {
		formattest.Shelf
		gate
	}
)

// behind gives the system and a new worker the formats with a gate.
func (s *system) behind(g gate) *publish.Worker {
	w := s.worker(s.blobs)
	w.Formats = []format.Format{gatedToy{gate: g}, gatedShelf{gate: g}}
	s.uploader.Formats = w.Formats
	return w
}

func (s *system) mustShelve(name, version string) {
	s.t.Helper()
	f, err := s.uploader.Receive(s.t.Context(), "x", bytes.NewReader(formattest.ShelfPackage(name, version, 10)))
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	if _, err := s.uploader.Push(s.t.Context(), upload.Push{Repository: s.repo, Distro: shelf, User: s.user, File: f}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) tags(list string) map[string]string {
	s.t.Helper()
	tags, err := s.db.Tags(s.t.Context(), s.scope(shelf).ID, list)
	if err != nil {
		s.t.Fatal(err)
	}
	return tags
}

// rebuild has every document of a scope rendered from the rows.
func (s *system) rebuild(scopeID int64) {
	s.t.Helper()
	err := s.db.Update(s.t.Context(), func(tx *db.Tx) error {
		return tx.AddChange(s.t.Context(), scopeID, db.Rebuild, 0, time.Now())
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) problems() (all []string) {
	s.inspect(func(p verify.Problem) { all = append(all, p.Object+": "+p.What) })
	return all
}

// TestGate: what was recorded before the gate refused it leaves the indexes and
// nothing else, is named, and comes back when clients bear it.
func TestGate(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		s.mustPush(one, "a", "1", "x86")
		bad := s.mustPush(one, "bad", "1", "x86")
		s.mustPush(one, "b", "1", "all")
		s.settle(s.worker(s.blobs))
		if got := names(s.live(one, "x86/names")); got != "a bad b" {
			t.Fatalf("without a gate x86 lists %q", got)
		}

		w := s.behind(gate{1, "bad"})
		if err := w.Recheck(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.settle(w)
		if got := names(s.live(one, "x86/names")); got != "a b" {
			t.Errorf("behind the gate x86 lists %q", got)
		}
		if got := s.live(one, "x86/framed"); !strings.HasPrefix(got, "2 entries\n") {
			t.Errorf("framed: %q", got)
		}
		p, err := d.PackageByID(t.Context(), bad.ID)
		if err != nil || p.Indexed || p.Withheld != "name: clients do not bear the word bad" {
			t.Errorf("the package is indexed: %v, withheld: %q, %v", p.Indexed, p.Withheld, err)
		}
		var invalid *repo.InvalidError
		if err := w.Await(t.Context(), bad.ID); !errors.As(err, &invalid) {
			t.Errorf("waiting for it ends with %v", err)
		}
		if _, err := d.StoredFile(t.Context(), s.repo.ID, bad.Files[0].Path); err != nil {
			t.Errorf("its file: %v", err)
		}
		want := []string{"acme/tools/" + bad.Files[0].Path + ": is withheld, so no index lists it, because clients would not bear it: " +
			"name: clients do not bear the word bad: remove it with package_cloud yank acme/tools/toyos/one bad_1_x86.toy"}
		if got := s.problems(); !slices.Equal(got, want) {
			t.Errorf("verify finds %q", got)
		}

		// It cannot be pushed anew, nor promoted.
		if _, err := s.push(t.Context(), one, "bad", "2", "x86"); !errors.As(err, &invalid) {
			t.Errorf("a push of its like: %v", err)
		}
		other := s.beside("other")
		if _, err := s.uploader.Move(t.Context(), &p, other.repo); !errors.As(err, &invalid) {
			t.Errorf("a promotion: %v", err)
		}

		// The scope is not looked at again, and is what the rows say.
		again := s.scope(one)
		if err := w.Recheck(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, _, err := d.Backlog(t.Context()); err != nil || n != 0 {
			t.Errorf("%d changes wait for a scope that was checked (%v)", n, err)
		}
		text := s.live(one, "x86/names")
		s.rebuild(again.ID)
		s.settle(w)
		if got := s.live(one, "x86/names"); got != text {
			t.Errorf("rendered again it lists %q", got)
		}

		w = s.behind(gate{2, "worse"})
		if err := w.Recheck(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.settle(w)
		if got := names(s.live(one, "x86/names")); got != "a bad b" {
			t.Errorf("with a gate that lets it in x86 lists %q", got)
		}
		s.verify()
	})
}

// TestGateOfNames: the document of a name goes with its last package, and tags
// do not stand for a withheld version.
func TestGateOfNames(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		s.mustShelve("book", "1")
		s.mustShelve("book", "2-bad")
		s.mustShelve("badly", "1")
		s.settle(s.worker(s.blobs))
		if got := s.tags("book")["newest"]; got != "2-bad" {
			t.Fatalf("without a gate the newest is %q", got)
		}

		w := s.behind(gate{1, "bad"})
		s.mustShelve("pen", "1") // its publication checks the others too
		s.settle(w)
		if got := s.tags("book")["newest"]; got != "1" {
			t.Errorf("behind the gate the newest is %q", got)
		}
		if text := s.live(shelf, "book/index.json"); strings.Contains(text, "bad") {
			t.Errorf("the document says %s", text)
		}
		if _, err := s.find(shelf, "badly/index.json"); !errors.Is(err, repo.ErrNotFound) {
			t.Errorf("the document without packages: %v", err)
		}
		if got := s.live(shelf, "names.json"); got != "{\"names\":[\"book\",\"pen\"]}\n" {
			t.Errorf("the names are %s", got)
		}
		if got := s.problems(); len(got) != 2 {
			t.Errorf("verify finds %q", got)
		}
	})
}

// TestGateBreaksOff: a publication that fails after the check leaves nothing
// undone for the next one.
func TestGateBreaksOff(t *testing.T) {
	s := newSystem(t, dbtest.SQLite(t))
	s.mustPush(one, "a", "1", "x86")
	s.mustPush(one, "bad", "1", "x86")
	s.settle(s.worker(s.blobs))

	w := s.behind(gate{1, "bad"})
	w.Blobs = unwritable{s.blobs}
	if err := w.Recheck(t.Context()); err != nil {
		t.Fatal(err)
	}
	for s.scope(one).Failures == 0 { // the scope rests after the publication before
		if _, err := w.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	if scope := s.scope(one); scope.Gate != 1 {
		t.Fatalf("the scope is at gate %d", scope.Gate)
	}
	w.Blobs = s.blobs
	s.settle(w)
	if got := names(s.live(one, "x86/names")); got != "a" {
		t.Errorf("x86 lists %q", got)
	}
}

// unwritable is a store that is full.
type unwritable struct{ blob.Store }

func (unwritable) Put(context.Context, string, []byte, blob.Attributes) error {
	return errors.New("the store is full")
}
