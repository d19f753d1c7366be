package doctor

import (
	"net/http"
	"testing"
)

// TestBehindTheCache: with an origin request policy that hands the query on, a
// function behind the cache refuses forged links until the package is cached.
// The stand-in knows no such policies.
func TestBehindTheCache(t *testing.T) {
	from := func(status int, cache, body string) *answer {
		return &answer{status: status, header: http.Header{"X-Cache": {cache + " from cloudfront"}, "X-Amz-Cf-Id": {"1"}}, body: []byte(body)}
	}
	e := &evidence{
		probe: newProbe(), forged: from(403, "LambdaGeneratedResponse", "This link was not made by the package server.\n"),
		expired: from(403, "LambdaGeneratedResponse", "This link has expired. Ask the package server for a new one.\n"),
	}
	e.signed = from(200, "Miss", string(e.probe.body))
	e.forgedCached = from(200, "Hit", string(e.probe.body))
	faults := e.diagnose()
	if len(faults) != 1 || faults[0].Name != FunctionEvent {
		t.Errorf("found %v", faults)
	}
}
