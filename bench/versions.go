package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	"packagecloud/internal/serve"
)

const (
	// manyVersions are those that one name has.
	manyVersions = 5000
	// asked is how often the document of the name is fetched.
	asked = 200
)

// benchVersions measures one more version of a name that has very many, and
// what it takes to send the document that lists them.
func benchVersions(ctx context.Context) ([]row, error) {
	n, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer n.forget()
	u, r, _, err := owner(ctx, n.Node, "acme")
	if err != nil {
		return nil, err
	}
	say("npm: recording %s versions of one name", thousands(manyVersions))
	if err := fill(ctx, n.Node, npmKind, u, r, again, again+manyVersions); err != nil {
		return nil, err
	}
	var c clock
	n.Worker.Now = c.now
	var costs []time.Duration
	for i := range rounds + 1 {
		c.ahead += time.Minute
		m := measure()
		if worked, err := n.Worker.Step(ctx); err != nil || !worked {
			return nil, errors.Join(err, errors.New("there was nothing to publish"))
		}
		_, cpu, _ := m.used()
		if i > 0 { // the first one renders them all
			costs = append(costs, cpu)
		}
		if err := fill(ctx, n.Node, npmKind, u, r, again+manyVersions+i, again+manyVersions+i+1); err != nil {
			return nil, err
		}
	}
	slices.Sort(costs)
	cpu, size, err := fetchVersions(ctx, serve.Handler(n.Node))
	if err != nil {
		return nil, err
	}
	return []row{
		{fmt.Sprintf("publish one npm version more of a name that has %s", thousands(manyVersions)), milliseconds(costs[rounds/2]) + " CPU, both packuments", "target 50 ms"},
		{"send the full packument of that name", fmt.Sprintf("%s CPU, %s of gzip", milliseconds(cpu), mebibytes(size)), "from its stored form"},
	}, nil
}

// fetchVersions fetches the full packument many times.
func fetchVersions(ctx context.Context, h http.Handler) (cpu time.Duration, size int64, err error) {
	m := measure()
	for range asked {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/acme/demo/npm/"+word(0)+"-0", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK || w.Header().Get("Content-Encoding") != "gzip" {
			return 0, 0, fmt.Errorf("the packument is answered by %d: %s", w.Code, w.Body)
		}
		size = int64(w.Body.Len())
	}
	_, cpu, _ = m.used()
	return cpu / asked, size, nil
}
