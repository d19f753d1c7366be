package server

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"

	"packagecloud/internal/pace"
	"packagecloud/internal/redact"
	"packagecloud/internal/repo"
)

// outcomes are ways for a handler to end. Each tells all that it knows of the
// request, as no handler of ours does on purpose.
var outcomes = map[string]func(w http.ResponseWriter, told string) error{
	"200": func(w http.ResponseWriter, _ string) error { return writeText(w, http.StatusOK, "fine\n") },
	"401": func(_ http.ResponseWriter, told string) error {
		return fmt.Errorf("%s: %w", told, repo.ErrUnauthenticated)
	},
	"404":               func(_ http.ResponseWriter, told string) error { return fmt.Errorf("%s: %w", told, repo.ErrNotFound) },
	"422":               func(_ http.ResponseWriter, told string) error { return repo.Invalid("field "+told, "reason "+told) },
	"500":               func(_ http.ResponseWriter, told string) error { return fmt.Errorf("a failure: %s", told) },
	"503":               func(_ http.ResponseWriter, told string) error { return fmt.Errorf("%s: %w", told, repo.ErrUnavailable) },
	"507":               func(_ http.ResponseWriter, told string) error { return fmt.Errorf("%s: %w", told, repo.ErrFull) },
	"panic":             func(_ http.ResponseWriter, told string) error { panic(told) },
	"panic in the body": func(w http.ResponseWriter, told string) error { _ = writeText(w, 200, "half"); panic(told) },
}

// telling ends a request as its path says.
type telling struct{}

func (telling) Serve(w http.ResponseWriter, r *http.Request) error {
	dump, err := httputil.DumpRequest(r, true)
	if err != nil {
		return err
	}
	user, password, _ := r.BasicAuth()
	_, rest, _ := strings.Cut(r.URL.Path, "/api/")
	outcome, _, _ := strings.Cut(rest, "/")
	return outcomes[outcome](w, fmt.Sprintf("%s\nuser %s, url %s\n%+v", dump, user, r.URL, http.Header{"Password": {"password=" + password}}))
}

// TestSecretsOfFailures has handlers tell every secret of a request in their errors
// and panics. Neither the log, nor that of net/http, nor an answer has them.
func TestSecretsOfFailures(t *testing.T) {
	token := strings.Repeat("0a", repo.TokenLength/2)
	for format, handler := range map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler {
			return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
		},
		"JSON": func(w io.Writer) slog.Handler {
			return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
		},
	} {
		var logged guarded
		log := slog.New(redact.Handler(handler(&logged)))
		s := &Server{API: telling{}, Log: log}
		running := httptest.NewUnstartedServer(nil)
		running.Config = pace.NewServer(s.Handler())
		running.Config.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
		running.Start()
		for outcome := range outcomes {
			for what, r := range requestsWith(t, running.URL+"/api/"+strings.ReplaceAll(outcome, " ", "%20"), token) {
				answer, err := http.DefaultClient.Do(r)
				if err != nil { // cut off in the middle
					continue
				}
				body, _ := io.ReadAll(answer.Body)
				answer.Body.Close()
				if text := fmt.Sprint(answer.Header, string(body)); strings.Contains(text, token) || strings.Contains(text, "hunter2") {
					t.Errorf("%s, secret in %s: answered %s", outcome, what, text)
				}
			}
		}
		running.Close()
		text := logged.String()
		for line := range strings.Lines(text) {
			if strings.Contains(line, token) || strings.Contains(line, "hunter2") || strings.Contains(line, encoded(t, token)) {
				t.Errorf("%s log: %s", format, line)
			}
		}
		if strings.Count(text, "a bug: please report it") != 2*len(requestsWith(t, running.URL, token)) {
			t.Errorf("%s log has not every panic", format)
		}
	}
}

// requestsWith are requests with a token, and the password hunter2, in one place each.
func requestsWith(t *testing.T, url, token string) map[string]*http.Request {
	t.Helper()
	all := make(map[string]*http.Request)
	add := func(what, path, kind, body string, header func(http.Header)) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		if header != nil {
			header(r.Header)
		}
		all[what] = r
	}
	add("Basic", "/", "", "", func(h http.Header) { h.Set("Authorization", encoded(t, token)) })
	add("Bearer", "/", "", "", func(h http.Header) { h.Set("Authorization", "Bearer "+token) })
	add("another header", "/", "", "", func(h http.Header) { h.Set("X-Token", token) })
	add("a cookie", "/", "", "", func(h http.Header) { h.Set("Cookie", "a="+token+"; password=hunter2") })
	add("the agent", "/", "", "", func(h http.Header) { h.Set("User-Agent", token) })
	add("the referrer", "/", "", "", func(h http.Header) { h.Set("Referer", "https://"+token+":hunter2@host/priv/"+token+"/a") })
	add("a path", "/"+token+"/x", "", "", nil)
	add("a query", "/?token="+token+"&password=hunter2&X-Amz-Signature="+token, "", "", nil)
	add("a form", "/", "application/x-www-form-urlencoded", "token="+token+"&user[password]=hunter2&password=hunter2", nil)
	add("JSON", "/", "application/json", `{"token":"`+token+`","password":"hunter2", "secret": "hunter2"}`, nil)
	return all
}

func encoded(t *testing.T, token string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(token, "hunter2")
	return r.Header.Get("Authorization")
}

// guarded is a buffer that many goroutines write to.
type guarded struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.Write(p)
}

func (g *guarded) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.String()
}
