package upload

import (
	"cmp"
	"context"
	"crypto/md5"  // listed by package managers beside stronger ones
	"crypto/sha1" // likewise
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"packagecloud/internal/blob"
	"packagecloud/internal/repo"
)

// chunkSize is what is read, hashed and written at a time, in bytes: large
// enough that starting a goroutine for each hash costs nothing beside it.
const chunkSize = 1 << 20

var chunks = sync.Pool{New: func() any { b := make([]byte, chunkSize); return &b }}

// File is a received file: staged, hashed, and not yet anybody's. Close
// releases it.
type File struct {
	Name   string // as the client called it
	Size   int64
	staged blob.Staged
	repo.Digests
}

// Close discards the staged bytes. What was pushed stays.
func (f *File) Close() error { return f.staged.Close() }

// ErrTooLarge says that an upload exceeds the limit of the configuration.
var ErrTooLarge = errors.New("the file is too large")

// Receive streams a file into staging and hashes it on the way, in one pass
// and with the memory of two chunks. An error of body, a broken connection say,
// leaves nothing behind.
func (u *Uploader) Receive(ctx context.Context, name string, body io.Reader) (*File, error) {
	if err := repo.ValidateName("filename", name); err != nil {
		return nil, err
	}
	done, err := u.receiving.enter(ctx, u.Parallel)
	if err != nil {
		return nil, fmt.Errorf("receive %s: %w", name, err)
	}
	defer done()
	staged, err := u.Blobs.Stage(ctx)
	if err != nil {
		return nil, fmt.Errorf("stage %s: %w", name, err)
	}
	f := &File{Name: name, staged: staged}
	if err := f.fill(ctx, body, u.MaxSize); err != nil {
		return nil, errors.Join(fmt.Errorf("receive %s: %w", name, err), staged.Close())
	}
	return f, nil
}

// queueTime is how long a file waits for others to be received before its client
// is asked to come again.
const queueTime = 30 * time.Second

// receiving bounds how many files are received at the same time. A file is bounded
// and not a request, so that no request holds a place while it waits for another.
type receiving struct {
	once   sync.Once
	places *semaphore.Weighted
}

// enter waits for a place, which done gives back.
func (r *receiving) enter(ctx context.Context, limit int) (done func(), err error) {
	if limit <= 0 {
		return func() {}, nil
	}
	r.once.Do(func() { r.places = semaphore.NewWeighted(int64(limit)) })
	bounded, cancel := context.WithTimeout(ctx, queueTime)
	defer cancel()
	if err := r.places.Acquire(bounded, 1); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %d other files were being received for %s", repo.ErrUnavailable, limit, queueTime)
	}
	return func() { r.places.Release(1) }, nil
}

// fill reads a chunk while the one before it is hashed and written.
func (f *File) fill(ctx context.Context, body io.Reader, limit int64) error {
	hashes := [...]hash.Hash{md5.New(), sha1.New(), sha256.New(), sha512.New()}
	var buffers [2]*[]byte
	for i := range buffers {
		buffers[i] = chunks.Get().(*[]byte)
		defer chunks.Put(buffers[i])
	}
	taken := make(chan error, 1)
	taken <- nil
	for i := 0; ; i++ {
		buffer := *buffers[i%2]
		n, err := readChunk(body, buffer)
		f.Size += int64(n)
		if werr := <-taken; werr != nil { // from here on the other buffer is free
			return werr
		}
		if limit > 0 && f.Size > limit {
			return fmt.Errorf("%w: the limit is %d bytes", ErrTooLarge, limit)
		}
		go func() { taken <- f.take(buffer[:n], hashes[:]) }()
		if err != nil || ctx.Err() != nil {
			if werr := <-taken; werr != nil {
				return werr
			}
			if err == io.EOF {
				break
			}
			return cmp.Or(err, ctx.Err())
		}
	}
	sum := func(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
	f.Digests = repo.Digests{MD5: sum(hashes[0]), SHA1: sum(hashes[1]), SHA256: sum(hashes[2]), SHA512: sum(hashes[3])}
	return nil
}

// readChunk fills p. Unlike io.ReadFull it hands on the reader's own error,
// which tells the end of a file from a connection that broke off.
func readChunk(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

// take writes and hashes a chunk, each on a goroutine of its own: on two cores
// that doubles the speed of a large upload.
func (f *File) take(p []byte, hashes []hash.Hash) (err error) {
	if len(p) == 0 {
		return nil
	}
	var wg sync.WaitGroup
	for _, h := range hashes {
		wg.Go(func() { h.Write(p) })
	}
	_, err = f.staged.Write(p)
	wg.Wait()
	return err
}
