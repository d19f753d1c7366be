package s3blob

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4sign "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// maxLife is the longest life of a link of signature version 4.
const maxLife = 7 * 24 * time.Hour

// signer makes links.
type signer interface {
	link(ctx context.Context, key string, life time.Duration) (string, error)
}

// Link implements blob.Linker. Of signature version 4 a link lives for seven
// days at most; of either version it dies with the credentials, if those are
// temporary as a role's are. It answers GET alone, and not HEAD.
func (s *Store) Link(ctx context.Context, key string, life time.Duration) (string, error) {
	if err := check(key); err != nil {
		return "", err
	}
	link, err := s.signer.link(ctx, key, life)
	return link, wrap("sign a link to", key, err)
}

func newSigner(shared aws.Config, c Config, store *storeClock) (signer, error) {
	endpoint := cmp.Or(c.PublicEndpoint, c.Endpoint)
	switch c.SignatureVersion {
	case 4:
		signing := v4sign.NewSigner(func(o *v4sign.SignerOptions) { o.DisableURIPathEscaping = true }) // as S3 wants it
		client := s3.NewPresignClient(newClient(shared, c, endpoint, store), func(o *s3.PresignOptions) { o.Presigner = presigner{signing, store} })
		return v4{c.Bucket, client}, nil
	case 2:
		return newV2(shared.Credentials, c, endpoint, store.Now)
	}
	return nil, fmt.Errorf("signature version %d: must be 4 or 2", c.SignatureVersion)
}

type v4 struct {
	bucket string
	client *s3.PresignClient
}

func (v v4) link(ctx context.Context, key string, life time.Duration) (string, error) {
	life = min(max(life, time.Second), maxLife)
	signed, err := v.client.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &v.bucket, Key: &key}, s3.WithPresignExpires(life))
	if err != nil {
		return "", err
	}
	return signed.URL, nil
}

// v2 signs the way that S3 did until 2014, and that some other stores still
// want: https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html
type v2 struct {
	credentials aws.CredentialsProvider
	bucket      string
	base        string // the URL of the bucket, with a slash
	now         func() time.Time
}

func newV2(credentials aws.CredentialsProvider, c Config, endpoint string, now func() time.Time) (*v2, error) {
	u, err := url.Parse(cmp.Or(endpoint, "https://s3."+c.Region+".amazonaws.com"))
	if err != nil {
		return nil, fmt.Errorf("the endpoint of links: %w", err)
	}
	if c.PathStyle {
		u = u.JoinPath(c.Bucket)
	} else {
		u.Host = c.Bucket + "." + u.Host
	}
	return &v2{credentials, c.Bucket, strings.TrimSuffix(u.String(), "/") + "/", now}, nil
}

func (v *v2) link(ctx context.Context, key string, life time.Duration) (string, error) {
	c, err := v.credentials.Retrieve(ctx)
	if err != nil {
		return "", err
	}
	expires := strconv.FormatInt(v.now().Add(life).Unix(), 10)
	query := url.Values{"AWSAccessKeyId": {c.AccessKeyID}, "Expires": {expires}}
	headers := ""
	if c.SessionToken != "" {
		query.Set("x-amz-security-token", c.SessionToken)
		headers = "x-amz-security-token:" + c.SessionToken + "\n"
	}
	// Method, Content-MD5, Content-Type, expiry, headers, resource.
	mac := hmac.New(sha1.New, []byte(c.SecretAccessKey))
	fmt.Fprintf(mac, "GET\n\n\n%s\n%s/%s/%s", expires, headers, v.bucket, key)
	query.Set("Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return v.base + key + "?" + query.Encode(), nil
}
