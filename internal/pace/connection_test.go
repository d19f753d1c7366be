package pace_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"packagecloud/internal/pace"
)

// TestConnections has clients stand still, or trickle, at every point of a
// connection, by the clock of testing/synctest and with the limits that are
// documented. The server ends each connection in time.
func TestConnections(t *testing.T) {
	const closing = 10 * time.Second // a client that trickles sees the end only at its next byte
	for name, c := range map[string]struct {
		reads string // "" for all that comes, at once
		do    func(net.Conn)
		limit time.Duration
	}{
		"nothing is sent":      {"", func(net.Conn) {}, 10 * time.Second},
		"the head trickles":    {"", trickle("GET / HTTP/1.1\r\nHost: a\r\nX-Long: ", time.Second), 10 * time.Second},
		"idle after an answer": {"", send("GET /small HTTP/1.1\r\nHost: a\r\n\r\n"), 2 * time.Minute},
		"the second head trickles": {"", func(c net.Conn) {
			send("GET /small HTTP/1.1\r\nHost: a\r\n\r\n")(c)
			trickle("GET / HTTP/1.1\r\nHost: ", time.Second)(c)
		}, 10 * time.Second},
		"the body never comes":                 {"", send("POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"), time.Minute},
		"the body trickles":                    {"", trickle("POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", 5*time.Second), time.Minute},
		"the chunks trickle":                   {"", trickle("POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n", 5*time.Second), time.Minute},
		"a chunk's extension trickles":         {"", trickle("POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;", 5*time.Second), time.Minute},
		"the trailer trickles":                 {"", trickle("POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ", 5*time.Second), time.Minute},
		"a body that nobody reads never comes": {"", send("POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"), time.Minute},
		"a body that nobody reads trickles":    {"", trickle("POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", 5*time.Second), time.Minute},
		"an expected body never comes":         {"", send("POST /read HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"), time.Minute},
		"the answer is not read":               {"unread", send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n"), 2 * time.Minute},
		"the answer is read by the byte":       {"slow", send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n"), 2 * time.Minute},
		"TLS: nothing is sent":                 {"", func(net.Conn) {}, 10 * time.Second},
		"TLS: the handshake trickles":          {"", trickle("\x16\x03\x01\x01\x00", time.Second), 10 * time.Second},
		"HTTP/2: nothing after the preface":    {"", func(c net.Conn) { preface(c) }, 2 * time.Minute},
		"HTTP/2: the preface trickles":         {"", trickle(http2.ClientPreface[:20], time.Second), 10 * time.Second},
		"HTTP/2: the settings never come":      {"", send(http2.ClientPreface), 2 * time.Minute},
		"HTTP/2: a frame trickles":             {"", func(c net.Conn) { preface(c); trickle("\x00\x40\x00\x01\x04\x00\x00\x00\x01", time.Second)(c) }, 2 * time.Minute},
		"HTTP/2: a head never ends":            {"", func(c net.Conn) { preface(c); head(c, "POST", "/read", false, false) }, 2 * time.Minute},
		"HTTP/2: the body never comes":         {"", func(c net.Conn) { preface(c); head(c, "POST", "/read", true, false) }, 4 * time.Minute},
		"HTTP/2: a body nobody reads":          {"", func(c net.Conn) { preface(c); head(c, "POST", "/small", true, false) }, 4 * time.Minute},
		"HTTP/2: no window for the answer": {"", func(c net.Conn) {
			preface(c, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			head(c, "GET", "/large", true, true)
		}, 5 * time.Minute},
		"HTTP/2: the answer is not read":                {"unread", wide, 2 * time.Minute},
		"HTTP/2: not read, but windows updated":         {"unread", func(c net.Conn) { wide(c); pings(c, 10*time.Second) }, 3 * time.Minute},
		"HTTP/2: read by the byte, and windows updated": {"slow", func(c net.Conn) { wide(c); pings(c, 10*time.Second) }, 5 * time.Minute},
		"HTTP/2: the body trickles": {"", func(c net.Conn) {
			preface(c)
			head(c, "POST", "/read", true, false)
			for f := http2.NewFramer(c, nil); f.WriteData(1, false, []byte("a")) == nil; {
				time.Sleep(5 * time.Second)
			}
		}, 4 * time.Minute},
		"HTTP/2: pings without a request": {"", func(c net.Conn) { preface(c); pings(c, 10*time.Second) }, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				protocol, _, _ := strings.Cut(name, ":")
				held(t, protocol, c.reads, c.do)
				if took := time.Since(begun); took > c.limit+closing {
					t.Errorf("the connection is held for %s, and not for %s", took, c.limit)
				}
			})
		})
	}
}

// held connects, and returns when the server has ended the connection. With TLS
// nothing is encrypted by the client, with HTTP/2 the handshake is over.
func held(t *testing.T, protocol, reads string, do func(net.Conn)) {
	t.Helper()
	client, conn := net.Pipe()
	s := pace.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w, r = pace.Limits{}.NewWriter(w), pace.Limits{}.Request(w, r)
		switch r.URL.Path {
		case "/read":
			_, _ = io.Copy(io.Discard, r.Body)
		case "/large":
			_, _ = w.Write(bytes.Repeat([]byte("large"), 1<<20))
		}
		_, _ = io.WriteString(w, "done")
	}))
	s.ErrorLog = log.New(io.Discard, "", 0)
	ended := make(chan struct{})
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(ended)
		}
	}
	l := &once{conn: make(chan net.Conn, 1), done: make(chan struct{})}
	l.conn <- conn
	var wg sync.WaitGroup
	wg.Go(func() {
		if protocol != "TLS" && protocol != "HTTP/2" {
			_ = s.Serve(l)
			return
		}
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t)}, SessionTicketsDisabled: true}
		_ = s.ServeTLS(l, "", "")
	})
	out := client
	if protocol == "HTTP/2" {
		encrypted := tls.Client(client, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err := encrypted.HandshakeContext(t.Context()); err != nil {
			t.Error(err)
		}
		out = encrypted
	}
	switch reads {
	case "unread":
	case "slow":
		wg.Go(func() {
			for one := make([]byte, 1); ; time.Sleep(time.Second) {
				if _, err := client.Read(one); err != nil {
					return
				}
			}
		})
	default:
		wg.Go(func() { _, _ = io.Copy(io.Discard, client) })
	}
	wg.Go(func() { do(out) })
	select {
	case <-ended:
	case <-time.After(time.Hour):
	}
	_ = client.Close()
	_ = s.Close()
	wg.Wait()
}

// once is a listener with one connection.
type once struct {
	conn chan net.Conn
	done chan struct{}
}

func (l *once) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *once) Close() error { close(l.done); return nil }

func (l *once) Addr() net.Addr { return &net.TCPAddr{} }

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

// send sends a text, and nothing after it.
func send(text string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, text) }
}

// trickle sends a text, and after it a byte now and then for ever.
func trickle(text string, every time.Duration) func(net.Conn) {
	return func(c net.Conn) {
		for _, err := io.WriteString(c, text); err == nil; _, err = io.WriteString(c, "a") {
			time.Sleep(every)
		}
	}
}

// preface begins HTTP/2.
func preface(c net.Conn, settings ...http2.Setting) {
	_, _ = io.WriteString(c, http2.ClientPreface)
	_ = http2.NewFramer(c, nil).WriteSettings(settings...)
}

// head sends the head of a request, whole or its beginning.
func head(c net.Conn, method, path string, whole, alone bool) {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range [][2]string{{":method", method}, {":path", path}, {":scheme", "http"}, {":authority", "a"}} {
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	_ = http2.NewFramer(c, nil).WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b.Bytes(), EndHeaders: whole, EndStream: alone})
}

// wide asks for a large answer, and lets the server send as much as it likes.
func wide(c net.Conn) {
	preface(c, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	_ = http2.NewFramer(c, nil).WriteWindowUpdate(0, 1<<30)
	head(c, "GET", "/large", true, true)
}

// pings sends frames that ask for nothing, for ever.
func pings(c net.Conn, every time.Duration) {
	for f := http2.NewFramer(c, nil); f.WriteWindowUpdate(0, 1) == nil; {
		time.Sleep(every)
	}
}
