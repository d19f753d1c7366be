package provision_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"packagecloud/internal/provision"
	"packagecloud/internal/provision/awsfake"
	"packagecloud/internal/tooltest"
)

// silent is that IAM cannot be asked, so that AWS itself refuses.
func silent(c awsfake.Check) bool { return c.Action != "iam:SimulatePrincipalPolicy" }

// without is an Authorize that lacks a permission, and that of asking IAM.
func without(action string) func(awsfake.Check) bool {
	return func(c awsfake.Check) bool { return silent(c) && c.Action != action }
}

// denies is a Forbid of one permission by a kind of policy.
func denies(action, kind string) func(awsfake.Check) string {
	return func(c awsfake.Check) string {
		if c.Action == action {
			return kind
		}
		return ""
	}
}

// TestRefusals: AWS's own sentence is always told, with the advice that fits it.
// A permission is called missing only where AWS says that it is.
func TestRefusals(t *testing.T) {
	const missing = " is missing"
	for name, tt := range map[string]struct {
		prepare  func(*testing.T, *site)
		settings func(*provision.Settings)
		check    provision.Check
		missing  bool
		want     []string
	}{
		"lock-out check of a key": {
			prepare: func(_ *testing.T, s *site) { s.fake.Authorize = without("kms:PutKeyPolicy") }, missing: true,
			want: []string{"kms:PutKeyPolicy on ", "AWS says: The new key policy will not allow you to update the key policy in the future"},
		},
		"the same, foretold": {
			prepare: func(_ *testing.T, s *site) {
				s.fake.Authorize = func(c awsfake.Check) bool { return c.Action != "kms:PutKeyPolicy" }
			}, missing: true, want: []string{"nothing was changed", "kms:PutKeyPolicy on "},
		},
		"account not verified": {
			prepare: func(_ *testing.T, s *site) { s.fake.Unverified = true },
			want:    []string{"Your account must be verified before you can add new CloudFront resources", "Open a case with AWS Support"},
		},
		"policy of the organization, when reading": {
			prepare: func(_ *testing.T, s *site) {
				s.fake.Forbid = denies("cloudfront:ListDistributions", "service control policy")
			},
			want: []string{"nothing was changed", "with an explicit deny in a service control policy", "who administers the organization"},
		},
		"policy of the organization, foretold": {
			prepare: func(_ *testing.T, s *site) {
				s.fake.Forbid = denies("cloudfront:CreateDistribution", "service control policy")
			},
			want: []string{"nothing was changed", "cloudfront:CreateDistribution", "who administers the organization"},
		},
		"Deny of a policy": {
			prepare: func(_ *testing.T, s *site) {
				s.fake.Authorize, s.fake.Forbid = silent, denies("iam:CreateRole", "identity-based policy")
			},
			want: []string{"with an explicit deny in an identity-based policy", "outweighs every permission"},
		},
		"permissions boundary": {
			prepare: func(_ *testing.T, s *site) { s.fake.Forbid = denies("iam:CreateRole", "permissions boundary") },
			want:    []string{"nothing was changed", "Add it there as well"},
		},
		"public bucket policy": {
			prepare: func(t *testing.T, s *site) {
				yes := aws.Bool(true)
				_, err := s.runner(nil).AWS.S3.(*s3.Client).PutPublicAccessBlock(t.Context(), &s3.PutPublicAccessBlockInput{
					Bucket: aws.String("packages"), PublicAccessBlockConfiguration: &s3types.PublicAccessBlockConfiguration{BlockPublicPolicy: yes},
				})
				if err != nil {
					t.Fatal(err)
				}
				s.fake.SetBucket("packages", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::packages/x"}]}`, nil)
			},
			want: []string{"because public policies are", "Take that statement out"},
		},
		"replication": {
			prepare: func(_ *testing.T, s *site) { s.fake.Authorize = without("lambda:EnableReplication*") }, missing: true,
			want: []string{"lambda:EnableReplication* on arn:aws:lambda:us-east-1:123456789012:function:" + ours + ":1", "AWS says: Lambda@Edge cannot retrieve the specified Lambda function"},
		},
		"name of another distribution": {
			prepare: func(_ *testing.T, s *site) { s.fake.TakenNames = []string{"packages.example.com"} },
			settings: func(s *provision.Settings) {
				s.Domain, s.CertificateARN = "packages.example.com", "arn:aws:acm:us-east-1:123456789012:certificate/1"
			},
			want: []string{"One or more of the CNAMEs you provided are already associated with a different resource", "list-conflicting-aliases"},
		},
		"token of the global endpoint": {
			prepare: func(_ *testing.T, s *site) { s.fake.BadToken = true }, check: provision.CloudFrontFunction,
			want: []string{"AWS says: Authentication failed", "AWS_STS_REGIONAL_ENDPOINTS=regional"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSiteOf(tt.check)
			tt.prepare(t, s)
			r := s.runner(nil)
			if tt.settings != nil {
				tt.settings(&r.Settings)
			}
			_, err := r.Run(t.Context(), provision.Everything)
			if err == nil {
				t.Fatal("nothing was refused")
			}
			t.Log(err)
			for _, want := range tt.want {
				if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want)) {
					t.Errorf("no %q is told", want)
				}
			}
			if e, ok := errors.AsType[*provision.RefusalError](err); !ok || e.Missing != tt.missing || !tt.missing && strings.Contains(err.Error(), missing) {
				t.Errorf("missing: %+v", e)
			}
		})
	}
}

// TestOldAccessDenied is S3 as it was, which gives no reason: what it may be is
// said, and not that the permission is missing.
func TestOldAccessDenied(t *testing.T) {
	s := newSite()
	_, err := s.runner(func(next http.RoundTripper) http.RoundTripper {
		return transport(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPut && r.URL.Query().Has("policy") {
				return answer(http.StatusForbidden, `<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`), nil
			}
			return next.RoundTrip(r)
		})
	}).Run(t.Context(), provision.Everything)
	if err == nil || !strings.Contains(err.Error(), "AWS refuses s3:PutBucketPolicy on arn:aws:s3:::packages. AWS says: Access Denied. To do: AWS does not say why") {
		t.Error(err)
	}
}

func answer(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/xml"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

// TestWrongRegion: a bucket that is asked in another region than its own is said
// to be there.
func TestWrongRegion(t *testing.T) {
	for bucket, asked := range map[string]string{"eu-central-1": "us-west-2", "us-east-1": "eu-west-1", "eu-west-1": "us-east-1"} {
		s := &site{fake: awsfake.New(bucket, "packages")}
		r := s.runnerIn(asked, nil)
		_, err := r.Run(t.Context(), provision.Everything)
		if want := "the bucket packages is in " + bucket + ", but packagecloud_rails['s3_region'] is '" + asked + "': correct it"; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestPartitions: what AWS does not have in China and in GovCloud is said at
// once.
func TestPartitions(t *testing.T) {
	for _, region := range []string{"cn-north-1", "us-gov-west-1"} {
		s := newSite()
		r := s.runner(nil)
		r.Settings.Region = region
		if _, err := r.Run(t.Context(), provision.Everything); err == nil || !strings.Contains(err.Error(), "China has no Lambda@Edge, and those of GovCloud have no CloudFront") {
			t.Error(err)
		}
		if len(s.fake.Checks()) > 0 {
			t.Error("AWS was asked")
		}
	}
	if _, err := provision.ParseVersion("arn:aws-cn:lambda:cn-north-1:123456789012:function:x:1"); err == nil || !strings.Contains(err.Error(), "China") {
		t.Error(err)
	}
}

// TestAlreadyMade has a distribution that was made for the bucket before, and
// lost its tag: it is named at once.
func TestAlreadyMade(t *testing.T) {
	s := newSite()
	id := s.run(t).DistributionID
	s.fake.Untag(id)
	r, slept := s.runner(nil), time.Duration(0)
	r.Sleep = func(_ context.Context, d time.Duration) error { slept += d; return nil }
	_, err := r.Run(t.Context(), provision.Everything)
	if want := "set packagecloud_rails['cloudfront_distribution_id'] = '" + id + "'"; err == nil || !strings.Contains(err.Error(), want) || slept > 0 {
		t.Errorf("after %s: %v", slept, err)
	}
}

// TestAskedInPart: what IAM has foretold counts, although it answers nothing
// more.
func TestAskedInPart(t *testing.T) {
	for _, denied := range []string{"iam:CreateRole", "cloudfront:CreateDistribution"} {
		s := newSite()
		s.fake.Authorize = func(c awsfake.Check) bool { return c.Action != denied }
		found := false
		_, err := s.runner(func(next http.RoundTripper) http.RoundTripper {
			return transport(func(r *http.Request) (*http.Response, error) {
				if r.Body == nil {
					return next.RoundTrip(r)
				}
				body, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(strings.NewReader(string(body)))
				simulates := awsmiddleware.GetOperationName(r.Context()) == "SimulatePrincipalPolicy"
				asks := strings.Contains(string(body), strings.ReplaceAll(denied, ":", "%3A"))
				found = found || asks
				if simulates && !asks {
					return answer(http.StatusBadRequest, `<ErrorResponse><Error><Code>InvalidInput</Code><Message>Invalid Action</Message></Error></ErrorResponse>`), nil
				}
				return next.RoundTrip(r)
			})
		}).Run(t.Context(), provision.Everything)
		if _, ok := errors.AsType[*provision.RefusalsError](err); !ok || !strings.Contains(err.Error(), denied+" on ") || !found || len(s.fake.Keys()) > 0 {
			t.Errorf("without %s: %v", denied, err)
		}
	}
}

// TestPassing: what is waited for is what AWS can send for the calls that we
// make. The errors of S3 are not in its model.
func TestPassing(t *testing.T) {
	all, _ := everyCall(t, provision.LambdaEdge, provision.Everything)
	more, _ := everyCall(t, provision.CloudFrontFunction, provision.Everything)
	operations, err := json.Marshal(append(all.operations(), more.operations()...))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), tooltest.Output(t, "python-tools")+"/python", "-c", `
import botocore.session, json, sys
session, codes = botocore.session.get_session(), set()
for call in json.loads(sys.argv[1]):
    service, operation = call.split(":")
    for shape in session.get_service_model(service).operation_model(operation).error_shapes:
        codes |= {shape.name, shape.metadata.get("error", {}).get("code", shape.name)}
print(*sorted(codes))`, string(operations)).Output()
	if err != nil {
		t.Fatal(err)
	}
	known := append(strings.Fields(string(out)), "MalformedPolicy", "OperationAborted")
	for _, code := range provision.PassingCodes() {
		if !slices.Contains(known, code) {
			t.Errorf("none of our calls can be answered %s", code)
		}
	}
}

// TestPlanNotes has distributions that others have changed: the plan says what
// that does to downloads, and refuses what cannot work.
func TestPlanNotes(t *testing.T) {
	requests := func(behavior types.OriginRequestPolicyHeaderBehavior, headers ...string) func(*site, *types.DistributionConfig) {
		return func(s *site, g *types.DistributionConfig) {
			g.DefaultCacheBehavior.OriginRequestPolicyId = aws.String(s.fake.AddOriginRequestPolicy(types.OriginRequestPolicyConfig{
				Name: aws.String("Theirs"), HeadersConfig: &types.OriginRequestPolicyHeadersConfig{HeaderBehavior: behavior, Headers: &types.Headers{Quantity: aws.Int32(int32(len(headers))), Items: headers}},
			}))
		}
	}
	for name, tt := range map[string]struct {
		change  func(*site, *types.DistributionConfig)
		refused bool
		want    string
	}{
		"AllViewer":                     {requests(types.OriginRequestPolicyHeaderBehaviorAllViewer), true, "sends the viewer's Host header to the bucket by the origin request policy Theirs"},
		"AllViewerAndCloudFrontHeaders": {requests(types.OriginRequestPolicyHeaderBehaviorAllViewerAndWhitelistCloudFront), true, "choose AllViewerExceptHostHeader"},
		"Host by name":                  {requests(types.OriginRequestPolicyHeaderBehaviorWhitelist, "host"), true, "S3 refuses its signature"},
		"all but another":               {requests(types.OriginRequestPolicyHeaderBehaviorAllExcept, "cookie"), true, "S3 refuses its signature"},
		"AllViewerExceptHostHeader":     {requests(types.OriginRequestPolicyHeaderBehaviorAllExcept, "host"), false, "it needs none"},
		"trusted key groups": {func(_ *site, g *types.DistributionConfig) {
			g.DefaultCacheBehavior.TrustedKeyGroups = &types.TrustedKeyGroups{Enabled: aws.Bool(true), Quantity: aws.Int32(1), Items: []string{"K1"}}
		}, true, "403 MissingKey"},
		"trusted signers": {func(_ *site, g *types.DistributionConfig) {
			g.DefaultCacheBehavior.TrustedSigners = &types.TrustedSigners{Enabled: aws.Bool(true), Quantity: aws.Int32(1), Items: []string{"self"}}
		}, true, "403 MissingKey"},
		"tenants only": {func(_ *site, g *types.DistributionConfig) { g.ConnectionMode = types.ConnectionModeTenantOnly }, true, "tenants only"},
		"staging":      {func(_ *site, g *types.DistributionConfig) { g.Staging = aws.Bool(true) }, true, "staging distribution"},
		"mutual TLS": {func(_ *site, g *types.DistributionConfig) {
			g.ViewerMtlsConfig = &types.ViewerMtlsConfig{Mode: types.ViewerMtlsModeRequired}
		}, true, "client certificate"},
		"white-list": {func(_ *site, g *types.DistributionConfig) {
			g.Restrictions = &types.Restrictions{GeoRestriction: &types.GeoRestriction{RestrictionType: types.GeoRestrictionTypeWhitelist, Quantity: aws.Int32(2), Items: []string{"DE", "FR"}}}
		}, false, "serves only DE, FR"},
		"black-list": {func(_ *site, g *types.DistributionConfig) {
			g.Restrictions = &types.Restrictions{GeoRestriction: &types.GeoRestriction{RestrictionType: types.GeoRestrictionTypeBlacklist, Quantity: aws.Int32(1), Items: []string{"FR"}}}
		}, false, "serves all but FR"},
		"WAF": {func(_ *site, g *types.DistributionConfig) { g.WebACLId = aws.String("arn:aws:wafv2:acl") }, false, "AWS WAF (arn:aws:wafv2:acl)"},
		"response headers policy": {func(_ *site, g *types.DistributionConfig) {
			g.DefaultCacheBehavior.ResponseHeadersPolicyId = aws.String("R1")
		}, false, "if it sets Cache-Control"},
		"continuous deployment": {func(_ *site, g *types.DistributionConfig) { g.ContinuousDeploymentPolicyId = aws.String("C1") }, false, "sends a part of the requests"},
		"error page": {func(_ *site, g *types.DistributionConfig) {
			e := &g.CustomErrorResponses.Items[0]
			e.ResponsePagePath, e.ResponseCode = aws.String("/index.html"), aws.String("200")
		}, false, "an error 403 is answered with 200 and the page /index.html"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite()
			id := s.run(t).DistributionID
			_, now, _ := s.fake.Distribution(id)
			changed := copyOf(t, now)
			tt.change(s, changed)
			s.fake.ChangeDistribution(id, func(g *types.DistributionConfig) { *g = *changed })
			plan, err := s.runner(nil).Plan(t.Context(), provision.Everything)
			if tt.refused {
				if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), id) {
					t.Errorf("%v, want %q", err, tt.want)
				}
				return
			}
			if err != nil || len(plan.Actions) > 0 || !strings.Contains(strings.Join(plan.Notices, "\n"), tt.want) {
				t.Errorf("%+v %v, want %q", plan, err, tt.want)
			}
		})
	}
}

// TestEncryption has buckets that encrypt with keys of KMS.
func TestEncryption(t *testing.T) {
	const key = "arn:aws:kms:eu-central-1:123456789012:key/1"
	s := newSite()
	s.fake.SetEncryption("packages", key)
	r := s.run(t)
	statement := `{"Sid":"PackagecloudCloudFront","Effect":"Allow","Principal":{"Service":"cloudfront.amazonaws.com"},"Action":["kms:Decrypt"],"Resource":["*"],"Condition":{"StringEquals":{"AWS:SourceArn":["arn:aws:cloudfront::123456789012:distribution/` + r.DistributionID + `"]}}}`
	if notes := strings.Join(r.Notices, "\n"); !strings.Contains(notes, key) || !strings.Contains(notes, statement) {
		t.Errorf("no %s in\n%s", statement, notes)
	}
	for name, tt := range map[string]struct {
		key    string
		access provision.Access
		want   string
	}{
		"the key of AWS":   {"aws/s3", "", "a key of AWS whose policy nobody can change"},
		"its alias":        {"arn:aws:kms:eu-central-1:123456789012:alias/aws/s3", "", "a key of AWS whose policy nobody can change"},
		"with an identity": {key, provision.AccessIdentity, "migrate-cloudfront-access oac"},
	} {
		s := newSite()
		s.fake.SetEncryption("packages", tt.key)
		run := s.runner(nil)
		run.Settings.Access = tt.access
		if _, err := run.Run(t.Context(), provision.Everything); err == nil || !strings.Contains(err.Error(), tt.want) || len(s.fake.Keys()) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
