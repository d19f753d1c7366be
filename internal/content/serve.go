package content

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Serve answers a GET or HEAD with content, as its conditions and ranges ask for.
// The header has what describes the content, with its Etag if it has one.
func Serve(w http.ResponseWriter, r *http.Request, modified time.Time, body io.ReadSeeker) {
	if Done(w, r, modified) {
		return
	}
	size, err := body.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = body.Seek(0, io.SeekStart)
	}
	if err != nil {
		without(w)
		http.Error(w, "the content cannot be read", http.StatusInternalServerError)
		return
	}
	plain := r.Clone(r.Context())
	for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range"} {
		plain.Header.Del(name)
	}
	if field := r.Header.Get("Range"); field != "" && r.Method == http.MethodGet && ifRange(r.Header.Get("If-Range"), w.Header().Get("Etag"), modified) {
		switch rest, valid := readRange(field, size); {
		case valid && rest == "":
			refuseRange(w, size, modified)
			return
		case valid:
			plain.Header.Set("Range", rest)
		}
	}
	if w.Header().Get("Content-Encoding") != "" && plain.Header.Get("Range") == "" {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10)) // ServeContent says it only of what is not encoded
	}
	http.ServeContent(w, plain, "", modified, body)
}

// refuseRange answers a request for a part that the content does not have. It says
// of which content: apt, which has all bytes from an earlier attempt, takes the time
// of the answer for that of the content otherwise, and is told later that what was
// made in that second is what it has.
func refuseRange(w http.ResponseWriter, size int64, modified time.Time) {
	without(w)
	if !modified.IsZero() {
		w.Header().Set("Last-Modified", modified.UTC().Format(http.TimeFormat))
	}
	w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
	http.Error(w, "the content does not have the range", http.StatusRequestedRangeNotSatisfiable)
}

// Done answers a request whose conditions want no content, before anything is
// opened.
func Done(w http.ResponseWriter, r *http.Request, modified time.Time) bool {
	header := w.Header()
	status := Judge(r, header.Get("Etag"), modified)
	if status == 0 {
		return false
	}
	for _, name := range []string{"Content-Type", "Content-Encoding", "Content-Disposition", "Content-Length"} {
		header.Del(name)
	}
	if status == http.StatusPreconditionFailed {
		without(w)
	}
	w.WriteHeader(status)
	return true
}

// without takes away what describes the content: the answer is about the request.
func without(w http.ResponseWriter) {
	for _, name := range []string{"Etag", "Last-Modified", "Cache-Control", "Content-Encoding", "Content-Disposition", "Content-Length", "Content-Type"} {
		w.Header().Del(name)
	}
}
