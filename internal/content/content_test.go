package content_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/content"
)

const (
	tag   = `"abc"`
	live  = "Sat, 28 Nov 2026 12:00:00 GMT"
	later = "Sat, 28 Nov 2026 12:00:01 GMT"
	early = "Sat, 28 Nov 2026 11:59:59 GMT"
)

// TestServe judges conditions and ranges by RFC 9110. A row reads: method, fields,
// content; status, body or Content-Range.
func TestServe(t *testing.T) {
	for _, test := range []struct {
		method, fields, body string
		status               int
		want                 string
	}{
		{"GET", "", "0123456789", 200, "0123456789"},
		{"GET", "If-Match: *", "0123456789", 200, "0123456789"},
		{"GET", `If-Match: "x", "abc"`, "0123456789", 200, "0123456789"},
		{"GET", `If-Match: W/"abc"`, "0123456789", 412, ""}, // the strong comparison
		{"GET", `If-Match: "x"`, "0123456789", 412, ""},
		{"HEAD", `If-Match: "x"`, "0123456789", 412, ""},
		{"GET", `If-Match: abc`, "0123456789", 412, ""}, // no tag
		{"GET", `If-Match: "abc"|If-Unmodified-Since: ` + early, "0123456789", 200, "0123456789"},
		{"GET", "If-Unmodified-Since: " + live, "0123456789", 200, "0123456789"},
		{"GET", "If-Unmodified-Since: " + later, "0123456789", 200, "0123456789"},
		{"GET", "If-Unmodified-Since: " + early, "0123456789", 412, ""},
		{"GET", "If-Unmodified-Since: yesterday", "0123456789", 200, "0123456789"},
		{"GET", "If-None-Match: *", "0123456789", 304, ""},
		{"GET", `If-None-Match: "abc"`, "0123456789", 304, ""},
		{"GET", `If-None-Match: "x" , W/"abc"`, "0123456789", 304, ""},
		{"GET", `If-None-Match: "x"|If-None-Match: "abc"`, "0123456789", 304, ""},
		{"GET", `If-None-Match: "x"`, "0123456789", 200, "0123456789"},
		{"GET", `If-None-Match: "abc`, "0123456789", 200, "0123456789"},
		{"GET", `If-None-Match: "x"|If-Modified-Since: ` + live, "0123456789", 200, "0123456789"}, // the tag decides
		{"HEAD", `If-None-Match: "abc"`, "0123456789", 304, ""},
		{"GET", "If-Modified-Since: " + live, "0123456789", 304, ""},
		{"GET", "If-Modified-Since: " + later, "0123456789", 200, "0123456789"},
		{"GET", "If-Modified-Since: " + early, "0123456789", 200, "0123456789"},
		{"GET", "If-Modified-Since: now", "0123456789", 200, "0123456789"},
		{"GET", "Range: bytes=2-4", "0123456789", 206, "234"},
		{"GET", "Range: Bytes=2-4", "0123456789", 206, "234"},
		{"GET", "Range: bytes=2-", "0123456789", 206, "23456789"},
		{"GET", "Range: bytes=-2", "0123456789", 206, "89"},
		{"GET", "Range: bytes=-20", "0123456789", 206, "0123456789"},
		{"GET", "Range: bytes=8-99999999999999999999", "0123456789", 206, "89"},
		{"GET", "Range: bytes=99999999999999999999-", "0123456789", 416, "bytes */10"},
		{"GET", "Range: bytes=10-", "0123456789", 416, "bytes */10"},
		{"GET", "Range: bytes=-0", "0123456789", 416, "bytes */10"},
		{"GET", "Range: bytes=20-30, 2-4", "0123456789", 206, "234"},
		{"GET", "Range: bytes=4-2", "0123456789", 200, "0123456789"},
		{"GET", "Range: bytes=", "0123456789", 200, "0123456789"},
		{"GET", "Range: bytes=a-b", "0123456789", 200, "0123456789"},
		{"GET", "Range: bytes=1-2-3", "0123456789", 200, "0123456789"},
		{"GET", "Range: bytes=+1-2", "0123456789", 200, "0123456789"},
		{"GET", "Range: items=0-1", "0123456789", 200, "0123456789"},
		{"GET", "Range: 0-1", "0123456789", 200, "0123456789"},
		{"GET", "Range: bytes=" + strings.Repeat("0-0,", 200), "0123456789", 200, "0123456789"},
		{"HEAD", "Range: bytes=2-4", "0123456789", 200, ""},
		{"HEAD", "Range: bytes=20-", "0123456789", 200, ""},
		{"GET", "Range: bytes=0-", "", 416, "bytes */0"},
		{"GET", "Range: bytes=-5", "", 416, "bytes */0"},
		{"GET", `Range: bytes=2-4|If-Range: "abc"`, "0123456789", 206, "234"},
		{"GET", `Range: bytes=2-4|If-Range: W/"abc"`, "0123456789", 200, "0123456789"},
		{"GET", `Range: bytes=20-|If-Range: "x"`, "0123456789", 200, "0123456789"},
		{"GET", `Range: bytes=2-4|If-Range: ` + live, "0123456789", 206, "234"},
		{"GET", `Range: bytes=2-4|If-Range: ` + later, "0123456789", 200, "0123456789"},
		{"GET", `Range: bytes=2-4|If-None-Match: "abc"`, "0123456789", 304, ""},
	} {
		r := httptest.NewRequest(test.method, "/", nil)
		for field := range strings.SplitSeq(test.fields, "|") {
			if name, value, ok := strings.Cut(field, ": "); ok {
				r.Header.Add(name, value)
			}
		}
		for _, encoding := range []string{"", "gzip"} {
			w := httptest.NewRecorder()
			w.Header().Set("Etag", tag)
			w.Header().Set("Cache-Control", "no-cache")
			w.Header().Set("Content-Type", "text/plain")
			if encoding != "" {
				w.Header().Set("Content-Encoding", encoding)
			}
			modified, _ := http.ParseTime(live)
			content.Serve(w, r, modified.Add(300*time.Millisecond), strings.NewReader(test.body))
			got := w.Body.String()
			switch w.Code {
			case http.StatusRequestedRangeNotSatisfiable:
				got = w.Header().Get("Content-Range")
				if w.Header().Get("Last-Modified") != live {
					t.Errorf("%s %s: 416 says nothing of when the content was modified", test.method, test.fields)
				}
			case http.StatusPreconditionFailed, http.StatusNotModified:
				if w.Header().Get("Content-Type")+w.Header().Get("Content-Length")+w.Header().Get("Content-Encoding") != "" {
					t.Errorf("%s %s: %v", test.method, test.fields, w.Header())
				}
			}
			if w.Code != test.status || got != test.want {
				t.Errorf("%s %s of %d bytes: %d %q, and not %d %q", test.method, test.fields, len(test.body), w.Code, got, test.status, test.want)
			}
			if (w.Header().Get("Etag") == tag) != (w.Code < 400) {
				t.Errorf("%s %s: %d has the tag %q", test.method, test.fields, w.Code, w.Header().Get("Etag"))
			}
			if w.Code == http.StatusOK && w.Header().Get("Content-Length") == "" {
				t.Errorf("%s %s: no Content-Length", test.method, test.fields)
			}
		}
	}
}
