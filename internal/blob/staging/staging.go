// Package staging has files that belong to no key yet: uploads being received.
// Where the system allows it they have no name either, so that the kernel
// removes them when the process ends, however it ends.
package staging

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"packagecloud/internal/blob"
)

// ErrUnlinkable says that a file has lost its last name, and can get none
// again.
var ErrUnlinkable = errors.New("the file can have no name any more")

// Abandoned is the age of a staged file whose process must be gone.
const Abandoned = 48 * time.Hour

// Open makes a folder of staged files, and removes what killed processes left
// in it.
func Open(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("open staging: %w", err)
	}
	if err := sweep(dir); err != nil {
		return fmt.Errorf("clean up staging: %w", err)
	}
	return nil
}

func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < Abandoned {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// File is a staged file: written from its start, and read at any offset.
type File struct {
	file  *os.File
	named bool // has a name in the staging folder, to be removed
	// size of what was written, and of the part that is on its way to disk.
	size, out int64
}

// New makes a file in a folder that was opened.
func New(dir string) (*File, error) {
	f, named, err := temporary(dir)
	if err != nil {
		return nil, fmt.Errorf("stage a file: %w", blob.Judge(err))
	}
	return &File{file: f, named: named}, nil
}

// temporaryNamed makes a file with a name, where files cannot be without.
func temporaryNamed(dir string) (*os.File, bool, error) {
	f, err := os.CreateTemp(dir, "upload-*")
	return f, true, err
}

// writeAhead is after how many bytes the kernel is asked to write them out.
const writeAhead = 8 << 20

// Write implements io.Writer.
func (f *File) Write(p []byte) (int, error) {
	n, err := f.file.Write(p)
	f.size += int64(n)
	if f.size-f.out >= writeAhead {
		writeOut(f.file, f.out, f.size-f.out)
		f.out = f.size
	}
	return n, blob.Judge(err)
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.file.ReadAt(p, off)
	return n, blob.Judge(err)
}

// Size is the number of bytes written.
func (f *File) Size() int64 { return f.size }

// Sync returns when the bytes are on disk.
func (f *File) Sync() error { return blob.Judge(f.file.Sync()) }

// Stat describes the file, for os.SameFile.
func (f *File) Stat() (fs.FileInfo, error) { return f.file.Stat() }

// Link gives the file a name, which must be free: else the error is an
// fs.ErrExist. ErrUnlinkable is returned if it had a name once that is gone.
func (f *File) Link(path string) error { return name(f.file, path) }

// Close removes the file, but for the names that it got.
func (f *File) Close() error {
	err := f.file.Close()
	if f.named {
		err = errors.Join(err, os.Remove(f.file.Name()))
	}
	return err
}
