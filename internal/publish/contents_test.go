package publish_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/format"
	"packagecloud/internal/format/formattest"
	"packagecloud/internal/publish"
	"packagecloud/internal/repo"
	"packagecloud/internal/verify"
)

// contentsToy is a toy that lists contents: the first line of each package, in
// the document <list>/contents. A package named "bad" cannot be listed.
type contentsToy struct{ formattest.Toy }

func (contentsToy) ContentsDocuments(_ repo.DistroVersion, lists []string) (all []format.Document) {
	for _, l := range append([]string{"all"}, lists...) {
		if l != "secret" && (l != "all" || all == nil) {
			all = append(all, format.Document{Name: l + "/contents", Kind: "contents", Lists: [3]string{l}, ContentType: "text/plain", Encodings: []format.Encoding{format.Plain, format.Gzip}})
		}
	}
	return all
}

func (contentsToy) Contents(_ context.Context, u format.Upload) (format.Entry, error) {
	head := make([]byte, min(u.Size, 1000))
	if _, err := u.Content.ReadAt(head, 0); err != nil && err != io.EOF {
		return format.Entry{}, err
	}
	line, _, _ := strings.Cut(string(head), "\n")
	if strings.HasPrefix(line, "bad ") {
		return format.Entry{}, repo.Invalid("package_file", "it is bad")
	}
	return format.Entry{Kind: "contents", Text: []byte(line + strings.Repeat(" ", len(line)*1000) + "\n")}, nil
}

// contentsSystem publishes toys that list contents. Time flies.
type contentsSystem struct {
	*system
	w       *publish.Worker
	refused []string // packages that could not be listed
}

func newContents(t *testing.T, d *db.DB) *contentsSystem {
	t.Helper()
	s := &contentsSystem{system: newSystem(t, d)}
	s.w = s.worker(s.blobs)
	s.w.Formats = []format.Format{contentsToy{}}
	s.uploader.Formats = s.w.Formats
	var calls atomic.Int64
	start := time.Now()
	setClock(s.w, func() time.Time { return start.Add(time.Duration(calls.Add(1)) * 200 * time.Millisecond) })
	return s
}

// choose sets the choice of the repository.
func (s *contentsSystem) choose(on bool) {
	s.t.Helper()
	if _, err := s.uploader.SetContents(s.t.Context(), s.repo, on); err != nil {
		s.t.Fatal(err)
	}
}

// read reads what waits, and returns how many packages were read.
func (s *contentsSystem) read() int {
	s.t.Helper()
	n, err := s.uploader.ReadContents(s.t.Context(), func(p *repo.Package, _ error) { s.refused = append(s.refused, p.Name) })
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// contents are the names and versions in a document; "-" if there is none.
func (s *contentsSystem) contents(list string) string {
	s.t.Helper()
	text, err := s.find(one, list+"/contents")
	if errors.Is(err, repo.ErrNotFound) {
		return "-"
	}
	if err != nil {
		s.t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(text) {
		field := strings.Fields(line)
		all = append(all, field[0]+field[1])
	}
	return strings.Join(all, " ")
}

// verify expects no problem.
func (s *contentsSystem) verify() {
	s.t.Helper()
	c := &clock{wrong: 48 * time.Hour}
	v := verify.Verifier{DB: s.db, Blobs: s.blobs, Formats: s.w.Formats, Origin: "example.com"}
	v.Clock = func(context.Context, db.Reader) (time.Time, error) { return c.now(), nil }
	if _, err := v.Run(s.t.Context(), func(p verify.Problem) { s.t.Errorf("%s: %s", p.Object, p.What) }); err != nil {
		s.t.Fatal(err)
	}
}

func (s *contentsSystem) is(list, want string) {
	s.t.Helper()
	if got := s.contents(list); got != want {
		s.t.Errorf("the contents of %s are %q and not %q", list, got, want)
	}
}

func TestContents(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newContents(t, d)
		s.mustPush(one, "a", "1", "x86")
		s.mustPush(one, "bad", "1", "x86")
		s.mustPush(one, "s", "1", "secret")
		gone := s.mustPush(one, "b", "1", "x86")
		s.settle(s.w)
		if n := s.read(); n != 0 {
			t.Errorf("%d packages were read, and nobody asked for contents", n)
		}
		s.is("x86", "-")

		// The documents are there at once, and the packages follow.
		s.choose(true)
		s.settle(s.w)
		s.verify()
		s.is("x86", "")
		if n := s.read(); n != 3 {
			t.Errorf("%d packages were read", n)
		}
		if fmt.Sprint(s.refused) != "[bad]" {
			t.Errorf("%q could not be listed", s.refused)
		}
		s.settle(s.w)
		s.verify()
		s.is("x86", "a1 b1")
		s.is("secret", "-")
		if n := s.read(); n != 0 {
			t.Errorf("%d packages were read a second time", n)
		}

		// A new package touches nothing but its own lists.
		s.mustPush(one, "z", "1", "all")
		s.settle(s.w)
		before := documentTimes(t, d, s.scope(one).ID)
		s.read()
		s.settle(s.w)
		s.is("all", "z1")
		for name, at := range documentTimes(t, d, s.scope(one).ID) {
			if changed := !at.Equal(before[name]); changed != (name == "all/contents") {
				t.Errorf("reading the contents of a package changed %s: %t", name, changed)
			}
		}

		// A deletion is published with the other listings.
		if err := s.uploader.Remove(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		s.settle(s.w)
		s.is("x86", "a1")
		s.verify()

		s.choose(false)
		s.settle(s.w)
		s.is("x86", "-")
		s.verify()
		s.mustPush(one, "c", "1", "x86")
		s.settle(s.w)
		if n := s.read(); n != 0 {
			t.Errorf("%d packages were read after contents were switched off", n)
		}
		s.verify()

		// What was read before is not read again.
		s.choose(true)
		s.settle(s.w)
		s.is("x86", "a1")
		if n := s.read(); n != 1 {
			t.Errorf("%d packages were read after contents were switched on again", n)
		}
		s.settle(s.w)
		s.is("x86", "a1 c1")
		s.verify()
	})
}

// TestContentsRebuilt: whatever happened, in any order, what is published is what
// the rows say, byte for byte.
func TestContentsRebuilt(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newContents(t, d)
		if !d.Shared() { // clients fetch from a bucket, or from the server
			s.blobs = &bucket{Store: s.blobs}
			s.w.Blobs, s.uploader.Blobs = s.blobs, s.blobs
		}
		lists := []string{"x86", "arm", "all"}
		var live []*repo.Package
		on := false
		for round := range 30 {
			for range 1 + rand.IntN(5) {
				switch act := rand.IntN(12); {
				case act < 7 || len(live) == 0:
					live = append(live, s.mustPush(one, "p", fmt.Sprint(round, "-", rand.IntN(1e9)), lists[rand.IntN(3)]))
				case act < 10:
					i := rand.IntN(len(live))
					if err := s.uploader.Remove(t.Context(), live[i]); err != nil {
						t.Fatal(err)
					}
					live = append(live[:i], live[i+1:]...)
				case act < 11:
					s.read()
				default:
					on = !on
					s.choose(on)
				}
			}
			s.settle(s.w)
		}
		s.choose(true)
		s.read()
		s.settle(s.w)
		s.verify()
		before := map[string]string{}
		total := 0
		for _, l := range lists {
			before[l] = s.live(one, l+"/contents")
			total += strings.Count(before[l], "\n")
		}
		if total != len(live) {
			t.Errorf("%d packages have contents, and there are %d", total, len(live))
		}
		s.rebuild(s.scope(one).ID)
		s.settle(s.w)
		for _, l := range lists {
			if s.live(one, l+"/contents") != before[l] {
				t.Errorf("the contents of %s are others when they are rendered from the rows", l)
			}
		}
	})
}

// unavailable is a store that cannot open packages for a while.
type unavailable struct {
	blob.Store
	down bool
}

func (u *unavailable) Open(ctx context.Context, key string) (blob.Object, error) {
	if u.down && strings.HasPrefix(key, "packages/") {
		return nil, repo.ErrUnavailable
	}
	return u.Store.Open(ctx, key)
}

// TestContentsLater: what cannot be read waits, over restarts too.
func TestContentsLater(t *testing.T) {
	d := dbtest.SQLite(t)
	s := newContents(t, d)
	s.choose(true)
	s.mustPush(one, "a", "1", "x86")
	store := &unavailable{s.blobs, true}
	s.uploader.Blobs = store
	if n, err := s.uploader.ReadContents(t.Context(), nil); n != 0 || !errors.Is(err, repo.ErrUnavailable) {
		t.Errorf("the store is down: %d were read, %v", n, err)
	}
	s.settle(s.w)
	s.is("x86", "")
	s.verify()
	store.down = false
	if n := s.read(); n != 1 {
		t.Errorf("%d packages were read when the store was back", n)
	}
	s.settle(s.w)
	s.is("x86", "a1")
}

// TestContentsMove: a package takes its contents along, and has them read where
// the source has none.
func TestContentsMove(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newContents(t, d)
		other := s.beside("other").repo
		p := s.mustPush(one, "a", "1", "x86") // nobody wants its contents yet
		if _, err := s.uploader.SetContents(t.Context(), other, true); err != nil {
			t.Fatal(err)
		}
		moved, err := s.uploader.Move(t.Context(), p, other)
		if err != nil {
			t.Fatal(err)
		}
		if n := s.read(); n != 1 {
			t.Errorf("%d packages were read in the destination", n)
		}
		s.choose(true)
		if _, err := s.uploader.Move(t.Context(), moved, s.repo); err != nil {
			t.Fatal(err)
		}
		s.settle(s.w)
		s.is("x86", "a1")
		if n := s.read(); n != 0 {
			t.Errorf("%d packages were read again", n)
		}
	})
}

// TestContentsChosenMeanwhile: a push that has begun before contents are chosen,
// and ends after, is not forgotten.
func TestContentsChosenMeanwhile(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newContents(t, d)
		other := s.beside("other").repo
		p := s.mustPush(one, "a", "1", "x86")
		chosen := make(chan error, 1)
		err := d.Update(t.Context(), func(tx *db.Tx) (err error) {
			q := *p
			q.RepositoryID = other.ID
			if q.ScopeID, err = tx.EnsureScope(t.Context(), other.ID, one); err != nil {
				return err
			}
			if err := tx.CopyPackage(t.Context(), p.ID, &q); err != nil {
				return err
			}
			if err := tx.AwaitContents(t.Context(), q.ID); err != nil {
				return err
			}
			go func() {
				_, err := s.uploader.SetContents(t.Context(), other, true)
				chosen <- err
			}()
			select {
			case err := <-chosen:
				chosen <- err // it did not wait for this transaction
			case <-time.After(300 * time.Millisecond):
			}
			return nil
		})
		if err := errors.Join(err, <-chosen); err != nil {
			t.Fatal(err)
		}
		if n := s.read(); n != 1 {
			t.Errorf("%d packages were read", n)
		}
	})
}
