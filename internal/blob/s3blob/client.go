package s3blob

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"packagecloud/internal/blob/staging"
)

// Config says where a bucket is and how it is reached.
type Config struct {
	Bucket string
	Region string
	// Endpoint is the URL of the store, "" for AWS.
	Endpoint string
	// PublicEndpoint is the URL under which clients reach the store, ""
	// if it is the same.
	PublicEndpoint string
	// PathStyle puts the bucket into the path and not into the host name.
	PathStyle bool
	// AccessKey and SecretKey are static credentials. Without them the SDK
	// looks where it always does: environment, shared files, the machine's role.
	AccessKey, SecretKey string
	// SignatureVersion of links: 4, or 2 for stores that know no other.
	SignatureVersion int
	// Staging is the folder for uploads under way.
	Staging string

	// attempts is how often a request is made until it counts as failed, 0
	// for the standard.
	attempts int
}

const (
	// standardAttempts take about 20 seconds in all.
	standardAttempts = 6
	// maxBackoff is the longest pause between two attempts.
	maxBackoff = 10 * time.Second
	// stall is how long a connection may stand still in the middle of a
	// request. A server-side copy of 5 GiB is quiet for a while.
	stall = 5 * time.Minute
	// firstTime is how long it may take at start to find credentials and the
	// bucket.
	firstTime = 30 * time.Second
)

// Open makes a store of a bucket, and makes sure that it is there and can be
// read. The error says what to do.
func Open(ctx context.Context, c Config) (*Store, error) {
	s, err := open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open the bucket: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, c Config) (*Store, error) {
	if err := staging.Open(c.Staging); err != nil {
		return nil, err
	}
	options := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithRegion(c.Region),
		awsconfig.WithHTTPClient(httpClient()),
		awsconfig.WithRetryer(c.retryer),
		awsconfig.WithLogger(logging.Nop{}), // errors are returned
	}
	if c.AccessKey != "" {
		options = append(options, awsconfig.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, "")))
	}
	shared, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("read the settings of the AWS SDK: %w", err)
	}
	s := &Store{config: c, clock: new(storeClock), limits: standard}
	s.client = newClient(shared, c, c.Endpoint, s.clock)
	if s.signer, err = newSigner(shared, c, s.clock); err != nil {
		return nil, err
	}
	first, cancel := context.WithTimeout(ctx, firstTime)
	defer cancel()
	if _, err := shared.Credentials.Retrieve(first); err != nil {
		return nil, fmt.Errorf("there are no credentials for S3: set aws_access_key and aws_secret_key, or give the machine a role (%w)", err)
	}
	return s, s.reach(first)
}

// newClient makes a client for an endpoint, "" for AWS.
func newClient(shared aws.Config, c Config, endpoint string, store *storeClock) *s3.Client {
	return s3.NewFromConfig(shared, func(o *s3.Options) {
		o.UsePathStyle = c.PathStyle
		o.HTTPClient = dated{o.HTTPClient, store}
		// What S3 itself checks by default, other stores may not know. The
		// signature covers the bytes there.
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		if endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		}
	})
}

// reach makes the first request, and explains why it fails. It lists, because
// only that and a GET have an error code in the answer, and because without the
// permission to list S3 says 403 of objects that do not exist.
func (s *Store) reach(ctx context.Context) error {
	_, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.config.Bucket, MaxKeys: aws.Int32(1)},
		func(o *s3.Options) { o.RetryMaxAttempts = 3 })
	if err == nil {
		return nil
	}
	if advice := s.config.explain(err); advice != "" {
		return fmt.Errorf("%s (%w)", advice, err)
	}
	switch code(err) {
	case "", "NotFound", "UnknownError": // no answer, or one without the XML of S3
		at := s.config.Endpoint
		if at == "" {
			at = "S3 in the region " + s.config.Region
		}
		return fmt.Errorf("%s does not answer as S3 does: check s3_endpoint, s3_region and the network (%w)", at, err)
	}
	return err
}

// retryer waits longer from time to time, with jitter, and knows an answer that
// S3 gives when two nodes store the same object at the same time.
func (c Config) retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = cmp.Or(c.attempts, standardAttempts)
		o.MaxBackoff = maxBackoff
		o.Retryables = append(o.Retryables, retry.IsErrorRetryableFunc(brokenOff), retry.RetryableErrorCode{Codes: map[string]struct{}{
			"ConditionalRequestConflict": {}, "OperationAborted": {},
			"ExistingObjectIsDirectory": {}, // of stores over folders, while the last object of one is deleted
		}})
	})
}

// brokenOff reports whether an answer could not be read to its end. The SDK does
// not try again then.
func brokenOff(err error) aws.Ternary {
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok || errors.Is(err, io.ErrUnexpectedEOF) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

func httpClient() *awshttp.BuildableClient {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &movingConn{Conn: c}, nil
		}
		t.TLSHandshakeTimeout = 10 * time.Second
		t.IdleConnTimeout = time.Minute
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 256, 128
	})
}

// movingConn fails if nothing moves for a while, in either direction.
type movingConn struct{ net.Conn }

func (c *movingConn) Read(p []byte) (int, error) {
	return moved(c, p, c.Conn.Read)
}

func (c *movingConn) Write(p []byte) (int, error) {
	return moved(c, p, c.Conn.Write)
}

func moved(c *movingConn, p []byte, move func([]byte) (int, error)) (int, error) {
	if err := c.SetDeadline(time.Now().Add(stall)); err != nil {
		return 0, err
	}
	n, err := move(p)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		err = fmt.Errorf("nothing moved for %s: %w", stall, err)
	}
	return n, err
}
