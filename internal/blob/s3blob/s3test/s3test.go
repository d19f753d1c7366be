// Package s3test gives tests buckets of a store that scripts/with-s3 runs.
package s3test

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Variable names the environment variable with the URL of the store, which has
// the keys in it.
const Variable = "PACKAGECLOUD_TEST_S3"

// Bucket is an empty bucket.
type Bucket struct {
	Name, Region, Endpoint, AccessKey, SecretKey string
	// Client is one of the SDK, without anything of ours.
	Client *s3.Client
}

// Need ends a test where there is no store: skipped, but failed in CI.
func Need(t testing.TB) {
	t.Helper()
	switch {
	case os.Getenv(Variable) != "":
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is not set: run the tests by scripts/with-s3", Variable)
	default:
		t.Skipf("needs an S3 store: run the tests by scripts/with-s3")
	}
}

// New makes a bucket. It needs a store, as Need says.
func New(t testing.TB) Bucket {
	t.Helper()
	Need(t)
	u, err := url.Parse(os.Getenv(Variable))
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := u.User.Password()
	b := Bucket{
		Name: "test-" + strings.ToLower(rand.Text()), Region: "us-east-1",
		Endpoint: u.Scheme + "://" + u.Host, AccessKey: u.User.Username(), SecretKey: secret,
	}
	b.Client = s3.New(s3.Options{
		BaseEndpoint: &b.Endpoint, Region: b.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(b.AccessKey, b.SecretKey, ""),
	})
	if _, err := b.Client.CreateBucket(context.Background(), &s3.CreateBucketInput{Bucket: &b.Name}); err != nil {
		t.Fatal(err)
	}
	return b
}

// Environ are the variables of a configuration that uses the bucket.
func (b Bucket) Environ() []string {
	return []string{
		"PACKAGECLOUD_S3_BUCKET=" + b.Name, "PACKAGECLOUD_S3_REGION=" + b.Region, "PACKAGECLOUD_S3_ENDPOINT=" + b.Endpoint,
		"PACKAGECLOUD_S3_PATH_STYLE=true", "PACKAGECLOUD_AWS_ACCESS_KEY=" + b.AccessKey, "PACKAGECLOUD_AWS_SECRET_KEY=" + b.SecretKey,
	}
}

// Uploads are the uploads of several parts that are under way.
func (b Bucket) Uploads(t testing.TB) (keys []string) {
	t.Helper()
	out, err := b.Client.ListMultipartUploads(context.Background(), &s3.ListMultipartUploadsInput{Bucket: &b.Name})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range out.Uploads {
		keys = append(keys, aws.ToString(u.Key))
	}
	return keys
}
