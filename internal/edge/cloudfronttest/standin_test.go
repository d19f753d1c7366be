package cloudfronttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

const (
	domain   = "d1.cloudfront.net"
	function = "arn:aws:lambda:us-east-1:111122223333:function:check:1"
	distARN  = "arn:aws:cloudfront::111122223333:distribution/E1"
	forever  = "public, max-age=31536000, immutable"
	never    = "no-cache, no-store, max-age=0, s-maxage=0, stale-if-error=0"
)

// functions runs a Go function in the place of Lambda.
type functions func(event []byte) ([]byte, error)

func (f functions) Invoke(_ context.Context, _ string, event []byte) ([]byte, error) { return f(event) }

// stored is an object of the bucket.
type stored struct {
	body, cacheControl string
}

// bucket is an S3 server in a few lines, of which only the raw path and the
// headers of requests matter here.
type bucket struct {
	mu       sync.Mutex
	objects  map[string]stored // by decoded path
	requests []*http.Request
	down     bool
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = append(b.requests, r)
	o, ok := b.objects[r.URL.Path]
	switch {
	case b.down:
		w.WriteHeader(http.StatusServiceUnavailable)
	case !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AK/"):
		w.WriteHeader(http.StatusForbidden)
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	default:
		sum := sha256.Sum256([]byte(o.body))
		w.Header().Set("Etag", `"`+hex.EncodeToString(sum[:])+`"`)
		w.Header().Set("Content-Type", "application/octet-stream")
		if o.cacheControl != "" {
			w.Header().Set("Cache-Control", o.cacheControl)
		}
		http.ServeContent(w, r, "", time.Unix(1700000000, 0), strings.NewReader(o.body))
	}
}

func (b *bucket) set(path string, o stored) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[path] = o
}

// stand is a stand-in with a bucket behind it and a client before it.
type stand struct {
	*Edge
	bucket *bucket
	client *http.Client
	config *Configuration
	now    time.Time
}

func newStand(t *testing.T, f functions) *stand {
	t.Helper()
	s := &stand{bucket: &bucket{objects: map[string]stored{}}, now: time.Now()}
	origin := httptest.NewServer(s.bucket)
	t.Cleanup(origin.Close)
	s.Edge = &Edge{Functions: f, Bucket: Bucket{Endpoint: origin.URL, AccessKey: "AK", SecretKey: "SK", Region: "us-east-1"}, Clock: func() time.Time { return s.now }, Faults: new(Faults), Log: new(Log)}
	s.config = configuration()
	s.Configure(s.config)
	authority, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(s.Edge)
	server.TLS = authority.TLS()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	plain := httptest.NewServer(s.Edge)
	t.Cleanup(plain.Close)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM)
	s.client = &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig:    &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DisableCompression: true,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				to := server.Listener.Addr()
				if strings.HasSuffix(address, ":80") {
					to = plain.Listener.Addr()
				}
				return new(net.Dialer).DialContext(ctx, network, to.String())
			},
		},
	}
	return s
}

// configuration is as provisioning would write it, with an OAI.
func configuration() *Configuration {
	return &Configuration{
		Distributions: []Distribution{{ID: "E1", ARN: distARN, DomainName: domain, Config: &types.DistributionConfig{
			Enabled: aws.Bool(true),
			Origins: &types.Origins{Items: []types.Origin{{
				Id: aws.String("bucket"), DomainName: aws.String("packages.s3.us-east-1.amazonaws.com"),
				S3OriginConfig: &types.S3OriginConfig{OriginAccessIdentity: aws.String("origin-access-identity/cloudfront/EOAI")},
			}}},
			DefaultCacheBehavior: &types.DefaultCacheBehavior{
				TargetOriginId: aws.String("bucket"), ViewerProtocolPolicy: types.ViewerProtocolPolicyRedirectToHttps, CachePolicyId: aws.String("ours"),
				LambdaFunctionAssociations: &types.LambdaFunctionAssociations{Items: []types.LambdaFunctionAssociation{{EventType: types.EventTypeViewerRequest, LambdaFunctionARN: aws.String(function)}}},
			},
		}}},
		CachePolicies:          map[string]*types.CachePolicyConfig{"ours": managedPolicy(0, 86400, 31536000, false)},
		OriginAccessIdentities: map[string]string{"EOAI": "canonical"},
		OriginAccessControls:   map[string]*types.OriginAccessControlConfig{"EOAC": {SigningBehavior: types.OriginAccessControlSigningBehaviorsAlways}},
		BucketPolicies: map[string]string{"packages": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"CanonicalUser":"canonical"},
			"Action":"s3:GetObject","Resource":"arn:aws:s3:::packages/*"}]}`},
	}
}

// pass lets every request pass, without its query.
func pass(event []byte) ([]byte, error) { return edit(event, map[string]string{"querystring": `""`}) }

// answer is what a client got.
type answer struct {
	*http.Response
	body string
	err  error
}

// ask sends a request; headers are given as "Name: value".
func (s *stand) ask(t *testing.T, method, target string, headers ...string) answer {
	t.Helper()
	if strings.HasPrefix(target, "/") {
		target = "https://" + domain + target
	}
	r, err := http.NewRequest(method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	got, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	return answer{got, string(body), err}
}

// last is the newest entry of the log, once there is one.
func (s *stand) last(t *testing.T) Entry {
	t.Helper()
	for range 1000 {
		if e := s.Entries(); len(e) > 0 {
			return e[len(e)-1]
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("nothing in the log")
	return Entry{}
}

// step is a request and what must become of it.
type step struct {
	method, target string
	headers        []string
	status         int
	result         Result
	body           string // "" for any
	origin         int
}

func (s *stand) run(t *testing.T, steps ...step) {
	t.Helper()
	for i, want := range steps {
		s.Reset()
		method := want.method
		if method == "" {
			method = "GET"
		}
		got := s.ask(t, method, want.target, want.headers...)
		e := s.last(t)
		if got.StatusCode != want.status || e.Result != want.result || e.Origin != want.origin || want.body != "" && got.body != want.body || got.err != nil {
			t.Errorf("step %d: %s %s %q: %d %s, the bucket %d, %.80q, %v; want %d %s, the bucket %d, %.80q (%s)",
				i, method, want.target, want.headers, got.StatusCode, e.Result, e.Origin, got.body, got.err, want.status, want.result, want.origin, want.body, e.Reason)
		}
	}
}

func TestCache(t *testing.T) {
	s := newStand(t, pass)
	s.bucket.set("/packages/a.deb", stored{"package", forever})
	s.bucket.set("/packages/index", stored{"one", never})
	s.bucket.set("/packages/bare", stored{"bare", ""})
	s.run(t,
		step{target: "/a.deb?t=1", status: 200, result: Miss, body: "package", origin: 200},
		step{target: "/a.deb?t=2", status: 200, result: Hit, body: "package"},
		step{method: "HEAD", target: "/a.deb?t=3", status: 200, result: Hit},
		step{target: "/a.deb", headers: []string{"Cache-Control: no-cache", "Pragma: no-cache"}, status: 200, result: Hit},
		step{target: "/index", status: 200, result: Miss, body: "one", origin: 200},
		step{target: "/index", status: 200, result: Miss, body: "one", origin: 200},
		step{method: "HEAD", target: "/bare", status: 200, result: Miss, origin: 200},
		step{method: "HEAD", target: "/bare", status: 200, result: Hit},
		step{target: "/bare", status: 200, result: Miss, body: "bare", origin: 200},
		step{target: "/bare", status: 200, result: Hit, body: "bare"},
	)
	s.now = s.now.Add(24 * time.Hour)
	s.run(t,
		step{target: "/bare", status: 200, result: RefreshHit, body: "bare", origin: 304},
		step{target: "/bare", status: 200, result: Hit, body: "bare"},
		step{target: "/a.deb", status: 200, result: Hit},
	)
	if age := s.ask(t, "GET", "/a.deb").Header.Get("Age"); age != "86400" {
		t.Errorf("after a day the age is %q", age)
	}
	s.bucket.set("/packages/bare", stored{"other", ""})
	s.now = s.now.Add(25 * time.Hour)
	s.run(t, step{target: "/bare", status: 200, result: Miss, body: "other", origin: 200})
	s.now = s.now.Add(25 * time.Hour)
	s.bucket.down = true
	s.run(t,
		step{target: "/bare", status: 200, result: Hit, body: "other", origin: 503}, // stale
		step{target: "/index", status: 503, result: Error, origin: 503},
	)
}

// TestEveryRequestIsChecked: the function sees hits too.
func TestEveryRequestIsChecked(t *testing.T) {
	good := true
	s := newStand(t, func(event []byte) ([]byte, error) {
		if !good {
			return []byte(`{"status":"403","headers":{"cache-control":[{"value":"no-store"}]},"body":"expired"}`), nil
		}
		return pass(event)
	})
	s.bucket.set("/packages/a.deb", stored{"package", forever})
	s.run(t, step{target: "/a.deb", status: 200, result: Miss, origin: 200}, step{target: "/a.deb", status: 200, result: Hit})
	good = false
	s.run(t, step{target: "/a.deb", status: 403, result: LambdaGeneratedResponse, body: "expired"})
	good = true
	s.run(t, step{target: "/a.deb", status: 200, result: Hit})
	if !s.last(t).Function {
		t.Error("the function did not run for a hit")
	}
}

func TestErrorsAreCached(t *testing.T) {
	s := newStand(t, pass)
	s.run(t, step{target: "/a.deb", status: 403, result: Error, origin: 403})
	s.bucket.set("/packages/a.deb", stored{"package", forever})
	s.run(t, step{target: "/a.deb", status: 403, result: Error})
	s.now = s.now.Add(10 * time.Second)
	s.run(t, step{target: "/a.deb", status: 200, result: Miss, origin: 200})

	s.config.Distributions[0].Config.CustomErrorResponses = &types.CustomErrorResponses{Items: []types.CustomErrorResponse{{ErrorCode: aws.Int32(403), ErrorCachingMinTTL: aws.Int64(0)}}}
	s.run(t, step{target: "/b.deb", status: 403, result: Error, origin: 403})
	s.bucket.set("/packages/b.deb", stored{"package", forever})
	s.run(t, step{target: "/b.deb", status: 200, result: Miss, origin: 200})
}

func TestRanges(t *testing.T) {
	body := strings.Repeat("0123456789", 30_000)
	ranged := func(r string) []string { return []string{"Range: " + r} }
	s := newStand(t, pass)
	s.bucket.set("/packages/a.deb", stored{body, forever})
	s.run(t,
		step{target: "/a.deb", headers: ranged("bytes=65540-65549"), status: 206, result: Miss, body: body[65540:65550], origin: 206},
		step{target: "/a.deb", headers: ranged("bytes=131000-131009"), status: 206, result: Hit, body: body[131000:131010]}, // the block
		step{target: "/a.deb", headers: ranged("bytes=0-9"), status: 206, result: Miss, body: body[:10], origin: 206},
		step{target: "/a.deb", headers: ranged("bytes=65540-65549"), status: 206, result: Hit},
		step{target: "/a.deb", headers: ranged("bytes=-10"), status: 206, result: Miss, body: body[299_990:], origin: 206},
		step{target: "/a.deb", headers: ranged("bytes=299995-"), status: 206, result: Hit, body: body[299_995:]},
		step{target: "/a.deb", headers: ranged("bytes=300000-"), status: 416, result: Hit},
		step{target: "/a.deb", headers: ranged("bytes=10-5"), status: 200, result: Miss, body: body, origin: 200},
		step{target: "/a.deb", headers: ranged("bytes=1000-1009"), status: 206, result: Hit, body: body[1000:1010]},
		step{target: "/a.deb", headers: ranged("bytes=300-400,100-200"), status: 200, result: Hit, body: body},
		step{target: "/a.deb", headers: ranged("bytes=100-200,150-250"), status: 200, result: Hit, body: body},
		step{target: "/a.deb", headers: ranged("bytes=100-200,300-400"), status: 206, result: Hit},
		step{target: "/b.deb", headers: ranged("bytes=0-9"), status: 403, result: Error, origin: 403},
	)
	etag := s.ask(t, "HEAD", "/a.deb").Header.Get("Etag")
	s.run(t,
		step{target: "/a.deb", headers: append(ranged("bytes=5-9"), "If-Range: "+etag), status: 206, result: Hit, body: "56789"},
		step{target: "/a.deb", headers: append(ranged("bytes=5-9"), `If-Range: "other"`), status: 200, result: Hit, body: body},
		step{target: "/a.deb", headers: []string{"If-None-Match: " + etag}, status: 304, result: Hit},
	)
	s.Invalidate()
	s.run(t, step{target: "/a.deb", headers: append(ranged("bytes=5-9"), "If-Range: Thu, 01 Jan 1970 00:00:00 GMT"), status: 200, result: Miss, body: body, origin: 200})
}

func TestFaults(t *testing.T) {
	body := strings.Repeat("x", 200_000)
	s := newStand(t, pass)
	s.bucket.set("/packages/a.deb", stored{body, forever})
	s.Cut("a.deb", 100_000, 1)
	got := s.ask(t, "GET", "/a.deb")
	if got.err == nil || len(got.body) != 100_000 || got.ContentLength != 200_000 {
		t.Fatalf("a transfer that is cut gives %d of %d bytes, %v", len(got.body), got.ContentLength, got.err)
	}
	for range 1000 {
		if len(s.Entries()) > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if e := s.last(t); !e.Cut || e.Bytes != 100_000 {
		t.Errorf("the log has %v", e)
	}
	// What was cut off is not cached.
	s.run(t,
		step{target: "/a.deb", headers: []string{"Range: bytes=100000-"}, status: 206, result: Miss, body: body[100_000:], origin: 206},
		step{target: "/a.deb", status: 200, result: Miss, body: body, origin: 200},
		step{target: "/a.deb", status: 200, result: Hit, body: body},
	)
	s.Stall("a.deb", 0, 50*time.Millisecond)
	begin := time.Now()
	s.run(t, step{target: "/a.deb", status: 200, result: Hit, body: body})
	if took := time.Since(begin); took < 50*time.Millisecond {
		t.Errorf("a transfer that is stalled took %s", took)
	}
}

// TestPaths: the bucket takes a plus sign for a space, and nothing on the way
// changes how a path is written.
func TestPaths(t *testing.T) {
	var uris []string
	s := newStand(t, func(event []byte) ([]byte, error) {
		uris = append(uris, string(field(event, "uri")))
		return pass(event)
	})
	for _, name := range []string{"a+b~c.deb", "a b.deb", "100%.deb", "é.deb", "a/../b"} {
		s.bucket.set("/packages/"+name, stored{name, forever})
	}
	tests := []struct {
		target string
		status int
		body   string
		origin int
	}{
		{"/a%2Bb~c.deb", 200, "a+b~c.deb", 200},
		{"/a%2bb%7ec.deb", 200, "a+b~c.deb", 200},
		{"/a+b~c.deb", 403, "", 403},
		{"/a+b.deb", 200, "a b.deb", 200},
		{"/a%20b.deb", 200, "a b.deb", 200},
		{"/100%25.deb", 200, "100%.deb", 200},
		{"/%C3%A9.deb", 200, "é.deb", 200},
	}
	for _, tt := range tests {
		uris = nil
		result := Miss
		if tt.status != 200 {
			result = Error
		}
		s.run(t, step{target: tt.target, status: tt.status, result: result, body: tt.body, origin: tt.origin})
		if len(uris) != 1 || uris[0] != `"`+tt.target+`"` {
			t.Errorf("%s: the function sees %s", tt.target, uris)
		}
	}
}

func TestLimitsAndProtocols(t *testing.T) {
	s := newStand(t, pass)
	s.bucket.set("/packages/a.deb", stored{"package", forever})
	long := strings.Repeat("x", maxURL-len("https://"+domain+"/?"))
	s.run(t,
		step{target: "/?" + long, status: 403, result: Error, origin: 403},
		step{target: "/?x" + long, status: 413, result: LimitExceeded},
		step{target: "/a.deb", headers: []string{"X: " + strings.Repeat("x", maxRequest)}, status: 413, result: LimitExceeded},
		step{method: "PUT", target: "/a.deb", status: 403, result: Error},
		step{method: "OPTIONS", target: "/a.deb", status: 403, result: Error},
		step{target: "https://d2.cloudfront.net/a.deb", status: 403, result: Error},
		step{target: "http://" + domain + "/a.deb?t=1", status: 301, result: Redirect},
	)
	if got := s.ask(t, "GET", "http://"+domain+"/a.deb?t=1").Header.Get("Location"); got != "https://"+domain+"/a.deb?t=1" {
		t.Errorf("redirected to %q", got)
	}
	if e := s.last(t); e.Function {
		t.Error("the function ran before the redirect to https")
	}
	r, _ := http.NewRequest(http.MethodGet, "https://"+domain+"/a.deb", bytes.NewBufferString("body"))
	got, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	got.Body.Close()
	if got.StatusCode != http.StatusForbidden {
		t.Errorf("GET with a body: %d", got.StatusCode)
	}
	s.config.Distributions[0].Config.DefaultCacheBehavior.ViewerProtocolPolicy = types.ViewerProtocolPolicyHttpsOnly
	s.run(t, step{target: "http://" + domain + "/a.deb", status: 403, result: Error})
	s.config.Distributions[0].Config.DefaultCacheBehavior.ViewerProtocolPolicy = types.ViewerProtocolPolicyAllowAll
	s.run(t, step{target: "http://" + domain + "/a.deb", status: 200, result: Miss, origin: 200})
	s.config.Distributions[0].Config.Enabled = aws.Bool(false)
	s.run(t, step{target: "/a.deb", status: 403, result: Error})
}

// TestAuthorization: the viewer's is dropped; the function sees it.
func TestAuthorization(t *testing.T) {
	seen := false
	s := newStand(t, func(event []byte) ([]byte, error) {
		seen = bytes.Contains(event, []byte(`"authorization":[{"key":"Authorization","value":"Basic eDo="}]`))
		return pass(event)
	})
	s.bucket.set("/packages/a.deb", stored{"package", forever})
	s.run(t, step{target: "/a.deb", headers: []string{"Authorization: Basic eDo="}, status: 200, result: Miss, origin: 200})
	if !seen || !s.last(t).Authorization {
		t.Error("the function does not see Authorization")
	}
}

func TestS3(t *testing.T) {
	b := &bucket{objects: map[string]stored{"/packages/a b": {"space", ""}, "/packages/a+b": {"plus", ""}}}
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AK/")
		b.ServeHTTP(w, r)
	}))
	defer origin.Close()
	endpoint, _ := url.Parse(origin.URL)
	front := &S3{Endpoint: endpoint, Log: new(Log)}
	server := httptest.NewServer(front)
	defer server.Close()
	tests := []struct {
		target, authorization string
		status                int
		body                  string
	}{
		{"/packages/a%2Bb?X-Amz-Algorithm=AWS4-HMAC-SHA256", "", 200, "plus"},
		{"/packages/a+b?X-Amz-Algorithm=AWS4-HMAC-SHA256", "", 200, "space"},
		{"/packages/a%2Bb?X-Amz-Algorithm=AWS4-HMAC-SHA256", "Basic eDo=", 400, ""},
		{"/packages/a%2Bb?Signature=x", "Bearer x", 400, ""},
		{"/packages/a%2Bb", "AWS4-HMAC-SHA256 ...", 200, "plus"},
	}
	for _, tt := range tests {
		r, _ := http.NewRequest(http.MethodGet, server.URL+tt.target, nil)
		if tt.authorization != "" {
			r.Header.Set("Authorization", tt.authorization)
		}
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(got.Body)
		got.Body.Close()
		if got.StatusCode != tt.status || tt.body != "" && string(body) != tt.body {
			t.Errorf("%s with %q: %d %q", tt.target, tt.authorization, got.StatusCode, body)
		}
		if host := b.requests; len(host) > 0 && host[len(host)-1].Host != r.Host {
			t.Errorf("the server sees the host %s, not %s, which was signed", host[len(host)-1].Host, r.Host)
		}
	}
	if n := len(front.Entries()); n != len(tests) {
		t.Errorf("%d entries in the log", n)
	}
}

// TestOriginRequest: a function behind the cache sees misses alone, without the
// query, and what it refuses the bucket is not asked for.
func TestOriginRequest(t *testing.T) {
	asked, refuse := 0, false
	s := newStand(t, func(event []byte) ([]byte, error) {
		asked++
		if !bytes.Contains(event, []byte(`"querystring":""`)) || !bytes.Contains(event, []byte(`"eventType":"origin-request"`)) {
			t.Errorf("the function was given %s", event)
		}
		if refuse {
			return []byte(`{"status":"403","headers":{"cache-control":[{"value":"no-store"}]},"body":"no"}`), nil
		}
		return edit(event, nil)
	})
	s.config.Distributions[0].Config.DefaultCacheBehavior.LambdaFunctionAssociations.Items[0].EventType = types.EventTypeOriginRequest
	s.bucket.set("/packages/packages/a", stored{"bytes", forever})
	for _, want := range []Result{Miss, Hit} {
		if got := s.ask(t, "GET", "/packages/a?t=1"); got.body != "bytes" || s.last(t).Result != want {
			t.Errorf("%d %q: %s", got.StatusCode, got.body, s.last(t))
		}
	}
	refuse = true
	if got := s.ask(t, "GET", "/packages/b?t=1"); got.StatusCode != http.StatusForbidden || got.body != "no" {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
	if asked != 2 || len(s.bucket.requests) != 1 {
		t.Errorf("the function was asked %d times and the bucket %d", asked, len(s.bucket.requests))
	}
}
