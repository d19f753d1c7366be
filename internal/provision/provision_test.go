package provision_test

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"packagecloud/internal/edge"
	"packagecloud/internal/provision"
	"packagecloud/internal/provision/awsfake"
)

const secret = "MDI2ZDhhYmMxYThiMjVmMTBlODM4OWNmZWZiZmI2NWI"

// ours is what everything is called.
var ours = provision.Name("packages")

// permissionsOf is what is printed for a check.
func permissionsOf(check provision.Check, scope provision.Scope) provision.Policy {
	s := (&site{check: check}).settings()
	return s.Permissions(awsfake.Account, scope)
}

// TestMain keeps the SDK from looking for credentials of the machine.
func TestMain(m *testing.M) {
	for k, v := range map[string]string{"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "NO_PROXY": "127.0.0.1"} {
		if err := os.Setenv(k, v); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// site is an account with a bucket, and who sets things up in it.
type site struct {
	fake   *awsfake.Fake
	check  provision.Check
	bucket string // empty for "packages"
}

func newSite() *site { return newSiteOf("") }

// newSiteOf is one with a check.
func newSiteOf(check provision.Check) *site {
	s := &site{fake: awsfake.New("eu-central-1", "packages", "others"), check: check}
	s.fake.RunEdgeFunction = runEdge
	return s
}

// both are the two kinds of check.
var both = []provision.Check{provision.LambdaEdge, provision.CloudFrontFunction}

// runEdge is a stand-in for the CloudFront function: an event is the secret of a
// link.
func runEdge(_ []byte, keys map[string]string, event []byte) ([]byte, error) {
	if keys[edge.KeyID(string(event))] != string(event) {
		return []byte("refused"), nil
	}
	return []byte("passed"), nil
}

// direct calls the fake without a network.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	r.Host = cmp.Or(r.Host, r.URL.Host) // as a server sees it
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// runner is a fresh process: nothing is remembered from another. between, if
// not nil, stands between it and AWS.
func (s *site) runner(between func(http.RoundTripper) http.RoundTripper) *provision.Runner {
	return s.runnerIn("eu-central-1", between)
}

// runnerIn is one whose configuration has a region for the bucket.
func (s *site) runnerIn(region string, between func(http.RoundTripper) http.RoundTripper) *provision.Runner {
	var transport http.RoundTripper = direct{s.fake}
	if between != nil {
		transport = between(transport)
	}
	c := aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://aws.test"), Credentials: credentials.NewStaticCredentialsProvider("AK", "SK", ""),
		HTTPClient: &http.Client{Transport: transport}, RetryMaxAttempts: 1,
	}
	settings := s.settings()
	settings.Region = region
	return &provision.Runner{
		AWS:      provision.NewAWS(c, provision.Connection{BucketRegion: region, PathStyle: true}),
		Settings: settings,
		Sleep: func(ctx context.Context, d time.Duration) error {
			s.fake.Pass(d)
			return ctx.Err()
		},
	}
}

func settings() provision.Settings { return (&site{}).settings() }

func (s *site) settings() provision.Settings {
	return provision.Settings{
		Check: s.check, Edge: provision.EdgeFunction{
			Code: []byte("the code"), KeyID: edge.KeyID,
			Probe: func(secret string) ([]byte, func(string) bool, error) {
				return []byte(secret), func(output string) bool { return output == "passed" }, nil
			},
		},
		Bucket: cmp.Or(s.bucket, "packages"), Region: "eu-central-1", Secrets: []string{secret},
		Plaintext: func(secrets ...string) []byte { return []byte(strings.Join(secrets, "\n")) },
		Context:   func(function string) map[string]string { return map[string]string{"function": function} }, Code: code,
	}
}

// code is a stand-in for the function: a zip that is the same for the same
// input.
func code(name, key string, ciphertext []byte, _ ...string) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.CreateHeader(&zip.FileHeader{Name: "index.js"})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "%s %x %s", name, ciphertext, key)
	err = z.Close()
	return b.Bytes(), err
}

// drift changes what somebody may have changed by hand.
func (s *site) drift() {
	if s.check == provision.CloudFrontFunction {
		s.fake.DriftEdgeFunction(ours)
		return
	}
	s.fake.Drift(ours)
}

// run sets everything up.
func (s *site) run(t *testing.T) *provision.Result {
	t.Helper()
	r, err := s.runner(nil).Run(t.Context(), provision.Everything)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// state is what the account holds, without what is random.
func (s *site) state(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	ids := s.fake.Distributions()
	for _, id := range ids {
		_, g, _ := s.fake.Distribution(id)
		d := g.DefaultCacheBehavior
		policy, ok := s.fake.CachePolicy(aws.ToString(d.CachePolicyId))
		control, _ := s.fake.OriginAccessControl(aws.ToString(g.Origins.Items[0].OriginAccessControlId))
		fmt.Fprintf(&b, "distribution %s enabled %v errors %d control %s cache %v %s tags %v\n", *g.CallerReference, *g.Enabled, len(g.CustomErrorResponses.Items),
			aws.ToString(control.Name), ok, aws.ToString(policy.Name), s.fake.DistributionTags(id))
		for _, a := range d.FunctionAssociations.Items {
			code, keys, ok := s.fake.EdgeFunction(*a.FunctionARN)
			fmt.Fprintf(&b, "  %s %s %s %v %v\n", a.EventType, *a.FunctionARN, code, keys, ok)
		}
		for _, a := range d.LambdaFunctionAssociations.Items {
			_, ok := s.fake.FunctionCode(*a.LambdaFunctionARN)
			fmt.Fprintf(&b, "  %s %s code %v\n", a.EventType, *a.LambdaFunctionARN, ok)
		}
	}
	rolePolicy, _ := s.fake.RolePolicy(ours, ours)
	for _, k := range s.fake.Keys() {
		rolePolicy = strings.ReplaceAll(rolePolicy, k, "KEY")
	}
	policy := s.fake.BucketPolicy("packages")
	for i, id := range ids {
		policy = strings.ReplaceAll(policy, id, fmt.Sprint("DISTRIBUTION", i))
	}
	fmt.Fprintf(&b, "keys %d versions %v\nrole %s\nbucket %s %v\n", len(s.fake.Keys()), s.fake.FunctionVersions(ours), rolePolicy, policy, s.fake.BucketTags("packages"))
	return b.String()
}

func TestSetUp(t *testing.T) {
	for _, check := range both {
		t.Run(string(check), func(t *testing.T) { testSetUp(t, newSiteOf(check)) })
	}
}

func testSetUp(t *testing.T, s *site) {
	f := s.fake
	f.RoleDelay, f.PendingPolls, f.DeployPolls, f.StorePolls, f.KeyDelay, f.PageSize = 3, 2, 3, 3, 2, 1
	r := s.run(t)
	arn := "arn:aws:lambda:us-east-1:123456789012:function:" + ours + ":1"
	if s.check == provision.CloudFrontFunction {
		arn = "arn:aws:cloudfront::123456789012:function/" + ours
	}
	if !strings.HasSuffix(r.Domain, ".cloudfront.net") || r.Version != arn {
		t.Errorf("result: %+v", r)
	}
	t.Log(s.state(t))

	plan, err := s.runner(nil).Plan(t.Context(), provision.Everything)
	if err != nil || len(plan.Actions) != 0 {
		t.Errorf("after it is set up: %+v %v", plan, err)
	}
	before := s.state(t)
	changed := false
	f.Changed = func(operation string) { changed = true; t.Error("second run: ", operation) }
	s.run(t)
	if changed || s.state(t) != before {
		t.Error("the second run changed something")
	}
}

// errKilled stands for the end of the process.
var errKilled = errors.New("killed")

// killer kills the process at the n-th call that is no mere reading: before it
// reaches AWS, or after, before the answer is seen. To be killed while reading
// is one of these, to AWS.
type killer struct {
	next  http.RoundTripper
	n     int
	after bool
	dead  bool
}

func (k *killer) RoundTrip(r *http.Request) (*http.Response, error) {
	if k.dead {
		return nil, errKilled
	}
	if reads(r) {
		return k.next.RoundTrip(r)
	}
	k.n--
	k.dead = k.n < 0
	if k.dead && !k.after {
		return nil, errKilled
	}
	answer, err := k.next.RoundTrip(r)
	if k.dead && err == nil {
		answer.Body.Close()
		return nil, errKilled
	}
	return answer, err
}

// reads reports whether a call changes nothing. The context of a request of the
// SDK knows the operation.
func reads(r *http.Request) bool {
	return readPattern.MatchString(awsmiddleware.GetOperationName(r.Context()))
}

var readPattern = regexp.MustCompile(`^(Get|List|Describe|Simulate|Encrypt)`)

func TestKilled(t *testing.T) {
	for _, check := range both {
		t.Run(string(check), func(t *testing.T) { testKilled(t, check) })
	}
}

func testKilled(t *testing.T, check provision.Check) {
	start := func() *site {
		s := newSiteOf(check)
		s.fake.PendingPolls, s.fake.DeployPolls, s.fake.RoleDelay, s.fake.StorePolls, s.fake.KeyDelay = 1, 1, 1, 1, 1
		return s
	}
	whole := start()
	whole.run(t)
	want := whole.state(t)
	for _, after := range []bool{false, true} {
		n := 0
		for ; ; n++ {
			s := start()
			_, err := s.runner(func(next http.RoundTripper) http.RoundTripper { return &killer{next: next, n: n, after: after} }).Run(t.Context(), provision.Everything)
			if err == nil {
				break
			}
			if !errors.Is(err, errKilled) {
				t.Fatalf("killed at change %d: %v", n, err)
			}
			s.run(t)
			if got := s.state(t); got != want {
				t.Fatalf("killed at change %d, after it %v:\n%s\nwant\n%s", n, after, got, want)
			}
		}
		if n < 9 {
			t.Errorf("only %d changes", n)
		}
	}
}
