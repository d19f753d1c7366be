package client

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/client/clienttest"
	"packagecloud/internal/repo"
)

func TestRetry(t *testing.T) {
	const posts, gets = http.MethodPost, http.MethodGet
	tests := []struct {
		name   string
		fault  clienttest.Fault
		do     func(context.Context, *Client, *Repository) error
		ok     bool
		asked  int
		waited time.Duration // at least, in all
	}{
		{"GET after 503", clienttest.Fault{Method: gets, Status: 503, Times: 2}, list, true, 3, 0},
		{"GET after 429 with Retry-After", clienttest.Fault{Method: gets, Status: 429, Header: http.Header{"Retry-After": {"7"}}}, list, true, 2, 7 * time.Second},
		{"GET after a cut connection", clienttest.Fault{Method: gets, Times: 2}, list, true, 3, 0},
		{"GET in vain", clienttest.Fault{Method: gets, Status: 502, Times: 100}, list, false, maxAttempts, 5 * time.Second},
		{"GET that is asked to wait too long", clienttest.Fault{Method: gets, Status: 503, Header: http.Header{"Retry-After": {"86400"}}}, list, false, 1, 0},
		{"GET after 500", clienttest.Fault{Method: gets, Status: 500}, list, false, 1, 0},
		{"push after 504", clienttest.Fault{Method: posts, Status: 504}, push, true, 2, 0},
		{"push after a cut connection", clienttest.Fault{Method: posts}, push, true, 2, 0},
		{"create after 503", clienttest.Fault{Method: posts, Status: 503}, create, true, 2, 0},
		{"create after 504", clienttest.Fault{Method: posts, Status: 504}, create, true, 2, 0},
		{"create in vain on a full disk", clienttest.Fault{Method: posts, Status: 507}, create, false, 1, 0},
		{"create after a cut connection", clienttest.Fault{Method: posts}, create, true, 2, 0},
		{"delete after a cut connection", clienttest.Fault{Method: http.MethodDelete}, remove, true, 2, 0}, // whoever removed it
		{"delete whose answer is lost", clienttest.Fault{Method: http.MethodDelete, Late: true}, removePushed, true, 3, 0},
		{"delete after 503", clienttest.Fault{Method: http.MethodDelete, Status: 503}, removePushed, true, 3, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := clienttest.New(t, "")
			c := open(t, s.URL)
			r := tools(t, c, s)
			var waited time.Duration
			c.pause = func(ctx context.Context, d time.Duration) error { waited += d; return ctx.Err() }
			s.Fail(test.fault)
			err := test.do(t.Context(), c, r)
			if (err == nil) != test.ok {
				t.Errorf("got %v", err)
			}
			if n := len(s.Requests()); n != test.asked {
				t.Errorf("asked %d times, want %d", n, test.asked)
			}
			if waited < test.waited*4/10 { // half of it may be jitter
				t.Errorf("waited %s, want about %s", waited, test.waited)
			}
		})
	}
}

func list(ctx context.Context, c *Client, _ *Repository) error {
	_, err := c.Distributions(ctx)
	return err
}

func create(ctx context.Context, c *Client, _ *Repository) error {
	_, err := c.CreateRepository(ctx, "new", false)
	return err
}

func remove(ctx context.Context, c *Client, r *Repository) error {
	return c.Delete(ctx, r, Place{Distro: "ubuntu/jammy", Filename: "a.deb"})
}

// removePushed removes a package that is there.
func removePushed(ctx context.Context, c *Client, r *Repository) error {
	return errors.Join(push(ctx, c, r), remove(ctx, c, r))
}

func push(ctx context.Context, c *Client, r *Repository) error {
	f, err := os.CreateTemp("", "a_*.deb")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString("bytes")
	_, pushErr := c.Push(ctx, r, Push{Path: f.Name(), DistroID: 237, Distro: "ubuntu/jammy"})
	return errors.Join(err, f.Close(), pushErr)
}

// After a broken connection, "already taken" is a success only for the same
// bytes in the same place; the first time it is never one.
func TestTakenAfterRetry(t *testing.T) {
	const place = "acme/tools/ubuntu/jammy/a.deb"
	cut := clienttest.Fault{Method: http.MethodPost}
	late := clienttest.Fault{Method: http.MethodPost, Late: true}
	tests := []struct {
		name   string
		stored string // before, "" for nothing
		faults []clienttest.Fault
		want   string // "" for success
	}{
		{"recorded before the cut", "", []clienttest.Fault{late}, ""},
		{"recorded before a 504", "", []clienttest.Fault{{Method: http.MethodPost, Status: 504, Late: true}}, ""},
		{"the same bytes, without a failure", "bytes", nil, "filename: has already been taken"},
		{"other bytes, without a failure", "other", nil, "filename: has already been taken"},
		{"other bytes, after a cut", "other", []clienttest.Fault{cut}, "filename: has already been taken, by a package with other bytes"},
		{"the search fails", "", []clienttest.Fault{late, {Suffix: "/search.json", Status: 500}}, "filename: has already been taken, and whether by this upload cannot be found out: the server answered 500"},
		{"the search finds nothing", "", []clienttest.Fault{late, {Suffix: "/search.json", Status: 200, Body: "[]", Times: 2}}, "the server tells no SHA-256"},
		{"the search tells no digest", "", []clienttest.Fault{late, {Suffix: "/search.json", Status: 200, Body: `[{"filename":"a.deb","distro_version":"ubuntu/jammy","sha256sum":null}]`, Times: 2}}, "the server tells no SHA-256"},
		{"the search tells of another place", "", []clienttest.Fault{late, {Suffix: "/search.json", Status: 200, Body: `[{"filename":"a.deb","distro_version":"debian/trixie"}]`, Times: 2}}, "the server tells no SHA-256"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := clienttest.New(t, "")
			c := open(t, s.URL)
			r := tools(t, c, s)
			if test.stored != "" {
				s.Store(place, []byte(test.stored))
			}
			for _, f := range test.faults {
				s.Fail(f)
			}
			p, err := c.Push(t.Context(), r, Push{Path: write(t, "a.deb", "bytes"), DistroID: 237, Distro: "ubuntu/jammy"})
			if test.want == "" {
				if err != nil || p.Filename != "a.deb" || p.Distro != "ubuntu/jammy" {
					t.Errorf("got %v, %v", p, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !repo.IsTaken(err) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// A failure on this side is not tried again, and is told as what it is.
func TestLocalFailures(t *testing.T) {
	s := clienttest.New(t, "")
	c := open(t, s.URL)
	r := tools(t, c, s)
	path := write(t, "a.deb", "bytes")
	shrink := func(_, _ int64) {
		if err := os.Truncate(path, 2); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.Push(t.Context(), r, Push{Path: path, Progress: shrink}); err == nil || !strings.Contains(err.Error(), "became shorter") {
		t.Errorf("got %v", err)
	}
	if n := len(s.Requests()); n > 1 {
		t.Errorf("asked %d times", n)
	}
	for _, p := range []string{t.TempDir(), "/nonexistent/a.deb"} {
		if _, err := c.Push(t.Context(), r, Push{Path: p}); err == nil {
			t.Errorf("%s was pushed", p)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Push(ctx, r, Push{Path: write(t, "b.deb", "b")}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The announced length is exact, and progress ends with it.
func TestProgress(t *testing.T) {
	s := clienttest.New(t, "")
	c := open(t, s.URL)
	r := tools(t, c, s)
	var last, size int64
	p := Push{Path: write(t, "a.deb", strings.Repeat("x", 3<<20)), DistroID: 237, Sources: []string{write(t, "b", "b")}, Progress: func(sent, all int64) { last, size = sent, all }}
	if _, err := c.Push(t.Context(), r, p); err != nil {
		t.Fatal(err)
	}
	if last != size || size < 3<<20 || size > 3<<20+2000 {
		t.Errorf("%d of %d", last, size)
	}
}

// A server that does not wait itself is asked until the package is installable.
func TestWait(t *testing.T) {
	s := clienttest.New(t, "")
	c := open(t, s.URL)
	r := tools(t, c, s)
	s.IndexAfter(3)
	p, err := c.Push(t.Context(), r, Push{Path: write(t, "a.deb", "a"), DistroID: 237, Wait: true})
	if err != nil || !p.Indexed {
		t.Errorf("got %v, %v", p, err)
	}
	if n := len(s.Requests()); n != 4 {
		t.Errorf("asked %d times", n)
	}
	s.IndexAfter(1 << 30)
	if _, err := c.Push(t.Context(), r, Push{Path: write(t, "b.deb", "b"), DistroID: 237, Wait: true}); !errors.Is(err, ErrNotIndexed) {
		t.Errorf("got %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "-3": 0, "soon": 0, "Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "99999999999999999999": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: %s", value, got)
		}
	}
}
