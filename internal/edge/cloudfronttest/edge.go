// Package cloudfronttest stands in for CloudFront and S3 in tests. Nothing else
// runs Lambda@Edge in the path of requests outside of AWS, and the servers that
// stand in for S3 forgive what AWS does not.
//
// An [Edge] serves by a [Configuration]: the distributions that provisioning
// made, in the types of AWS's SDK, with all that they refer to. It does what the
// CloudFront Developer Guide documents, in its order:
//
//	viewer protocol policy, methods, limits     behavior.go
//	viewer-request function, on every request   event.go, result.go, edgefunction.go
//	cache key, cache, ranges, conditions        key.go, ttl.go, cache.go, serve.go
//	origin-request function, on a cache miss    event.go
//	request to the bucket as the OAI or OAC     origin.go, policy.go
//
// Where the guide leaves a choice, it takes the one that is worse for us. What a
// configuration asks for and it does not know is answered with 500 and noted in
// the log as a fault, so that no test passes by an omission.
//
// An [S3] stands before an S3 server and refuses what AWS would.
package cloudfronttest

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// Configuration is what an edge serves by. It is a snapshot: an edge goes on by
// the one it has until it is given another, as the edges of CloudFront do while
// a distribution is in progress.
type Configuration struct {
	Distributions          []Distribution
	CachePolicies          map[string]*types.CachePolicyConfig         // by id; the managed ones are known
	OriginAccessControls   map[string]*types.OriginAccessControlConfig // by id
	OriginAccessIdentities map[string]string                           // by id: the S3 canonical user id
	BucketPolicies         map[string]string                           // by bucket: JSON
}

// Distribution is one of them with the names that CloudFront gave it.
type Distribution struct {
	ID, ARN, DomainName string
	Config              *types.DistributionConfig
}

// Functions runs versions of Lambda functions, and CloudFront functions.
type Functions interface {
	// Invoke gives an event to the version of a Lambda function, or to the
	// CloudFront function, with an ARN, and returns what it returned, as JSON. An
	// error is that the function failed.
	Invoke(ctx context.Context, functionARN string, event []byte) ([]byte, error)
}

// Edge is one edge location. It is an http.Handler: requests over TLS are those
// that viewers made by https. The exported fields must not change once it is
// used.
type Edge struct {
	Functions Functions
	Bucket    Bucket
	// Clock tells the time by which the cache lives; nil is time.Now. The
	// functions have a clock of their own.
	Clock func() time.Time
	// Several edges, and an S3, may have the same. Nil is none.
	*Faults
	*Log

	configuration atomic.Pointer[Configuration]
	cache         cache
}

// Configure makes the edge serve by another configuration. What it has cached
// stays.
func (e *Edge) Configure(c *Configuration) { e.configuration.Store(c) }

// Invalidate empties the cache.
func (e *Edge) Invalidate() { e.cache.clear() }

func (e *Edge) now() time.Time {
	if e.Clock == nil {
		return time.Now()
	}
	return e.Clock()
}

// refusal is an answer that CloudFront makes itself.
type refusal struct {
	status int
	result Result
	reason string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d: %s", r.status, r.reason) }

// unknown is the refusal of what the stand-in does not know.
func unknown(format string, arguments ...any) error {
	return &refusal{http.StatusInternalServerError, Fault, fmt.Sprintf(format, arguments...)}
}

// exchange is one request and what becomes of it.
type exchange struct {
	edge     *Edge
	r        *http.Request
	config   *Configuration
	dist     *Distribution
	behavior behavior
	request  request // as the function left it
	entry    *Entry
}

// ServeHTTP answers a viewer.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	entry := &Entry{Time: e.now(), Host: r.Host, Method: r.Method, URL: r.RequestURI, Range: r.Header.Get("Range"), Authorization: r.Header.Get("Authorization") != ""}
	body := e.tamper(w, r, entry)
	// Deferred, because a cut leaves by a panic.
	defer func() {
		entry.Status, entry.Bytes = body.status, body.sent
		e.add(*entry)
	}()
	x := &exchange{edge: e, r: r, config: e.configuration.Load(), entry: entry}
	header := body.Header()
	header.Set("Via", "1.1 stand-in.cloudfront.net (CloudFront)")
	header.Set("X-Amz-Cf-Pop", "TST1-C1")
	header.Set("X-Amz-Cf-Id", newID())
	if err := x.answer(body); err != nil {
		x.refuse(body, err)
	}
}

func (x *exchange) answer(w http.ResponseWriter) error {
	if err := x.admit(); err != nil {
		return err
	}
	if x.r.TLS == nil {
		switch x.behavior.ViewerProtocolPolicy {
		case types.ViewerProtocolPolicyRedirectToHttps:
			// The function does not run.
			x.entry.Result = Redirect
			w.Header().Set("Location", "https://"+hostOnly(x.r.Host)+x.r.RequestURI)
			w.Header().Set("X-Cache", "Redirect from cloudfront")
			w.WriteHeader(http.StatusMovedPermanently)
			return nil
		case types.ViewerProtocolPolicyHttpsOnly:
			return &refusal{http.StatusForbidden, Error, "bad request: this distribution is for https only"}
		}
	}
	answered, err := x.viewerRequest(w)
	if answered || err != nil {
		return err
	}
	return x.serve(w)
}

// refuse answers with an error of CloudFront itself.
func (x *exchange) refuse(w http.ResponseWriter, err error) {
	r, ok := err.(*refusal) //nolint:errorlint // never wrapped
	if !ok {
		r = &refusal{http.StatusBadGateway, Error, err.Error()}
	}
	x.entry.Result, x.entry.Reason = r.result, r.reason
	header := w.Header()
	header.Set("Server", "CloudFront")
	header.Set("X-Cache", string(r.result)+" from cloudfront")
	header.Set("Content-Type", "text/html")
	if r.status == http.StatusRequestEntityTooLarge {
		header.Set("Connection", "close")
	}
	w.WriteHeader(r.status)
	_, _ = fmt.Fprintf(w, "<HTML><BODY><H1>%d ERROR</H1><H2>The request could not be satisfied.</H2>\n%s\n</BODY></HTML>\n", r.status, htmlEscape(r.reason))
}
