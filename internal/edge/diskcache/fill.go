package diskcache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"packagecloud/internal/blob"
	"packagecloud/internal/repo"
)

const (
	// chunk is how much is fetched before readers are told.
	chunk = 128 << 10
	// lead is how far behind what was fetched a reader waits; one that wants
	// what is farther ahead gets it from the origin itself.
	lead = 8 << 20
)

// fill is an object on its way into the cache.
type fill struct {
	cache *Cache
	id    id
	key   string
	sum   [sha256.Size]byte

	// Good when opened is closed.
	opened  chan struct{}
	openErr error
	past    bool // too large to be kept
	about   about
	file    *os.File

	readers int // guarded by the cache

	mu       sync.Mutex
	written  int64
	verified bool
	err      error         // why there will be no more
	changed  chan struct{} // closed when one of these changes
}

func newFill(c *Cache, i id, key string, sum [sha256.Size]byte) *fill {
	return &fill{cache: c, id: i, key: key, sum: sum, opened: make(chan struct{}), changed: make(chan struct{}), readers: 1}
}

// run fetches the object. It is a reader of its own file.
func (f *fill) run() {
	defer f.release()
	err := f.fetch()
	c := f.cache
	c.mu.Lock()
	delete(c.filling, f.id)
	if err != nil {
		c.stats.Failures++
	}
	c.mu.Unlock()
	if err != nil && !errors.Is(err, blob.ErrNotFound) && c.ctx.Err() == nil {
		c.log.Log(context.Background(), repo.LogLevel(err), "cannot fetch an object", "key", f.key, "error", err)
	}
	f.update(func() { f.err = err })
}

func (f *fill) fetch() error {
	o, size, err := f.open()
	if err != nil || f.past {
		return err
	}
	defer o.Close()
	kept := false
	defer func() {
		if !kept {
			_ = os.Remove(f.file.Name())
			f.cache.reserve(-size)
		}
	}()
	if err := f.copy(o); err != nil {
		return err
	}
	if err := f.name(size); err != nil {
		return err
	}
	kept = true
	return nil
}

// open asks the origin, and says so to those that wait. size is how much the
// file will have.
func (f *fill) open() (o blob.Object, size int64, err error) {
	defer close(f.opened)
	o, f.openErr = f.cache.origin.Open(f.cache.ctx, f.key)
	if f.openErr != nil {
		return nil, 0, f.openErr
	}
	f.about = about{o.Info(), attributes(o)}
	text, err := json.Marshal(f.about)
	if err == nil {
		// An object must not drive out everything else.
		if size = f.about.Info.Size + int64(len(text)); size > f.cache.max/2 {
			f.past = true
			return nil, 0, o.Close()
		}
		f.file, err = os.CreateTemp(f.cache.tmp(), "")
	}
	if err != nil {
		f.openErr = err
		return nil, 0, errors.Join(err, o.Close())
	}
	f.cache.reserve(size)
	return o, size, nil
}

// reserve counts bytes that are about to be written, and makes room for them.
func (c *Cache) reserve(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.evict(n)
	c.stats.Bytes += n
}

// copy fetches the bytes, and verifies them.
func (f *fill) copy(o io.Reader) error {
	hash := sha256.New()
	buffer := make([]byte, chunk)
	for f.written < f.about.Info.Size {
		n, err := o.Read(buffer[:min(chunk, f.about.Info.Size-f.written)])
		hash.Write(buffer[:n])
		if _, werr := f.file.Write(buffer[:n]); werr != nil {
			return werr
		}
		f.update(func() { f.written += int64(n) })
		if err != nil && f.written < f.about.Info.Size {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("after %d of %d bytes: %w", f.written, f.about.Info.Size, err)
		}
	}
	if got := hash.Sum(nil); !bytes.Equal(got, f.sum[:]) {
		return fmt.Errorf("its SHA-256 is %x: the origin, or the way from it, is broken", got)
	}
	f.update(func() { f.verified = true })
	return nil
}

// name makes a file of the cache of what was fetched.
func (f *fill) name(size int64) error {
	text, err := json.Marshal(f.about)
	if err == nil {
		_, err = f.file.Write(text)
	}
	if err == nil {
		err = f.file.Sync()
	}
	if err != nil {
		return err
	}
	c := f.cache
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	e := &entry{id: f.id, size: f.about.Info.Size, about: int32(size - f.about.Info.Size), touched: info.ModTime().Unix()}
	path := c.path(e)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.Rename(f.file.Name(), path)); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.insert(e)
	return nil
}

func (f *fill) update(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

// release closes the file after its last reader.
func (f *fill) release() {
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	if f.readers--; f.readers == 0 && f.file != nil {
		f.file.Close()
	}
}

// follower reads an object while it arrives.
type follower struct {
	fill   *fill
	ctx    context.Context //nolint:containedctx // readers have none
	offset int64
	direct *Object // the origin itself
	once   sync.Once
}

// Read implements io.Reader.
func (r *follower) Read(p []byte) (int, error) {
	f := r.fill
	size := f.about.Info.Size
	for r.direct == nil {
		if r.offset >= size {
			return 0, io.EOF
		}
		f.mu.Lock()
		ready, err, changed := f.written, f.err, f.changed
		if ready == size && !f.verified {
			ready-- // the last byte is for those who know that all are right
		}
		f.mu.Unlock()
		switch {
		case r.offset < ready:
			n, err := f.file.ReadAt(p[:min(int64(len(p)), ready-r.offset)], r.offset)
			r.offset += int64(n)
			return n, err
		case err != nil:
			return 0, fmt.Errorf("fetch %s: %w", f.key, err)
		case r.offset > ready+lead:
			if err := r.goDirect(); err != nil {
				return 0, err
			}
			continue
		}
		select {
		case <-changed:
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
	}
	return r.direct.Read(p)
}

func (r *follower) goDirect() error {
	o, err := r.fill.cache.Pass(r.ctx, r.fill.key)
	if err != nil {
		return err
	}
	if _, err := o.Seek(r.offset, io.SeekStart); err != nil {
		return errors.Join(err, o.Close())
	}
	r.direct = o
	return nil
}

// Seek implements io.Seeker.
func (r *follower) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		offset += r.fill.about.Info.Size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start")
	}
	if r.direct != nil && offset != r.offset {
		r.direct.Close()
		r.direct = nil
	}
	r.offset = offset
	return offset, nil
}

// Close implements io.Closer.
func (r *follower) Close() error {
	r.once.Do(r.fill.release)
	if r.direct != nil {
		return r.direct.Close()
	}
	return nil
}
