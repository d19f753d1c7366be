package provision_test

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/provision"
)

// calls remembers which operations our clients of AWS begin, by service and
// operation: iam:GetRole.
type calls struct {
	mu   sync.Mutex
	seen map[string]bool
}

// record makes the clients of a configuration tell what they call.
func (c *calls) record(config *aws.Config) {
	config.APIOptions = append(config.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("record", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.seen == nil {
				c.seen = map[string]bool{}
			}
			service := strings.ReplaceAll(strings.ToLower(awsmiddleware.GetServiceID(ctx)), " ", "-")
			c.seen[service+":"+awsmiddleware.GetOperationName(ctx)] = true
			return next.HandleInitialize(ctx, in)
		}), middleware.After)
	})
}

// operations lists them in order.
func (c *calls) operations() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.seen))
}

// needs are the permissions for an operation where they are not that of its
// name, as the service authorization reference has them.
var needs = map[string][]string{
	"sts:GetCallerIdentity":          {},                                // everybody may
	"iam:SimulatePrincipalPolicy":    {},                                // asked in vain where it is refused
	"iam:CreateRole":                 {"iam:CreateRole", "iam:TagRole"}, // with tags, as the next two
	"kms:CreateKey":                  {"kms:CreateKey", "kms:TagResource", "kms:PutKeyPolicy"},
	"lambda:CreateFunction":          {"lambda:CreateFunction", "lambda:TagResource", "iam:PassRole"},
	"lambda:GetFunction":             {"lambda:GetFunction", "lambda:ListTags"}, // shows tags
	"s3:GetPublicAccessBlock":        {"s3:GetBucketPublicAccessBlock"},
	"s3:GetBucketEncryption":         {"s3:GetEncryptionConfiguration"},
	"cloudfront:CreateFunction":      {"cloudfront:CreateFunction", "cloudfront:TagResource"},
	"cloudfront:CreateKeyValueStore": {"cloudfront:CreateKeyValueStore", "cloudfront:TagResource"},
	// Edges get the Lambda function, by roles that CloudFront makes the first time.
	"cloudfront:CreateDistributionWithTags": {"cloudfront:CreateDistribution", "cloudfront:TagResource", "lambda:EnableReplication*", "lambda:DisableReplication*", "iam:CreateServiceLinkedRole"},
	"cloudfront:UpdateDistribution":         {"cloudfront:UpdateDistribution", "lambda:EnableReplication*", "lambda:DisableReplication*", "iam:CreateServiceLinkedRole"},
}

func (c *calls) permissions() (all []string) {
	for _, operation := range c.operations() {
		if more, ok := needs[operation]; ok {
			all = append(all, more...)
		} else {
			all = append(all, operation)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestCalls holds what our clients call against what is printed, for each of the
// three commands and either check, and against what the fake asks for, which
// TestSimulate evaluates.
func TestCalls(t *testing.T) {
	for name, scope := range map[string]provision.Scope{
		"bootstrap-cloudfront":                provision.Function,
		"reconfigure-cloudfront-distribution": provision.Distribution,
		"setup-cloudfront":                    provision.Everything,
	} {
		for _, check := range both {
			t.Run(name+" "+string(check), func(t *testing.T) { testCalls(t, check, scope) })
		}
	}
}

func testCalls(t *testing.T, check provision.Check, scope provision.Scope) {
	all, asked := everyCall(t, check, scope)
	var printed []string
	for _, s := range permissionsOf(check, scope).Statement {
		printed = append(printed, s.Action...)
	}
	needed := all.permissions()
	if check == provision.CloudFrontFunction {
		needed = slices.DeleteFunc(needed, func(p string) bool { return p == "lambda:EnableReplication*" || p == "iam:CreateServiceLinkedRole" })
	}
	for _, other := range []struct {
		what string
		list []string
	}{{"printed", printed}, {"what the fake asks for", asked}} {
		slices.Sort(other.list)
		if diff := cmp.Diff(needed, slices.Compact(other.list)); diff != "" {
			t.Errorf("what calls need (-), and what is %s (+):\n%s", other.what, diff)
		}
	}
}

// everyCall does all that a command can find to do, and remembers what is
// called for it, and which permissions the fake asks for.
func everyCall(t *testing.T, kind provision.Check, scope provision.Scope) (all *calls, asked []string) {
	t.Helper()
	all = &calls{}
	run := func(s *site, change func(*provision.Settings)) *provision.Result {
		t.Helper()
		c := aws.Config{
			Region: "us-east-1", BaseEndpoint: aws.String("http://aws.test"), Credentials: credentials.NewStaticCredentialsProvider("AK", "SK", ""),
			HTTPClient: &http.Client{Transport: direct{s.fake}}, RetryMaxAttempts: 1,
		}
		all.record(&c)
		r := s.runner(nil)
		r.AWS = provision.NewAWS(c, provision.Connection{BucketRegion: "eu-central-1", PathStyle: true})
		change(&r.Settings)
		before := len(s.fake.Checks())
		result, err := r.Run(t.Context(), scope)
		if err != nil {
			t.Fatal(err)
		}
		for _, check := range s.fake.Checks()[before:] {
			if check.Action != "iam:SimulatePrincipalPolicy" {
				asked = append(asked, check.Action)
			}
		}
		return result
	}
	// reconfigure-cloudfront-distribution is told the version.
	version := func(s *site) string {
		if scope&provision.Function != 0 {
			return ""
		}
		result, err := s.runner(nil).Run(t.Context(), provision.Function)
		if err != nil {
			t.Fatal(err)
		}
		return result.Version
	}
	for _, access := range []provision.Access{provision.AccessControl, provision.AccessIdentity} {
		s := newSiteOf(kind)
		v := version(s)
		result := run(s, func(st *provision.Settings) { st.Access, st.FunctionVersion = access, v })
		if scope == provision.Function { // which looks at the distribution, once there is one
			whole := s.runner(nil)
			whole.Settings.Access = access
			made, err := whole.Run(t.Context(), provision.Everything)
			if err != nil {
				t.Fatal(err)
			}
			result.DistributionID = made.DistributionID
		}
		// What others change, and another secret.
		if scope&provision.Function != 0 {
			s.drift()
		}
		if scope&provision.Distribution != 0 {
			s.fake.Untag(result.DistributionID)
			s.others(result.DistributionID)
		}
		run(s, func(st *provision.Settings) {
			st.DistributionID, st.FunctionVersion, st.PriceClass = result.DistributionID, v, "PriceClass_100"
			st.Secrets = []string{strings.Repeat("y", 40)}
		})
	}
	return all, asked
}
