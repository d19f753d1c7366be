package provision_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/provision"
	"packagecloud/internal/provision/awsfake"
)

// foreign is a policy of somebody else, with what we do not know.
const foreign = `{"Version":"2012-10-17","Id":"theirs","Statement":[{"Sid":"TheirDeny","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::packages/secret/*","Condition":{"Bool":{"aws:SecureTransport":"false"}}},{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":["s3:PutObject","s3:GetObject"],"Resource":"arn:aws:s3:::packages/*"}]}`

// TestForeignStays has a distribution that people have worked on, and a bucket
// with a policy and tags of others.
func TestForeignStays(t *testing.T) {
	s := newSite()
	s.fake.SetBucket("packages", foreign, map[string]string{"team": "build", "cost": "7"})
	result := s.run(t)
	id := result.DistributionID
	s.fake.ChangeDistribution(id, func(g *types.DistributionConfig) {
		g.Comment, g.WebACLId, g.PriceClass = aws.String("do not touch"), aws.String("waf"), types.PriceClassPriceClass100
		g.Logging = &types.LoggingConfig{Enabled: aws.Bool(true), IncludeCookies: aws.Bool(true), Bucket: aws.String("logs.s3.amazonaws.com"), Prefix: aws.String("x/")}
		g.Origins.Items = append(g.Origins.Items, types.Origin{Id: aws.String("site"), DomainName: aws.String("www.example.com"), CustomOriginConfig: &types.CustomOriginConfig{
			HTTPPort: aws.Int32(80), HTTPSPort: aws.Int32(443), OriginProtocolPolicy: types.OriginProtocolPolicyHttpsOnly,
		}})
		g.Origins.Quantity = aws.Int32(2)
		g.CacheBehaviors = &types.CacheBehaviors{Quantity: aws.Int32(1), Items: []types.CacheBehavior{{
			PathPattern: aws.String("/docs/*"), TargetOriginId: aws.String("site"), ViewerProtocolPolicy: types.ViewerProtocolPolicyAllowAll, CachePolicyId: g.DefaultCacheBehavior.CachePolicyId,
		}}}
		g.CustomErrorResponses.Items[1].ResponsePagePath, g.CustomErrorResponses.Items[1].ResponseCode = aws.String("/404.html"), aws.String("404")
		g.CustomErrorResponses.Items = append(g.CustomErrorResponses.Items, types.CustomErrorResponse{ErrorCode: aws.Int32(500), ErrorCachingMinTTL: aws.Int64(60)})
		g.CustomErrorResponses.Quantity = aws.Int32(3)
		l := g.DefaultCacheBehavior.LambdaFunctionAssociations
		l.Items = append(l.Items, types.LambdaFunctionAssociation{EventType: types.EventTypeOriginResponse, LambdaFunctionARN: aws.String(result.Version), IncludeBody: aws.Bool(false)})
		l.Quantity = aws.Int32(2)
	})
	_, before, _ := s.fake.Distribution(id)

	// A change of ours: another secret.
	r := s.runner(nil)
	r.Settings.Secrets = append(r.Settings.Secrets, strings.Repeat("x", 40))
	if _, err := r.Run(t.Context(), provision.Everything); err != nil {
		t.Fatal(err)
	}
	_, after, _ := s.fake.Distribution(id)
	want := copyOf(t, before)
	want.DefaultCacheBehavior.LambdaFunctionAssociations.Items[0].LambdaFunctionARN = aws.String(strings.TrimSuffix(result.Version, "1") + "2")
	if diff := cmp.Diff(plain(t, want), plain(t, after)); diff != "" {
		t.Errorf("the distribution (-want +got):\n%s", diff)
	}

	var got, had struct {
		ID        string `json:"Id"`
		Statement []map[string]any
	}
	for text, into := range map[string]any{s.fake.BucketPolicy("packages"): &got, foreign: &had} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(had.Statement, got.Statement[:2]); diff != "" || got.ID != "theirs" || len(got.Statement) != 3 {
		t.Errorf("the policy of the bucket: %s\n%s", s.fake.BucketPolicy("packages"), diff)
	}
	if diff := cmp.Diff(map[string]string{"team": "build", "cost": "7", provision.Tag: "true"}, s.fake.BucketTags("packages")); diff != "" {
		t.Errorf("the tags of the bucket (-want +got):\n%s", diff)
	}
}

func copyOf(t *testing.T, g *types.DistributionConfig) *types.DistributionConfig {
	t.Helper()
	same := &types.DistributionConfig{}
	if err := json.Unmarshal([]byte(plain(t, g)), same); err != nil {
		t.Fatal(err)
	}
	return same
}

func plain(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// transport is a function between a program and AWS.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestStaleETag changes the distribution behind our back, right before it is
// updated.
func TestStaleETag(t *testing.T) {
	s := newSite()
	id := s.run(t).DistributionID
	times := 0
	r := s.runner(func(next http.RoundTripper) http.RoundTripper {
		return transport(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/config") && times < 3 {
				times++
				s.fake.ChangeDistribution(id, func(g *types.DistributionConfig) { g.Comment = aws.String(fmt.Sprint("theirs ", times)) })
			}
			return next.RoundTrip(r)
		})
	})
	r.Settings.PriceClass = "PriceClass_200"
	if _, err := r.Run(t.Context(), provision.Everything); err != nil {
		t.Fatal(err)
	}
	_, g, _ := s.fake.Distribution(id)
	if times != 3 || *g.Comment != "theirs 3" || g.PriceClass != types.PriceClassPriceClass200 {
		t.Errorf("after %d changes: %s, %s", times, *g.Comment, g.PriceClass)
	}
}

// TestTogether has four runs at the same time.
func TestTogether(t *testing.T) {
	for _, check := range both {
		t.Run(string(check), func(t *testing.T) { testTogether(t, newSiteOf(check)) })
	}
}

func testTogether(t *testing.T, s *site) {
	s.fake.PendingPolls, s.fake.RoleDelay, s.fake.StorePolls, s.fake.KeyDelay = 2, 2, 2, 2
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { _, errs[i] = s.runner(nil).Run(t.Context(), provision.Everything) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if n := len(s.fake.Distributions()); n != 1 {
		t.Errorf("%d distributions", n)
	}
	before := s.state(t)
	s.run(t)
	if s.state(t) != before {
		t.Error("a run after them changed something")
	}
}

// readable fails if an edge could not read the bucket at this moment, whichever
// configuration it has.
func (s *site) readable(t *testing.T) {
	t.Helper()
	policy := strings.ReplaceAll(s.fake.BucketPolicy("packages"), "_", " ")
	for _, id := range s.fake.Distributions() {
		for _, g := range s.fake.AtEdges(id) {
			o := g.Origins.Items[0]
			reader := "distribution/" + id
			if identity := strings.TrimPrefix(*o.S3OriginConfig.OriginAccessIdentity, "origin-access-identity/cloudfront/"); identity != "" {
				reader = "Identity " + identity
			} else if *o.OriginAccessControlId == "" {
				reader = "nobody"
			}
			if !strings.Contains(policy, reader) {
				t.Errorf("an edge reads as %s, which the policy does not allow: %s", reader, policy)
			}
		}
	}
}

// TestMigrate changes the way of access to and fro, and looks after each change
// whether all edges can read.
func TestMigrate(t *testing.T) {
	s := newSite()
	s.fake.DeployPolls, s.fake.PrincipalDelay = 3, 2
	first := s.runner(nil)
	first.Settings.Access = provision.AccessIdentity
	if _, err := first.Run(t.Context(), provision.Everything); err != nil {
		t.Fatal(err)
	}
	s.fake.Changed = func(string) { s.readable(t) }
	// Without a choice, what is there stays.
	if plan, err := s.runner(nil).Plan(t.Context(), provision.Everything); err != nil || len(plan.Actions) != 0 || len(plan.Notices) < 1 {
		t.Fatalf("%+v %v", plan, err)
	}
	for _, step := range []struct {
		to         provision.Access
		remove     bool
		statements int
	}{{provision.AccessControl, false, 2}, {provision.AccessIdentity, false, 2}, {provision.AccessControl, true, 1}, {provision.AccessIdentity, true, 1}} {
		r := s.runner(nil)
		r.Settings.Access = step.to
		if _, err := r.Run(t.Context(), provision.Distribution); err == nil || !strings.Contains(err.Error(), "migrate-cloudfront-access "+string(step.to)) {
			t.Errorf("without leave: %v", err)
		}
		r = s.runner(nil)
		r.Settings.Access, r.Settings.Migrate, r.Settings.RemoveOld = step.to, true, step.remove
		if _, err := r.Run(t.Context(), provision.Distribution); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(s.fake.BucketPolicy("packages"), `"Sid"`); n != step.statements {
			t.Errorf("to %s: %d statements: %s", step.to, n, s.fake.BucketPolicy("packages"))
		}
	}
}

// TestUntouched has things that are not ours in the way.
func TestUntouched(t *testing.T) {
	tests := map[string]struct {
		prepare  func(t *testing.T, s *site)
		settings func(*provision.Settings)
		want     string
	}{
		"function of another name on viewer requests": {
			prepare: func(t *testing.T, s *site) {
				id := s.run(t).DistributionID
				s.fake.ChangeDistribution(id, func(g *types.DistributionConfig) {
					g.DefaultCacheBehavior.LambdaFunctionAssociations.Items[0].LambdaFunctionARN = aws.String("arn:aws:lambda:us-east-1:123456789012:function:theirs:1")
				})
			}, want: "which is not ours and stays",
		},
		"CloudFront function on viewer requests": {
			prepare: func(t *testing.T, s *site) {
				id := s.run(t).DistributionID
				s.fake.ChangeDistribution(id, func(g *types.DistributionConfig) {
					g.DefaultCacheBehavior.FunctionAssociations = &types.FunctionAssociations{Quantity: aws.Int32(1), Items: []types.FunctionAssociation{{EventType: types.EventTypeViewerRequest, FunctionARN: aws.String("theirs")}}}
				})
			}, want: "CloudFront allows no Lambda function beside it",
		},
		"distribution of something else": {
			prepare: func(_ *testing.T, s *site) {}, settings: func(st *provision.Settings) { st.DistributionID = "" },
			want: "",
		},
		"distribution that does not exist": {settings: func(st *provision.Settings) { st.DistributionID = "EXXX" }, want: "there is no distribution EXXX"},
		"bucket in another region":         {settings: func(st *provision.Settings) { st.Region = "us-west-2" }, want: "is in eu-central-1"},
		"no secret":                        {settings: func(st *provision.Settings) { st.Secrets = nil }, want: "generate-cloudfront-secret"},
		"dotted bucket":                    {settings: func(st *provision.Settings) { st.Bucket = "a.b" }, want: "has a dot"},
		"certificate elsewhere":            {settings: func(st *provision.Settings) { st.CertificateARN = "arn:aws:acm:eu-west-1:123456789012:certificate/1" }, want: "us-east-1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite()
			if tt.prepare != nil {
				tt.prepare(t, s)
			}
			if name == "distribution of something else" {
				id := s.fake.AddDistribution(types.DistributionConfig{
					CallerReference: aws.String("theirs"), Comment: aws.String(""), Enabled: aws.Bool(true),
					Origins:              &types.Origins{Quantity: aws.Int32(1), Items: []types.Origin{{Id: aws.String("www"), DomainName: aws.String("www.example.com"), CustomOriginConfig: &types.CustomOriginConfig{}}}},
					DefaultCacheBehavior: &types.DefaultCacheBehavior{TargetOriginId: aws.String("www"), ViewerProtocolPolicy: types.ViewerProtocolPolicyHttpsOnly},
				}, nil)
				tt.settings, tt.want = func(st *provision.Settings) { st.DistributionID = id }, "it serves something else, and stays untouched"
			}
			before := s.state0()
			r := s.runner(nil)
			if tt.settings != nil {
				tt.settings(&r.Settings)
			}
			_, err := r.Run(t.Context(), provision.Everything)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if s.state0() != before {
				t.Error("something was changed")
			}
		})
	}
}

// state0 counts what there is.
func (s *site) state0() string {
	_, _, published := s.fake.EdgeFunction("arn:aws:cloudfront::123456789012:function/" + ours)
	return fmt.Sprint(s.fake.Keys(), s.fake.FunctionVersions(ours), published, s.fake.KeyValues(ours), s.fake.Distributions(), s.fake.BucketPolicy("packages"))
}

// TestOptions are settings that only some have.
func TestOptions(t *testing.T) {
	s := newSite()
	r := s.runner(nil)
	no := false
	r.Settings.Domain, r.Settings.CertificateARN = "packages.example.com", "arn:aws:acm:us-east-1:123456789012:certificate/1"
	r.Settings.PriceClass, r.Settings.LogBucket, r.Settings.IPv6, r.Settings.HTTP3 = "PriceClass_100", "logs", &no, &no
	result, err := r.Run(t.Context(), provision.Everything)
	if err != nil {
		t.Fatal(err)
	}
	_, g, _ := s.fake.Distribution(result.DistributionID)
	if result.Domain != "packages.example.com" || !slices.Equal(g.Aliases.Items, []string{"packages.example.com"}) || *g.ViewerCertificate.ACMCertificateArn != r.Settings.CertificateARN ||
		g.PriceClass != types.PriceClassPriceClass100 || *g.IsIPV6Enabled || g.HttpVersion != types.HttpVersionHttp2 || *g.Logging.Bucket != "logs.s3.amazonaws.com" || !*g.Logging.Enabled {
		t.Errorf("%+v %s", result, plain(t, g))
	}
	if plan, err := r.Plan(t.Context(), provision.Everything); err != nil || len(plan.Actions) != 0 {
		t.Errorf("once more: %+v %v", plan, err)
	}
}

// evaluate is a policy as what decides.
func evaluate(t *testing.T, policies ...provision.Policy) func(awsfake.Check) bool {
	t.Helper()
	var texts []string
	for _, p := range policies {
		texts = append(texts, p.String())
	}
	grants, err := awsfake.Evaluate(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return grants
}

// others puts into a distribution what needs more permissions to change: an
// origin request policy, and the Lambda function where a CloudFront function is
// to check.
func (s *site) others(id string) {
	policy := s.fake.AddOriginRequestPolicy(types.OriginRequestPolicyConfig{
		Name: aws.String("theirs"), HeadersConfig: &types.OriginRequestPolicyHeadersConfig{HeaderBehavior: types.OriginRequestPolicyHeaderBehaviorNone},
	})
	s.fake.ChangeDistribution(id, func(g *types.DistributionConfig) {
		b := g.DefaultCacheBehavior
		b.OriginRequestPolicyId = &policy
		if s.check == provision.CloudFrontFunction {
			b.FunctionAssociations = &types.FunctionAssociations{Quantity: aws.Int32(0)}
			b.LambdaFunctionAssociations = &types.LambdaFunctionAssociations{Quantity: aws.Int32(1), Items: []types.LambdaFunctionAssociation{{
				EventType: types.EventTypeViewerRequest, LambdaFunctionARN: aws.String("arn:aws:lambda:us-east-1:123456789012:function:" + ours + ":1"),
			}}}
		}
	})
}

// needed are the permissions that all that can happen needs.
func needed(t *testing.T, check provision.Check, allow func(awsfake.Check) bool) []awsfake.Check {
	t.Helper()
	var checks []awsfake.Check
	run := func(prepare func(*site) (id string), settings func(*provision.Settings)) {
		s := newSiteOf(check)
		s.fake.Authorize = func(c awsfake.Check) bool { return c.Action == "iam:SimulatePrincipalPolicy" || allow(c) }
		id := ""
		if prepare != nil {
			id = prepare(s)
		}
		r := s.runner(nil)
		r.Settings.DistributionID = id
		if settings != nil {
			settings(&r.Settings)
		}
		if _, err := r.Run(t.Context(), provision.Everything); err != nil {
			t.Fatal(err)
		}
		for _, c := range s.fake.Checks() {
			if c.Action != "iam:SimulatePrincipalPolicy" {
				checks = append(checks, c)
			}
		}
	}
	run(nil, nil)
	run(nil, func(s *provision.Settings) { s.Access = provision.AccessIdentity })
	// What has drifted: trust, policy, configuration, tags.
	run(func(s *site) string {
		id := s.run(t).DistributionID
		s.drift()
		s.fake.Untag(id)
		s.others(id)
		return id
	}, func(s *provision.Settings) {
		s.Secrets, s.PriceClass = []string{strings.Repeat("y", 40)}, "PriceClass_100"
	})
	return checks
}

// TestPermissions holds the printed policy against what AWS asks for: with it
// everything works, and nothing in it is not needed.
func TestPermissions(t *testing.T) {
	for _, check := range both {
		t.Run(string(check), func(t *testing.T) { testPermissions(t, check) })
	}
}

func testPermissions(t *testing.T, check provision.Check) {
	policy := permissionsOf(check, provision.Everything)
	grants := evaluate(t, policy)
	used := map[string]bool{}
	for _, c := range needed(t, check, grants) {
		used[c.Action] = true
		if !grants(c) {
			t.Errorf("%s %s needs %s on %s", c.Service, c.Operation, c.Action, c.Resource)
		}
	}
	for _, s := range policy.Statement {
		for _, a := range s.Action {
			if !used[a] {
				t.Errorf("nothing needs %s", a)
			}
		}
	}
}

// TestMissing takes every permission away, one at a time. It is named before
// anything is made, whether IAM can be asked or not.
func TestMissing(t *testing.T) {
	for _, check := range both {
		t.Run(string(check), func(t *testing.T) { testMissing(t, check) })
	}
	// If IAM tells nothing, the refused call says it.
	for action, check := range map[string]provision.Check{
		"lambda:CreateFunction": "", "iam:PassRole": "", "cloudfront:CreateDistribution": "", "s3:PutBucketPolicy": "",
		"cloudfront:CreateKeyValueStore": provision.CloudFrontFunction, "cloudfront-keyvaluestore:UpdateKeys": provision.CloudFrontFunction,
		"cloudfront:CreateFunction": provision.CloudFrontFunction, "cloudfront:TestFunction": provision.CloudFrontFunction, "cloudfront:PublishFunction": provision.CloudFrontFunction,
	} {
		s := newSiteOf(check)
		s.fake.Authorize = func(c awsfake.Check) bool { return c.Action != action && c.Action != "iam:SimulatePrincipalPolicy" }
		_, err := s.runner(nil).Run(t.Context(), provision.Everything)
		if m, ok := errors.AsType[*provision.RefusalError](err); !ok || m.Action != action {
			t.Errorf("without %s: %v", action, err)
		}
	}
}

func testMissing(t *testing.T, check provision.Check) {
	policy := permissionsOf(check, provision.Everything)
	for _, st := range policy.Statement {
		for _, action := range st.Action {
			s := newSiteOf(check)
			s.fake.Authorize = func(c awsfake.Check) bool { return c.Action != action }
			before := s.state0()
			_, err := s.runner(nil).Run(t.Context(), provision.Everything)
			if _, ok := errors.AsType[*provision.RefusalsError](err); !ok || !strings.Contains(err.Error(), action+" on ") {
				t.Errorf("without %s: %v", action, err)
			}
			if s.state0() != before {
				t.Errorf("without %s something was made", action)
			}
		}
	}
}
