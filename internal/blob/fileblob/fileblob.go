// Package fileblob is a blob.Store of plain files below one folder.
//
// The file of a key is its path, but for digests: packages/<digest>/<name> is
// packages/<first two digits>/<digest>_<name>, so that folders are few and need
// not be made, and made durable, for each object. A file gets its name only
// when all its bytes are on disk, and the call that names it returns when the
// name is, too.
package fileblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"packagecloud/internal/blob"
	"packagecloud/internal/blob/staging"
)

// Store keeps objects below a folder. It may be shared by processes of one
// machine.
type Store struct {
	dir string
	// folders that are known to be durable, with those above them, by path. That
	// stays true while the process runs: folders are never removed.
	folders sync.Map
	// identified is whether an identity was seen in the folder: see here.
	identified atomic.Bool
}

// New makes a store of a folder, which is created if need be.
func New(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open storage: %w", err)
	}
	s := &Store{dir: dir}
	if err := staging.Open(s.staging()); err != nil {
		return nil, fmt.Errorf("open storage: %w", err)
	}
	if _, err := os.Stat(s.identity()); err == nil {
		s.identified.Store(true)
	}
	return s, nil
}

// staging is where files wait that have no key yet, where the file system
// cannot keep them without a name.
func (s *Store) staging() string { return filepath.Join(s.dir, "staging") }

var digestStep = regexp.MustCompile(`^[0-9a-f]{64}$`)

// path is the file of a key.
func (s *Store) path(key string) (string, error) {
	if err := blob.CheckKey(key); err != nil {
		return "", err
	}
	steps := strings.Split(key, "/")
	if len(steps) < 2 || steps[0] == "staging" {
		return "", fmt.Errorf("storage key %q: must be in a folder other than staging", key)
	}
	if len(steps) == 3 && digestStep.MatchString(steps[1]) {
		steps = []string{steps[0], steps[1][:2], steps[1] + "_" + steps[2]}
	}
	return filepath.Join(append([]string{s.dir}, steps...)...), nil
}

var digestFile = regexp.MustCompile(`^([0-9a-f]{64})_(.+)$`)

// key is the key of a file, the reverse of path.
func (s *Store) key(file string) (string, error) {
	rel, err := filepath.Rel(s.dir, file)
	if err != nil {
		return "", err
	}
	steps := strings.Split(filepath.ToSlash(rel), "/")
	if len(steps) == 3 {
		if m := digestFile.FindStringSubmatch(steps[2]); m != nil && steps[1] == m[1][:2] {
			steps = []string{steps[0], m[1], m[2]}
		}
	}
	return strings.Join(steps, "/"), nil
}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, key string, body []byte, a blob.Attributes) error {
	staged, err := s.Stage(ctx)
	if err != nil {
		return err
	}
	defer staged.Close()
	if _, err := staged.Write(body); err != nil {
		return wrap("store", key, err)
	}
	return staged.Commit(ctx, key, a)
}

// Open implements blob.Store.
func (s *Store) Open(_ context.Context, key string) (blob.Object, error) {
	path, err := s.path(key)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, s.missing(key, err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() > 0 {
		// A disk that fails is told before anything is said to a client.
		_, err = f.ReadAt(make([]byte, 1), 0)
	}
	if err != nil {
		return nil, errors.Join(wrap("open", key, err), f.Close())
	}
	if key == blob.IdentityKey {
		s.identified.Store(true)
	}
	return &object{f, blob.Info{Key: key, Size: info.Size(), ModTime: info.ModTime()}}, nil
}

// Stat implements blob.Store.
func (s *Store) Stat(_ context.Context, key string) (blob.Info, error) {
	path, err := s.path(key)
	if err != nil {
		return blob.Info{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return blob.Info{}, s.missing(key, err)
	}
	return blob.Info{Key: key, Size: info.Size(), ModTime: info.ModTime()}, nil
}

// Delete implements blob.Store. Folders stay: they are few.
func (s *Store) Delete(_ context.Context, key string) error {
	path, err := s.path(key)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return wrap("delete", key, err)
	}
	if key == blob.IdentityKey {
		s.identified.Store(false)
	}
	return nil
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		// Keys of a kind share a folder; the prefix decides about the rest.
		root := s.dir
		if first, _, ok := strings.Cut(prefix, "/"); ok && blob.CheckKey(first) == nil {
			root = filepath.Join(s.dir, first)
		}
		ended := false
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil {
				err = ctx.Err()
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil // deleted while we look
			}
			if err != nil {
				return err
			}
			if d.IsDir() {
				if path == s.staging() {
					return fs.SkipDir
				}
				return nil
			}
			key, err := s.key(path)
			if err != nil || !strings.HasPrefix(key, prefix) {
				return err
			}
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if !yield(blob.Info{Key: key, Size: info.Size(), ModTime: info.ModTime()}, nil) {
				ended = true
				return fs.SkipAll
			}
			return nil
		})
		if ended {
			return
		}
		if err == nil {
			err = s.here()
		}
		if err != nil {
			yield(blob.Info{}, wrap("list", prefix, err))
		}
	}
}

// object is a file whose errors say whether they pass.
type object struct {
	file *os.File
	info blob.Info
}

// Info implements blob.Object.
func (o *object) Info() blob.Info { return o.info }

// File is the file itself, which package pace has the kernel send.
func (o *object) File() *os.File { return o.file }

// Read implements io.Reader.
func (o *object) Read(p []byte) (int, error) {
	n, err := o.file.Read(p)
	return n, blob.Judge(err)
}

// ReadAt implements io.ReaderAt.
func (o *object) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.file.ReadAt(p, off)
	return n, blob.Judge(err)
}

// Seek implements io.Seeker.
func (o *object) Seek(offset int64, whence int) (int64, error) { return o.file.Seek(offset, whence) }

// Close implements io.Closer.
func (o *object) Close() error { return o.file.Close() }

// staged is a file without a key.
type staged struct {
	*staging.File
	store *Store
	// committed is what the file was when it last got a durable name.
	committed fs.FileInfo
}

// Stage implements blob.Store.
func (s *Store) Stage(context.Context) (blob.Staged, error) {
	f, err := staging.New(s.staging())
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.Join(s.here(), err)
	}
	if err != nil {
		return nil, err
	}
	return &staged{File: f, store: s}, nil
}

// Commit implements blob.Staged.
func (t *staged) Commit(ctx context.Context, key string, a blob.Attributes) error {
	path, err := t.store.path(key)
	if err != nil {
		return err
	}
	there, err := os.Stat(path)
	if err == nil && t.committed != nil && os.SameFile(there, t.committed) {
		return nil // by this very file before, or compared with it
	}
	name := t.store.link
	stored := err == nil
	switch {
	case stored:
		bad, err := damaged(there, path, key, t.Size())
		if err != nil {
			return wrap("read what is stored as", key, err)
		}
		if bad {
			stored, name = false, t.store.replace
		}
	case !errors.Is(err, fs.ErrNotExist):
		return wrap("store", key, err)
	}
	if !stored {
		err := t.store.here()
		if err == nil {
			err = t.Sync()
		}
		if err == nil {
			err = name(t.File, path)
		}
		switch {
		case errors.Is(err, staging.ErrUnlinkable):
			return t.again(ctx, key, a)
		case err != nil:
			return wrap("store", key, err)
		}
	}
	return wrap("store", key, t.settle(key, path))
}

// settle returns when the name of a file that was committed is durable.
func (t *staged) settle(key, path string) error {
	if err := t.store.syncNames(filepath.Dir(path)); err != nil {
		return err
	}
	if key == blob.IdentityKey {
		t.store.identified.Store(true)
	}
	// A folder that was unmounted meanwhile has taken the name all the same.
	if err := t.store.here(); err != nil {
		return err
	}
	there, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) { // deleted since
		t.committed = nil
		return nil
	}
	t.committed = there
	return err
}

// again stores a copy. A file that was committed and then deleted cannot be
// given a name any more.
func (t *staged) again(ctx context.Context, key string, a blob.Attributes) error {
	fresh, err := t.store.Stage(ctx)
	if err != nil {
		return err
	}
	defer fresh.Close()
	if _, err := io.Copy(fresh, io.NewSectionReader(t, 0, t.Size())); err != nil {
		return wrap("store", key, err)
	}
	return fresh.Commit(ctx, key, a)
}

// link names a file. A name that exists is left as it is.
func (s *Store) link(f *staging.File, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := f.Link(path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// syncNames makes the names in a folder durable. The folder itself, and those
// down to it, are made so once: folders are never removed.
func (s *Store) syncNames(dir string) error {
	if err := syncFolder(dir); err != nil {
		return err
	}
	if _, ok := s.folders.Load(dir); ok {
		return nil
	}
	for above := dir; above != s.dir; {
		above = filepath.Dir(above)
		if err := syncFolder(above); err != nil {
			return err
		}
	}
	s.folders.Store(dir, true)
	return nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}
