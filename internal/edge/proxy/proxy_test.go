package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"packagecloud/internal/blob"
	"packagecloud/internal/content"
	"packagecloud/internal/edge"
	"packagecloud/internal/edge/diskcache"
)

const secret = "MDI2ZDhhYmMxYthiMjVmMTBlODM4OWNmZWZiZmI2NWI"

var stored = time.Unix(1_700_000_000, 0).UTC()

// origin has objects in memory.
type origin struct {
	mu      sync.Mutex
	objects map[string][]byte
	about   blob.Attributes
	opened  atomic.Int64
	err     error        // of Open
	cut     atomic.Int64 // after how many bytes an object breaks; 0 is never
}

type object struct {
	*bytes.Reader
	origin *origin
	key    string
}

func (o *origin) Open(_ context.Context, key string) (blob.Object, error) {
	o.opened.Add(1)
	o.mu.Lock()
	defer o.mu.Unlock()
	body, ok := o.objects[key]
	if o.err != nil {
		return nil, o.err
	}
	if !ok {
		return nil, blob.ErrNotFound
	}
	return &object{bytes.NewReader(body), o, key}, nil
}

func (o *object) Info() blob.Info             { return blob.Info{Key: o.key, Size: o.Size(), ModTime: stored} }
func (o *object) Attributes() blob.Attributes { return o.origin.about }
func (o *object) Close() error                { return nil }
func (o *object) Read(p []byte) (int, error) {
	if cut := o.origin.cut.Load(); cut > 0 && o.Size()-int64(o.Len()) >= cut {
		return 0, io.ErrUnexpectedEOF
	}
	return o.Reader.Read(p)
}

func (o *origin) put(kind string, size int) (key string, body []byte) {
	body = make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size), byte(size >> 8)}).Read(body)
	key = fmt.Sprintf("%s/%x/a_1.0_amd64.deb", kind, sha256.Sum256(body))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.objects[key] = body
	return key, body
}

// site is an edge before an origin.
type site struct {
	*httptest.Server
	origin  *origin
	handler *Handler
	signer  *edge.Signer
}

func start(t testing.TB) *site {
	t.Helper()
	keys, err := edge.NewKeys(secret)
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{objects: map[string][]byte{}, about: blob.Attributes{ContentType: "application/vnd.debian.binary-package", Filename: "a_1.0+b_amd64.deb"}}
	cache, err := diskcache.Open(t.TempDir(), 1<<30, o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cache.Close() })
	s := &site{origin: o, handler: &Handler{Keys: keys, Cache: cache, Log: slog.New(slog.DiscardHandler), Memory: 1 << 20}}
	s.Server = httptest.NewUnstartedServer(s.handler)
	s.Listener = s.handler.Quicken(s.Config, s.Listener)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.Start()
	t.Cleanup(s.Close)
	s.signer = &edge.Signer{Origin: s.URL, Keys: keys}
	return s
}

// get asks for an object, with headers given as name, value.
func (s *site) get(t testing.TB, method, key string, headers ...string) (*http.Response, []byte, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.signer.URL(key, 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, body, err
}

// The vectors as they go over the wire. What passes is not in the storage; what
// HTTP itself does not let through may be a bad request.
func TestVectors(t *testing.T) {
	var v struct {
		Secrets []string
		Now     int64
		Vectors []struct{ Name, Method, Path, Query, Answer string }
	}
	text, err := os.ReadFile("../testdata/vectors.json")
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := start(t)
	s.handler.Now = func() time.Time { return time.Unix(v.Now, 0) }
	if s.handler.Keys, err = edge.NewKeys(v.Secrets...); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"pass": 404, "forbidden": 403, "expired": 403, "method": 405}
	bad := 0
	for _, c := range v.Vectors {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "%s %s?%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", c.Method, c.Path, c.Query)
		method := c.Method
		if method != "HEAD" {
			method = "GET"
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		body, _ := io.ReadAll(response.Body)
		conn.Close()
		if response.StatusCode == http.StatusBadRequest && c.Answer != "pass" {
			bad++
			continue
		}
		if response.StatusCode != want[c.Answer] || response.Header.Get("Cache-Control") != "no-store" ||
			c.Method != http.MethodHead && strings.Contains(string(body), "expired") != (c.Answer == "expired") {
			t.Errorf("%s: %s %s?%s: %s %q", c.Name, c.Method, c.Path, c.Query, response.Status, body)
		}
	}
	if bad > 15 {
		t.Errorf("%d vectors do not reach the handler", bad)
	}
}

func TestHeaders(t *testing.T) {
	s := start(t)
	key, body := s.origin.put("packages", 50_000)
	etag := `"` + strings.Split(key, "/")[1] + `"`
	for _, method := range []string{"HEAD", "GET", "GET", "HEAD"} {
		r, got, err := s.get(t, method, key)
		if err != nil || r.StatusCode != http.StatusOK || method == "GET" && !bytes.Equal(got, body) {
			t.Fatalf("%s: %v %v", method, r, err)
		}
		for name, want := range map[string]string{
			"Etag": etag, "Content-Length": "50000", "Content-Type": "application/vnd.debian.binary-package", "Accept-Ranges": "bytes",
			"Cache-Control": "public, max-age=31536000, immutable", "Last-Modified": stored.Format(http.TimeFormat),
			"Content-Disposition": "attachment; filename=a_1.0+b_amd64.deb",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", method, name, got, want)
			}
		}
		for end := time.Now().Add(10 * time.Second); s.handler.Cache.Stats().Objects == 0 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	}
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"its tag":          {[]string{"If-None-Match", etag}, 304},
		"its tag in a row": {[]string{"If-None-Match", `"x", W/` + etag}, 304},
		"another tag":      {[]string{"If-None-Match", `"x"`}, 200},
		"its time":         {[]string{"If-Modified-Since", stored.Format(http.TimeFormat)}, 304},
		"an earlier time":  {[]string{"If-Modified-Since", stored.Add(-time.Second).Format(http.TimeFormat)}, 200},
		"If-Range, same":   {[]string{"Range", "bytes=1-2", "If-Range", stored.Format(http.TimeFormat)}, 206},
		"If-Range, tag":    {[]string{"Range", "bytes=1-2", "If-Range", etag}, 206},
		"If-Range, other":  {[]string{"Range", "bytes=1-2", "If-Range", `"x"`}, 200},
		"If-Match, other":  {[]string{"If-Match", `"x"`}, 412},
		"a range too far":  {[]string{"Range", "bytes=50000-"}, 416},
		"credentials":      {[]string{"Authorization", "Basic eDp5"}, 200},
	} {
		if r, _, err := s.get(t, "GET", key, c.headers...); err != nil || r.StatusCode != c.status {
			t.Errorf("%s: %v, want %d (%v)", name, r.Status, c.status, err)
		}
	}
	if n := s.origin.opened.Load(); n != 1 {
		t.Errorf("the origin was asked %d times", n)
	}
}

// Index objects come from the origin every time, packages once; what is neither
// is not there.
func TestWhatIsCached(t *testing.T) {
	s := start(t)
	s.origin.about = blob.Attributes{ContentType: "text/plain", ContentEncoding: "gzip"}
	key, body := s.origin.put("indexes", 20_000)
	for range 3 {
		r, got, err := s.get(t, "GET", key, "Accept-Encoding", "gzip")
		if err != nil || !bytes.Equal(got, body) || r.Header.Get("Cache-Control") != blob.Index.CacheControl() || r.Header.Get("Content-Encoding") != "gzip" || r.ContentLength != 20_000 {
			t.Errorf("%v, %d bytes, %v", r, len(got), err)
		}
	}
	if n := s.origin.opened.Load(); n != 3 {
		t.Errorf("the origin was asked %d times", n)
	}
	segment, _ := s.origin.put("segments", 10)
	short := strings.Replace(key, key[8:72], "abc", 1)
	for _, key := range []string{segment, short, "packages", key + "/x", strings.Replace(key, key[8:72], strings.ToUpper(key[8:72]), 1), "x+y"} {
		if r, _, err := s.get(t, "GET", key); err != nil || r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %v %v", key, r, err)
		}
	}
	if n := s.origin.opened.Load(); n != 3 {
		t.Errorf("the origin was asked for what clients may not have")
	}
	r, err := http.Get(s.URL + "/healthz")
	if err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("/healthz: %v %v", r, err)
	}
	r.Body.Close()
}

// TestBodyThatNeverComes announces bodies to an edge, which reads none, and does
// not send them.
func TestBodyThatNeverComes(t *testing.T) {
	s := start(t)
	s.handler.Pace.Send = time.Second
	key, _ := s.origin.put("packages", 100)
	target := strings.TrimPrefix(s.signer.URL(key, 1), s.URL)
	for _, head := range []string{
		"GET " + target + " HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
		"GET " + target + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab",
		"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
	} {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(c, head); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(c); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 ")) {
			t.Errorf("%.20q is answered %q, %v", head, answer, err)
		}
	}
}

// A client never takes a part for the whole.
func TestBrokenOrigin(t *testing.T) {
	s := start(t)
	for _, kind := range []string{"packages", "indexes"} {
		key, body := s.origin.put(kind, 500_000)
		s.origin.cut.Store(200_000)
		if r, got, err := s.get(t, "GET", key); err == nil {
			t.Errorf("%s: %s, %d bytes and no error", kind, r.Status, len(got))
		}
		s.origin.cut.Store(0)
		if _, got, err := s.get(t, "GET", key); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s, whole again: %d bytes, %v", kind, len(got), err)
		}
		absent := strings.Replace(key, "/a_", "/b_", 1)
		if r, _, err := s.get(t, "GET", absent); err != nil || r.StatusCode != http.StatusNotFound || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s, absent: %v %v", kind, r, err)
		}
		s.origin.err = io.ErrClosedPipe
		if r, _, err := s.get(t, "GET", absent); err != nil || r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
			t.Errorf("%s, origin down: %v %v", kind, r, err)
		}
		s.origin.err = nil
	}
	if c := s.handler.Counters(); c.Served != 2 || c.Broken != 2 || c.Missing != 2 || c.Unavailable != 2 {
		t.Errorf("%+v", c)
	}
}

func TestSingleFlight(t *testing.T) {
	s := start(t)
	key, body := s.origin.put("packages", 200_000)
	clients := 1000
	if testing.Short() {
		clients = 100
	}
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			r, err := (&http.Client{Transport: transport}).Get(s.signer.URL(key, 1))
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Body.Close()
			if got, err := io.ReadAll(r.Body); err != nil || !bytes.Equal(got, body) {
				t.Errorf("%s, %d bytes, %v", r.Status, len(got), err)
			}
		})
	}
	all.Wait()
	if n := s.origin.opened.Load(); n != 1 {
		t.Errorf("the origin was asked %d times", n)
	}
}

// Whatever ranges are asked for, the answer is that of the origin, whether the
// object is in the cache or arriving.
func TestRanges(t *testing.T) {
	s := start(t)
	sizes := []int{1, 2, 999, 200_000}
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.SampledFrom(sizes).Draw(rt, "size")
		name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"}).Draw(rt, "name")
		key, body := s.origin.put("packages", size)
		other := strings.Replace(key, "/a_", "/"+name+"_", 1)
		s.origin.mu.Lock()
		s.origin.objects[other] = body
		s.origin.mu.Unlock()
		number := rapid.Custom(func(t *rapid.T) string {
			return rapid.SampledFrom([]string{"", fmt.Sprint(rapid.IntRange(0, size+1).Draw(t, "n")), fmt.Sprint(size - 1), "0", "x", "-1"}).Draw(t, "number")
		})
		var ranges []string
		for range rapid.IntRange(1, 3).Draw(rt, "ranges") {
			ranges = append(ranges, number.Draw(rt, "from")+"-"+number.Draw(rt, "to"))
		}
		header := "bytes=" + strings.Join(ranges, ",")

		plain := httptest.NewRequest(http.MethodGet, "/", nil)
		plain.Header.Set("Range", header)
		want := httptest.NewRecorder()
		want.Header().Set("Content-Type", "application/vnd.debian.binary-package")
		content.Serve(want, plain, stored, bytes.NewReader(body))
		r, got, err := s.get(t, "GET", other, "Range", header)
		if err != nil {
			rt.Fatal(err)
		}
		wantBody := want.Body.String()
		if _, boundary, ok := strings.Cut(want.Header().Get("Content-Type"), "boundary="); ok {
			_, mine, _ := strings.Cut(r.Header.Get("Content-Type"), "boundary=")
			wantBody = strings.ReplaceAll(wantBody, boundary, mine)
		}
		if r.StatusCode != want.Code || r.Header.Get("Content-Range") != want.Header().Get("Content-Range") || string(got) != wantBody {
			rt.Fatalf("%s of %d bytes: %s, %q, %d bytes; a file: %d, %q, %d bytes", header, size,
				r.Status, r.Header.Get("Content-Range"), len(got), want.Code, want.Header().Get("Content-Range"), len(wantBody))
		}
	})
}
