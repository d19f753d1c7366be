package s3blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packagecloud/internal/blob"
)

const (
	// window is how much ReadAt fetches for a read that wants less.
	window = 256 << 10
	// readStall is how long a read may wait for bytes, and readAttempts how
	// often it is taken up again after a failure without any progress.
	readStall    = time.Minute
	readAttempts = 5
)

// object reads an object by one stream from the current offset, which is begun
// anew after a seek, and where it broke.
type object struct {
	store *Store
	ctx   context.Context //nolint:containedctx // that of Open: readers have none
	info  blob.Info
	about blob.Attributes

	offset int64   // of the next Read
	stream *stream // nil if there is none
	ahead  int64   // the offset of what stream reads next

	mu     sync.Mutex // guards what follows
	cached []byte     // bytes from start on, for ReadAt
	start  int64
}

// Open implements blob.Store.
func (s *Store) Open(ctx context.Context, key string) (blob.Object, error) {
	if err := check(key); err != nil {
		return nil, err
	}
	first, out, err := s.get(ctx, key, nil)
	if err != nil {
		return nil, wrap("open", key, err)
	}
	info := blob.Info{Key: key, Size: aws.ToInt64(out.ContentLength), ModTime: aws.ToTime(out.LastModified)}
	about := blob.Attributes{ContentType: aws.ToString(out.ContentType), ContentEncoding: aws.ToString(out.ContentEncoding)}
	if _, parameters, err := mime.ParseMediaType(aws.ToString(out.ContentDisposition)); err == nil {
		about.Filename = parameters["filename"]
	}
	return &object{store: s, ctx: ctx, info: info, about: about, stream: first}, nil
}

// stream is the body of an answer, which ends if it stands still.
type stream struct {
	body   io.ReadCloser
	cancel context.CancelCauseFunc
	ctx    context.Context
}

// errRange says that an object does not have a range, or that the store does
// not know ranges.
var errRange = errors.New("the store sent another range")

var errStalled = fmt.Errorf("no bytes came for %s", readStall)

// get begins to read an object, or a range of it.
func (s *Store) get(ctx context.Context, key string, bytes *string) (*stream, *s3.GetObjectOutput, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(readStall, func() { cancel(errStalled) })
	defer timer.Stop()
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.config.Bucket, Key: &key, Range: bytes})
	if err != nil {
		cancel(nil)
		if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
			err = cause
		}
		return nil, nil, missing(err)
	}
	return &stream{out.Body, cancel, ctx}, out, nil
}

func (t *stream) Read(p []byte) (int, error) {
	timer := time.AfterFunc(readStall, func() { t.cancel(errStalled) })
	defer timer.Stop()
	n, err := t.body.Read(p)
	if err != nil && errors.Is(context.Cause(t.ctx), errStalled) {
		err = errStalled
	}
	return n, err
}

// close gives the connection up, unless everything was read.
func (t *stream) close() {
	t.cancel(nil)
	_ = t.body.Close() // it says nothing of what was read
}

// Info implements blob.Object.
func (o *object) Info() blob.Info { return o.info }

// Attributes implements blob.Described.
func (o *object) Attributes() blob.Attributes { return o.about }

// Read implements io.Reader. A stream that breaks is taken up where it broke.
func (o *object) Read(p []byte) (int, error) {
	if o.offset >= o.info.Size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	for attempt := 1; ; attempt++ {
		n, err := o.read(p)
		if n > 0 || err == nil {
			return n, nil
		}
		o.drop()
		if attempt == readAttempts || o.ctx.Err() != nil || final(err) {
			return 0, wrap("read", o.info.Key, err)
		}
		if err := pause(o.ctx, attempt); err != nil {
			return 0, wrap("read", o.info.Key, err)
		}
	}
}

// read reads once. Less than all is no end.
func (o *object) read(p []byte) (int, error) {
	if o.ahead != o.offset {
		o.drop()
	}
	if o.stream == nil {
		next, out, err := o.store.get(o.ctx, o.info.Key, aws.String(fmt.Sprintf("bytes=%d-", o.offset)))
		if err != nil {
			return 0, err
		}
		if have, want := aws.ToInt64(out.ContentLength), o.info.Size-o.offset; have != want {
			next.close()
			return 0, fmt.Errorf("%w: %d bytes follow byte %d, and not %d", errRange, have, o.offset, want)
		}
		o.stream, o.ahead = next, o.offset
	}
	n, err := o.stream.Read(p[:min(int64(len(p)), o.info.Size-o.offset)])
	o.offset += int64(n)
	o.ahead = o.offset
	if n > 0 {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return 0, err
}

func (o *object) drop() {
	if o.stream != nil {
		o.stream.close()
		o.stream = nil
	}
}

// final reports whether it is of no use to try again.
func final(err error) bool {
	return errors.Is(err, blob.ErrNotFound) || errors.Is(err, errRange) || code(err) == "InvalidRange"
}

// pause waits before another attempt, longer each time.
func pause(ctx context.Context, attempt int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(50 * time.Millisecond << attempt):
		return nil
	}
}

// Seek implements io.Seeker. It costs nothing until the next Read, and nothing
// then if that reads on where the last one ended.
func (o *object) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += o.offset
	case io.SeekEnd:
		offset += o.info.Size
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek in %s: before its start", o.info.Key)
	}
	o.offset = offset
	return offset, nil
}

// Close implements io.Closer.
func (o *object) Close() error {
	o.drop()
	return nil
}

// ReadAt implements io.ReaderAt. Small reads near each other share a request.
func (o *object) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read %s: before its start", o.info.Key)
	}
	want := min(int64(len(p)), o.info.Size-off)
	if want <= 0 {
		return 0, io.EOF
	}
	err := o.fetch(p[:want], off)
	if err == nil && want < int64(len(p)) {
		return int(want), io.EOF
	}
	if err != nil {
		return 0, wrap("read", o.info.Key, err)
	}
	return int(want), nil
}

func (o *object) fetch(p []byte, off int64) error {
	if len(p) >= window {
		return o.store.readRange(o.ctx, o.info.Key, p, off)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if end := o.start + int64(len(o.cached)); off < o.start || off+int64(len(p)) > end {
		cached := make([]byte, min(window, o.info.Size-off))
		if err := o.store.readRange(o.ctx, o.info.Key, cached, off); err != nil {
			return err
		}
		o.cached, o.start = cached, off
	}
	copy(p, o.cached[off-o.start:])
	return nil
}

// readRange fills p from an offset on, or says why not.
func (s *Store) readRange(ctx context.Context, key string, p []byte, off int64) error {
	done := 0
	for attempt := 1; ; attempt++ {
		n, err := s.readOnce(ctx, key, p[done:], off+int64(done))
		if done += n; done == len(p) {
			return nil
		}
		if n > 0 {
			attempt = 1
		}
		if attempt == readAttempts || ctx.Err() != nil || final(err) {
			return err
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

func (s *Store) readOnce(ctx context.Context, key string, p []byte, off int64) (int, error) {
	body, out, err := s.get(ctx, key, aws.String(fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1)))
	if err != nil {
		return 0, err
	}
	defer body.close()
	if have := aws.ToInt64(out.ContentLength); have != int64(len(p)) {
		return 0, fmt.Errorf("%w: %d bytes are there from byte %d, and not %d", errRange, have, off, len(p))
	}
	return io.ReadFull(body, p)
}
