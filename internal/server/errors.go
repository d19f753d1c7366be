package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"syscall"

	"packagecloud/internal/format"
	"packagecloud/internal/redact"
	"packagecloud/internal/repo"
	"packagecloud/internal/server/api"
	"packagecloud/internal/server/native"
	"packagecloud/internal/upload"
)

var errMethod = api.ErrMethod

// statuses says what each kind of error is in HTTP. The first that fits
// counts; everything else is a failure of ours.
var statuses = []struct {
	err    error
	status int
	text   string // what clients are told; API clients depend on some
}{
	{repo.ErrUnauthenticated, http.StatusUnauthorized, "Unauthenticated"},
	{repo.ErrForbidden, http.StatusForbidden, "Forbidden"},
	{repo.ErrNotFound, http.StatusNotFound, "not_found"},
	{native.ErrPrecondition, http.StatusPreconditionFailed, "The file is not the one that the condition names"},
	{format.ErrStale, http.StatusConflict, "It has changed meanwhile: read it again, then change it"},
	{native.ErrTaken, http.StatusConflict, "A file of this name already exists: delete it first"},
	{errMethod, http.StatusMethodNotAllowed, "Method not allowed"},
	{upload.ErrTooLarge, http.StatusRequestEntityTooLarge, "The file is too large"},
	{repo.ErrFull, http.StatusInsufficientStorage, full},
	{syscall.ENOSPC, http.StatusInsufficientStorage, full},
	{syscall.EDQUOT, http.StatusInsufficientStorage, full},
	{repo.ErrStorage, http.StatusServiceUnavailable, "The storage is temporarily unavailable, try again"},
	{repo.ErrDatabase, http.StatusServiceUnavailable, "The database is temporarily unavailable, try again"},
	{repo.ErrUnavailable, http.StatusServiceUnavailable, passing},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, passing},
	{syscall.EMFILE, http.StatusServiceUnavailable, passing},
	{syscall.ENFILE, http.StatusServiceUnavailable, passing},
}

const (
	passing = "Temporarily unavailable, try again"
	full    = "The server has no space left on a disk: nothing was stored, tell whoever runs it"
)

// retryAfter is how many seconds clients are asked to wait after a failure that
// passes: a database that restarts is back by then.
const retryAfter = "5"

// fail answers with an error, and logs it if it is ours.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		// The client is gone. One that has only stopped sending would read 200 if
		// nothing was answered, so its connection is closed.
		panic(http.ErrAbortHandler)
	}
	var invalid *repo.InvalidError
	if errors.As(err, &invalid) {
		refuse(w, r, err, invalid)
		return
	}
	status, text := http.StatusInternalServerError, "Internal error"
	for _, known := range statuses {
		if errors.Is(err, known.err) {
			status, text = known.status, known.text
			break
		}
	}
	switch status {
	case http.StatusInternalServerError, http.StatusInsufficientStorage:
		s.failed(r, slog.LevelError, status, err)
	case http.StatusServiceUnavailable:
		s.failed(r, slog.LevelWarn, status, err)
		w.Header().Set("Retry-After", retryAfter)
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="packagecloud"`)
	}
	clearEntity(w.Header())
	if isAPI(r) {
		_ = api.WriteJSON(w, status, map[string]string{"error": text})
		return
	}
	tell(w, err, status, text)
}

// failed logs a failure of ours: one that passes by itself is a warning, and
// one that somebody must see to an error.
func (s *Server) failed(r *http.Request, level slog.Level, status int, err error) {
	s.Log.Log(r.Context(), level, "request failed", "method", r.Method, "path", r.URL.Path, "status", status, "error", err)
}

// tell answers a package manager with an error, in its own way if it has one.
func tell(w http.ResponseWriter, err error, status int, text string) {
	var r *refusal
	if errors.As(err, &r) {
		if a, ok := r.answer(status, text); ok {
			w.Header().Set("Content-Type", a.ContentType)
			w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)))
			w.WriteHeader(a.Status)
			_, _ = w.Write(a.Body) // the client went away
			return
		}
	}
	_ = writeText(w, status, text+"\n")
}

// refuse answers with what is wrong with a request. The reasons name what it held;
// people copy them into bug reports, so there are no secrets in them.
func refuse(w http.ResponseWriter, r *http.Request, err error, invalid *repo.InvalidError) {
	clearEntity(w.Header())
	if isAPI(r) {
		fields := make(map[string][]string, len(invalid.Fields))
		for name, messages := range invalid.Fields {
			for _, m := range messages {
				fields[redact.Text(name)] = append(fields[redact.Text(name)], redact.Text(m))
			}
		}
		_ = api.WriteJSON(w, http.StatusUnprocessableEntity, fields)
		return
	}
	tell(w, err, http.StatusUnprocessableEntity, redact.Text(invalid.Error()))
}

// clearEntity drops what was said of an answer that is not sent.
func clearEntity(h http.Header) {
	for _, name := range []string{"Etag", "Last-Modified", "Content-Disposition", "Content-Length", "Content-Encoding", "Accept-Ranges"} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
}

func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }

func writeText(w http.ResponseWriter, status int, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // the client went away
	return nil
}
