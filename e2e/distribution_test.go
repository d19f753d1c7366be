package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"packagecloud/internal/edge"
	"packagecloud/internal/edge/cloudfronttest"
	"packagecloud/internal/edge/edgetest"
	"packagecloud/internal/edge/function"
	"packagecloud/internal/provision"
	"packagecloud/internal/provision/awsfake"
)

// runner is what packagecloud-ctl sets CloudFront up with.
func (c *cloud) runner(secrets ...string) *provision.Runner {
	shared := aws.Config{
		Region: c.bucket.Region, BaseEndpoint: &c.awsURL, Credentials: credentials.NewStaticCredentialsProvider(c.bucket.AccessKey, c.bucket.SecretKey, ""),
		// The number of the account stands before the host of key value stores.
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, strings.TrimPrefix(address, awsfake.Account+"."))
		}}},
	}
	return &provision.Runner{
		AWS: provision.NewAWS(shared, provision.Connection{BucketRegion: c.bucket.Region, BucketEndpoint: c.inside, PathStyle: true}),
		Settings: provision.Settings{
			Bucket: c.bucket.Name, Region: c.bucket.Region, Secrets: secrets, DistributionID: c.distribution,
			Edge:      provision.EdgeFunction{Code: function.CloudFront(), KeyID: edge.KeyID, Probe: function.Probe},
			Plaintext: function.Plaintext, Context: function.Context(provision.Name),
			Code: func(keyARN string, ciphertext []byte, secrets ...string) ([]byte, error) {
				return function.Zip(function.NewConfig(provision.Name, keyARN, ciphertext, secrets...))
			},
		},
		Sleep: func(context.Context, time.Duration) error { return nil },
	}
}

// deploy sets CloudFront up. The access "" is the default.
func (c *cloud) deploy(t testing.TB, check provision.Check, access provision.Access) {
	t.Helper()
	c.secret = edge.GenerateSecret()
	r := c.runner(c.secret)
	r.Settings.Check, r.Settings.Access = check, access
	result, err := r.Run(t.Context(), provision.Everything)
	if err != nil {
		t.Fatal(err)
	}
	c.distribution, c.domain = result.DistributionID, result.Domain
}

// configuration is what an edge knows: the first one always the newest of each
// distribution, the second one that before, until a change is deployed.
func (c *cloud) configuration(edge int) *cloudfronttest.Configuration {
	g := &cloudfronttest.Configuration{
		CachePolicies:          map[string]*types.CachePolicyConfig{},
		OriginAccessControls:   map[string]*types.OriginAccessControlConfig{},
		OriginAccessIdentities: map[string]string{},
		BucketPolicies:         map[string]string{c.bucket.Name: c.aws.BucketPolicy(c.bucket.Name)},
	}
	for _, id := range c.aws.Distributions() {
		configs := c.aws.AtEdges(id)
		d := cloudfronttest.Distribution{ID: id, Config: configs[min(edge, len(configs)-1)]}
		d.ARN, d.DomainName = c.aws.DistributionNames(id)
		g.Distributions = append(g.Distributions, d)
		policy := aws.ToString(d.Config.DefaultCacheBehavior.CachePolicyId)
		if p, ok := c.aws.CachePolicy(policy); ok {
			g.CachePolicies[policy] = &p
		}
		for _, o := range d.Config.Origins.Items {
			control := aws.ToString(o.OriginAccessControlId)
			if config, ok := c.aws.OriginAccessControl(control); ok {
				g.OriginAccessControls[control] = &config
			}
			identity := strings.TrimPrefix(aws.ToString(o.S3OriginConfig.OriginAccessIdentity), "origin-access-identity/cloudfront/")
			if i, ok := c.aws.OriginAccessIdentity(identity); ok {
				g.OriginAccessIdentities[identity] = aws.ToString(i.S3CanonicalUserId)
			}
		}
	}
	return g
}

// versions runs the code of versions of Lambda functions, each in a process of
// its own, as AWS runs it, and CloudFront functions by njs.
type versions struct {
	t    testing.TB
	code func(arn string) ([]byte, error)
	edge func(arn string) (code []byte, keys map[string]string, ok bool)
	njs  *edgetest.NJS // nil where no CloudFront function is expected

	mu      sync.Mutex
	running map[string]*edgetest.Function
}

// Invoke gives an event to a version, or a CloudFront function.
func (v *versions) Invoke(ctx context.Context, arn string, event []byte) ([]byte, error) {
	if code, keys, ok := v.edge(arn); ok && v.njs != nil {
		return v.njs.Run(ctx, code, edgetest.Store(keys), event)
	}
	f, err := v.version(arn)
	if err != nil {
		return nil, err
	}
	return f.Invoke(ctx, event)
}

func (v *versions) version(arn string) (*edgetest.Function, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f := v.running[arn]; f != nil {
		return f, nil
	}
	pack, err := v.code(arn)
	if err != nil {
		return nil, err
	}
	f, err := edgetest.Start(v.t, pack)
	if err != nil {
		return nil, err
	}
	if v.running == nil {
		v.running = make(map[string]*edgetest.Function)
	}
	v.running[arn] = f
	return f, nil
}

// code is the package of a version of the function, which asks the KMS of the
// test and not that of AWS. Nothing else of it is changed.
func (c *cloud) code(arn string) ([]byte, error) {
	pack, ok := c.aws.FunctionCode(arn)
	if !ok {
		return nil, fmt.Errorf("there is no %s", arn)
	}
	config, err := function.ReadConfig(pack)
	if err != nil {
		return nil, err
	}
	config.Endpoint = c.awsURL
	return function.Zip(config)
}
