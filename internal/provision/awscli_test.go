package provision_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/provision"
	"packagecloud/internal/tooltest"
)

// awsCLI is AWS's command line, with a fake for AWS.
type awsCLI struct {
	program     string
	environment []string
}

func newAWSCLI(t *testing.T, s *site) *awsCLI {
	t.Helper()
	server := httptest.NewServer(s.fake)
	t.Cleanup(server.Close)
	return &awsCLI{tooltest.Output(t, "python-tools") + "/aws", append(os.Environ(),
		"AWS_ENDPOINT_URL="+server.URL, "AWS_DEFAULT_REGION=us-east-1", "AWS_ACCESS_KEY_ID=AK", "AWS_SECRET_ACCESS_KEY=SK", "AWS_MAX_ATTEMPTS=1", "HOME="+t.TempDir())}
}

// run is what a command says, or complains of.
func (a *awsCLI) run(t *testing.T, command string, more ...string) (string, error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), a.program, append(strings.Fields("--output json "+command), more...)...)
	c.Env = a.environment
	out, err := c.CombinedOutput()
	return string(out), err
}

// TestAWSCLI reads by aws-cli what the plan wrote.
func TestAWSCLI(t *testing.T) {
	t.Parallel()
	s := newSite()
	result := s.run(t)
	_, config, _ := s.fake.Distribution(result.DistributionID)
	names := strings.NewReplacer(
		"NAME", ours, "VERSION", result.Version, "DISTRIBUTION", result.DistributionID, "KEY", s.fake.Keys()[0],
		"CACHE", aws.ToString(config.DefaultCacheBehavior.CachePolicyId), "CONTROL", aws.ToString(config.Origins.Items[0].OriginAccessControlId),
	)
	a := newAWSCLI(t, s)
	const tags = `[{"Key": "packagecloud:enterprise", "Value": "true"}]`
	for _, tt := range []struct{ command, query, want string }{
		{"iam get-role --role-name NAME", "Role.AssumeRolePolicyDocument.Statement[0].[Principal.Service, Action]", `[["edgelambda.amazonaws.com", "lambda.amazonaws.com"], ["sts:AssumeRole"]]`},
		{"iam list-role-tags --role-name NAME", "Tags", tags},
		{
			"iam get-role-policy --role-name NAME --policy-name NAME", "PolicyDocument.Statement[?Action[0]=='kms:Decrypt'].[Effect, Resource, Condition]",
			`[["Allow", ["KEY"], {"StringEquals": {"kms:EncryptionContext:function": ["NAME"]}}]]`,
		},
		{"kms describe-key --key-id alias/NAME", "KeyMetadata.[Arn, KeyState, KeyUsage, KeySpec]", `["KEY", "Enabled", "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT"]`},
		{"kms list-resource-tags --key-id KEY", "Tags", `[{"TagKey": "packagecloud:enterprise", "TagValue": "true"}, {"TagKey": "packagecloud:name", "TagValue": "NAME"}]`},
		{
			"lambda get-function --function-name NAME --qualifier 1", "[Configuration.[FunctionArn, Runtime, Handler, MemorySize, Timeout, Role], Tags]",
			`[["VERSION", "nodejs24.x", "index.handler", 128, 5, "arn:aws:iam::123456789012:role/NAME"], {"packagecloud:enterprise": "true"}]`,
		},
		{"lambda list-versions-by-function --function-name NAME", "Versions[].Version", `["$LATEST", "1"]`},
		{
			"cloudfront get-distribution-config --id DISTRIBUTION", "DistributionConfig.[Enabled, Origins.Items[].[DomainName, OriginAccessControlId, S3OriginConfig.OriginAccessIdentity], CustomErrorResponses.Items[].[ErrorCode, ErrorCachingMinTTL]]",
			`[true, [["packages.s3.eu-central-1.amazonaws.com", "CONTROL", ""]], [[403, 0], [404, 0]]]`,
		},
		{
			"cloudfront get-distribution --id DISTRIBUTION", "Distribution.DistributionConfig.DefaultCacheBehavior.[CachePolicyId, Compress, ViewerProtocolPolicy, AllowedMethods.Items, LambdaFunctionAssociations.Items]",
			`["CACHE", false, "redirect-to-https", ["GET", "HEAD"], [{"LambdaFunctionARN": "VERSION", "EventType": "viewer-request", "IncludeBody": false}]]`,
		},
		{"cloudfront list-tags-for-resource --resource arn:aws:cloudfront::123456789012:distribution/DISTRIBUTION", "Tags.Items", tags},
		{
			"cloudfront get-cache-policy --id CACHE", "CachePolicy.CachePolicyConfig.[MinTTL, MaxTTL, ParametersInCacheKeyAndForwardedToOrigin.[EnableAcceptEncodingGzip, HeadersConfig.HeaderBehavior, CookiesConfig.CookieBehavior, QueryStringsConfig.QueryStringBehavior]]",
			`[0, 31536000, [false, "none", "none", "none"]]`,
		},
		{"cloudfront get-origin-access-control --id CONTROL", "OriginAccessControl.OriginAccessControlConfig.[SigningProtocol, SigningBehavior, OriginAccessControlOriginType]", `["sigv4", "always", "s3"]`},
		{
			"s3api get-bucket-policy --bucket packages", "[Policy]",
			`["{\"Statement\":[{\"Action\":\"s3:GetObject\",\"Condition\":{\"StringEquals\":{\"AWS:SourceArn\":[\"arn:aws:cloudfront::123456789012:distribution/DISTRIBUTION\"]}},\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"cloudfront.amazonaws.com\"},\"Resource\":\"arn:aws:s3:::packages/*\",\"Sid\":\"PackagecloudCloudFrontDISTRIBUTION\"}],\"Version\":\"2012-10-17\"}"]`,
		},
		{"s3api get-bucket-tagging --bucket packages", "TagSet", tags},
	} {
		t.Run(tt.command, func(t *testing.T) {
			t.Parallel()
			out, err := a.run(t, names.Replace(tt.command), "--query", tt.query)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var got, want any
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(names.Replace(tt.want)), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestAWSCLIWrites writes the configuration of the distribution back by aws-cli,
// with a change of its own: nothing is left to do for us then. With the ETag from
// before it is refused.
func TestAWSCLIWrites(t *testing.T) {
	t.Parallel()
	s := newSite()
	id := s.run(t).DistributionID
	a := newAWSCLI(t, s)
	out, err := a.run(t, "cloudfront get-distribution-config --id "+id)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got struct{ ETag, DistributionConfig json.RawMessage }
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.json")
	changed := bytes.Replace(got.DistributionConfig, []byte(`"packagecloud: packages in packages"`), []byte(`"theirs & <ours>"`), 1)
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	update := "cloudfront update-distribution --id " + id + " --distribution-config file://" + path + " --if-match " + strings.Trim(string(got.ETag), `"`)
	if out, err := a.run(t, update); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := a.run(t, update); err == nil || !strings.Contains(out, "PreconditionFailed") {
		t.Errorf("with the ETag from before: %v\n%s", err, out)
	}
	again, err := s.runner(nil).Run(t.Context(), provision.Everything)
	if err != nil || len(again.Done) != 0 {
		t.Errorf("afterwards: %+v %v", again, err)
	}
	if _, config, _ := s.fake.Distribution(id); aws.ToString(config.Comment) != "theirs & <ours>" {
		t.Errorf("the comment is %q", aws.ToString(config.Comment))
	}
}
