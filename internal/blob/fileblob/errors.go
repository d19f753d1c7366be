package fileblob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"packagecloud/internal/blob"
	"packagecloud/internal/repo"
)

// wrap says what was done to what, and whether the error passes.
func wrap(act, key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", act, key, blob.Judge(err))
}

// missing tells the absence of a file in the words of package blob. That of the
// whole folder is something else.
func (s *Store) missing(key string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return wrap("open", key, err)
	}
	if key != blob.IdentityKey {
		if err := s.here(); err != nil {
			return wrap("open", key, err)
		}
	}
	return fmt.Errorf("open %s: %w", key, blob.ErrNotFound)
}

// identity is the file that tells this store from another one.
func (s *Store) identity() string { return filepath.Join(s.dir, filepath.FromSlash(blob.IdentityKey)) }

// here is an error while the folder is another one than that which was opened: a
// file system that is not mounted any more leaves an empty folder, or one that an
// earlier start made, in which nothing is found and what is stored is lost later.
// A store without an identity cannot tell.
func (s *Store) here() error {
	if !s.identified.Load() {
		return nil
	}
	_, err := os.Stat(s.identity())
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s has no %s any more: mount the file system that was there", repo.ErrStorage, s.dir, blob.IdentityKey)
	}
	return blob.Judge(err)
}
