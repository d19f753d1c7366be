// Package pace bounds how long a client may hold a connection of an HTTP server
// without anything moving. A transfer may be as slow as it likes, but each part of
// it has a deadline of its own: a client that stops is cut off, and one that goes
// on is not.
package pace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

const (
	// sendLeast is how much of a body a client must send in Limits.Send, in
	// bytes. Less would let one hold a connection for years, a byte at a time.
	sendLeast = 4 << 10
	// takeBlock is how much of an answer a client must take in Limits.Take, in
	// bytes: 1.1 kB/s where that is two minutes.
	takeBlock = 128 << 10
	// unsent is how much of an answer the kernel holds that it could not send
	// yet, in bytes. With its own limit, some MiB, it would hold all of what a slow
	// client takes in minutes, and nothing would seem to move meanwhile.
	unsent = 128 << 10
	// headTime is how long the head of a request may take, with the handshake of
	// TLS before it.
	headTime = 10 * time.Second
	// idleTime is how long a connection without a request is kept.
	idleTime = 2 * time.Minute
	// sendTime and takeTime are those of Limits, where it says nothing else.
	sendTime = time.Minute
	takeTime = 2 * time.Minute
	// maxHead bounds the head of a request, in bytes.
	maxHead = 32 << 10
)

// Limits are how long a client may stand still. The zero value has those that
// are documented.
type Limits struct {
	// Send is for a request that announces a body; 0 means one minute.
	Send time.Duration
	// Take is for an answer; 0 means two minutes.
	Take time.Duration
}

func (l Limits) send() time.Duration {
	if l.Send > 0 {
		return l.Send
	}
	return sendTime
}

func (l Limits) take() time.Duration {
	if l.Take > 0 {
		return l.Take
	}
	return takeTime
}

// NewServer makes a server that waits for nothing without end but for bodies and
// answers, which are for its handler: by Request and NewWriter.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHead,
		// The deadlines of handlers are those of their streams. A client that is gone
		// without a word would hold the connection otherwise, and so would one that
		// sends frames and reads none.
		HTTP2: &http.HTTP2Config{SendPingTimeout: time.Minute, PingTimeout: 15 * time.Second, WriteByteTimeout: takeTime},
	}
}

// Listen listens for a server on a TCP address.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return listener{l}, nil
}

type listener struct{ net.Listener }

// Accept implements net.Listener. The option is set here and not on the socket
// that listens: that may be one of Multipath TCP, whose connections do not have
// it from there.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.(syscall.Conn); ok {
		limitUnsent(tcp)
	}
	return c, nil
}

// Request is a request whose body fails when it brings too little for a while.
// The one that net/http made is left as it is: it reads on from there what a
// handler has not read, before it answers, and that has the deadline too.
func (l Limits) Request(w http.ResponseWriter, r *http.Request) *http.Request {
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	b := &body{ReadCloser: r.Body, control: http.NewResponseController(w), limit: l.send()}
	b.err = b.extend(time.Now())
	r = r.WithContext(r.Context())
	r.Body = b
	return r
}

// body is a body whose deadline moves on while it does.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	limit   time.Duration
	set     time.Time // when the deadline was set
	came    int       // bytes since then
	err     error
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p)
	b.came += n
	switch now := time.Now(); {
	case errors.Is(err, io.EOF):
		// From here on net/http reads to see whether the client is still there.
		b.err = errors.Join(io.EOF, setDeadline(b.control.SetReadDeadline, time.Time{}))
	case err == nil && b.came >= sendLeast && now.Sub(b.set) > b.limit/10: // a deadline costs more than a small read
		err = b.extend(now)
	}
	return n, err
}

func (b *body) extend(now time.Time) error {
	b.set, b.came = now, 0
	return setDeadline(b.control.SetReadDeadline, now.Add(b.limit))
}

// setDeadline sets a deadline of a connection, if it has any: those of some tests
// have none.
func setDeadline(set func(time.Time) error, at time.Time) error {
	if err := set(at); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("set a deadline: %w", err)
	}
	return nil
}
