package serve_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"packagecloud/internal/blob/s3blob/s3test"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/edge"
	"packagecloud/internal/edge/cloudfronttest"
	"packagecloud/internal/edge/diskcache"
	"packagecloud/internal/edge/edgetest"
	"packagecloud/internal/edge/function"
	"packagecloud/internal/edge/proxy"
	"packagecloud/internal/provision"
	"packagecloud/internal/provision/awsfake"
	"packagecloud/internal/serve/servetest"
)

const linkSecret = "MDI2ZDhhYmMxYThiMjVmMTBlODM4OWNmZWZiZmI2NWI"

// deliveries are the ways in which clients get packages and indexes: the server
// sends them, or clients are sent to a bucket, to CloudFront over it, or to an edge
// of our own over it.
var deliveries = []string{"folder", "S3", "CloudFront", "edge"}

// databases are the environments of a server with each.
var databases = map[string]func(*testing.T) []string{
	"SQLite":     func(*testing.T) []string { return nil },
	"PostgreSQL": func(t *testing.T) []string { return []string{"PACKAGECLOUD_DATABASE_URL=" + dbtest.PostgresURL(t)} },
}

// delivered starts a server with a delivery, for all metadata too. cut breaks what
// comes from there.
func delivered(t *testing.T, delivery string, environment ...string) (s *servetest.Server, cut *cutter) {
	t.Helper()
	environment = append(environment, "PACKAGECLOUD_DIRECT_METADATA_SIZE=0")
	if delivery == "folder" {
		s = servetest.StartWith(t, servetest.Options{Environment: environment})
		cut = newCutter(t, "127.0.0.2:0")
		cut.before(strings.TrimPrefix(s.URL, "http://"))
		return s, cut
	}
	bucket := s3test.New(t)
	environment = append(environment, bucket.Environ()...)
	// Another host than the server's: some clients look at names alone.
	cut = newCutter(t, "127.0.0.2:0")
	links := "http://" + cut.address
	switch delivery {
	case "S3":
		cut.before(strings.TrimPrefix(bucket.Endpoint, "http://"))
		environment = append(environment, "PACKAGECLOUD_S3_PUBLIC_ENDPOINT="+links)
	case "CloudFront":
		cut.before(startCloudFront(t, bucket))
		links = "https://" + cut.address
		fallthrough
	case "edge": // links to CloudFront are made in the same way
		environment = append(environment, "PACKAGECLOUD_CLOUDFRONT_SECRET="+linkSecret, "PACKAGECLOUD_EDGE_URL="+links)
	}
	s = servetest.StartWith(t, servetest.Options{Environment: environment})
	if delivery == "edge" {
		cut.before(startEdge(t, s))
	}
	return s, cut
}

// startEdge starts an edge of our own as `packagecloud edge` does, and returns its
// address.
func startEdge(t *testing.T, s *servetest.Server) string {
	t.Helper()
	keys, err := edge.NewKeys(linkSecret)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := diskcache.Open(t.TempDir(), 1<<30, s.Node.Blobs, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h := &proxy.Handler{Keys: keys, Cache: cache, Memory: 1 << 20, Log: slog.New(slog.DiscardHandler)}
	server := httptest.NewUnstartedServer(h)
	server.Listener = h.Quicken(server.Config, server.Listener)
	server.Start()
	t.Cleanup(func() {
		server.Close()
		if err := cache.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.Listener.Addr().String()
}

// startCloudFront sets a distribution over a bucket up, as packagecloud-ctl does,
// with the function of Lambda@Edge, and returns the address of an edge.
func startCloudFront(t *testing.T, bucket s3test.Bucket) string {
	t.Helper()
	edgetest.Node(t)
	account := awsfake.New(bucket.Region, bucket.Name)
	control := httptest.NewServer(account)
	t.Cleanup(control.Close)
	shared := aws.Config{Region: bucket.Region, BaseEndpoint: &control.URL, Credentials: credentials.NewStaticCredentialsProvider(bucket.AccessKey, bucket.SecretKey, "")}
	setup := provision.Runner{
		AWS: provision.NewAWS(shared, provision.Connection{BucketRegion: bucket.Region, BucketEndpoint: control.URL, PathStyle: true}),
		Settings: provision.Settings{
			Bucket: bucket.Name, Region: bucket.Region, Secrets: []string{linkSecret}, Check: provision.LambdaEdge,
			Plaintext: function.Plaintext, Context: function.Context,
			Code: func(name, keyARN string, ciphertext []byte, secrets ...string) ([]byte, error) {
				return function.Zip(function.NewConfig(name, keyARN, ciphertext, secrets...))
			},
		},
		Sleep: func(context.Context, time.Duration) error { return nil },
	}
	if _, err := setup.Run(t.Context(), provision.Everything); err != nil {
		t.Fatal(err)
	}
	// The function asks the KMS of the test.
	code := func(arn string) ([]byte, error) {
		pack, _ := account.FunctionCode(arn)
		config, err := function.ReadConfig(pack)
		if err != nil {
			return nil, err
		}
		config.Endpoint = control.URL
		return function.Zip(config)
	}
	front := &cloudfronttest.Edge{
		Functions: &edgetest.Versions{T: t, Code: code},
		Bucket:    cloudfronttest.Bucket{Endpoint: bucket.Endpoint, AccessKey: bucket.AccessKey, SecretKey: bucket.SecretKey, Region: bucket.Region},
	}
	configuration := account.AtEdge(0, bucket.Name)
	configuration.Distributions[0].DomainName = "127.0.0.2"
	front.Configure(configuration)
	authority, err := cloudfronttest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(front)
	server.TLS = authority.TLS()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// anyone is a client that follows redirects, decodes nothing, and trusts every
// certificate: those of the tests are made by the test.
func anyone() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableCompression: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

// cutter is a proxy that can break connections off.
type cutter struct {
	address string
	behind  string

	mu    sync.Mutex
	after int64 // bytes towards the client
	cuts  int   // that are left
	then  func()
}

func newCutter(t *testing.T, address string) *cutter {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{address: l.Addr().String()}
	var all sync.WaitGroup
	ctx, end := context.WithCancel(context.Background())
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { c.pass(ctx, conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		end()
		all.Wait()
	})
	return c
}

// before tells the cutter what stands behind it.
func (c *cutter) before(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behind = address
}

// cut breaks the next connections off once so many bytes went to the client. then
// runs each time, before the client sees it; nil does nothing.
func (c *cutter) cut(after int64, times int, then func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after, c.cuts, c.then = after, times, then
}

// left is how many connections were not broken off yet.
func (c *cutter) left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cuts
}

// pass connects a client with what is behind.
func (c *cutter) pass(ctx context.Context, client net.Conn) {
	defer client.Close()
	c.mu.Lock()
	behind := c.behind
	c.mu.Unlock()
	server, err := new(net.Dialer).DialContext(ctx, "tcp", behind)
	if err != nil {
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { client.Close(); server.Close() })()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	var sent int64
	buffer := make([]byte, 16<<10)
	for {
		n, err := server.Read(buffer)
		n, last := c.allow(sent, n)
		if _, werr := client.Write(buffer[:n]); err != nil || werr != nil || last {
			return
		}
		sent += int64(n)
	}
}

// allow is how many of the next bytes of a connection pass, and whether they are
// the last ones.
func (c *cutter) allow(sent int64, n int) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cuts == 0 || sent+int64(n) <= c.after {
		return n, false
	}
	c.cuts--
	if c.then != nil {
		c.then()
	}
	return int(max(0, c.after-sent)), true
}
