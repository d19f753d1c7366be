package download

import (
	"net"
	"net/http"
	"time"

	"github.com/maypok86/otter/v2"

	"packagecloud/internal/auth"
)

// pairLife is how long after a file its pair is fetched at the latest.
const pairLife = 2 * time.Minute

// pairs remembers of which generation a client got a file whose detached
// signature it will fetch next: dnf and zypper read repomd.xml, then
// repomd.xml.asc. If a new generation goes live in between, the signature must
// still be that of the file they have.
//
// A client is known by its connection, and where it opens another one by its
// address and token. Nodes do not tell each other: a balancer before several
// of them should keep a client on one node.
type pairs struct {
	generations *otter.Cache[pairKey, int64]
}

type pairKey struct {
	client  string
	scopeID int64
	path    string
}

func newPairs() pairs {
	return pairs{otter.Must(&otter.Options[pairKey, int64]{
		MaximumSize:      100_000,
		ExpiryCalculator: otter.ExpiryWriting[pairKey, int64](pairLife),
		Logger:           &otter.NoopLogger{},
	})}
}

// clients are the names of the client of a request, the surest first.
func clients(r *http.Request) [2]string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	token, _ := auth.Token(r)
	if token != "" {
		token = auth.Hash(token)
	}
	return [2]string{"connection " + r.RemoteAddr + " " + token, "client " + host + " " + token}
}

// saw notes that a client gets a file of a generation, under any of the paths
// that may answer its request.
func (p pairs) saw(r *http.Request, scopeID int64, paths []string, generation int64) {
	for _, c := range clients(r) {
		for _, path := range paths {
			p.generations.Set(pairKey{c, scopeID, path}, generation)
		}
	}
}

// seen is the generation of which a client got a file last.
func (p pairs) seen(r *http.Request, scopeID int64, path string) (int64, bool) {
	for _, c := range clients(r) {
		if g, ok := p.generations.GetIfPresent(pairKey{c, scopeID, path}); ok {
			return g, true
		}
	}
	return 0, false
}
