package publish_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/format/formattest"
	"packagecloud/internal/repo"
	"packagecloud/internal/upload"
)

// movable is a package that is moved to and fro.
type movable struct {
	distro   repo.DistroVersion
	filename string
}

// moves are two repositories, and what is moved between them.
type moves struct {
	*system
	repositories [2]repo.Repository
	packages     []movable
	done         atomic.Int64
}

func newMoves(t *testing.T, d *db.DB) *moves {
	m := &moves{system: newSystem(t, d)}
	m.repositories = [2]repo.Repository{m.repo, m.beside("stable").repo}
	for i := range 4 {
		m.add(one, formattest.Package(fmt.Sprint("p", i), "1", []string{"x86", "all"}[i%2], 10))
		m.add(shelf, formattest.ShelfPackage("book", fmt.Sprint(i), 10))
	}
	return m
}

// add pushes a package. Other bytes of its name were at the destination before:
// it goes to a path of its own there.
func (m *moves) add(v repo.DistroVersion, body []byte) {
	m.t.Helper()
	push := func(r repo.Repository, body []byte) *repo.Package {
		f, err := m.uploader.Receive(m.t.Context(), "x", bytes.NewReader(body))
		if err != nil {
			m.t.Fatal(err)
		}
		defer f.Close()
		p, err := m.uploader.Push(m.t.Context(), upload.Push{Repository: r, Distro: v, User: m.user, File: f})
		if err != nil {
			m.t.Fatal(err)
		}
		return p
	}
	if len(m.packages)%4 < 2 {
		if err := m.uploader.Remove(m.t.Context(), push(m.repositories[1], append(bytes.Clone(body), "other bytes"...))); err != nil {
			m.t.Fatal(err)
		}
	}
	m.packages = append(m.packages, movable{v, push(m.repositories[0], body).Filename()})
}

// where is where a package is, by one snapshot: it must be in one repository.
func (m *moves) where(p movable) (found *repo.Package, other repo.Repository, err error) {
	err = m.db.View(m.t.Context(), func(tx *db.Tx) error {
		n := 0
		for i, r := range m.repositories {
			have, err := tx.PackageByFilename(m.t.Context(), r.ID, p.distro.OS, p.distro.Version, "", p.filename)
			if errors.Is(err, repo.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			n, found, other = n+1, &have, m.repositories[1-i]
		}
		if n != 1 {
			return fmt.Errorf("%s is in %d repositories", p.filename, n)
		}
		return nil
	})
	return found, other, err
}

// move moves any package, or is cut off in the middle of it.
func (m *moves) move() error {
	p, to, err := m.where(m.packages[rand.IntN(len(m.packages))])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	defer cancel()
	if rand.IntN(3) == 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(rand.IntN(8000))*time.Microsecond)
		defer stop()
	}
	_, err = m.uploader.Move(ctx, p, to)
	switch {
	case err == nil:
		m.done.Add(1)
	case ctx.Err() == nil && !errors.Is(err, repo.ErrNotFound): // somebody else was faster
		return err
	}
	return nil
}

// TestMoves lets several movers take the same packages to and fro between two
// repositories, while nodes publish both. At every moment a package is in one
// of them, and in the end it is listed there and nowhere else.
func TestMoves(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		m := newMoves(t, d)
		ctx, stop := context.WithCancel(t.Context())
		var nodes, movers sync.WaitGroup
		for range 2 {
			w := m.worker(m.blobs)
			setClock(w, hurried())
			nodes.Go(func() { w.Run(ctx, 2) })
		}
		for range 5 {
			movers.Go(func() {
				for range 40 {
					if err := m.move(); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		movers.Wait()
		stop()
		nodes.Wait()
		if m.done.Load() < int64(len(m.packages)) {
			t.Errorf("only %d moves were made", m.done.Load())
		}
		w := m.worker(m.blobs)
		setClock(w, hurried())
		m.settle(w)
		for i := range m.repositories {
			m.checkListed(i)
		}
		m.verify()
	})
}

// checkListed compares what a repository lists with what is in it.
func (m *moves) checkListed(i int) {
	m.t.Helper()
	var want, got, versions []string
	for _, p := range m.packages {
		have, _, err := m.where(p)
		switch {
		case err != nil:
			m.t.Fatal(err)
		case have.RepositoryID != m.repositories[i].ID:
		case p.distro == shelf:
			versions = append(versions, have.Version)
		default:
			want = append(want, have.Name)
		}
	}
	m.repo = m.repositories[i]
	for _, list := range []string{"x86", "all"} {
		for _, name := range bytes.Fields([]byte(names(m.live(one, list+"/names")))) {
			got = append(got, string(name))
		}
	}
	slices.Sort(got)
	got = slices.Compact(got) // "all" is part of x86, too
	slices.Sort(want)
	if !slices.Equal(got, want) {
		m.t.Errorf("%s lists %v and has %v", m.repo.FullName(), got, want)
	}
	m.checkShelf(versions)
}

// checkShelf compares the document of the one name with the versions there are.
func (m *moves) checkShelf(want []string) {
	m.t.Helper()
	text, err := m.find(shelf, "book/index.json")
	if len(want) == 0 {
		if !errors.Is(err, repo.ErrNotFound) {
			m.t.Errorf("%s has no book and its document is %q, %v", m.repo.FullName(), text, err)
		}
		return
	}
	if err != nil {
		m.t.Fatal(err)
	}
	got := decodeShelf(m.t, text)
	slices.Sort(got.Versions)
	slices.Sort(want)
	if !slices.Equal(got.Versions, want) || len(got.Cards) != len(want) || len(got.Tags) != 1 || !slices.Contains(want, got.Tags["newest"]) {
		m.t.Errorf("%s has the books %v, and says %+v", m.repo.FullName(), want, got)
	}
}
