package fileblob

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// errUnlinkable says that a file has lost its last name.
var errUnlinkable = errors.New("the file can have no name any more")

// abandoned is the age of a staged file whose process must be gone.
const abandoned = 48 * time.Hour

// sweep removes staged files that a killed process left in a folder.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < abandoned {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// temporaryNamed makes a file with a name in the staging folder.
func temporaryNamed(dir string) (*os.File, bool, error) {
	f, err := os.CreateTemp(dir, "upload-*")
	return f, true, err
}
