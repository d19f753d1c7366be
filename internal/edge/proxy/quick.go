package proxy

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"packagecloud/internal/blob"
)

const (
	// maxHead is how long the head of a request may be that a connection
	// answers by itself.
	maxHead = 4 << 10
	// together is how large a body may be that is copied behind its head, so
	// that both go to the kernel at once.
	together = 8 << 10
	// answerTime is how long an answer may take to be written, at least; a
	// deadline is set once in answerSlack, because it costs as much as a read.
	answerTime  = 2 * time.Minute
	answerSlack = 30 * time.Second
	// closing is how long an answer under way may hold up the end of a
	// connection.
	closing = 5 * time.Second
)

// Quicken has the connections of a server, which serves h, answer plain GET
// requests of small files in the cache by themselves: net/http needs several
// times as long for such a request as the file takes. Everything else net/http
// gets to see as if nobody had looked at it before. The listener that is
// returned is the one to serve; it does nothing for connections with TLS.
func (h *Handler) Quicken(s *http.Server, l net.Listener) net.Listener {
	s.ConnState = func(c net.Conn, state http.ConnState) {
		if q, ok := c.(*conn); ok && state == http.StateIdle {
			q.resume()
		}
	}
	return &listener{l, h, s}
}

type listener struct {
	net.Listener
	handler *Handler
	server  *http.Server
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	tcp, ok := c.(*net.TCPConn)
	if err != nil || !ok {
		return c, err
	}
	return &conn{TCPConn: tcp, handler: l.handler, headTime: l.server.ReadHeaderTimeout, own: true}, nil
}

// conn is a connection that net/http reads from and writes to. While own is
// true, net/http waits for a request in Read, and the connection may answer
// there as many as it likes; it gives away the first that it does not know how
// to answer, and has the connection back when net/http says that it is idle. If
// it cannot tell where that request ends, the connection stays with net/http.
type conn struct {
	*net.TCPConn // also io.ReaderFrom, which net/http sends files by
	handler      *Handler
	headTime     time.Duration // for the rest of a head that is given away; 0 is for ever

	own, strayed bool
	buffer       []byte // what came and was not read or answered
	given        int    // bytes of it that net/http is to read
	out          []byte
	until        time.Time // deadline that was set here

	answering sync.Mutex
	closed    bool // guarded by answering
}

// resume is called by the goroutine that calls Read.
func (c *conn) resume() { c.own = !c.strayed }

// Read implements io.Reader.
func (c *conn) Read(p []byte) (int, error) {
	if c.own {
		if err := c.answerAll(); err != nil {
			return 0, err
		}
		c.own = false
	}
	switch {
	case c.given > 0:
		n := copy(p, c.buffer[:c.given])
		c.given -= n
		c.buffer = c.buffer[:copy(c.buffer, c.buffer[n:])]
		return n, nil
	case c.strayed:
		return c.TCPConn.Read(p)
	}
	return 0, c.watch()
}

// watch is what Read does while net/http answers a request: it finds out that
// the client has gone. The next request stays here; net/http would take its
// first byte.
func (c *conn) watch() error {
	if len(c.buffer) == 0 {
		n, err := c.TCPConn.Read(c.buffer[:cap(c.buffer)])
		c.buffer = c.buffer[:n]
		if n == 0 {
			return err
		}
	}
	// Until net/http ends the wait by a deadline.
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(uintptr) bool { return false })
}

// answerAll answers requests until there is one to give away.
func (c *conn) answerAll() error {
	if c.buffer == nil {
		c.buffer = make([]byte, 0, maxHead)
	}
	for {
		for len(c.buffer) > 0 {
			r, ok := parseRequest(c.buffer)
			if !ok || !r.simple || !c.answer(r.target) {
				c.given = r.size
				if !ok || !r.alone {
					c.strayed = true
					c.given = len(c.buffer)
				}
				return c.give()
			}
			c.buffer = c.buffer[:copy(c.buffer, c.buffer[r.size:])]
		}
		n, err := c.TCPConn.Read(c.buffer[:cap(c.buffer)])
		c.buffer = c.buffer[:n]
		if err != nil && n == 0 {
			return err
		}
	}
}

// give puts the deadlines of net/http in the place of those for answers: it has
// set its own before, and sets the next one when it has read some bytes.
func (c *conn) give() error {
	if c.until.IsZero() {
		return nil
	}
	c.until = time.Time{}
	if err := c.SetDeadline(time.Time{}); err != nil || c.headTime == 0 {
		return err
	}
	return c.SetReadDeadline(time.Now().Add(c.headTime))
}

// answer writes the answer to a GET, if it is one of a small file in the cache
// with a good link. A connection that breaks meanwhile is found broken by the
// next Read.
func (c *conn) answer(target string) bool {
	h := c.handler
	now := h.now()
	path, query, _ := strings.Cut(target, "?")
	path, err := h.Keys.Check(http.MethodGet, path, query, now)
	if err != nil {
		return false
	}
	a := h.small(path[1:])
	if a == nil {
		return false
	}
	c.answering.Lock()
	defer c.answering.Unlock()
	if c.closed {
		return true
	}
	if wall := time.Now(); wall.Add(answerTime).After(c.until) {
		c.until = wall.Add(answerTime + answerSlack)
		_ = c.SetDeadline(c.until) // a broken connection shows below
	}
	c.out = append(append(c.out[:0], a.head...), now.UTC().Format(http.TimeFormat)...)
	c.out = append(c.out, "\r\n\r\n"...)
	if len(a.body) <= together {
		_, err = c.Write(append(c.out, a.body...))
	} else {
		_, err = (&net.Buffers{c.out, a.body}).WriteTo(c.TCPConn)
	}
	if err != nil {
		h.counters[broken].Add(1)
		_ = c.TCPConn.Close()
		return true
	}
	h.counters[served].Add(1)
	return true
}

// Close implements net.Conn. An answer under way is completed.
func (c *conn) Close() error {
	_ = c.SetWriteDeadline(time.Now().Add(closing))
	c.answering.Lock()
	defer c.answering.Unlock()
	c.closed = true
	return c.TCPConn.Close()
}

// small is the answer to a GET of an object that is small and in the cache.
func (h *Handler) small(key string) *answer {
	if a := h.memory.get(key); a != nil {
		h.Cache.Use(key)
		return a
	}
	kind, sum, ok := parse(key)
	if !ok || kind != blob.Package || h.Memory == 0 {
		return nil
	}
	o := h.Cache.Small(key, maxSmall)
	if o == nil {
		return nil
	}
	defer o.Close()
	body := make([]byte, o.Size)
	if _, err := io.ReadFull(o, body); err != nil {
		return nil // net/http finds it as well, and says so
	}
	header := http.Header{}
	identify(header, kind, sum)
	describe(header, o)
	header.Set("Last-Modified", o.ModTime.UTC().Format(http.TimeFormat))
	a := newAnswer(key, header, body)
	h.memory.put(a, h.Memory)
	return a
}
