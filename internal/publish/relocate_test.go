package publish_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/format"
	"packagecloud/internal/format/formattest"
	"packagecloud/internal/publish"
	"packagecloud/internal/verify"
)

// located is a format whose entries begin with a link.
type located struct{ formattest.Toy }

func (located) Locate(text []byte, url string) []byte { return append([]byte(url+"/"), text...) }

// TestRelocate: links have one public URL in the whole document, whoever publishes.
// A server that starts with another one has all of them made again, once, also
// while programs with the old one go on publishing.
func TestRelocate(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		at := func(url string) *publish.Worker {
			w := s.worker(s.blobs)
			w.URL, w.Formats = url, []format.Format{located{}}
			return w
		}
		before, after := at("https://old.example.com"), at("https://new.example.com")
		now := hurried()
		setClock(before, now)
		setClock(after, now)
		all := func(url string, want int) {
			t.Helper()
			if got := strings.Count("\n"+s.live(one, "x/names"), "\n"+url+"/acme/tools/"); got != want {
				t.Errorf("%d of %d links are of %s: %s", got, want, url, s.live(one, "x/names"))
			}
			v := verify.Verifier{DB: s.db, Blobs: s.blobs, Formats: after.Formats, Origin: "example.com", URL: "https://shell.example.com"}
			v.Clock = func(context.Context, db.Reader) (time.Time, error) { return time.Now().Add(48 * time.Hour), nil }
			if _, err := v.Run(t.Context(), func(p verify.Problem) { t.Errorf("%s: %s", p.Object, p.What) }); err != nil {
				t.Fatal(err)
			}
		}
		s.mustPush(one, "a", "1", "x")
		s.settle(before)
		all("https://old.example.com", 1)

		// A command that was run without the settings of the server publishes.
		s.mustPush(one, "b", "1", "x")
		s.settle(after)
		all("https://old.example.com", 2)

		// Two servers start with the new one.
		for range 2 {
			if err := after.Relocate(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.settle(after)
			all("https://new.example.com", 2)
			if err := after.Relocate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if waiting, _, err := s.db.Backlog(t.Context()); err != nil || waiting > 0 {
				t.Errorf("%d changes wait after a second start, %v", waiting, err)
			}
		}

		s.mustPush(one, "c", "1", "x")
		s.settle(before)
		all("https://new.example.com", 3)

		// It is recorded, so that it does not matter who does it, or when.
		back := at("https://old.example.com")
		setClock(back, now)
		if err := back.Relocate(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.settle(after)
		all("https://old.example.com", 3)
	})
}
