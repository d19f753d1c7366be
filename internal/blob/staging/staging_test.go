package staging

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestFile runs with and without names.
func TestFile(t *testing.T) {
	for kind, temporary := range map[string]func(string) (*os.File, bool, error){"of the system": temporary, "named": temporaryNamed} {
		t.Run(kind, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "staging")
			if err := Open(dir); err != nil {
				t.Fatal(err)
			}
			file, named, err := temporary(dir)
			if err != nil {
				t.Fatal(err)
			}
			f := &File{file: file, named: named}
			if _, err := io.WriteString(f, "hello"); err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 3)
			if _, err := f.ReadAt(p, 2); err != nil || string(p) != "llo" || f.Size() != 5 {
				t.Errorf("read %q, %v, of %d bytes", p, err, f.Size())
			}
			path := filepath.Join(filepath.Dir(dir), "name")
			if err := f.Link(path); err != nil {
				t.Fatal(err)
			}
			if err := f.Link(path); !errors.Is(err, fs.ErrExist) {
				t.Errorf("a name that is taken: %v", err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
				t.Errorf("left in staging: %v, %v", left, err)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != "hello" {
				t.Errorf("linked: %q, %v", b, err)
			}
		})
	}
}

// TestAbandoned: what killed processes left is removed, what may be in use is
// not.
func TestAbandoned(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{"old": 2 * Abandoned, "new": time.Minute} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	if err := Open(dir); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "new" {
		t.Errorf("left: %v, %v", left, err)
	}
}
