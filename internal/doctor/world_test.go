package doctor_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"packagecloud/internal/blob"
	"packagecloud/internal/doctor"
	"packagecloud/internal/edge"
	"packagecloud/internal/edge/cloudfronttest"
	"packagecloud/internal/edge/edgetest"
	"packagecloud/internal/edge/function"
	"packagecloud/internal/provision"
	"packagecloud/internal/provision/awsfake"
)

// TestMain keeps the SDK from looking for credentials of the machine.
func TestMain(m *testing.M) {
	for k, v := range map[string]string{"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull} {
		if err := os.Setenv(k, v); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

const (
	secret  = "MDI2ZDhhYmMxYThiMjVmMTBlODM4OWNmZWZiZmI2NWI"
	another = "Zt3kLq8WnB1xYc6vRj0uHs5gPe2mDa9oTf7iNrXwQzE"
)

// bucket is a bucket in memory: a doctor.Store, and what answers for it on the
// network.
type bucket struct {
	mu      sync.Mutex
	objects map[string]object // by key
	url     string
	public  bool // answers whoever asks
	forgets bool // has no Cache-Control
}

type object struct {
	body         []byte
	cacheControl string
}

func (b *bucket) Put(_ context.Context, key string, body []byte, a blob.Attributes) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.objects[key]; !ok { // as the contract has it
		b.objects[key] = object{body, a.Class.CacheControl()}
	}
	return blob.CheckKey(key)
}

func (b *bucket) Delete(_ context.Context, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
	return nil
}

func (b *bucket) List(_ context.Context, prefix string) iter.Seq2[blob.Info, error] {
	b.mu.Lock()
	keys := slices.Sorted(maps.Keys(b.objects))
	b.mu.Unlock()
	return func(yield func(blob.Info, error) bool) {
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) && !yield(blob.Info{Key: key}, nil) {
				return
			}
		}
	}
}

func (b *bucket) Link(_ context.Context, key string, _ time.Duration) (string, error) {
	return b.url + "/packages/" + key + "?X-Amz-Signature=1", nil
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[strings.TrimPrefix(r.URL.Path, "/packages/")]
	switch {
	case r.Header.Get("Authorization") == "" && !b.public:
		w.WriteHeader(http.StatusForbidden)
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	default:
		if !b.forgets {
			w.Header().Set("Cache-Control", o.cacheControl)
		}
		w.Header().Set("Etag", fmt.Sprintf(`"%x"`, o.body[:8]))
		http.ServeContent(w, r, "", time.Unix(1700000000, 0), strings.NewReader(string(o.body)))
	}
}

// world is an installation: an account of AWS that was set up by provision, an
// edge that serves by what is in it, and a server with its configuration.
type world struct {
	t        *testing.T
	aws      *awsfake.Fake
	settings provision.Settings // of the server
	bucket   *bucket
	edge     *cloudfronttest.Edge
	id       string // of the distribution
	domain   string // that the server has configured
	resolves func(host string) bool
	clock    time.Duration // how far that of the server is ahead
	blind    bool          // AWS is not asked
	keepsT   bool          // the function leaves the query
	broken   bool          // the function fails
	known    map[string]string
	njs      *edgetest.NJS     // runs CloudFront functions
	stale    map[string]string // the keys that they find, nil for those of the store
	client   *http.Client
}

func newWorld(t *testing.T) *world { return newWorldOf(t, provision.LambdaEdge) }

// newWorldOf is one with a check.
func newWorldOf(t *testing.T, check provision.Check) *world {
	w := &world{t: t, aws: awsfake.New("eu-central-1", "packages"), bucket: &bucket{objects: map[string]object{}}, known: map[string]string{}}
	w.settings = provision.Settings{
		Check: check, Edge: provision.EdgeFunction{Code: function.CloudFront(), KeyID: edge.KeyID, Probe: function.Probe},
		Bucket: "packages", Region: "eu-central-1", Plaintext: function.Plaintext, Context: function.Context,
		Code: func(name, keyARN string, ciphertext []byte, secrets ...string) ([]byte, error) {
			return function.Zip(function.NewConfig(name, keyARN, ciphertext, secrets...))
		},
	}
	if check == provision.CloudFrontFunction {
		w.njs = edgetest.NewNJS(t)
		w.aws.RunEdgeFunction, w.aws.Tick = w.njs.Test, time.Minute
	}
	origin := httptest.NewServer(w.bucket)
	t.Cleanup(origin.Close)
	w.bucket.url = origin.URL
	w.edge = &cloudfronttest.Edge{Functions: w, Bucket: cloudfronttest.Bucket{Endpoint: origin.URL, AccessKey: "AK", SecretKey: "SK", Region: "eu-central-1"}, Log: new(cloudfronttest.Log)}
	w.serve()
	w.deploy(secret)
	w.settings.Secrets = []string{secret}
	return w
}

// deploy sets CloudFront up, with secrets that need not be those of the server.
func (w *world) deploy(secrets ...string) {
	w.t.Helper()
	for _, s := range secrets {
		w.known[edge.KeyID(s)] = s
	}
	r := w.runner()
	r.Settings.Secrets = secrets
	result, err := r.Run(w.t.Context(), provision.Everything)
	if err != nil {
		w.t.Fatal(err)
	}
	w.id, w.domain = result.DistributionID, result.Domain
	w.settings.DistributionID = w.id
}

func (w *world) runner() *provision.Runner {
	server := httptest.NewServer(w.aws)
	w.t.Cleanup(server.Close)
	const url = "http://aws.test" // the number of the account stands before it for key value stores
	shared := aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(url), Credentials: credentials.NewStaticCredentialsProvider("AK", "SK", ""),
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		}}},
	}
	return &provision.Runner{
		AWS:      provision.NewAWS(shared, provision.Connection{BucketRegion: "eu-central-1", BucketEndpoint: url, PathStyle: true}),
		Settings: w.settings, Sleep: func(context.Context, time.Duration) error { return nil },
	}
}

// serve puts the edge behind a client for whom all hosts are this one.
func (w *world) serve() {
	authority, err := cloudfronttest.NewAuthority()
	if err != nil {
		w.t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.edge.Configure(w.aws.AtEdge(0, "packages"))
		w.edge.ServeHTTP(rw, r)
	}))
	server.TLS = authority.TLS()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	w.t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM)
	w.client = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableCompression: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, port, _ := net.SplitHostPort(address)
			if w.resolves != nil && !w.resolves(host) {
				return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
			}
			if port == "443" {
				address = server.Listener.Addr().String()
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
}

// Invoke runs a CloudFront function, or does what that of Lambda does, with the
// secrets of its version.
func (w *world) Invoke(ctx context.Context, arn string, event []byte) ([]byte, error) {
	if code, keys, ok := w.aws.EdgeFunction(arn); ok && !w.broken {
		if w.stale != nil {
			keys = w.stale
		}
		return w.njs.Run(ctx, code, edgetest.Store(keys), event)
	}
	pack, ok := w.aws.FunctionCode(arn)
	if !ok || w.broken {
		return nil, fmt.Errorf("there is no %s", arn)
	}
	config, err := function.ReadConfig(pack)
	if err != nil {
		return nil, err
	}
	var secrets []string
	for _, id := range config.KeyIDs {
		secrets = append(secrets, w.known[id])
	}
	keys, err := edge.NewKeys(secrets...)
	if err != nil {
		return nil, err
	}
	var e struct {
		Records []struct {
			CF struct{ Request map[string]any } `json:"cf"`
		}
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, err
	}
	request := e.Records[0].CF.Request
	path, err := keys.Check(request["method"].(string), request["uri"].(string), request["querystring"].(string), time.Now())
	if err != nil {
		return json.Marshal(map[string]any{"status": "403", "body": err.Error() + "\n", "headers": map[string]any{"cache-control": []any{map[string]string{"value": "no-store"}}}})
	}
	request["uri"] = path
	if !w.keepsT {
		request["querystring"] = ""
	}
	return json.Marshal(request)
}

// behavior changes the default behaviour of the distribution.
func (w *world) behavior(change func(*types.DefaultCacheBehavior)) {
	w.aws.ChangeDistribution(w.id, func(c *types.DistributionConfig) { change(c.DefaultCacheBehavior) })
}

// policy gives the distribution a cache policy that differs from the right one.
func (w *world) policy(change func(*types.CachePolicyConfig)) {
	w.t.Helper()
	p, _ := w.aws.CachePolicy(aws.ToString(w.aws.AtEdges(w.id)[0].DefaultCacheBehavior.CachePolicyId))
	text, err := json.Marshal(p)
	if err != nil {
		w.t.Fatal(err)
	}
	var own types.CachePolicyConfig
	if err := json.Unmarshal(text, &own); err != nil {
		w.t.Fatal(err)
	}
	own.Name = aws.String("somebody")
	change(&own)
	out, err := w.runner().AWS.CloudFront.CreateCachePolicy(w.t.Context(), &cloudfront.CreateCachePolicyInput{CachePolicyConfig: &own})
	if err != nil {
		w.t.Fatal(err)
	}
	w.behavior(func(b *types.DefaultCacheBehavior) { b.CachePolicyId = out.CachePolicy.Id })
}

// doctor is the one of this installation.
func (w *world) doctor() *doctor.Doctor {
	signer := func(secret string) *edge.Signer {
		keys, err := edge.NewKeys(secret)
		if err != nil {
			w.t.Fatal(err)
		}
		return &edge.Signer{Origin: "https://" + w.domain, Keys: keys}
	}
	d := &doctor.Doctor{
		Domain: w.domain, Store: w.bucket, Signer: signer(w.settings.Secrets[0]), Client: w.client,
		Now: func() time.Time { return time.Now().Add(w.clock) },
		Facts: func(ctx context.Context) (*provision.Facts, error) {
			r := w.runner()
			o, err := r.Observe(ctx, provision.Everything)
			if err != nil {
				return nil, err
			}
			return r.Settings.Facts(o, provision.Everything)
		},
	}
	if len(w.settings.Secrets) > 1 {
		d.Second = signer(w.settings.Secrets[1])
	}
	if w.blind {
		d.Facts = nil
	}
	return d
}
