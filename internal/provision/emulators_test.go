package provision_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"packagecloud/internal/edge/function"
	"packagecloud/internal/provision"
	"packagecloud/internal/provision/emulators"
)

// emulator is an AWS that somebody else wrote. Each is asked only for what it
// does as AWS does; where it does not, its test says so, and our fake stands in.
type emulator struct{ *emulators.Emulator }

func startMoto(t *testing.T) *emulator { return &emulator{emulators.Moto(t)} }

func startMiniStack(t *testing.T, environment ...string) *emulator {
	return &emulator{emulators.MiniStack(t, environment...)}
}

// config is how to reach the emulator. Both ask for no signature; MiniStack has
// an account for each access key that looks like its number.
func (e *emulator) config(accessKey, secretKey string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(e.URL), RetryMaxAttempts: 1, HTTPClient: &http.Client{Transport: e.Transport},
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	}
}

// runner is a fresh process with the real function, which asks the KMS of the
// emulator.
func (e *emulator) runner(c aws.Config) *provision.Runner {
	s := settings()
	s.Plaintext, s.Context = function.Plaintext, function.Context
	s.Code = func(name, key string, ciphertext []byte, secrets ...string) ([]byte, error) {
		config := function.NewConfig(name, key, ciphertext, secrets...)
		config.Endpoint = e.URL
		return function.Zip(config)
	}
	return &provision.Runner{AWS: provision.NewAWS(c, provision.Connection{BucketRegion: "eu-central-1", PathStyle: true}), Settings: s, Sleep: soon}
}

// soon waits for what takes an emulator no time.
func soon(ctx context.Context, _ time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(20 * time.Millisecond):
		return nil
	}
}

// newBucket makes a bucket, with a policy and tags of others.
func newBucket(t *testing.T, c aws.Config, name string) *s3.Client {
	t.Helper()
	client := s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle, o.Region = true, "eu-central-1" })
	yes := aws.Bool(true)
	_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket: &name, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "eu-central-1"},
	})
	if err == nil {
		_, err = client.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &name, Policy: aws.String(foreign)})
	}
	if err == nil {
		_, err = client.PutBucketTagging(t.Context(), &s3.PutBucketTaggingInput{Bucket: &name, Tagging: &types.Tagging{
			TagSet: []types.Tag{{Key: aws.String("team"), Value: aws.String("build")}, {Key: aws.String("cost"), Value: aws.String("7")}},
		}})
	}
	if err == nil {
		_, err = client.PutPublicAccessBlock(t.Context(), &s3.PutPublicAccessBlockInput{Bucket: &name, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
			BlockPublicAcls: yes, BlockPublicPolicy: yes, IgnorePublicAcls: yes, RestrictPublicBuckets: yes,
		}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return client
}
