package server

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"
)

const (
	// stallTime is how long a client may take nothing of an answer.
	stallTime = 2 * time.Minute
	// sendChunk is what is sent under one deadline, in bytes.
	sendChunk = 4 << 20
)

// protect wraps the whole server: headers, deadlines, panics, the log.
func (s *Server) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		s.believe(r)
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "SAMEORIGIN")
		header.Set("Referrer-Policy", "no-referrer")
		sender := &sender{ResponseWriter: w, control: http.NewResponseController(w)}
		defer func() {
			if v := recover(); v != nil {
				s.panicked(sender, r, v)
			}
			s.Log.DebugContext(r.Context(), "request", "method", r.Method, "path", redact(r.URL.Path), "status", sender.status,
				"bytes", sender.sent, "client", r.RemoteAddr, "agent", r.UserAgent(), "took", time.Since(start))
		}()
		next.ServeHTTP(sender, r)
	})
}

// panicked ends a request that met a bug. A client that got a part of the
// answer must not take it for the whole: its connection is cut.
func (s *Server) panicked(w *sender, r *http.Request, v any) {
	if v == http.ErrAbortHandler {
		panic(v)
	}
	s.Log.ErrorContext(r.Context(), "a bug: please report it", "panic", v, "method", r.Method, "path", redact(r.URL.Path), "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	s.fail(w, r, errors.New("panic"))
}

// believe takes the client's address from a trusted proxy.
func (s *Server) believe(r *http.Request) {
	if len(s.TrustedProxies) == 0 || !s.trusted(r.RemoteAddr) {
		return
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		addr, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return
		}
		r.RemoteAddr = net.JoinHostPort(addr.String(), "0")
		if !s.trusted(r.RemoteAddr) {
			return
		}
	}
}

func (s *Server) trusted(remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	for _, p := range s.TrustedProxies {
		if p.Contains(addr.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// redact hides a token that stands in a path.
func redact(path string) string {
	rest, ok := strings.CutPrefix(path, "/priv/")
	if !ok {
		return path
	}
	_, rest, _ = strings.Cut(rest, "/")
	return "/priv/[token]/" + rest
}

// sender gives each part of an answer a deadline of its own, so that a client
// may be slow but not stop. It keeps the kernel's way of sending files.
type sender struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
	sent    int64
}

// Unwrap lets http.ResponseController through.
func (s *sender) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *sender) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *sender) begin() error {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	err := s.control.SetWriteDeadline(time.Now().Add(stallTime))
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}

func (s *sender) Write(p []byte) (int, error) {
	if err := s.begin(); err != nil {
		return 0, err
	}
	n, err := s.ResponseWriter.Write(p)
	s.sent += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom. It hands on files in chunks that sendfile
// still knows as such.
func (s *sender) ReadFrom(src io.Reader) (total int64, err error) {
	left := int64(1<<63 - 1)
	if limited, ok := src.(*io.LimitedReader); ok {
		src, left = limited.R, limited.N
		defer func() { limited.N -= total }()
	}
	for left > 0 {
		if err := s.begin(); err != nil {
			return total, err
		}
		chunk := min(left, sendChunk)
		n, err := io.Copy(s.ResponseWriter, io.LimitReader(src, chunk))
		total, left, s.sent = total+n, left-n, s.sent+n
		if err != nil || n < chunk {
			return total, err
		}
	}
	return total, nil
}
