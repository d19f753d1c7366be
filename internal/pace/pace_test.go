package pace_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"packagecloud/internal/pace"
)

// short are limits that a test can wait for, with much room above what a busy
// machine adds to them.
var short = pace.Limits{Send: time.Second, Take: 2 * time.Second}

// soon is when whatever has such a limit must be over.
const soon = 20 * time.Second

// start serves h and returns its address.
func start(t *testing.T, h http.Handler) string {
	t.Helper()
	l, err := pace.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := pace.NewServer(h)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		_ = s.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// raw sends bytes and returns all that comes back until the server ends the
// connection.
func raw(t *testing.T, address, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(soon))
	if _, err := io.WriteString(c, request); err != nil {
		t.Error(err)
	}
	answer, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%.60q is held for more than %s", request, soon)
	}
	return string(answer)
}

// TestBodyThatNeverComes announces bodies and does not send them, to handlers
// that read them and to those that do not.
func TestBodyThatNeverComes(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/refuse", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusUnauthorized) })
	mux.HandleFunc("/read", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading what never comes: %v", err)
		}
		http.Error(w, "gone", http.StatusUnprocessableEntity)
	})
	address := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(short.NewWriter(w), short.Request(w, r))
	}))
	var wg sync.WaitGroup
	for _, head := range []string{
		"GET /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
		"GET /refuse HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc",
		"POST /refuse HTTP/1.0\r\nContent-Length: 10\r\nConnection: keep-alive\r\n\r\n",
		"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
		"PUT /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
		"PUT /read HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n",
	} {
		wg.Go(func() {
			if answer := raw(t, address, head); !strings.Contains(answer, " 401 ") && !strings.Contains(answer, " 422 ") {
				t.Errorf("%.60q is answered %q", head, answer)
			}
		})
	}
	wg.Wait()
}

// TestExpectation leaves a body that is refused where it is.
func TestExpectation(t *testing.T) {
	t.Parallel()
	address := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w, _ = short.NewWriter(w), short.Request(w, r)
		http.Error(w, "no", http.StatusUnauthorized)
	}))
	answer := raw(t, address, "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 401 ") {
		t.Errorf("the answer is %q: the client is asked for a body that nobody reads", answer)
	}
}

// TestManyHeld has other clients answered while many
// announce bodies that they do not send.
func TestManyHeld(t *testing.T) {
	t.Parallel()
	const held = 500
	long := pace.Limits{Send: time.Minute}
	address := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w, r = long.NewWriter(w), long.Request(w, r)
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "done")
	}))
	for range held {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address, strings.NewReader("a body"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
}

// TestBodyThatMoves takes longer than the limit in all, and comes through; the
// handler may go on after it for longer than the limit too.
func TestBodyThatMoves(t *testing.T) {
	t.Parallel()
	address := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w, r = short.NewWriter(w), short.Request(w, r)
		n, err := io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
			t.Error("the wait after the body was ended")
		case <-time.After(short.Send * 3 / 2):
		}
		fmt.Fprint(w, n, err)
	}))
	body, send := io.Pipe()
	go func() {
		for range 10 {
			_, _ = send.Write(make([]byte, 8<<10))
			time.Sleep(short.Send / 5)
		}
		_ = send.Close()
	}()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address, body)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || string(text) != "81920 <nil>" {
		t.Errorf("answered %q, %v", text, err)
	}
}

// plain hides that a reader is a file.
type plain struct{ io.ReadSeeker }

// TestSlowReader reads answers at a pace at which what the kernel may hold of them
// takes longer than the limit: from a file, which the kernel sends, from any reader, and by one
// large Write. Who reads nothing is cut off.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	const size = 12 << 20 // more than the kernel holds of it
	content := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 3)
	mux := http.NewServeMux()
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request, *os.File){
		"/file": func(w http.ResponseWriter, r *http.Request, f *os.File) { http.ServeContent(w, r, "a", time.Time{}, f) },
		"/reader": func(w http.ResponseWriter, r *http.Request, f *os.File) {
			http.ServeContent(w, r, "a", time.Time{}, plain{f})
		},
		"/write": func(w http.ResponseWriter, _ *http.Request, _ *os.File) { _, _ = w.Write(content) },
	} {
		mux.HandleFunc(name, func(w http.ResponseWriter, r *http.Request) {
			f, err := os.Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			out := short.NewWriter(w)
			answer(out, r, f)
			ended <- out.Err
		})
	}
	address := start(t, mux)
	var wg sync.WaitGroup
	for _, path := range []string{"/file", "/reader", "/write"} {
		c, _ := ask(t, address, path)
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s, and nobody reads: %v", path, err)
		}
		_ = c.Close()
		wg.Go(func() { readSlowly(t, address, path, content) })
	}
	wg.Wait()
	for range 3 {
		if err := <-ended; err != nil {
			t.Errorf("read slowly: %v", err)
		}
	}
}

// ask requests a path over a connection that holds little of the answer.
func ask(t *testing.T, address, path string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	// Much more than a segment of the loopback device, or TCP itself would pause.
	if err := c.(*net.TCPConn).SetReadBuffer(256 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

func readSlowly(t *testing.T, address, path string, content []byte) {
	c, in := ask(t, address, path)
	defer c.Close()
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	defer answer.Body.Close()
	var got bytes.Buffer
	for i := 0; i < 30 && err == nil; i++ { // three times the limit
		_, err = io.CopyN(&got, answer.Body, 64<<10)
		time.Sleep(short.Take / 10)
	}
	if err == nil {
		_, err = io.Copy(&got, answer.Body)
	}
	if err != nil || !bytes.Equal(got.Bytes(), content) {
		t.Errorf("%s: %d bytes of %d, %v", path, got.Len(), len(content), err)
	}
}
