package provision_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"packagecloud/internal/edge/function"
	"packagecloud/internal/provision"
)

// emulator is an AWS that somebody else wrote. Each is asked only for what it
// does as AWS does; where it does not, its test says so, and our fake stands in.
type emulator struct {
	url       string
	transport http.RoundTripper
}

// whole sends requests whose bodies cannot be closed meanwhile. The SDK closes
// them when the answer comes, which on loopback is while Go still looks for
// their end: it then gives up the connection, and the answer.
type whole struct{ next http.RoundTripper }

func (w whole) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return w.next.RoundTrip(r)
}

// startMiniStack starts MiniStack, which runs functions with the Node.js of
// Lambda.
func startMiniStack(t *testing.T, environment ...string) *emulator {
	t.Helper()
	programs := tool(t, "../../scripts/python-tools", "emulators")
	node := tool(t, "../../scripts/node-tools")
	return startEmulator(t, func(port string) *exec.Cmd {
		c := exec.Command(programs + "/ministack")
		c.Env = append([]string{
			"PATH=" + node + "/node_modules/.bin:/usr/bin:/bin",
			"GATEWAY_PORT=" + port, "BIND_HOST=127.0.0.1", "MINISTACK_HOST=127.0.0.1",
			"SERVICES=iam,sts,kms,lambda,cloudfront,s3", "SFTP_ENABLED=0", "IOT_MTLS_ENABLED=0", // they would listen everywhere
		}, environment...)
		return c
	})
}

// startMoto starts moto.
func startMoto(t *testing.T) *emulator {
	t.Helper()
	programs := tool(t, "../../scripts/python-tools", "emulators")
	return startEmulator(t, func(port string) *exec.Cmd {
		c := exec.Command(programs+"/moto_server", "-H", "127.0.0.1", "-p", port)
		c.Env = []string{"PATH=/usr/bin:/bin"}
		return c
	})
}

// startEmulator starts a program on a port of loopback. It ends with the test.
func startEmulator(t *testing.T, command func(port string) *exec.Cmd) *emulator {
	t.Helper()
	var log bytes.Buffer
	for range 5 { // another may take the port meanwhile
		port := freePort(t)
		c := command(port)
		home := t.TempDir()
		c.Dir, c.Env = home, append(c.Env, "HOME="+home, "TMPDIR="+home)
		log.Reset()
		c.Stdout, c.Stderr = &log, &log
		c.WaitDelay = time.Second
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // functions are processes as well
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		gone := make(chan struct{})
		go func() {
			_ = c.Wait()
			close(gone)
		}()
		t.Cleanup(func() {
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
			<-gone
		})
		if answers(t.Context(), "127.0.0.1:"+port, gone) {
			return &emulator{"http://127.0.0.1:" + port, whole{&http.Transport{}}}
		}
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		<-gone
	}
	t.Fatalf("it does not start:\n%s", &log)
	return nil
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// answers waits until a program listens, up to a minute, or is gone.
func answers(ctx context.Context, address string, gone <-chan struct{}) bool {
	var d net.Dialer
	for range 600 {
		if c, err := d.DialContext(ctx, "tcp", address); err == nil {
			c.Close()
			select {
			case <-gone: // it was another that answered
				return false
			case <-time.After(200 * time.Millisecond):
				return true
			}
		}
		select {
		case <-gone:
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
	return false
}

// config is how to reach the emulator. Both ask for no signature; MiniStack has
// an account for each access key that looks like its number.
func (e *emulator) config(accessKey, secretKey string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(e.url), RetryMaxAttempts: 1, HTTPClient: &http.Client{Transport: e.transport},
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	}
}

// runner is a fresh process with the real function, which asks the KMS of the
// emulator.
func (e *emulator) runner(c aws.Config) *provision.Runner {
	s := settings()
	s.Plaintext, s.Context = function.Plaintext, function.Context(provision.Name)
	s.Code = func(key string, ciphertext []byte, secrets ...string) ([]byte, error) {
		config := function.NewConfig(provision.Name, key, ciphertext, secrets...)
		config.Endpoint = e.url
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
