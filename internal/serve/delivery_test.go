package serve_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"packagecloud/internal/blob/s3blob/s3test"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/edge"
	"packagecloud/internal/edge/diskcache"
	"packagecloud/internal/edge/proxy"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/serve/servetest"
)

const linkSecret = "MDI2ZDhhYmMxYThiMjVmMTBlODM4OWNmZWZiZmI2NWI"

// delivered starts a server whose clients get packages and indexes by a delivery:
// from its folder, from a bucket, or from an edge of our own over the bucket.
func delivered(t *testing.T, delivery string, environment ...string) *servetest.Server {
	t.Helper()
	environment = append(environment, "PACKAGECLOUD_DIRECT_METADATA_SIZE=0")
	if delivery == "folder" {
		return servetest.StartWith(t, servetest.Options{Environment: environment})
	}
	environment = append(environment, s3test.New(t).Environ()...)
	if delivery == "S3" {
		return servetest.StartWith(t, servetest.Options{Environment: environment})
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.2:0") // another host name than the server's
	if err != nil {
		t.Fatal(err)
	}
	environment = append(environment, "PACKAGECLOUD_CLOUDFRONT_SECRET="+linkSecret, "PACKAGECLOUD_EDGE_URL=http://"+listener.Addr().String())
	s := servetest.StartWith(t, servetest.Options{Environment: environment})
	keys, err := edge.NewKeys(linkSecret)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := diskcache.Open(t.TempDir(), 1<<30, s.Node.Blobs, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewUnstartedServer(&proxy.Handler{Keys: keys, Cache: cache, Log: slog.New(slog.DiscardHandler)})
	h.Listener.Close()
	h.Listener = listener
	h.Start()
	t.Cleanup(func() {
		h.Close()
		if err := cache.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

const yesterday, tomorrow = "Mon, 02 Jan 2006 15:04:05 GMT", "Fri, 31 Dec 2060 23:59:59 GMT"

// varies stands for an answer that buckets do not agree about.
const varies = -1

// TestDeliveries sends the same requests to every delivery on both databases, and
// follows redirects as clients do. The answers are the same. TAG and TIME stand
// for the Etag and the Last-Modified of a GET before. A bucket has its own opinion
// where s3 says so, which we cannot change; the bucket of the tests is versitygw.
func TestDeliveries(t *testing.T) {
	requests := []struct {
		method, fields string
		status         int
		s3             int // what a bucket answers, if it is something else
	}{
		{"GET", "", 200, 0},
		{"HEAD", "", 200, 0},
		{"GET", "If-None-Match: TAG", 304, 0},
		{"GET", `If-None-Match: "x", TAG`, 304, 200}, // versitygw compares one tag
		{"GET", `If-None-Match: W/TAG`, 304, 200},    // and not weakly
		{"GET", "If-None-Match: *", 304, 0},
		{"GET", `If-None-Match: "x"`, 200, 0},
		{"GET", "If-Match: TAG", 200, 0},
		{"GET", `If-Match: "x"`, 412, 0},
		{"GET", "If-Modified-Since: TIME", 304, varies}, // versitygw compares parts of seconds, unless ours is the same second
		{"GET", "If-Modified-Since: " + yesterday, 200, 0},
		{"GET", "If-Modified-Since: " + tomorrow, 200, varies}, // S3 says 304 to any time between the object's and now
		{"GET", "If-Modified-Since: never", 200, 0},
		{"GET", "If-Unmodified-Since: TIME", 200, varies}, // likewise
		{"GET", "If-Unmodified-Since: " + yesterday, 412, 0},
		{"GET", "Range: bytes=0-3", 206, 0},
		{"GET", "Range: bytes=5-", 206, 0},
		{"GET", "Range: bytes=-4", 206, 0},
		{"GET", "Range: bytes=99999999-", 416, 0},
		{"GET", "Range: items=0-1", 200, 0},
		{"GET", "Range: bytes=4-2", 200, 0},
		{"HEAD", "Range: bytes=0-3", 200, 0},
	}
	paths := map[string]string{
		"package": "ubuntu/pool/jammy/main/d/delivered/delivered_1.0_amd64.deb",
		"entry":   "ubuntu/dists/jammy/InRelease",
		"plain":   "ubuntu/dists/jammy/main/binary-amd64/Packages",
		"gzip":    "ubuntu/dists/jammy/main/binary-amd64/Packages.gz",
	}
	databases := map[string]func(*testing.T) []string{
		"SQLite":     func(*testing.T) []string { return nil },
		"PostgreSQL": func(t *testing.T) []string { return []string{"PACKAGECLOUD_DATABASE_URL=" + dbtest.PostgresURL(t)} },
	}
	for _, delivery := range []string{"folder", "S3", "edge"} {
		for database, environment := range databases {
			t.Run(delivery+" "+database, func(t *testing.T) {
				s := delivered(t, delivery, environment(t)...)
				s.Push("alice/public", "ubuntu/jammy", "x.deb", debtest.Package{Name: "delivered", Version: "1.0", Architecture: "amd64"}.Build(), nil).Is(201)
				s.Settle()
				for name, path := range paths {
					whole := ask(t, s, "GET", path, nil)
					for _, r := range requests {
						header := http.Header{}
						if field, value, ok := strings.Cut(r.fields, ": "); ok {
							header.Set(field, strings.NewReplacer("TAG", whole.header.Get("Etag"), "TIME", whole.header.Get("Last-Modified")).Replace(value))
						}
						if delivery == "S3" && r.s3 == varies {
							continue
						}
						want := r.status
						if delivery == "S3" && r.s3 != 0 {
							want = r.s3
						}
						got := ask(t, s, r.method, path, header)
						if got.status != want {
							t.Errorf("%s %s with %s: %d and not %d", r.method, name, r.fields, got.status, want)
							continue
						}
						if r.method == "GET" && got.status == http.StatusOK && got.body != whole.body {
							t.Errorf("%s with %s: other bytes", name, r.fields)
						}
						if got.status == http.StatusPartialContent && (len(got.body) == 0 || !strings.Contains(whole.body, got.body)) {
							t.Errorf("%s with %s: %q is no part", name, r.fields, got.body)
						}
						if got.status == http.StatusRequestedRangeNotSatisfiable && delivery != "S3" && got.header.Get("Content-Range") != fmt.Sprintf("bytes */%d", len(whole.body)) {
							t.Errorf("%s with %s: %s", name, r.fields, got.header.Get("Content-Range"))
						}
					}
					if delivery != "S3" { // which tags by MD5
						if want := fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(whole.body))); whole.header.Get("Etag") != want {
							t.Errorf("%s has the tag %s, and not %s", name, whole.header.Get("Etag"), want)
						}
					}
				}
			})
		}
	}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, s *servetest.Server, method, path string, header http.Header) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/alice/public/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		r.Header = header.Clone()
	}
	r.Header.Set("Accept-Encoding", "identity")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}
