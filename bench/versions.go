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

// versioned is a kind whose names have documents of their own, which list all
// their versions.
type versioned struct {
	kind
	all    string // the documents
	one    string // that which is fetched
	path   string // where it is
	accept string
}

// benchVersions measures one more version of a name that has very many, and
// what it takes to send the document that lists them.
func benchVersions(ctx context.Context) (rows []row, err error) {
	for _, v := range []versioned{
		{pyKind, "both pages", "JSON page", "/acme/demo/pypi/simple/" + word(0) + "-0/", "application/vnd.pypi.simple.v1+json"},
		{npmKind, "both packuments", "full packument", "/acme/demo/npm/" + word(0) + "-0", "*/*"},
	} {
		if !chosen(v.kind) {
			continue
		}
		more, err := v.measure(ctx)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

func (v versioned) measure(ctx context.Context) ([]row, error) {
	n, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer n.forget()
	cost, err := publishVersion(ctx, n, v.kind)
	if err != nil {
		return nil, err
	}
	cpu, size, err := v.fetch(ctx, serve.Handler(n.Node))
	if err != nil {
		return nil, err
	}
	return []row{
		{fmt.Sprintf("publish one %s version more of a name that has %s", v.name, thousands(manyVersions)), milliseconds(cost) + " CPU, " + v.all, "target 50 ms"},
		{fmt.Sprintf("send the %s of that name", v.one), fmt.Sprintf("%s CPU, %s of gzip", milliseconds(cpu), mebibytes(size)), "from its stored form"},
	}, nil
}

// publishVersion is the CPU time that one version more takes.
func publishVersion(ctx context.Context, n *benchNode, k kind) (time.Duration, error) {
	u, r, _, err := owner(ctx, n.Node, "acme")
	if err != nil {
		return 0, err
	}
	say("%s: recording %s versions of one name", k.name, thousands(manyVersions))
	if err := fill(ctx, n.Node, k, u, r, again, again+manyVersions); err != nil {
		return 0, err
	}
	var c clock
	n.Worker.Now = c.now
	var costs []time.Duration
	for i := range rounds + 1 {
		c.ahead += time.Minute
		m := measure()
		if worked, err := n.Worker.Step(ctx); err != nil || !worked {
			return 0, errors.Join(err, errors.New("there was nothing to publish"))
		}
		_, cpu, _ := m.used()
		if i > 0 { // the first one renders them all
			costs = append(costs, cpu)
		}
		if err := fill(ctx, n.Node, k, u, r, again+manyVersions+i, again+manyVersions+i+1); err != nil {
			return 0, err
		}
	}
	slices.Sort(costs)
	return costs[rounds/2], nil
}

// fetch fetches the document many times.
func (v versioned) fetch(ctx context.Context, h http.Handler) (cpu time.Duration, size int64, err error) {
	m := measure()
	for range asked {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, v.path, nil)
		r.Header.Set("Accept", v.accept)
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK || w.Header().Get("Content-Encoding") != "gzip" {
			return 0, 0, fmt.Errorf("%s is answered by %d in %q: %.500s", v.path, w.Code, w.Header().Get("Content-Encoding"), w.Body)
		}
		size = int64(w.Body.Len())
	}
	_, cpu, _ = m.used()
	return cpu / asked, size, nil
}
