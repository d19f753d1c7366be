package s3blob

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/blob"
)

// motoAddress is the address of a moto, an S3 that knows what versitygw does not:
// storage classes and encryption. It ends with the test.
func motoAddress(t *testing.T) string {
	t.Helper()
	programs, err := exec.CommandContext(t.Context(), "../../../scripts/python-tools", "emulators").Output()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("scripts/python-tools: %v", err)
		}
		t.Skipf("scripts/python-tools: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(address)
	var log bytes.Buffer
	c := exec.CommandContext(t.Context(), strings.TrimSpace(string(programs))+"/moto_server", "-H", "127.0.0.1", "-p", port)
	c.Dir, c.Stdout, c.Stderr, c.WaitDelay = t.TempDir(), &log, &log, time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	for range 600 {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return address
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("moto does not start")
	return ""
}

// TestRestampKeepsClass: the storage class of an object and its encryption are
// kept, whether one request copies it or many do. (moto takes no lock for a copy
// and loses the bucket key of an upload of several parts.)
func TestRestampKeepsClass(t *testing.T) {
	endpoint := "http://" + motoAddress(t)
	client := s3.New(s3.Options{BaseEndpoint: &endpoint, Region: "us-east-1", UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	bucket := "classes"
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, Config{Bucket: bucket, Region: "us-east-1", Endpoint: endpoint, PathStyle: true, AccessKey: "test", SecretKey: "test", SignatureVersion: 4, Staging: t.TempDir()})
	for name, size := range map[string]int{"small": 10, "large": 12 << 20} {
		t.Run(name, func(t *testing.T) {
			key := "packages/" + name
			_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: &bucket, Key: &key, Body: bytes.NewReader(make([]byte, size)), StorageClass: types.StorageClassStandardIa,
				ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: aws.String("alias/ours"),
			})
			if err != nil {
				t.Fatal(err)
			}
			before, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
			if err != nil {
				t.Fatal(err)
			}
			if changed, err := s.Restamp(t.Context(), key, blob.Attributes{ContentType: "application/x-new", Class: blob.Package}); err != nil || !changed {
				t.Fatalf("changed is %t, %v", changed, err)
			}
			after, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
			if err != nil {
				t.Fatal(err)
			}
			if got := aws.ToString(after.ContentType); got != "application/x-new" {
				t.Errorf("the type is %s", got)
			}
			keeps := func(o *s3.HeadObjectOutput) []any {
				return []any{o.StorageClass, o.ServerSideEncryption, aws.ToString(o.SSEKMSKeyId)}
			}
			want := []any{types.StorageClassStandardIa, types.ServerSideEncryptionAwsKms, "alias/ours"}
			if diff := cmp.Diff(want, keeps(before)); diff != "" {
				t.Fatalf("moto does not know (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, keeps(after)); diff != "" {
				t.Errorf("it was not kept (-want +got):\n%s", diff)
			}
		})
	}
}
