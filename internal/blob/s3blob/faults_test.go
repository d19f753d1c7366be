package s3blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/blob/blobtest"
)

// fault is what a proxy does to a request.
type fault int

const (
	none     fault = iota
	refuse         // answers 500, without asking the store
	slowDown       // answers 503
	cutBody        // closes the connection in the middle of the request
	cutReply       // closes it in the middle of the answer
	lose           // closes it instead of answering what the store has done
	pretend        // answers 204, without asking the store
	hang           // takes the request, and does nothing until the client is gone
)

// proxy stands between a store and its client, and lets choose pick faults.
func proxy(t testing.TB, endpoint string, choose func(*http.Request) fault) string {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	forward := func() *httputil.ReverseProxy {
		return &httputil.ReverseProxy{
			// The signature covers the host that the client asked.
			Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		}
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch choose(r) {
		case none:
			forward().ServeHTTP(w, r)
		case refuse:
			http.Error(w, "<Error><Code>InternalError</Code></Error>", http.StatusInternalServerError)
		case slowDown:
			http.Error(w, "<Error><Code>SlowDown</Code></Error>", http.StatusServiceUnavailable)
		case pretend:
			w.WriteHeader(http.StatusNoContent)
		case cutBody:
			_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
			panic(http.ErrAbortHandler)
		case cutReply:
			f := forward()
			f.ModifyResponse = func(a *http.Response) error {
				a.Body = struct {
					io.Reader
					io.Closer
				}{io.LimitReader(a.Body, max(1, a.ContentLength/2)), a.Body}
				return nil
			}
			f.ServeHTTP(w, r)
		case lose:
			forward().ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case hang:
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// random picks a fault for one request in five, but never twice in a row for
// the same one.
func random(seed uint64) func(*http.Request) fault {
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(seed, 0))
	before := map[string]bool{}
	return func(r *http.Request) fault {
		mu.Lock()
		defer mu.Unlock()
		what := r.Method + r.URL.String()
		if before[what] || dice.IntN(5) > 0 {
			before[what] = false
			return none
		}
		before[what] = true
		return none + 1 + fault(dice.IntN(int(lose)))
	}
}

// TestFaults: the contract holds over a network that fails in every way. Only
// the answers with whole objects are not cut, see TestResume: a reader would not
// outlive a delete then.
func TestFaults(t *testing.T) {
	var seed atomic.Uint64
	blobtest.Run(t, func(t *testing.T) blob.Store {
		c, b := config(t)
		c.PublicEndpoint = c.Endpoint
		choose := random(seed.Add(1))
		c.Endpoint = proxy(t, b.Endpoint, func(r *http.Request) fault {
			f := choose(r)
			if f == cutReply && r.Method == http.MethodGet && r.URL.RawQuery == "x-id=GetObject" && r.Header.Get("Range") == "" {
				return none
			}
			return f
		})
		s := openStore(t, c)
		s.limits.single, s.limits.part = 5<<20, 5<<20
		return s
	})
}

// TestLostAnswers: what was done is not done again, and is no failure.
func TestLostAnswers(t *testing.T) {
	c, b := config(t)
	var lost atomic.Bool
	c.Endpoint = proxy(t, b.Endpoint, func(r *http.Request) fault {
		// The answer to what makes the object, once.
		makes := r.Method == http.MethodPut && !r.URL.Query().Has("uploadId") || r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
		if makes && !lost.Swap(true) {
			return lose
		}
		return none
	})
	s := openStore(t, c)
	s.limits.single = 1 << 20
	for key, body := range map[string][]byte{"packages/small": []byte("x"), "packages/large": make([]byte, 6<<20)} {
		lost.Store(false)
		if err := s.Put(t.Context(), key, body, blob.Attributes{Class: blob.Package}); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		if !lost.Load() {
			t.Errorf("%s: no answer was lost", key)
		}
		if info, err := s.Stat(t.Context(), key); err != nil || info.Size != int64(len(body)) {
			t.Errorf("%s: %+v, %v", key, info, err)
		}
	}
	if left := b.Uploads(t); len(left) > 0 {
		t.Errorf("uploads under way: %v", left)
	}
}

// TestFailedUpload: an upload that fails for good leaves nothing.
func TestFailedUpload(t *testing.T) {
	c, b := config(t)
	c.attempts = 2
	c.Endpoint = proxy(t, b.Endpoint, func(r *http.Request) fault {
		if r.URL.Query().Get("partNumber") == "3" {
			return cutBody
		}
		return none
	})
	s := openStore(t, c)
	s.limits.single, s.limits.part = 5<<20, 5<<20
	staged := stageZeros(t, s, 20<<20)
	if err := staged.Commit(t.Context(), "packages/x", blob.Attributes{Class: blob.Package}); err == nil {
		t.Error("the upload succeeded")
	}
	nothing(t, s)
	if left := b.Uploads(t); len(left) > 0 {
		t.Errorf("uploads under way: %v", left)
	}
}

// TestAbortAgain: an upload that the store keeps after it was aborted, as for a
// part that arrived meanwhile, is aborted again.
func TestAbortAgain(t *testing.T) {
	c, b := config(t)
	c.attempts = 2
	var aborts atomic.Int64
	c.Endpoint = proxy(t, b.Endpoint, func(r *http.Request) fault {
		switch {
		case r.URL.Query().Get("partNumber") == "2":
			return refuse
		case r.Method == http.MethodDelete && r.URL.Query().Has("uploadId") && aborts.Add(1) <= 2:
			return pretend
		}
		return none
	})
	s := openStore(t, c)
	aborts.Store(0) // the probe's own
	s.limits.single, s.limits.part = 5<<20, 5<<20
	if err := stageZeros(t, s, 10<<20).Commit(t.Context(), "packages/x", blob.Attributes{Class: blob.Package}); err == nil {
		t.Error("the upload succeeded")
	}
	if left := b.Uploads(t); len(left) > 0 || aborts.Load() != 3 {
		t.Errorf("%d aborts, uploads under way: %v", aborts.Load(), left)
	}
}

func stageZeros(t *testing.T, s *Store, size int64) blob.Staged {
	t.Helper()
	staged, err := s.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { staged.Close() })
	if _, err := io.CopyN(staged, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	return staged
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// nothing fails the test if an object is visible.
func nothing(t *testing.T, s *Store) {
	t.Helper()
	for info, err := range s.List(t.Context(), "") {
		t.Errorf("listed: %+v, %v", info, err)
	}
}

// TestResume: a read goes on where the connection broke, however often it does.
func TestResume(t *testing.T) {
	c, b := config(t)
	var cuts atomic.Int64
	c.Endpoint = proxy(t, b.Endpoint, func(r *http.Request) fault {
		if r.Method != http.MethodGet || r.URL.Query().Has("list-type") {
			return none
		}
		cuts.Add(1)
		return cutReply
	})
	s := openStore(t, c)
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if err := s.Put(t.Context(), "packages/x", body, blob.Attributes{Class: blob.Package}); err != nil {
		t.Fatal(err)
	}
	o, err := s.Open(t.Context(), "packages/x")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d of %d bytes, %v", len(got), len(body), err)
	}
	if cuts.Load() < 3 {
		t.Errorf("the connection broke %d times", cuts.Load())
	}
}

// TestBrokenRead: a reader that cannot go on says so, and never that the object
// ends.
func TestBrokenRead(t *testing.T) {
	c, b := config(t)
	var broken atomic.Bool
	c.attempts = 1
	c.Endpoint = proxy(t, b.Endpoint, func(r *http.Request) fault {
		switch {
		case r.Method != http.MethodGet || r.URL.Query().Has("list-type"):
			return none
		case broken.Swap(true):
			return refuse
		}
		return cutReply
	})
	s := openStore(t, c)
	body := bytes.Repeat([]byte("0123456789"), 100_000)
	if err := s.Put(t.Context(), "packages/x", body, blob.Attributes{Class: blob.Package}); err != nil {
		t.Fatal(err)
	}
	o, err := s.Open(t.Context(), "packages/x")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	got, err := io.ReadAll(o)
	if err == nil || len(got) == 0 || len(got) >= len(body) || !bytes.HasPrefix(body, got) {
		t.Errorf("%d of %d bytes, %v", len(got), len(body), err)
	}
}

// TestKill: a process that is killed in the middle of an upload leaves nothing
// visible, and what else it leaves is tidied up.
func TestKill(t *testing.T) {
	c, b := config(t)
	sent := make(chan struct{}, 100)
	c.Endpoint = proxy(t, b.Endpoint, func(r *http.Request) fault {
		if r.URL.Query().Get("partNumber") == "2" {
			sent <- struct{}{}
			return hang
		}
		return none
	})
	child := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	child.Env = append(os.Environ(), "S3BLOB_KILLED="+strings.Join([]string{c.Bucket, c.Endpoint, c.AccessKey, c.SecretKey, c.Staging}, " "))
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-sent:
	case <-time.After(30 * time.Second):
		t.Error("no part was sent")
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed

	c.Endpoint = b.Endpoint
	s := openStore(t, c)
	nothing(t, s)
	if left, err := os.ReadDir(c.Staging); err != nil || len(left) > 0 {
		t.Errorf("staging holds %v, %v", left, err)
	}
	if left := b.Uploads(t); len(left) != 1 {
		t.Errorf("uploads under way: %v", left)
	}
	if err := s.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := b.Uploads(t); len(left) != 1 {
		t.Errorf("an upload that may still be worked on was forgotten")
	}
	if err := s.tidy(t.Context(), time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if left := b.Uploads(t); len(left) > 0 {
		t.Errorf("uploads under way after tidying: %v", left)
	}
}

// TestKilled is the process that TestKill kills.
func TestKilled(t *testing.T) {
	settings := strings.Fields(os.Getenv("S3BLOB_KILLED"))
	if len(settings) == 0 {
		return
	}
	s := openStore(t, Config{
		Bucket: settings[0], Region: "us-east-1", Endpoint: settings[1], PathStyle: true,
		AccessKey: settings[2], SecretKey: settings[3], SignatureVersion: 4, Staging: settings[4],
	})
	s.limits.single, s.limits.part = 5<<20, 5<<20
	staged := stageZeros(t, s, 30<<20)
	t.Error(staged.Commit(context.Background(), "packages/x", blob.Attributes{Class: blob.Package}))
}

// TestMemory: a large object is sent and read with the memory of a small one.
func TestMemory(t *testing.T) {
	const size, most = 256 << 20, 48 << 20
	c, _ := config(t)
	s := openStore(t, c)
	staged := stageZeros(t, s, size)
	peak := watch(t)
	if err := staged.Commit(t.Context(), "packages/x", blob.Attributes{Class: blob.Package}); err != nil {
		t.Fatal(err)
	}
	o, err := s.Open(t.Context(), "packages/x")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	got, want := sha256.New(), sha256.New()
	if n, err := io.Copy(got, o); err != nil || n != size {
		t.Errorf("read %d bytes, %v", n, err)
	}
	_, _ = io.CopyN(want, zeros{}, size) // cannot fail
	if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Error("other bytes came back")
	}
	if p := peak(); p > most {
		t.Errorf("the heap grew to %d MiB", p>>20)
	} else {
		t.Logf("the heap grew to %d MiB", p>>20)
	}
}

// watch returns a function that tells the largest size of the heap since. What
// earlier tests left is collected first: nothing else would, as long as less is
// allocated than they left.
func watch(t *testing.T) func() uint64 {
	t.Helper()
	runtime.GC()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	var peak uint64
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			metrics.Read(sample)
			peak = max(peak, sample[0].Value.Uint64())
			select {
			case <-end:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() uint64 {
		close(end)
		<-ended
		return peak
	}
}
