package fileblob

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/blob/blobtest"
)

func TestContract(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store {
		s, err := New(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// TestNamed runs where files cannot be without a name.
func TestNamed(t *testing.T) {
	s, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f, named, err := temporaryNamed(s.staging())
	if err != nil {
		t.Fatal(err)
	}
	staged := &staged{store: s, file: f, named: named}
	if _, err := staged.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := staged.Commit(t.Context(), "indexes/a", blob.Attributes{}); err != nil {
		t.Fatal(err)
	}
	if err := staged.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(s.staging()); len(left) != 0 {
		t.Errorf("left in staging: %v", left)
	}
	if info, err := s.Stat(t.Context(), "indexes/a"); err != nil || info.Size != 1 {
		t.Errorf("Stat: %+v, %v", info, err)
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{"old": 2 * abandoned, "new": time.Minute} {
		path := filepath.Join(dir, "staging", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := New(dir); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "staging"))
	if err != nil || len(left) != 1 || left[0].Name() != "new" {
		t.Errorf("left: %v, %v", left, err)
	}
}
