package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/publish/publishtest"
)

func sum(body []byte) string {
	s := sha256.Sum256(body)
	return hex.EncodeToString(s[:])
}

// TestTorture lets 16 writers push and delete for half a minute, or a minute in
// the long drill, while 8 machines update all the time: no mismatch, no 404 for anything that an index lists,
// and nothing that was acknowledged is lost. What a client of ubuntu/jammy saw
// must have one order in which all of it is right.
func TestTorture(t *testing.T) {
	needTools(t, "apt-get", "dnf", "curl")
	period := 30 * time.Second
	if soaking() {
		period = time.Minute
	}
	t.Run("SQLite", func(t *testing.T) { torture(t, start(t), period) })
	t.Run("PostgreSQL", func(t *testing.T) {
		torture(t, start(t, "PACKAGECLOUD_DATABASE_URL="+dbtest.PostgresURL(t)), period)
	})
}

func torture(t *testing.T, s *instance, period time.Duration) {
	s.createRepository(t, "demo")
	end := time.Now().Add(period)
	ctx, cancel := context.WithDeadline(t.Context(), end)
	defer cancel()

	var mu sync.Mutex
	live := make(map[string]pushed)
	var pushes, deletions atomic.Int64
	var history publishtest.History // of ubuntu/jammy
	var all sync.WaitGroup
	for writer := range 16 {
		all.Go(func() {
			var mine []pushed
			for i := 0; ctx.Err() == nil; i++ {
				name := fmt.Sprintf("w%d-p%d", writer, i)
				distro, file := jammy, name+".deb"
				var body []byte
				if writer%2 == 0 {
					body = debtest.Package{Name: name, Architecture: []string{"all", "amd64", "arm64"}[i%3]}.Build()
				} else {
					distro, file, body = el9, name+".rpm", rpmtest.Package{Name: name}.Build()
				}
				// Not cut off: it would not be known whether it was acknowledged.
				query := ""
				if i%5 == 4 {
					query = "?wait=indexed"
				}
				p, err := s.push(t.Context(), "admin/demo", distro, file, body, query)
				if err != nil {
					t.Errorf("push: %v", err)
					return
				}
				pushes.Add(1)
				if distro == jammy {
					history.Pushed(p.Name, p.Indexed)
				}
				mine = append(mine, p)
				mu.Lock()
				live[p.Name] = p
				mu.Unlock()
				if rand.IntN(3) == 0 {
					n := rand.IntN(len(mine))
					gone := mine[n]
					mine = append(mine[:n], mine[n+1:]...)
					mu.Lock()
					delete(live, gone.Name)
					mu.Unlock()
					if distro == jammy {
						history.Deleting(gone.Name)
					}
					if status, answer, err := s.call(t.Context(), "DELETE", gone.DestroyURL, "", nil); status != 200 || err != nil {
						t.Errorf("delete %s: %d %s %v", gone.Filename, status, answer, err)
						return
					}
					deletions.Add(1)
				}
				time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
			}
		})
	}
	for i := range 8 {
		all.Go(func() {
			script := []string{"torture-apt.sh", "torture-dnf.sh"}[i%2]
			s.script(t.Context(), t, script, "PRIVATE=0", "END="+strconv.FormatInt(end.Unix(), 10))
		})
	}
	for range 2 {
		all.Go(func() {
			for ctx.Err() == nil {
				s.observe(t, history.Read)
			}
		})
	}
	all.Wait()
	// A deletion may wait to be published, and nobody is told when it was: this
	// publication takes in all that came before.
	last, err := s.push(t.Context(), "admin/demo", jammy, "last.deb", debtest.Package{Name: "last"}.Build(), "?wait=indexed")
	if err != nil || !last.Indexed {
		t.Fatalf("push: indexed %v, %v", last.Indexed, err)
	}
	history.Pushed(last.Name, last.Indexed)
	live[last.Name] = last

	var kept []pushed
	for _, p := range live {
		kept = append(kept, p)
	}
	s.settle(t, kept)
	listed := s.checkLinks(t.Context(), t, "/admin/demo/ubuntu", "jammy", 5)
	for name := range listed {
		if _, ok := live[name]; !ok {
			t.Errorf("%s is listed and was deleted", name)
		}
	}
	s.observe(t, history.Last)
	if err := history.Check(time.Minute); err != nil {
		t.Error(err)
	}
	s.verify(t)
	t.Logf("%d pushes, %d deletions, a history of %d operations", pushes.Load(), deletions.Load(), history.Len())
}

// observe reads ubuntu/jammy as a client does, into a history.
func (s *instance) observe(t *testing.T, note func(time.Time, publishtest.Listing, error)) {
	began := time.Now()
	names, release := s.readScope(t.Context(), t, "/admin/demo/ubuntu", "jammy", 20)
	_, text, _ := strings.Cut(string(release), "\nDate: ")
	text, _, _ = strings.Cut(text, "\n")
	date, err := time.Parse("Mon, 2 Jan 2006 15:04:05 MST", strings.TrimSpace(text))
	note(began, publishtest.Listing{Generation: date.Unix(), Digest: sum(release), Packages: slices.Collect(maps.Keys(names))}, err)
}
