package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// errStalled says that a transfer stood still.
var errStalled = errors.New("the transfer stalled")

// watchdog ends a request that stands still.
type watchdog struct {
	limit  time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

func newWatchdog(ctx context.Context, limit time.Duration) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{limit: limit, cancel: cancel}
	w.timer = time.AfterFunc(limit, func() { cancel(fmt.Errorf("%w: nothing was sent or received for too long", errStalled)) })
	return ctx, w
}

// moved says that bytes were sent or received.
func (w *watchdog) moved() { w.timer.Reset(w.limit) }

// allow lets the next step take its time.
func (w *watchdog) allow(d time.Duration) { w.timer.Reset(d) }

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// sending is a body on its way. net/http reads it in a goroutine that may
// outlive the request, hence the lock.
type sending struct {
	mu          sync.Mutex
	body        io.ReadCloser
	watch       *watchdog
	sent, left  int64
	answerLimit time.Duration
	progress    func(sent int64)
	err         error
	closed      bool
}

// Read implements io.Reader.
func (s *sending) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errors.New("the request is over")
	}
	n, err := s.body.Read(p)
	s.sent, s.left = s.sent+int64(n), s.left-int64(n)
	switch {
	case err != nil && err != io.EOF:
		s.err = err
	case err == io.EOF && s.left > 0:
		s.err = errors.New("it became shorter while it was sent")
		err = s.err
	}
	if s.left <= 0 {
		s.watch.allow(s.answerLimit)
	} else {
		s.watch.moved()
	}
	if s.progress != nil {
		s.progress(s.sent)
	}
	return n, err
}

// failure is why the body could not be read, if it could not.
func (s *sending) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close implements io.Closer; twice is fine.
func (s *sending) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.body.Close()
}

// receiving is an answer on its way.
type receiving struct {
	body  io.Reader
	watch *watchdog
}

// Read implements io.Reader.
func (r *receiving) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.watch.moved()
	return n, err
}
