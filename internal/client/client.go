// Package client speaks the REST API of a packagecloud server: one method a
// request, typed errors, and retries.
//
// A connection that breaks, and some failures of a server, do not tell whether it
// did what it was asked. Every request is sent again then, and each write knows by
// what to recognise the effect of an earlier attempt: it is done if the server has
// exactly what was asked for.
//
// The token goes into the Authorization header alone, never into a URL, so no
// error can show it. Nothing bounds how long an upload takes, but one that
// brings nothing for a while is given up.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"packagecloud/internal/repo"
)

const (
	// stallTime is how long a transfer may bring nothing.
	stallTime = time.Minute
	// answerTime is how long a server may take over an upload that it has: it
	// hashes and reads gigabytes, and is asked to wait five minutes for the
	// indexes.
	answerTime = 6 * time.Minute
	// maxAnswer bounds an answer, in bytes. The longest ones are lists of 250
	// packages.
	maxAnswer = 32 << 20
	// maxRedirects bounds how often a GET is sent on.
	maxRedirects = 5
)

// Client asks one server for one user. Its fields must not change once it is
// used; many goroutines may use it then.
type Client struct {
	// URL is the server. Its path is put before the paths of the API.
	URL *url.URL
	// Token is the API token.
	Token string
	// HTTP makes the requests; nil means a client with no time limits of its
	// own. Whatever it says of redirects, writes follow none.
	HTTP *http.Client
	// UserAgent names the program.
	UserAgent string
	// Stall is how long a transfer may bring nothing; 0 means a minute.
	Stall time.Duration
	// Log is told of each request, at level debug; nil means nobody is.
	Log *slog.Logger

	pause func(context.Context, time.Duration) error // nil means to sleep; for tests
}

// transport is shared by all clients, and so are its connections.
var transport = newTransport()

func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 16
	// Without pings a retry would take the dead connection again.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 20 * time.Second, PingTimeout: 20 * time.Second}
	return t
}

// ParseURL reads the URL of a server as a user writes it.
func ParseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil: // its text would show a password
		return nil, errors.New("the URL of the server cannot be read")
	case u.User != nil:
		return nil, errors.New("the URL of the server holds a user or token: leave it out, the token is given apart")
	case (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return nil, fmt.Errorf("%q is no URL of a server: write it as https://packages.example.com", s)
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%q is no URL of a server: it ends after the path", s)
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	return u, nil
}

// request is one request, which may be sent several times.
type request struct {
	method      string
	path        string // with its query
	kind        string // Content-Type
	size        int64  // of the body, in bytes
	body        func() (io.ReadCloser, error)
	user, pass  string // instead of the token
	progress    func(sent int64)
	answerLimit time.Duration // 0: as long as a stall
}

// answer is what a server said.
type answer struct {
	status int
	header http.Header
	body   []byte
	// sent counts the requests that it took.
	sent int
}

// get asks for a path and decodes the JSON answer.
func (c *Client) get(ctx context.Context, path string, into any) (*answer, error) {
	a, err := c.do(ctx, &request{method: http.MethodGet, path: path})
	if err != nil {
		return nil, err
	}
	return a, a.decode(into)
}

// form sends fields, and decodes the answer. repeated is true if a refusal may be
// about what an earlier attempt did, whose answer was lost.
func (c *Client) form(ctx context.Context, path string, fields url.Values, into any) (repeated bool, err error) {
	text := fields.Encode()
	a, err := c.do(ctx, &request{
		method: http.MethodPost, path: path, kind: "application/x-www-form-urlencoded", size: int64(len(text)),
		body: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
	})
	if err != nil {
		return a.repeated(), err
	}
	return false, a.decode(into)
}

// delete removes what is at a path. What an earlier attempt has removed, whose
// answer was lost, is not found any more.
func (c *Client) delete(ctx context.Context, path string) error {
	a, err := c.do(ctx, &request{method: http.MethodDelete, path: path})
	if errors.Is(err, repo.ErrNotFound) && a.repeated() {
		return nil
	}
	return err
}

// repeated reports whether an answer is that to a later attempt. Nobody knows then
// what the earlier ones did.
func (a *answer) repeated() bool { return a != nil && a.sent > 1 }

func (a *answer) decode(into any) error {
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}

// more reports whether a list has another page.
func (a *answer) more() bool {
	for _, link := range strings.Split(a.header.Get("Link"), ",") {
		if strings.Contains(link, `rel="next"`) {
			return true
		}
	}
	return false
}

// resolve makes the URL of a path. Paths come from the server's answers too:
// none may lead the token to another host.
func (c *Client) resolve(path string) (*url.URL, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("the server names %q, which is no path", shown(path))
	}
	u, err := url.Parse(c.URL.String() + path)
	if err != nil || u.Host != c.URL.Host || u.User != nil {
		return nil, fmt.Errorf("the server names %q, which is no path", shown(path))
	}
	return u, nil
}

// once sends a request and reads the whole answer.
func (c *Client) once(ctx context.Context, rq *request) (*answer, error) {
	u, err := c.resolve(rq.path)
	if err != nil {
		return nil, err
	}
	ctx, watch := newWatchdog(ctx, c.stall())
	defer watch.stop()
	var sent *sending
	var body io.Reader
	if rq.body != nil {
		opened, err := rq.body()
		if err != nil {
			return nil, &localError{err}
		}
		sent = &sending{body: opened, watch: watch, left: rq.size, answerLimit: max(rq.answerLimit, c.stall()), progress: rq.progress}
		defer func() { _ = sent.Close() }() // it was only read
		body = sent
	}
	r, err := http.NewRequestWithContext(ctx, rq.method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	r.ContentLength = rq.size
	c.setHeader(r, rq)
	begun := time.Now()
	a, err := c.exchange(r, watch)
	// The reason why the body ended tells more than that it did.
	if sent != nil {
		if failed := sent.failure(); failed != nil {
			return nil, &localError{failed}
		}
	}
	if err != nil && context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	c.log(r, a, err, time.Since(begun))
	return a, err
}

func (c *Client) setHeader(r *http.Request, rq *request) {
	user, pass := c.Token, ""
	if rq.user != "" {
		user, pass = rq.user, rq.pass
	}
	if user != "" {
		r.SetBasicAuth(user, pass)
	}
	r.Header.Set("Accept", "application/json")
	if c.UserAgent != "" {
		r.Header.Set("User-Agent", c.UserAgent)
	}
	if rq.kind != "" {
		r.Header.Set("Content-Type", rq.kind)
	}
	// A server that refuses need not be sent gigabytes first.
	if rq.size >= 1<<20 {
		r.Header.Set("Expect", "100-continue")
	}
}

func (c *Client) exchange(r *http.Request, watch *watchdog) (*answer, error) {
	h := http.Client{Transport: transport}
	if c.HTTP != nil {
		h = *c.HTTP
	}
	h.CheckRedirect = sendOn
	response, err := h.Do(r)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer response.Body.Close()
	watch.moved()
	body, err := io.ReadAll(io.LimitReader(&receiving{response.Body, watch}, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, &localError{fmt.Errorf("the answer is longer than %d bytes", maxAnswer)}
	}
	return &answer{status: response.StatusCode, header: response.Header, body: body}, nil
}

// sendOn follows a redirect of a GET on the same server, and from http to
// https. Elsewhere the token must not go.
func sendOn(next *http.Request, via []*http.Request) error {
	first := via[0]
	same := next.URL.Host == first.URL.Host && next.URL.Scheme == first.URL.Scheme
	safer := next.URL.Hostname() == first.URL.Hostname() && next.URL.Scheme == "https"
	if (first.Method == http.MethodGet || first.Method == http.MethodHead) && len(via) <= maxRedirects && (same || safer) {
		return nil
	}
	return http.ErrUseLastResponse
}

func (c *Client) stall() time.Duration {
	if c.Stall > 0 {
		return c.Stall
	}
	return stallTime
}

func (c *Client) log(r *http.Request, a *answer, err error, took time.Duration) {
	if c.Log == nil {
		return
	}
	attributes := []any{"method", r.Method, "url", r.URL.String(), "took", took.Round(time.Millisecond)}
	if a != nil {
		attributes = append(attributes, "status", a.status, "bytes", len(a.body))
	}
	if err != nil {
		attributes = append(attributes, "error", err)
	}
	c.Log.DebugContext(r.Context(), "request", attributes...)
}

// withoutURL takes the URL off an error of net/http: an install script's holds
// a token.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
