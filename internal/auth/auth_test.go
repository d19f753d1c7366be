package auth

import (
	"errors"
	"strings"
	"testing"

	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/repo"
)

// TestWhatCannotBeIsNotCached asks for names and tokens that nothing can have.
func TestWhatCannotBeIsNotCached(t *testing.T) {
	a := New(dbtest.SQLite(t))
	for _, name := range []string{strings.Repeat("a", 30_000), strings.Repeat("a", 101), "", "a b", "é", "a\x00b", "a\xff", "../a"} {
		for _, names := range [][2]string{{name, "a"}, {"a", name}} {
			if r, err := a.Repository(t.Context(), names[0], names[1]); err != nil || !r.Private || r.ID != 0 {
				t.Errorf("repository %.20q/%.20q: private: %t, ID %d, %v", names[0], names[1], r.Private, r.ID, err)
			}
		}
	}
	for _, token := range []string{strings.Repeat("a", 30_000), strings.Repeat("a", 47), strings.Repeat("g", 48), strings.Repeat("A", 48), "", "\x00"} {
		if _, err := a.Grant(t.Context(), token); !errors.Is(err, repo.ErrUnauthenticated) {
			t.Errorf("token %.20q: %v", token, err)
		}
	}
	if n, m := a.repositories.EstimatedSize(), a.grants.EstimatedSize(); n+m != 0 {
		t.Errorf("%d repositories and %d tokens are cached", n, m)
	}
	if r, err := a.Repository(t.Context(), "a", "b"); err != nil || !r.Private || a.repositories.EstimatedSize() != 1 {
		t.Errorf("a name that could be: %v, %d are cached", err, a.repositories.EstimatedSize())
	}
}
