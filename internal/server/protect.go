package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"packagecloud/internal/pace"
)

// contentPolicy is for whatever is no page of ours: users write it. Where a browser
// shows it, it runs no script, loads nothing and does not count as this origin.
const contentPolicy = "sandbox; default-src 'none'"

// browsers tells requests that a page of another site has a browser make, by
// Sec-Fetch-Site and Origin. Other clients send neither, and pass.
var browsers = http.NewCrossOriginProtection()

// protect wraps the whole server: headers, deadlines, panics, the log.
func (s *Server) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		s.believe(r)
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "SAMEORIGIN")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Content-Security-Policy", contentPolicy)
		sender := s.Pace.NewWriter(w)
		r = s.Pace.Request(w, r)
		defer func() {
			if v := recover(); v != nil {
				s.panicked(sender, r, v)
			}
			if s.Log.Enabled(r.Context(), slog.LevelDebug) { // what it says takes memory to put together
				s.Log.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "status", sender.Status,
					"bytes", sender.Sent, "client", r.RemoteAddr, "agent", r.UserAgent(), "took", time.Since(start))
			}
		}()
		next.ServeHTTP(sender, r)
	})
}

// panicked ends a request that met a bug. A client that got a part of the
// answer must not take it for the whole: its connection is cut.
func (s *Server) panicked(w *pace.Writer, r *http.Request, v any) {
	if v == http.ErrAbortHandler {
		panic(v)
	}
	s.Log.ErrorContext(r.Context(), "a bug: please report it", "panic", fmt.Sprint(v), "method", r.Method, "path", r.URL.Path, "stack", string(debug.Stack()))
	if w.Status != 0 {
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
