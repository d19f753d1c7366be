package fileblob

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"packagecloud/internal/blob"
)

// Copy implements blob.Store: by a second name for the file, where the file
// system knows those.
func (s *Store) Copy(ctx context.Context, from, to string, a blob.Attributes) error {
	old, err := s.path(from)
	if err != nil {
		return err
	}
	path, err := s.path(to)
	if err != nil {
		return err
	}
	if _, err := os.Stat(old); err != nil {
		return s.missing(from, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return wrap("copy", from, err)
	}
	if err := os.Link(old, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return s.copyBytes(ctx, from, to, a)
	}
	if err := s.syncNames(filepath.Dir(path)); err != nil {
		return wrap("copy", from, err)
	}
	return wrap("copy", from, s.here())
}

func (s *Store) copyBytes(ctx context.Context, from, to string, a blob.Attributes) error {
	f, err := s.Open(ctx, from)
	if err != nil {
		return err
	}
	defer f.Close()
	fresh, err := s.Stage(ctx)
	if err != nil {
		return err
	}
	defer fresh.Close()
	if _, err := io.Copy(fresh, f); err != nil {
		return wrap("copy", from, err)
	}
	return fresh.Commit(ctx, to, a)
}
