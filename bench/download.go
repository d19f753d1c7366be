package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	"packagecloud/internal/auth"
	"packagecloud/internal/db"
	"packagecloud/internal/edge"
	"packagecloud/internal/serve"
)

const (
	clients  = 8
	duration = 3 * time.Second
)

// links are those of CloudFront.
type links struct{ *edge.Signer }

func (l links) Link(_ context.Context, key string, size int64) (string, error) {
	return l.URL(key, size), nil
}

// benchDownload asks an authenticated server for a package and for an index
// that the client has, and a bare handler for the same answers.
func benchDownload(ctx context.Context) ([]row, error) {
	l, stop, err := serveNode(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	body := makeDeb(0)
	if err := l.push(ctx, http.DefaultClient, int64(len(body)), bytes.NewReader(body)); err != nil {
		return nil, err
	}
	for {
		if waiting, _, err := l.DB.Backlog(ctx); err != nil || waiting == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	var token string
	var path string
	err = l.DB.Update(ctx, func(tx *db.Tx) error {
		r, err := tx.Repository(ctx, "acme", "demo")
		if err != nil {
			return err
		}
		masters, err := tx.MasterTokens(ctx, r.ID)
		if err != nil {
			return err
		}
		rt, _, err := auth.EnsureReadToken(ctx, tx, l.Sealer, masters[0].ID, "bench", time.Now())
		token = rt.Value
		packages, _, perr := tx.Packages(ctx, db.Selection{RepositoryID: r.ID}, db.Page{Number: 1, Size: 1})
		if perr == nil {
			path = packages[0].Files[0].Path
		}
		if err == nil {
			err = perr
		}
		return err
	})
	if err != nil {
		return nil, err
	}

	keys, err := edge.NewKeys(edge.GenerateSecret())
	if err != nil {
		return nil, err
	}
	l.Redirect = links{&edge.Signer{Origin: "https://d111111abcdef8.cloudfront.net", Keys: keys}}
	l.Node.Config.DirectMetadataSize = 1 << 20
	ours := httptest.NewServer(serve.Handler(l.Node))
	defer ours.Close()
	bare := func(status int) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if status == http.StatusFound {
				w.Header().Set("Location", "https://cdn.example.com/packages/x/y.deb?t=1_k1_"+token)
			}
			w.WriteHeader(status)
		}))
	}
	response, err := http.Get(ours.URL + "/acme/demo/ubuntu/dists/jammy/InRelease")
	if err != nil {
		return nil, err
	}
	etag := response.Header.Get("Etag")
	response.Body.Close()

	var rows []row
	for _, c := range []struct {
		what, path, header string
		status             int
	}{
		{"authenticated 302 to a package", "/acme/demo/" + path, "", http.StatusFound},
		{"authenticated 304 of InRelease", "/acme/demo/ubuntu/dists/jammy/InRelease", "If-None-Match: " + etag + "\r\n", http.StatusNotModified},
	} {
		say("download: %s", c.what)
		reference := bare(c.status)
		theirs, err := load(reference.Listener.Addr().String(), c.path, token, c.header, c.status)
		reference.Close()
		if err != nil {
			return nil, err
		}
		mine, err := load(ours.Listener.Addr().String(), c.path, token, c.header, c.status)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{
			c.what, fmt.Sprintf("%.0f a second, p99 %s", mine.rate, milliseconds(mine.p99)),
			fmt.Sprintf("a bare handler: %.0f a second, p99 %s; ratio %.2f (load on the same cores)", theirs.rate, milliseconds(theirs.p99), mine.rate/theirs.rate),
		})
	}
	return rows, nil
}

type result struct {
	rate float64
	p99  time.Duration
}

// load makes one request after the other on some connections, with as little
// of its own as can be.
func load(address, path, token, header string, status int) (result, error) {
	credentials := base64.StdEncoding.EncodeToString([]byte(token + ":"))
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic " + credentials + "\r\n" + header + "\r\n")
	var mu sync.Mutex
	var times []time.Duration
	var failure error
	var all sync.WaitGroup
	end := time.Now().Add(duration)
	for range clients {
		all.Go(func() {
			mine, err := loop(address, request, status, end)
			mu.Lock()
			defer mu.Unlock()
			times = append(times, mine...)
			if err != nil {
				failure = err
			}
		})
	}
	all.Wait()
	if failure != nil {
		return result{}, failure
	}
	slices.Sort(times)
	return result{float64(len(times)) / duration.Seconds(), times[len(times)*99/100]}, nil
}

func loop(address string, request []byte, status int, end time.Time) (times []time.Duration, err error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	// An answer that is another one than expected must not be waited for.
	if err := c.SetDeadline(end.Add(5 * time.Second)); err != nil {
		return nil, err
	}
	answers := bufio.NewReader(c)
	want := fmt.Appendf(nil, "HTTP/1.1 %d ", status)
	for time.Now().Before(end) {
		start := time.Now()
		if _, err := c.Write(request); err != nil {
			return nil, err
		}
		for first := true; ; first = false {
			line, err := answers.ReadSlice('\n')
			if err != nil {
				return nil, err
			}
			if first && !bytes.HasPrefix(line, want) {
				rest, _ := io.ReadAll(io.LimitReader(answers, 500))
				return nil, fmt.Errorf("the answer is %s%s", line, rest)
			}
			if len(line) == 2 {
				break
			}
		}
		times = append(times, time.Since(start))
	}
	return times, nil
}
