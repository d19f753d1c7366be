package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"packagecloud/internal/edge"
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
			Plaintext: function.Plaintext, Context: function.Context,
			Code: func(name, keyARN string, ciphertext []byte, secrets ...string) ([]byte, error) {
				return function.Zip(function.NewConfig(name, keyARN, ciphertext, secrets...))
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
