package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// twins are a server with quick connections and one without, over the same
// handler. seen counts the requests that reached net/http at the quick one.
type twins struct {
	*site
	plain *httptest.Server
	seen  atomic.Int64
}

func startTwins(t testing.TB) *twins {
	t.Helper()
	s := &twins{site: start(t)}
	s.handler.Now = func() time.Time { return time.Now() }
	s.plain = httptest.NewServer(s.handler)
	t.Cleanup(s.plain.Close)
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.seen.Add(1)
		s.handler.ServeHTTP(w, r)
	})
	return s
}

// path is where an object is, as it stands in a request.
func (s *twins) path(key string) string {
	u, _ := url.Parse(s.signer.URL(key, 1))
	return u.RequestURI()
}

// cached is a package that the cache has.
func (s *twins) cached(t testing.TB, size int) (key string, body []byte) {
	t.Helper()
	key, body = s.origin.put("packages", size)
	if _, _, err := s.get(t, "GET", key); err != nil {
		t.Fatal(err)
	}
	s.waitStored(t, 1)
	return key, body
}

// waitStored waits until so many objects are in the cache.
func (s *twins) waitStored(t testing.TB, objects int64) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); s.handler.Cache.Stats().Objects < objects; {
		if time.Now().After(end) {
			t.Fatal("the objects do not get into the cache")
		}
		time.Sleep(time.Millisecond)
	}
}

// talk writes what is to be said in parts, and returns all that comes back until
// the server ends the connection.
func talk(t rapid.TB, address string, parts ...string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for i, p := range parts {
		if i > 0 {
			time.Sleep(time.Millisecond) // so that they arrive as parts
		}
		if _, err := io.WriteString(c, p); err != nil {
			break // the server had enough
		}
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return undated(string(answer))
}

// undated is a conversation without what differs from second to second.
func undated(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "Date: ") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// A client cannot tell who answers, whatever it sends and however it arrives.
func TestQuickAnswersAsNetHTTP(t *testing.T) {
	s := startTwins(t)
	small, body := s.origin.put("packages", 3000)
	middle, _ := s.origin.put("packages", 40_000)
	large, _ := s.origin.put("packages", maxSmall+1)
	index, _ := s.origin.put("indexes", 500)
	empty, _ := s.origin.put("packages", 0)
	for _, key := range []string{small, middle, large, empty} { // so that all are hits
		if _, _, err := s.get(t, "GET", key); err != nil {
			t.Fatal(err)
		}
	}
	s.waitStored(t, 4)
	forged := strings.Replace(s.path(small), "?t=1", "?t=2", 1)
	etag := `"` + strings.Split(small, "/")[1] + `"`
	requests := []string{
		"GET " + s.path(small) + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET " + s.path(small) + " HTTP/1.1\r\nHost: a\r\nUser-Agent: Debian APT-HTTP/1.3 (2.6.1)\r\nAccept: text/*\r\nConnection: Keep-Alive\r\n\r\n",
		"GET " + s.path(middle) + " HTTP/1.1\r\nhost:a\r\n\r\n",
		"GET " + s.path(large) + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET " + s.path(empty) + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET " + s.path(index) + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET " + forged + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"HEAD " + s.path(small) + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET " + s.path(small) + " HTTP/1.1\r\nHost: a\r\nRange: bytes=10-19\r\n\r\n",
		"GET " + s.path(small) + " HTTP/1.1\r\nHost: a\r\nIf-None-Match: " + etag + "\r\n\r\n",
		"GET " + s.path(small) + " HTTP/1.1\r\nHost: a\r\nIf-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n\r\n",
		"GET " + s.path(small) + " HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"GET " + s.path(small) + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST " + s.path(small) + " HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
		"GET " + s.path(small) + " HTTP/1.1\r\nHost: a\r\nX-Unknown: 1\r\n\r\n",
		"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET " + s.path(small) + " HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", maxHead) + "\r\n\r\n",
		"GET " + s.path(small) + " HTTP/1.1\nHost: a\n\n",
		// After these, as many as ending says, the server ends the connection.
		"GET " + s.path(small) + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"GET " + s.path(small) + " HTTP/1.0\r\nHost: a\r\n\r\n",
		"GET " + s.path(small) + " HTTP/1.1\r\n\r\n",
		"GET " + s.path(small) + " HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET " + s.path(small) + " HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n",
		"GET " + s.path(small) + " HTTP/1.1\r\nHost: a\r\n folded: 1\r\n\r\n",
		"nonsense\r\n\r\n",
	}
	const ending = 7
	last := "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	for i, r := range requests {
		r += last
		want, got := talk(t, s.plain.Listener.Addr().String(), r), talk(t, s.Listener.Addr().String(), r)
		if got != want || want == "" {
			t.Errorf("request %d is answered\n%.400s\nand by net/http\n%.400s", i, got, want)
		}
	}
	before := s.seen.Load()
	if got := talk(t, s.Listener.Addr().String(), requests[0], requests[1], requests[0], last); strings.Count(got, string(body)) != 3 {
		t.Errorf("three requests are answered %.300q", got)
	}
	if s.seen.Load() != before+1 {
		t.Error("net/http saw a request that the connection can answer")
	}

	// Many on one connection, in parts of any size.
	rapid.Check(t, func(t *rapid.T) {
		said := strings.Join(rapid.SliceOfN(rapid.SampledFrom(requests[:len(requests)-ending]), 1, 6).Draw(t, "requests"), "")
		end := rapid.SampledFrom(append(requests[len(requests)-ending:], last)).Draw(t, "last")
		var parts []string
		for rest := said; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "part")
			parts, rest = append(parts, rest[:n]), rest[n:]
		}
		// In one part: a server that has had enough resets the connection if
		// more comes, and what is on its way to the client is lost.
		parts, said = append(parts, end), said+end
		want, got := talk(t, s.plain.Listener.Addr().String(), said), talk(t, s.Listener.Addr().String(), parts...)
		if got != want {
			at := differ(got, want)
			t.Fatalf("in parts of %d:\n%q\nis answered after %d bytes\n%.300q\nand by net/http\n%.300q", lengths(parts), said, at, got[at:], want[at:])
		}
	})
}

// A connection that gave a request away answers the next one itself again.
func TestQuickComesBack(t *testing.T) {
	s := startTwins(t)
	key, body := s.origin.put("packages", 3000)
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answers := bufio.NewReader(c)
	for i, seen := range []int64{1, 1, 2, 2} { // a miss, a hit, a range, a hit
		field := ""
		if i == 2 {
			field = "Range: bytes=0-\r\n"
		}
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", s.path(key), field)
		r, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r.Body); err != nil || !bytes.Equal(got, body) {
			t.Fatalf("answer %d has %d bytes, %v", i, len(got), err)
		}
		if got := s.seen.Load(); got != seen {
			t.Errorf("after request %d net/http saw %d, want %d", i, got, seen)
		}
		if i == 0 {
			s.waitStored(t, 1)
		}
	}
	// An answer is counted when it is written.
	for end := time.Now().Add(10 * time.Second); s.handler.Counters().Served != 4; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("counters: %+v", s.handler.Counters())
		}
	}
}

// Who sends the beginning of a request and no more is cut off, also after an
// answer.
func TestQuickCutsOff(t *testing.T) {
	s := startTwins(t)
	key, body := s.cached(t, 3000)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s.handler, ReadHeaderTimeout: 100 * time.Millisecond}
	defer server.Close()
	go server.Serve(s.handler.Quicken(server, l))
	for _, begun := range []string{"G", "GET /packages/"} {
		// talk ends when the server ends the connection.
		if got := talk(t, l.Addr().String(), "GET "+s.path(key)+" HTTP/1.1\r\nHost: a\r\n\r\n", begun); !strings.Contains(got, string(body)) {
			t.Errorf("before %q the answer is %.300q", begun, got)
		}
	}
}

// The end of a server waits for the answer to a slow client.
func TestQuickShutdown(t *testing.T) {
	s := startTwins(t)
	key, body := s.cached(t, maxSmall)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s.handler, ReadHeaderTimeout: time.Second}
	go server.Serve(s.handler.Quicken(server, narrow{l}))
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", s.path(key))
	answers := bufio.NewReader(c)
	r, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Close() }()
	time.Sleep(100 * time.Millisecond)
	if got, err := io.ReadAll(r.Body); err != nil || !bytes.Equal(got, body) {
		t.Errorf("the answer was cut off after %d bytes: %v", len(got), err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := s.handler.Counters().Served; n != 2 {
		t.Errorf("%d answers are counted", n)
	}
}

// narrow has connections that hold little on their way out.
type narrow struct{ net.Listener }

func (l narrow) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetWriteBuffer(4 << 10)
	}
	return c, err
}

func TestMemory(t *testing.T) {
	var m memory
	of := func(i int) *answer { return &answer{key: fmt.Sprint(i), body: make([]byte, 99)} }
	for i := range 10 {
		m.put(of(i), 500)
		m.put(of(i), 500) // once more is no more
		m.get("0")
	}
	for i, want := range []bool{true, false, false, false, false, false, true, true, true, true} {
		if got := m.get(fmt.Sprint(i)) != nil; got != want {
			t.Errorf("answer %d is kept: %v", i, got)
		}
	}
	if m.put(&answer{key: "large", body: make([]byte, 501)}, 500); m.get("large") != nil || m.used != 500 || m.recent.Len() != 5 {
		t.Errorf("%d bytes of %d answers are used", m.used, m.recent.Len())
	}
}

// What is taken for simple, net/http takes for the same request without a body.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("GET /packages/a?t=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n"))
	f.Add([]byte("HEAD / HTTP/1.1\r\nHost:a\r\nRange: bytes=1-\r\n\r\nGET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := parseRequest(b)
		if !ok || !r.alone {
			return
		}
		rest := bufio.NewReader(bytes.NewReader(b))
		theirs, err := http.ReadRequest(rest)
		if err != nil {
			if strings.Contains(err.Error(), "invalid URL") || strings.HasPrefix(err.Error(), "parse ") {
				return // both refuse it: no key has such a path
			}
			t.Fatalf("net/http does not read %q: %v", b, err)
		}
		left, _ := io.ReadAll(rest)
		if theirs.RequestURI != r.target || theirs.ContentLength != 0 || len(theirs.TransferEncoding) > 0 || r.size+len(left) != len(b) {
			t.Errorf("%q is %+v, and to net/http %+v", b, r, theirs)
		}
		if r.simple && (theirs.Method != http.MethodGet || theirs.Close || theirs.Header.Get("Range") != "") {
			t.Errorf("%q is not simple", b)
		}
	})
}

// differ is how many bytes two texts have in common.
func differ(a, b string) (n int) {
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func lengths(parts []string) (n []int) {
	for _, p := range parts {
		n = append(n, len(p))
	}
	return n
}
