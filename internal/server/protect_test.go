package server

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/pace"
	"packagecloud/internal/repo"
)

// refusing is an API that reads nothing.
type refusing struct{}

func (refusing) Serve(http.ResponseWriter, *http.Request) error { return repo.ErrUnauthenticated }

// TestBodyThatNeverComes announces bodies to a server that refuses the request,
// and does not send them.
func TestBodyThatNeverComes(t *testing.T) {
	s := &Server{API: refusing{}, Pace: pace.Limits{Send: time.Second}, Log: slog.New(slog.DiscardHandler)}
	running := httptest.NewServer(s.Handler())
	defer running.Close()
	for _, head := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
		"GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST /api/v1/repos HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab",
		"PUT /a/b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
	} {
		c, err := net.Dial("tcp", running.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(c, head); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 ") {
			t.Errorf("%.20q is answered %q, %v", head, answer, err)
		}
	}
}

// TestBelieve finds the client's address behind proxies.
func TestBelieve(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, c := range []struct {
		what, remote string
		forwarded    []string
		want         string
	}{
		{"no proxy", "198.51.100.7:1234", nil, "198.51.100.7:1234"},
		{"somebody who claims to be a proxy", "198.51.100.7:1234", []string{"10.1.1.1"}, "198.51.100.7:1234"},
		{"a proxy", "10.0.0.1:1234", []string{"198.51.100.7"}, "198.51.100.7:0"},
		{"a proxy that says nothing", "10.0.0.1:1234", nil, "10.0.0.1:1234"},
		{"what the client says before the proxy", "10.0.0.1:1234", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7:0"},
		{"proxies in a row", "10.0.0.1:1234", []string{"203.0.113.9, 198.51.100.7, 10.2.2.2"}, "198.51.100.7:0"},
		{"a header for each proxy", "10.0.0.1:1234", []string{"203.0.113.9", "198.51.100.7", "10.2.2.2"}, "198.51.100.7:0"},
		{"proxies alone", "10.0.0.1:1234", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3:0"},
		{"no address", "10.0.0.1:1234", []string{"unknown"}, "10.0.0.1:1234"},
		{"no address before a proxy", "10.0.0.1:1234", []string{"unknown, 10.2.2.2"}, "10.2.2.2:0"},
		{"an address of IPv6", "[::1]:1234", []string{"2001:db8::7"}, "[2001:db8::7]:0"},
		{"a proxy of IPv4 written as IPv6", "[::ffff:10.0.0.1]:1234", []string{"198.51.100.7"}, "198.51.100.7:0"},
		{"an address with a port", "10.0.0.1:1234", []string{"198.51.100.7:99"}, "10.0.0.1:1234"},
		{"line breaks", "10.0.0.1:1234", []string{"198.51.100.7\nfoo"}, "10.0.0.1:1234"},
		{"no remote address", "@", []string{"198.51.100.7"}, "@"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		(&Server{TrustedProxies: trusted}).believe(r)
		if r.RemoteAddr != c.want {
			t.Errorf("%s: %s, want %s", c.what, r.RemoteAddr, c.want)
		}
	}
}
