package proxy

import (
	"bytes"
	"container/list"
	"net/http"
	"strconv"
	"sync"
)

// maxSmall is how large an object may be that is kept in memory, in bytes. The
// larger ones gain nothing: the kernel sends them from their files.
const maxSmall = 128 << 10

// answer is a whole answer to a GET: what net/http would write, but for the
// date and the empty line behind it.
type answer struct {
	key        string
	head, body []byte
}

func newAnswer(key string, header http.Header, body []byte) *answer {
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 200 OK\r\n")
	header.Set("Accept-Ranges", "bytes")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	_ = header.Write(&head) // of a buffer
	head.WriteString("Date: ")
	return &answer{key, bytes.Clone(head.Bytes()), body}
}

func (a *answer) size() int64 { return int64(len(a.key) + len(a.head) + len(a.body)) }

// memory keeps the answers used last, of objects whose key stands for their bytes, so
// that their age needs no bound. The zero value keeps none.
type memory struct {
	mu     sync.Mutex
	used   int64
	known  map[string]*list.Element
	recent list.List // of *answer, that used last in front
}

func (m *memory) get(key string) *answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.known[key]
	if !ok {
		return nil
	}
	m.recent.MoveToFront(e)
	return e.Value.(*answer)
}

// put keeps an answer, and drops others so that all have no more than limit
// bytes.
func (m *memory) put(a *answer, limit int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.known[a.key]; ok || a.size() > limit {
		return
	}
	if m.known == nil {
		m.known = map[string]*list.Element{}
	}
	m.known[a.key] = m.recent.PushFront(a)
	for m.used += a.size(); m.used > limit; {
		old := m.recent.Remove(m.recent.Back()).(*answer)
		delete(m.known, old.key)
		m.used -= old.size()
	}
}
