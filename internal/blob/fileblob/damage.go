package fileblob

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"packagecloud/internal/blob"
	"packagecloud/internal/blob/staging"
)

// damaged reports whether a file is not what its key says: it has another size
// than the bytes that are to be stored, or another digest than its key names. A
// file that cannot be read is not damaged as far as anybody knows: the error says
// so, and the file stays.
func damaged(there fs.FileInfo, path, key string, size int64) (bool, error) {
	want := blob.DigestOf(key)
	if want == "" {
		return false, nil
	}
	if there.Size() != size {
		return true, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // deleted since
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return false, err
	}
	return hex.EncodeToString(h.Sum(nil)) != want, nil
}

// replace puts a file in the place of one that is damaged. Who has that open
// goes on reading it.
func (s *Store) replace(f *staging.File, path string) error {
	// A crash before it is renamed leaves an object that no row names.
	fresh := path + "." + rand.Text()
	if err := s.link(f, fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return errors.Join(fmt.Errorf("replace a damaged file: %w", err), os.Remove(fresh))
	}
	return nil
}
