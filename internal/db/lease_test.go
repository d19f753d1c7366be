package db_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/repo"
)

// waits records, for a number of repositories with keys, changes that wait. Each
// element is a change: the repository, the scope in it, and its age in seconds.
func waits(t *testing.T, d *db.DB, now time.Time, changes ...[3]int) {
	t.Helper()
	err := d.Update(t.Context(), func(tx *db.Tx) error {
		account := db.Account{User: repo.User{Name: "acme", Email: "a@example.com", CreatedAt: now}, TokenSealed: []byte("x")}
		if err := tx.CreateUser(t.Context(), &account, "hash"); err != nil {
			return err
		}
		made := map[int]int64{}
		for _, c := range changes {
			id, ok := made[c[0]]
			if !ok {
				r := repo.Repository{OwnerID: account.ID, Owner: "acme", Name: fmt.Sprintf("r%d", c[0]), CreatedAt: now}
				if err := tx.CreateRepository(t.Context(), &r); err != nil {
					return err
				}
				key := repo.Key{RepositoryID: r.ID, Type: "repo", Name: r.Name + ".key", Public: []byte("x"), CreatedAt: now}
				if err := tx.InsertKey(t.Context(), &key, true); err != nil {
					return err
				}
				id = r.ID
				made[c[0]] = id
			}
			scope, err := tx.EnsureScope(t.Context(), id, repo.DistroVersion{ID: int64(c[1]), OS: "toyos", Version: fmt.Sprint(c[1]), Format: "toy"})
			if err != nil {
				return err
			}
			if err := tx.AddChange(t.Context(), scope, db.PackageChange, 1, now.Add(-time.Duration(c[2])*time.Second)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// publishes leases and publishes one scope, and says which: "<repository>/<version>".
func publishes(t *testing.T, d *db.DB, now time.Time) string {
	t.Helper()
	var name string
	err := d.Update(t.Context(), func(tx *db.Tx) error {
		s, err := tx.LeaseScope(t.Context(), "word", db.Timing{Now: now, Lease: time.Minute, Rest: time.Hour})
		if err != nil {
			return err
		}
		r, err := tx.RepositoryByID(t.Context(), s.RepositoryID)
		if err != nil {
			return err
		}
		name = r.Name + "/" + s.Distro.Version
		changes, err := tx.Changes(t.Context(), s.ID, 100_000)
		if err != nil {
			return err
		}
		ids := make([]int64, 0, len(changes))
		for _, c := range changes {
			ids = append(ids, c.ID)
		}
		return errors.Join(
			tx.Flip(t.Context(), s.ID, "word", s.Generation+1, now, "example.com", "http://example.com"),
			tx.FinishChanges(t.Context(), ids), tx.ReleaseLease(t.Context(), s.ID, "word", now))
	})
	if errors.Is(err, repo.ErrNotFound) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// TestTurns: the scope with the oldest change is published first, and the many
// scopes of one repository do not hold up another one.
func TestTurns(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		now := time.Now().Truncate(time.Millisecond)
		waits(t, d, now,
			[3]int{1, 1, 90}, [3]int{1, 2, 100}, [3]int{1, 3, 80}, [3]int{1, 4, 70}, // one with many scopes
			[3]int{2, 1, 50}, [3]int{3, 1, 60}, [3]int{3, 1, 40}, [3]int{4, 1, -1000}) // the last one by a clock that was ahead
		var got []string
		for i := range 7 {
			got = append(got, publishes(t, d, now.Add(time.Duration(i)*time.Second)))
		}
		// r1 is published second, so its others come after all that came before that.
		want := "[r4/1 r1/2 r3/1 r2/1 r1/1 r1/3 r1/4]"
		if fmt.Sprint(got) != want {
			t.Errorf("the order is %v, want %s", got, want)
		}
		if more := publishes(t, d, now.Add(time.Minute)); more != "" {
			t.Errorf("%s is published without a change", more)
		}
	})
}

// TestNobodyStarves pushes to one repository all the time, into more scopes than are
// published, and sees that the others have their turn after a bounded number of
// publications.
func TestNobodyStarves(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		now := time.Now().Truncate(time.Millisecond)
		busy := make([][3]int, 0, 20)
		for version := range 20 {
			busy = append(busy, [3]int{1, version, 1000})
		}
		waits(t, d, now, append(busy, [3]int{2, 1, 0}, [3]int{3, 1, 0})...)
		scopes, err := d.Scopes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		left := map[string]bool{"r2/1": true, "r3/1": true}
		for i := range 5 {
			now = now.Add(time.Second)
			delete(left, publishes(t, d, now))
			err := d.Update(t.Context(), func(tx *db.Tx) error {
				for _, s := range scopes[:20] {
					if err := tx.AddChange(t.Context(), s.ID, db.PackageChange, 1, now); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if i == 4 && len(left) > 0 {
				t.Errorf("these wait still: %v", left)
			}
		}
	})
}

// TestBacklog: what is read to find the next scope does not grow with the changes
// that wait, on PostgreSQL by its own count. That of SQLite is in TestPlans.
func TestBacklog(t *testing.T) {
	d := dbtest.Postgres(t)
	now := time.Now()
	waits(t, d, now, [3]int{1, 1, 10}, [3]int{1, 2, 20}, [3]int{2, 1, 30})
	read := func() (rows float64) {
		if err := d.Exec(t.Context(), `ANALYZE`); err != nil {
			t.Fatal(err)
		}
		for name, plan := range db.ExplainWaiting(t, d, db.Timing{Now: now, Lease: time.Minute, Rest: time.Hour}) {
			n := rowsOf(t, plan, "changes")
			t.Logf("%s reads %v rows of changes", name, n)
			rows += n
		}
		return rows
	}
	few := read()
	for range 2 {
		if err := d.Exec(t.Context(), `INSERT INTO changes (scope_id, kind, package_id, created_at)
			SELECT s.id, 'package', n, 0 FROM scopes s CROSS JOIN generate_series(1, 5000) n`); err != nil {
			t.Fatal(err)
		}
	}
	if many := read(); many > few+10 {
		t.Errorf("with 30,000 changes that wait %v rows are read, and %v with three", many, few)
	}
	err := d.Exec(t.Context(), `INSERT INTO scopes (repository_id, distro_id, format, os, version)
		SELECT r.id, 9, 'toy', 'many', n FROM repositories r CROSS JOIN generate_series(1, 2000) n`)
	if err == nil {
		err = d.Exec(t.Context(), `INSERT INTO changes (scope_id, kind, package_id, created_at) SELECT id, 'package', 1, 0 FROM scopes`)
	}
	if err != nil {
		t.Fatal(err)
	}
	if many := read(); many > 10_000 {
		t.Errorf("with 4,000 scopes that wait %v rows are read", many)
	}
}

// TestManyScopes: every scope has its turn where very many wait, and some of them
// can never be leased.
func TestManyScopes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		now := time.Now().Truncate(time.Millisecond)
		changes := make([][3]int, 0, 500)
		for i := range 500 {
			changes = append(changes, [3]int{i / 10, i, 5})
		}
		waits(t, d, now, changes...)
		if err := d.Exec(t.Context(), `UPDATE scopes SET not_before = $1 WHERE id % 2 = 0`, now.Add(time.Minute).UnixMilli()); err != nil {
			t.Fatal(err)
		}
		for published := 0; published < 250; {
			if _, ok, err := d.NextDue(t.Context(), db.Timing{Now: now, Lease: time.Minute, Rest: time.Hour}); err != nil || !ok {
				t.Fatalf("after %d nothing waits, %v", published, err)
			}
			if publishes(t, d, now) != "" {
				published++
			}
		}
	})
}

// node is a step of a plan of PostgreSQL.
type node struct {
	Relation string  `json:"Relation Name"`
	Rows     float64 `json:"Actual Rows"`
	Loops    float64 `json:"Actual Loops"`
	Filtered float64 `json:"Rows Removed by Filter"`
	Plans    []node  `json:"Plans"`
}

func (n *node) rows(relation string) (sum float64) {
	if n.Relation == relation {
		sum = (n.Rows + n.Filtered) * n.Loops
	}
	for i := range n.Plans {
		sum += n.Plans[i].rows(relation)
	}
	return sum
}

// rowsOf is how many rows of a table a plan has read.
func rowsOf(t *testing.T, plan, relation string) float64 {
	t.Helper()
	var steps []struct{ Plan node }
	if err := json.Unmarshal([]byte(plan), &steps); err != nil || len(steps) != 1 {
		t.Fatalf("%v: %s", err, plan)
	}
	return steps[0].Plan.rows(relation)
}
