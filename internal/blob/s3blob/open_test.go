package s3blob

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestOpenErrors: what is wrong with the settings is told at start, with what to
// do, and without the secret.
func TestOpenErrors(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"bucket":     {func(c *Config) { c.Bucket = "no-such-bucket" }, "s3_bucket no-such-bucket does not exist"},
		"access key": {func(c *Config) { c.AccessKey = "nobody" }, "aws_access_key is not known there"},
		"secret key": {func(c *Config) { c.SecretKey = "hunter2hunter2" }, "aws_secret_key does not belong to aws_access_key"},
		"region":     {func(c *Config) { c.Region = "eu-central-1" }, "is in the region us-east-1, and s3_region is eu-central-1"},
		"endpoint":   {func(c *Config) { c.Endpoint = "http://127.0.0.1:1" }, "http://127.0.0.1:1 does not answer as S3 does"},
		"web server": {func(c *Config) { c.Endpoint = web.URL }, "does not answer as S3 does"},
		"signature":  {func(c *Config) { c.SignatureVersion = 3 }, "must be 4 or 2"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := config(t)
			test.change(&c)
			_, err := Open(t.Context(), c)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), c.SecretKey) {
				t.Errorf("the secret is in %v", err)
			}
		})
	}
}

// TestNoCredentials: without keys, the SDK looks where it always does.
func TestNoCredentials(t *testing.T) {
	c, b := config(t)
	for name, value := range map[string]string{
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
	c.AccessKey, c.SecretKey = "", ""
	if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "there are no credentials for S3: set aws_access_key") {
		t.Errorf("got %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", b.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", b.SecretKey)
	if _, err := Open(t.Context(), c); err != nil {
		t.Errorf("with keys in the environment: %v", err)
	}
}

// TestForeign: what else lives in the bucket is not seen.
func TestForeign(t *testing.T) {
	c, b := config(t)
	s := openStore(t, c)
	for _, key := range []string{"backup/x", "packages/with+plus", "index.html"} {
		if _, err := b.Client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b.Name, Key: aws.String(key), Body: strings.NewReader("x")}); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), key); err == nil {
			t.Errorf("%s could be deleted", key)
		}
	}
	for info, err := range s.List(t.Context(), "") {
		t.Errorf("listed: %v, %v", info, err)
	}
}
