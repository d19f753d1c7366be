package publish_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"packagecloud/internal/auth"
	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/format/formattest"
	"packagecloud/internal/repo"
	"packagecloud/internal/upload"
)

// beside is another repository of the same system.
func (s *system) beside(name string) *system {
	s.t.Helper()
	other := *s
	other.repo = repo.Repository{OwnerID: s.user.ID, Owner: s.user.Name, Name: name, CreatedAt: time.Now()}
	if err := s.db.Update(s.t.Context(), func(tx *db.Tx) error { return auth.CreateRepository(s.t.Context(), tx, s.sealer, &other.repo) }); err != nil {
		s.t.Fatal(err)
	}
	return &other
}

func (s *system) move(p *repo.Package, to *system) *repo.Package {
	s.t.Helper()
	moved, err := s.uploader.Move(s.t.Context(), p, to.repo)
	if err != nil {
		s.t.Fatal(err)
	}
	return moved
}

func TestMove(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		to := s.beside("stable")
		w := s.worker(s.blobs)
		a := s.mustPush(one, "a", "1", "x86")
		s.mustPush(one, "b", "1", "x86")
		to.mustPush(one, "c", "1", "x86")
		s.settle(w)

		moved := s.move(a, to)
		if moved.Files[0] != a.Files[0] || !moved.CreatedAt.Equal(a.CreatedAt) || moved.Uploader != a.Uploader || moved.Indexed {
			t.Errorf("%+v became %+v", a, moved)
		}
		if _, err := s.uploader.Move(t.Context(), a, to.repo); !errors.Is(err, repo.ErrNotFound) {
			t.Errorf("it was moved twice: %v", err)
		}
		s.settle(w)
		if from, there := names(s.live(one, "x86/names")), names(to.live(one, "x86/names")); from != "b" || there != "c a" {
			t.Errorf("the source lists %q, the destination %q", from, there)
		}
		// A client with the index of before still gets it.
		for _, r := range []repo.Repository{s.repo, to.repo} {
			if f, err := d.StoredFile(t.Context(), r.ID, a.Files[0].Path); err != nil || f.SHA256 != a.Files[0].SHA256 {
				t.Errorf("%s: %v, %v", r.Name, f, err)
			}
		}

		// A name that is taken stops all of it.
		again := s.mustPush(one, "a", "1", "x86")
		if _, err := s.uploader.Move(t.Context(), again, to.repo); !repo.IsTaken(err) {
			t.Errorf("over another: %v", err)
		}
		if _, err := s.uploader.Move(t.Context(), again, s.repo); err == nil || repo.IsTaken(err) {
			t.Errorf("to where it is: %v", err)
		}
		s.settle(w)
		if from, there := names(s.live(one, "x86/names")), names(to.live(one, "x86/names")); from != "b a" || there != "c a" {
			t.Errorf("the source lists %q, the destination %q", from, there)
		}
		s.verify()
	})
}

// TestMoveOtherBytes moves a package to where its path stood for other bytes.
func TestMoveOtherBytes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		to := s.beside("stable")
		w := s.worker(s.blobs)
		old := to.mustPush(one, "a", "1", "x86")
		to.settle(w)
		if err := to.remove(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		f, err := s.uploader.Receive(t.Context(), "x.toy", bytes.NewReader(formattest.Package("a", "1", "x86", 11)))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		p, err := s.uploader.Push(t.Context(), upload.Push{Repository: s.repo, Distro: one, User: s.user, File: f})
		if err != nil {
			t.Fatal(err)
		}
		moved := s.move(p, to)
		if moved.Files[0].Path == p.Files[0].Path || moved.Files[0].SHA256 != p.Files[0].SHA256 {
			t.Errorf("%+v became %+v", p.Files, moved.Files)
		}
		s.settle(w)
		if got := names(to.live(one, "x86/names")); got != "a" {
			t.Errorf("the destination lists %q", got)
		}
		s.verify() // the entries name the path
	})
}

// TestMoveNamed: the tags of a list stay where they are, its marks go along.
func TestMoveNamed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		m, w := newShelf(t, d)
		to := &shelfModel{system: m.beside("stable"), cards: map[string][]formattest.ShelfCard{}, tags: map[string]map[string]string{}, ids: map[string]*repo.Package{}}
		m.push("a", "1")
		m.push("a", "2")
		m.mark("a", 1, "marked")
		tagged := "2"
		m.tag("a", "stable", &tagged)
		m.settle(w)

		moved := m.move(m.ids["a-2"], to.system)
		card := m.cards["a"][1]
		card.Path = moved.Files[0].Path
		to.cards["a"], to.tags["a"] = []formattest.ShelfCard{card}, map[string]string{"newest": "2"}
		m.cards["a"], m.tags["a"] = m.cards["a"][:1], map[string]string{"newest": "1"}
		m.settle(w)
		m.check([]string{"a"})
		to.check([]string{"a"})
		m.verify()

		// Nobody marks what has gone.
		mark := "late"
		if err := m.uploader.Amend(t.Context(), m.ids["a-2"], map[string]*string{"mark": &mark}); !errors.Is(err, repo.ErrNotFound) {
			t.Errorf("a package that was moved is marked: %v", err)
		}
	})
}

// TestMoveAtOnce moves packages to and fro, and deletes some, all at the same
// time: each is in one place at the end, or deleted.
func TestMoveAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		to := s.beside("stable")
		const packages = 8
		var all sync.WaitGroup
		deleted := make([]int, packages)
		for i := range packages {
			a, b := s, to
			if i%2 == 1 {
				a, b = to, s
			}
			p := a.mustPush(one, fmt.Sprint("p", i), "1", "x86")
			for range 2 {
				all.Go(func() {
					if moved, err := s.uploader.Move(t.Context(), p, b.repo); err == nil {
						_, err = s.uploader.Move(t.Context(), moved, a.repo)
						if err != nil {
							t.Errorf("back: %v", err)
						}
					} else if !errors.Is(err, repo.ErrNotFound) {
						t.Error(err)
					}
				})
			}
			all.Go(func() {
				if err := s.uploader.Remove(t.Context(), p); err == nil {
					deleted[i]++
				} else if !errors.Is(err, repo.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for i := range packages {
			n := 0
			for _, r := range []repo.Repository{s.repo, to.repo} {
				_, found, err := d.Packages(t.Context(), db.Selection{RepositoryID: r.ID, Name: fmt.Sprint("p", i)}, db.Page{Number: 1, Size: 10})
				if err != nil {
					t.Fatal(err)
				}
				n += int(found)
			}
			if n+deleted[i] != 1 {
				t.Errorf("p%d is there %d times and was deleted %d times", i, n, deleted[i])
			}
		}
		s.settle(s.worker(s.blobs))
		s.verify()
	})
}
