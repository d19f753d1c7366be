package download

import (
	"context"
	"net"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"packagecloud/internal/auth"
	"packagecloud/internal/format"
)

// pairLife is how long after a file its pair is fetched at the latest, and
// pairPatience how long that takes, with a new connection, a slow machine and a
// slow network. pairVain is how many times in a row others wait so long for
// clients that fetch no pairs (repo_gpgcheck=0).
const (
	pairLife     = 2 * time.Minute
	pairPatience = 2 * time.Second
	pairVain     = 3
)

// connectionFiles is how many files with a pair are remembered of a connection.
const connectionFiles = 64

// pairs remembers of which generation a client got a file whose detached
// signature it will fetch next: dnf and zypper read repomd.xml, then
// repomd.xml.asc. If a new generation goes live in between, the signature must
// still be that of the file they have.
//
// A client is known by its connection, and as dnf opens another one, by its
// address and token. Many machines may be one client then. So a newer
// generation is given to a client only when it has fetched the pairs of what it
// got of the older one, or when pairPatience has passed.
//
// What is remembered of a client is forgotten pairLife after it asked last. It is a
// choice between generations that are both whole, so an old one misleads nobody.
//
// Nodes do not tell each other: a balancer before several of them should keep a
// client on one node.
type pairs struct {
	clients *otter.Cache[pairKey, *pairClient]
}

// pairKey is a file that has a pair, as a client asks for it.
type pairKey struct {
	address, token string
	scopeID        int64
	path           string
}

// pairClient is what one client has of one file.
type pairClient struct {
	mu         sync.Mutex
	generation int64
	open       int // times that it was given and its pair was not fetched yet
	given      time.Time
	vain       int           // times that others waited and no pair was fetched
	fetched    chan struct{} // closed when open becomes 0
}

func newPairs() pairs {
	return pairs{otter.Must(&otter.Options[pairKey, *pairClient]{
		MaximumSize:      100_000,
		ExpiryCalculator: otter.ExpiryAccessing[pairKey, *pairClient](pairLife),
		Logger:           &otter.NoopLogger{},
	})}
}

// keyOfPair names the file at a path, or the one that a pair must match, as the
// client of a request asks for it: another path may have answered the request
// for one than answers that for the other.
func keyOfPair(r *http.Request, scopeID int64, req format.Request, name string) pairKey {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	token, _ := auth.Token(r)
	if token != "" {
		token = auth.Hash(token)
	}
	return pairKey{host, token, scopeID, path.Join(path.Dir(req.Paths[0]), path.Base(name))}
}

// connection is what was given over one connection: generations of files.
type connection struct {
	mu    sync.Mutex
	given map[pairKey]int64
}

type connectionKey struct{}

// ConnContext lets requests over one connection be known as such. It belongs
// into the http.Server whose handler this package is part of.
func ConnContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, new(connection))
}

// connectionOf is the connection of a request, or nil where it says nothing:
// many machines share those of a proxy.
func connectionOf(r *http.Request) *connection {
	if r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "" || r.Header.Get("Via") != "" {
		return nil
	}
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	return c
}

func (c *connection) give(key pairKey, generation int64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.given == nil || len(c.given) >= connectionFiles {
		c.given = make(map[pairKey]int64)
	}
	c.given[key] = generation
}

func (c *connection) generation(key pairKey) int64 {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.given[key]
}

// give notes that a client gets a file of a generation. It is false where the
// client got a newer one already.
func (p pairs) give(r *http.Request, key pairKey, generation int64) bool {
	c, _ := p.clients.ComputeIfAbsent(key, func() (*pairClient, bool) {
		return &pairClient{fetched: make(chan struct{})}, false
	})
	if !c.give(r.Context(), generation) {
		return false
	}
	connectionOf(r).give(key, generation)
	return true
}

func (c *pairClient) give(ctx context.Context, generation int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.open > 0 && c.generation < generation && c.vain < pairVain && ctx.Err() == nil {
		left := pairPatience - time.Since(c.given)
		if left <= 0 {
			break
		}
		c.wait(ctx, left)
	}
	if ctx.Err() != nil {
		return true // nobody reads the answer
	}
	if c.generation > generation {
		return false
	}
	if c.generation < generation {
		if c.open > 0 {
			c.vain++
		}
		c.generation, c.open = generation, 0
	}
	c.open++
	c.given = time.Now()
	return true
}

// wait lets others use c until the pairs are fetched, for some time at most.
func (c *pairClient) wait(ctx context.Context, limit time.Duration) {
	fetched := c.fetched
	c.mu.Unlock()
	defer c.mu.Lock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-fetched:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// fetch is the generation of the pair that a client needs, or 0 if it does not
// matter.
func (p pairs) fetch(r *http.Request, key pairKey) int64 {
	generation := connectionOf(r).generation(key)
	c, ok := p.clients.GetIfPresent(key)
	if !ok {
		return generation
	}
	newest := c.fetch(generation)
	if generation == 0 {
		return newest
	}
	return generation
}

// fetch notes that the pair of what a client got of a generation was fetched, or
// if that is 0, of what it got last, and returns the latter's.
func (c *pairClient) fetch(generation int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.vain = 0
	if c.open > 0 && (generation == 0 || generation == c.generation) {
		if c.open--; c.open == 0 {
			close(c.fetched)
			c.fetched = make(chan struct{})
		}
	}
	return c.generation
}
