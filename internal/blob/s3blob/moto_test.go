package s3blob

import (
	"bytes"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/blob"
	"packagecloud/internal/provision/emulators"
)

// TestRestampKeepsClass: the storage class of an object and its encryption are
// kept, whether one request copies it or many do. (moto takes no lock for a copy
// and loses the bucket key of an upload of several parts.)
func TestRestampKeepsClass(t *testing.T) {
	endpoint := emulators.Moto(t).URL // versitygw has neither classes nor keys
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
