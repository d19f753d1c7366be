package cloudfronttest

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// cache holds objects by key.
type cache struct {
	mu      sync.Mutex
	objects map[string]*object
}

func (c *cache) get(key string) *object {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.objects[key]
}

// put stores an object, and keeps the parts of the one that it replaces if
// they are of the same bytes.
func (c *cache) put(key string, o *object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.objects[key]; old != nil && o.sameBytes(old) {
		joined := *o
		joined.parts = slices.Clone(o.parts)
		for _, p := range old.parts {
			if _, ok := o.find(span{from: p.from, to: p.end()}); !ok {
				joined.parts = append(joined.parts, p)
			}
		}
		o = &joined
	}
	if c.objects == nil {
		c.objects = make(map[string]*object)
	}
	c.objects[key] = o
}

func (c *cache) remove(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.objects, key)
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.objects = nil
}

// object is an answer of the bucket. It does not change.
type object struct {
	status          int
	header          http.Header
	size            int64  // of the whole object
	parts           []part // in no order, of an object that is no error
	stored, expires time.Time
}

// part is a range of an object.
type part struct {
	from int64
	body []byte
}

func (p part) end() int64 { return p.from + int64(len(p.body)) }

func (o *object) sameBytes(other *object) bool {
	return o.status == http.StatusOK && other.status == http.StatusOK && o.size == other.size && o.header.Get("Etag") != "" && o.header.Get("Etag") == other.header.Get("Etag")
}

// find is a part that has all of a span.
func (o *object) find(want span) (part, bool) {
	if o.status != http.StatusOK || want.none {
		return part{}, true
	}
	from, to := want.within(o.size)
	if from >= to { // an empty object, or a range behind its end
		return part{from: from}, true
	}
	for _, p := range o.parts {
		if p.from <= from && to <= p.end() {
			return p, true
		}
	}
	return part{}, false
}

// reader reads an object of which only a part is there, as far as it is.
type reader struct {
	part
	size, offset int64
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		offset += r.size
	}
	r.offset = offset
	return offset, nil
}

func (r *reader) Read(b []byte) (int, error) {
	if r.offset >= r.size {
		return 0, io.EOF
	}
	if r.offset < r.from || r.offset >= r.end() {
		return 0, errors.New("cloudfronttest: a part that is not there")
	}
	n := copy(b, r.body[r.offset-r.from:])
	r.offset += int64(n)
	return n, nil
}
