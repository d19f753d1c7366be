package fileblob

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"packagecloud/internal/blob"
	"packagecloud/internal/blob/blobtest"
	"packagecloud/internal/repo"
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

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keyOf(body []byte) string {
	return fmt.Sprintf("packages/%x/x_1.deb", sha256.Sum256(body))
}

// place puts something in the place of the file of a key.
func place(t *testing.T, s *Store, key string, put func(path string) error) {
	t.Helper()
	path, err := s.path(key)
	if err == nil {
		err = errors.Join(os.RemoveAll(path), os.MkdirAll(filepath.Dir(path), 0o700))
	}
	if err == nil {
		err = put(path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestFlippedBytes: bytes of the right size that are not those of the digest are
// replaced when the right ones are stored again.
func TestFlippedBytes(t *testing.T) {
	s := open(t, t.TempDir())
	body := bytes.Repeat([]byte("bytes"), 1000)
	flipped := bytes.Clone(body)
	flipped[2500] ^= 1
	key := keyOf(body)
	for name, store := range map[string]func() error{
		"Put": func() error { return s.Put(t.Context(), key, body, blob.Attributes{}) },
		"Commit": func() error {
			f, err := s.Stage(t.Context())
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.Write(body)
			return errors.Join(err, f.Commit(t.Context(), key, blob.Attributes{}))
		},
	} {
		place(t, s, key, func(path string) error { return os.WriteFile(path, flipped, 0o600) })
		if err := store(); err != nil {
			t.Fatal(err)
		}
		o, err := s.Open(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, body) {
			t.Errorf("after %s the key holds other bytes, %v", name, err)
		}
		o.Close()
	}
}

// TestUnreadable: a file that cannot be read is not taken for one that is damaged,
// and stays. Reading /proc/self/mem at its start is EIO, and reading a folder EISDIR.
func TestUnreadable(t *testing.T) {
	for name, test := range map[string]struct {
		put    func(path string) error
		passes bool
	}{
		"a bad disk": {func(path string) error { return os.Symlink("/proc/self/mem", path) }, true},
		"a folder":   {func(path string) error { return os.Mkdir(path, 0o700) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			probe := filepath.Join(t.TempDir(), "probe")
			if err := test.put(probe); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(probe)
			if err != nil {
				t.Fatal(err)
			}
			body := make([]byte, info.Size())
			key := keyOf(body)
			place(t, s, key, test.put)
			if err := s.Put(t.Context(), key, body, blob.Attributes{}); err == nil || errors.Is(err, repo.ErrStorage) != test.passes {
				t.Errorf("it is stored again: %v", err)
			}
			path, err := s.path(key)
			if err != nil {
				t.Fatal(err)
			}
			if there, err := os.Lstat(path); err != nil || there.Mode().IsRegular() {
				t.Errorf("it was replaced: %v, %v", there, err)
			}
			o, err := s.Open(t.Context(), key)
			if err == nil {
				_, err = io.ReadAll(o)
				o.Close()
			}
			if err == nil || errors.Is(err, repo.ErrStorage) != test.passes || errors.Is(err, blob.ErrNotFound) {
				t.Errorf("it is read: %v", err)
			}
		})
	}
}

// TestUnmounted: while the folder is another one than that which was opened, as
// that under a mount point is, nothing is missing in it and nothing is stored; once
// it is back, everything works.
func TestUnmounted(t *testing.T) {
	for name, left := range map[string][]string{"nothing is there": nil, "what an earlier start made": {"staging", "packages"}} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "storage")
			body := []byte("bytes")
			key, other := keyOf(body), keyOf([]byte("other"))
			first := open(t, dir)
			late := open(t, dir) // of another process, opened before the identity was written
			for key, body := range map[string][]byte{key: body, blob.IdentityKey: []byte("identity")} {
				if err := first.Put(t.Context(), key, body, blob.Attributes{}); err != nil {
					t.Fatal(err)
				}
			}
			o, err := late.Open(t.Context(), blob.IdentityKey)
			if err != nil {
				t.Fatal(err)
			}
			o.Close()
			for _, s := range []*Store{first, late, open(t, dir)} {
				staged, err := s.Stage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(dir, dir+".away"); err != nil {
					t.Fatal(err)
				}
				for _, folder := range left {
					if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
						t.Fatal(err)
					}
				}
				away(t, s, staged, key, other)
				if _, err := s.Stat(t.Context(), blob.IdentityKey); !errors.Is(err, blob.ErrNotFound) {
					t.Errorf("the identity itself: %v", err)
				}
				if err := errors.Join(os.RemoveAll(dir), os.Rename(dir+".away", dir)); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Stat(t.Context(), key); err != nil {
					t.Error(err)
				}
				if _, err := s.Stat(t.Context(), other); !errors.Is(err, blob.ErrNotFound) {
					t.Errorf("what is not there: %v", err)
				}
				if err := staged.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// away expects that everything fails in a way that passes.
func away(t *testing.T, s *Store, staged blob.Staged, key, other string) {
	t.Helper()
	_, openErr := s.Open(t.Context(), key)
	_, statErr := s.Stat(t.Context(), key)
	var listErr error
	for _, err := range s.List(t.Context(), "packages/") {
		listErr = err
	}
	for act, err := range map[string]error{
		"open": openErr, "stat": statErr, "list": listErr, "put": s.Put(t.Context(), key, []byte("bytes"), blob.Attributes{}),
		"copy": s.Copy(t.Context(), key, other, blob.Attributes{}), "commit": staged.Commit(t.Context(), other, blob.Attributes{}),
	} {
		if !errors.Is(err, repo.ErrStorage) || errors.Is(err, blob.ErrNotFound) {
			t.Errorf("%s: %v", act, err)
		}
	}
}
