package e2e

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"packagecloud/internal/blob/s3blob/s3test"
	"packagecloud/internal/edge"
	"packagecloud/internal/edge/cloudfronttest"
	"packagecloud/internal/edge/edgetest"
	"packagecloud/internal/provision/awsfake"
	"packagecloud/internal/tooltest"
)

// cloud is what a test has in place of AWS: a bucket, behind a front that is as
// strict as S3, a control plane, and two edges of CloudFront, which take turns
// and share nothing.
type cloud struct {
	bucket s3test.Bucket
	*cloudfronttest.Faults
	*cloudfronttest.Log
	edges     [2]*cloudfronttest.Edge
	turn      atomic.Uint64
	authority *cloudfronttest.Authority

	aws     *awsfake.Fake
	njs     *edgetest.NJS // runs CloudFront functions, if there may be some
	awsURL  string
	front   string // URL of the bucket for clients
	inside  string // URL of the bucket for the server, with its settings
	address string // of the edges
	control string // URL: see controls
	going   atomic.Bool

	secret, distribution, domain string // of CloudFront, once it is set up
}

// newCloud makes a bucket and what stands before it.
func newCloud(t testing.TB) *cloud {
	t.Helper()
	c := &cloud{bucket: s3test.New(t), Faults: new(cloudfronttest.Faults), Log: new(cloudfronttest.Log)}
	endpoint, err := url.Parse(c.bucket.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	// Another host than that of the server: some clients look at names alone.
	c.front = "http://" + listen(t, &cloudfronttest.S3{Endpoint: endpoint, Faults: c.Faults, Log: c.Log}, "127.0.0.2:0")
	c.aws = awsfake.New(c.bucket.Region, c.bucket.Name)
	c.awsURL = "http://" + listen(t, c.aws, "127.0.0.1:0")
	store := &cloudfronttest.S3{Endpoint: endpoint}
	c.inside = "http://" + listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// versitygw has no principals of CloudFront.
		if q := r.URL.Query(); q.Has("policy") || q.Has("tagging") || q.Has("publicAccessBlock") || q.Has("location") || q.Has("encryption") {
			c.aws.ServeHTTP(w, r)
			return
		}
		store.ServeHTTP(w, r)
	}), "127.0.0.1:0")
	if c.authority, err = cloudfronttest.NewAuthority(); err != nil {
		t.Fatal(err)
	}
	c.control = "http://" + listen(t, c.controls(), "127.0.0.1:0")
	return c
}

// listen serves on an address until the test ends, and returns it.
func listen(t testing.TB, h http.Handler, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, h, l, nil)
	return l.Addr().String()
}

func serve(t testing.TB, h http.Handler, l net.Listener, over *tls.Config) {
	server := &http.Server{Handler: h, TLSConfig: over, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	if over != nil {
		go func() { _ = server.ServeTLS(l, "", "") }()
	} else {
		go func() { _ = server.Serve(l) }()
	}
	t.Cleanup(func() { _ = server.Close() })
}

// withFunctions lets the cloud run CloudFront functions, whose stores are at all
// edges at once.
func (c *cloud) withFunctions(t testing.TB) {
	t.Helper()
	c.njs = edgetest.NewNJS(t)
	c.aws.RunEdgeFunction, c.aws.Tick = c.njs.Test, time.Minute
}

// startEdges serves on the ports of http and https of an address that no other
// test has.
func (c *cloud) startEdges(t testing.TB) {
	t.Helper()
	edgetest.Node(t)
	functions := &edgetest.Versions{T: t, Code: c.code, Edge: c.aws.EdgeFunction, NJS: c.njs}
	for i := range c.edges {
		c.edges[i] = &cloudfronttest.Edge{
			Functions: functions, Faults: c.Faults, Log: c.Log,
			Bucket: cloudfronttest.Bucket{Endpoint: c.bucket.Endpoint, AccessKey: c.bucket.AccessKey, SecretKey: c.bucket.SecretKey, Region: c.bucket.Region},
		}
	}
	for range 100 {
		var b [2]byte
		_, _ = rand.Read(b[:])
		address := fmt.Sprintf("127.77.%d.%d", b[0], b[1])
		secure, err := net.Listen("tcp", address+":443")
		if err != nil {
			continue
		}
		plain, err := net.Listen("tcp", address+":80")
		if err != nil {
			_ = secure.Close()
			continue
		}
		serve(t, c, secure, c.authority.TLS())
		serve(t, c, plain, nil)
		c.address = address
		return
	}
	tooltest.Need(t, "the ports 80 and 443 of an address of loopback", false)
}

// serverEnvironment is the configuration of a server whose clients are sent to
// the bucket, or, once it is deployed, to the distribution.
func (c *cloud) serverEnvironment() []string {
	environment := append(c.bucket.Environ(), "PACKAGECLOUD_S3_ENDPOINT="+c.inside, "PACKAGECLOUD_S3_PUBLIC_ENDPOINT="+c.front, "PACKAGECLOUD_DIRECT_METADATA_SIZE=0",
		"AWS_ENDPOINT_URL="+c.awsURL, "AWS_EC2_METADATA_DISABLED=true")
	if c.domain != "" {
		environment = append(environment, "PACKAGECLOUD_CLOUDFRONT_ENABLED=true", "PACKAGECLOUD_CLOUDFRONT_SECRET="+c.secret,
			"PACKAGECLOUD_CLOUDFRONT_DISTRIBUTION_ID="+c.distribution, "PACKAGECLOUD_CLOUDFRONT_PACKAGES_DOMAIN="+c.domain)
	}
	return environment
}

// startOurEdge starts `packagecloud edge`, and returns what a server needs to
// send its clients there. What the edge asks of the bucket is in the log.
func (c *cloud) startOurEdge(t testing.TB) []string {
	t.Helper()
	address := freePort(t, "127.0.0.3") // another host than those of server and bucket
	secret := "PACKAGECLOUD_CLOUDFRONT_SECRET=" + edge.GenerateSecret()
	e := &instance{URL: "http://" + address, Data: t.TempDir()}
	e.environment = append(os.Environ(), c.bucket.Environ()...)
	e.environment = append(e.environment, secret, "PACKAGECLOUD_S3_ENDPOINT="+c.front, "PACKAGECLOUD_DATA_DIRECTORY="+e.Data, "PACKAGECLOUD_EDGE_LISTEN_ADDRESS="+address)
	e.runCommand(t, "edge")
	c.Reset() // it looks at the bucket when it starts
	t.Cleanup(func() { e.stop(t) })
	return []string{secret, "PACKAGECLOUD_EDGE_URL=" + e.URL}
}

// environment is what scripts need to reach the edges.
func (c *cloud) environment() []string {
	environment := []string{"CONTROL=" + c.control, "ADDRESS=" + c.address, "AUTHORITY=" + string(c.authority.PEM)}
	if c.domain != "" {
		environment = append(environment, "HOSTS="+c.address+" "+c.domain)
	}
	return environment
}

// ServeHTTP lets the edges take turns.
func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i := int(c.turn.Add(1) % uint64(len(c.edges)))
	c.edges[i].Configure(c.aws.AtEdge(i, c.bucket.Name))
	c.edges[i].ServeHTTP(w, r)
}

// controls lets scripts see and do what tests in Go can.
func (c *cloud) controls() http.Handler {
	mux := http.NewServeMux()
	number := func(r *http.Request, name string) int64 {
		n, _ := strconv.ParseInt(r.FormValue(name), 10, 64)
		return n
	}
	mux.HandleFunc("/cut", func(_ http.ResponseWriter, r *http.Request) { c.Cut(r.FormValue("path"), number(r, "after"), 1) })
	mux.HandleFunc("/stall", func(_ http.ResponseWriter, r *http.Request) {
		c.Stall(r.FormValue("path"), number(r, "after"), time.Duration(number(r, "seconds"))*time.Second)
	})
	mux.HandleFunc("/log", func(w http.ResponseWriter, _ *http.Request) {
		for _, e := range c.Entries() {
			fmt.Fprintln(w, e)
		}
	})
	mux.HandleFunc("/going", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, map[bool]string{true: "yes", false: "no"}[c.going.Load()])
	})
	mux.HandleFunc("/forget", func(http.ResponseWriter, *http.Request) { c.Reset(); c.Heal() })
	// A link to the object of another one, that is good for some seconds.
	mux.HandleFunc("/link", func(w http.ResponseWriter, r *http.Request) {
		keys, err := edge.NewKeys(c.secret)
		link, err2 := url.Parse(r.FormValue("of"))
		if err := errors.Join(err, err2); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s := edge.Signer{Origin: "https://" + c.domain, Keys: keys}
		fmt.Fprintln(w, s.Until(strings.TrimPrefix(link.Path, "/"), time.Now().Add(time.Duration(number(r, "seconds"))*time.Second-edge.Tolerance)))
	})
	return mux
}

// check looks at what the front and the edges were asked: redirects were
// followed, nothing was refused, and no index came from a cache.
func (c *cloud) check(t testing.TB) {
	t.Helper()
	packages, indexes := 0, 0
	for _, e := range c.Entries() {
		switch {
		case e.Status >= 400:
			t.Errorf("refused: %s", e)
		case strings.Contains(e.URL, "/packages/"):
			packages++
		case strings.Contains(e.URL, "/indexes/"):
			indexes++
			if e.Result == cloudfronttest.Hit || e.Result == cloudfronttest.RefreshHit {
				t.Errorf("an index came from the cache: %s", e)
			}
		default:
			t.Errorf("what is this? %s", e)
		}
	}
	// A story that only updates fetches no package, one of files has no index.
	if packages+indexes == 0 {
		t.Errorf("%d packages and %d indexes were asked for", packages, indexes)
	}
	t.Logf("%d packages and %d indexes were asked for", packages, indexes)
}
