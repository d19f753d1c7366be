package download

import (
	"testing"
	"time"

	"packagecloud/internal/db"
	"packagecloud/internal/repo"
)

// TestNamedAt replaces the file of a name twice in a second, then in the next one, and
// looks at all dates that clients could be given: none stands for two files.
func TestNamedAt(t *testing.T) {
	start := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	pushed := []time.Duration{0, 100 * time.Millisecond, 999 * time.Millisecond, time.Second, 5 * time.Second}
	given := map[time.Time]int{}
	for i, after := range pushed {
		p := repo.Package{CreatedAt: start.Add(after)}
		end := 20 * time.Second
		if i+1 < len(pushed) {
			end = pushed[i+1]
		}
		for ; after < end; after += 10 * time.Millisecond {
			now := start.Add(after)
			date := namedAt(p, now)
			if date.IsZero() {
				continue
			}
			if other, ok := given[date]; ok && other != i || date.After(now) {
				t.Fatalf("at %s file %d has the date %s, which file %d has", now, i, date, other)
			}
			given[date] = i
		}
	}
	if len(given) != 2 {
		t.Errorf("%d files have a date, and not those 2 that stay", len(given))
	}
}

// TestRenamed knows names that stood for other bytes before.
func TestRenamed(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	sum := "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, test := range []struct {
		path    string
		created time.Time // of the bytes
		want    bool
	}{
		{"generic/a.bin", at, false},
		{"generic/r0123456789abcdef/a.bin", at, true},
		{"generic/a.bin", at.Add(-time.Hour), true}, // they were pushed before, and come back
	} {
		file := repo.File{Path: test.path, Digests: repo.Digests{SHA256: sum}}
		p := repo.Package{CreatedAt: at, Files: []repo.File{file}}
		if got := renamed(p, &db.StoredFile{File: file, Created: test.created}); got != test.want {
			t.Errorf("%s of %s: %v", test.path, test.created, got)
		}
	}
}
