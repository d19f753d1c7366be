package diskcache

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"packagecloud/internal/blob"
)

// Object is an open object. What is read after an error of Read is undefined.
type Object struct {
	io.ReadSeekCloser
	blob.Info
	blob.Attributes
	// Hit says that it comes from a file.
	Hit bool
}

// File is the file that the object is read from, for the kernel to send; nil if
// there is none. It is where the object was read or sought to last, and goes on
// behind the end of the object.
func (o *Object) File() *os.File {
	if b, ok := o.ReadSeekCloser.(*body); ok {
		return b.File
	}
	return nil
}

// Get opens an object whose SHA-256 is known. The context is that of reading,
// too. An origin that does not have the object says blob.ErrNotFound.
func (c *Cache) Get(ctx context.Context, key string, sum [32]byte) (*Object, error) {
	i := identify(key)
	c.mu.Lock()
	if e, ok := c.entries[i]; ok {
		c.touch(e, time.Now())
		c.stats.Hits++
		c.mu.Unlock()
		o, err := c.file(e, key)
		if err == nil {
			return o, nil
		}
		c.log.Warn("a file of the cache cannot be used", "key", key, "error", err)
		c.mu.Lock()
		c.stats.Hits--
		if c.entries[i] == e { // nobody else removed it
			c.remove(e)
		}
	}
	f, joined := c.filling[i]
	if joined {
		c.stats.Joined++
	} else {
		c.stats.Misses++
		f = newFill(c, i, key, sum)
		c.filling[i] = f
		c.fills.Go(f.run)
	}
	f.readers++
	c.mu.Unlock()

	select {
	case <-f.opened:
	case <-ctx.Done():
		f.release()
		return nil, ctx.Err()
	}
	switch {
	case f.openErr != nil:
		f.release()
		return nil, f.openErr
	case f.past:
		f.release()
		return c.Pass(ctx, key)
	}
	return &Object{ReadSeekCloser: &follower{fill: f, ctx: ctx}, Info: f.about.Info, Attributes: f.about.Attributes}, nil
}

// Small opens an object if its file is there, of at most limit bytes; else it
// returns nil.
func (c *Cache) Small(key string, limit int64) *Object {
	i := identify(key)
	c.mu.Lock()
	e, ok := c.entries[i]
	if !ok || e.size > limit {
		c.mu.Unlock()
		return nil
	}
	c.touch(e, time.Now())
	c.stats.Hits++
	c.mu.Unlock()
	o, err := c.file(e, key)
	if err != nil {
		return nil // Get finds out why
	}
	return o
}

// Use tells that an object is in use, by somebody who has kept its bytes: its
// file stays as long as if it had been opened.
func (c *Cache) Use(key string) {
	i := identify(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[i]; ok {
		c.touch(e, time.Now())
	}
	c.stats.Hits++
}

// Pass opens an object of the origin and keeps nothing.
func (c *Cache) Pass(ctx context.Context, key string) (*Object, error) {
	c.mu.Lock()
	c.stats.Passed++
	c.mu.Unlock()
	o, err := c.origin.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	return &Object{ReadSeekCloser: o, Info: o.Info(), Attributes: attributes(o)}, nil
}

func attributes(o blob.Object) blob.Attributes {
	if d, ok := o.(blob.Described); ok {
		return d.Attributes()
	}
	return blob.Attributes{}
}

// about is what stands behind the bytes in a file.
type about struct {
	Info       blob.Info
	Attributes blob.Attributes
}

// file opens the file of an entry.
func (c *Cache) file(e *entry, key string) (*Object, error) {
	f, err := os.Open(c.path(e))
	if err != nil {
		return nil, err
	}
	text := make([]byte, e.about)
	var a about
	_, err = f.ReadAt(text, e.size)
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err == nil && (a.Info.Key != key || a.Info.Size != e.size) {
		err = fmt.Errorf("it is %q of %d bytes", a.Info.Key, a.Info.Size)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Object{&body{f, e.size}, a.Info, a.Attributes, true}, nil
}

// body is a file as far as the object goes.
type body struct {
	*os.File
	size int64
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	at, err := b.File.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	if at >= b.size {
		return 0, io.EOF
	}
	return b.File.Read(p[:min(int64(len(p)), b.size-at)])
}

// WriteTo implements io.WriterTo, which the file would with too much.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	at, err := b.File.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	return io.Copy(w, io.LimitReader(b.File, b.size-at))
}

// Seek implements io.Seeker.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		offset, whence = b.size+offset, io.SeekStart
	}
	return b.File.Seek(offset, whence)
}
