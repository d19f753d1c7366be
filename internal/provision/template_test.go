package provision_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"packagecloud/internal/edge/function"
	"packagecloud/internal/provision"
	"packagecloud/internal/provision/awsfake"
	"packagecloud/internal/tooltest"
)

// real are settings with the real function.
func real(access provision.Access) *provision.Settings {
	s := settings()
	s.Access = access
	s.Code = func(name, key string, ciphertext []byte, secrets ...string) ([]byte, error) {
		return function.Zip(function.NewConfig(name, key, ciphertext, secrets...))
	}
	return &s
}

// TestLint lets cfn-lint judge what is written, and looks for the secret in it.
func TestLint(t *testing.T) {
	programs := tooltest.Output(t, "python-tools")
	for name, s := range variants() {
		t.Run(name, func(t *testing.T) {
			text, err := provision.CloudFormation(s)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "t.yaml")
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.CommandContext(t.Context(), programs+"/cfn-lint", path).CombinedOutput(); err != nil {
				t.Errorf("cfn-lint: %v\n%s", err, out)
			}
			if strings.Contains(string(text), secret) {
				t.Error("the secret is in the template")
			}
			text, err = provision.Terraform(s)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), secret) {
				t.Error("the secret is in the configuration")
			}
		})
	}
}

// TestTerraformLayout lets terraform fmt judge it. The program is in no registry
// of ours.
func TestTerraformLayout(t *testing.T) {
	_, err := exec.LookPath("terraform")
	tooltest.Need(t, "terraform", err == nil)
	for name, s := range variants() {
		t.Run(name, func(t *testing.T) {
			text, err := provision.Terraform(s)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "terraform", "fmt", "-check", "-diff", "-")
			cmd.Stdin = bytes.NewReader(text)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("terraform fmt: %v\n%s", err, out)
			}
		})
	}
}

func variants() map[string]*provision.Settings {
	full := real(provision.AccessControl)
	no := false
	full.Domain, full.CertificateARN = "packages.example.com", "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
	full.PriceClass, full.LogBucket, full.IPv6, full.HTTP3 = "PriceClass_100", "logs", &no, &no
	edgeFunction, edgeIdentity := real(""), real(provision.AccessIdentity)
	for _, s := range []*provision.Settings{edgeFunction, edgeIdentity} {
		s.Check, s.Edge.Code = provision.CloudFrontFunction, function.CloudFront()
	}
	near := real("")
	near.Region = "us-east-1"
	return map[string]*provision.Settings{
		"bucket in us-east-1": near,
		"control":             real(""), "identity": real(provision.AccessIdentity), "everything": full,
		"CloudFront function": edgeFunction, "CloudFront function, identity": edgeIdentity,
	}
}

// TestTemplateRegions: a stack reaches the policies of buckets in its own region
// only, and Terraform needs to be told that of the bucket.
func TestTemplateRegions(t *testing.T) {
	for _, tt := range []struct {
		check          provision.Check
		region, stacks string
		reaches        bool
	}{
		{provision.LambdaEdge, "eu-central-1", "us-east-1", false},
		{provision.LambdaEdge, "us-east-1", "us-east-1", true},
		{provision.CloudFrontFunction, "eu-central-1", "eu-central-1", true},
		{provision.CloudFrontFunction, "us-east-1", "us-east-1", true},
	} {
		s := real("")
		s.Check, s.Region, s.Edge.Code = tt.check, tt.region, function.CloudFront()
		stack, err := provision.CloudFormation(s)
		if err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string]bool{
			"AWS::S3::BucketPolicy": tt.reaches, "ChangeBucketPolicy": tt.reaches, "where this stack does not reach": !tt.reaches,
			"--region " + tt.stacks + " ": true, "CAPABILITY_NAMED_IAM": tt.check == provision.LambdaEdge, "BucketStatement": true,
		} {
			if got := strings.Contains(string(stack), text); got != want {
				t.Errorf("%s, bucket in %s: %q is there: %v", tt.check, tt.region, text, got)
			}
		}
		terraform, err := provision.Terraform(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, policy, _ := strings.Cut(string(terraform), `resource "aws_s3_bucket_policy"`); !strings.Contains(policy[:200], `region = "`+tt.region+`"`) {
			t.Errorf("Terraform: no region of the bucket: %s", policy[:200])
		}
	}
}

// TestOldTemplates have the names of those of an earlier version.
func TestOldTemplates(t *testing.T) {
	s := real("")
	s.OldNames = true
	stack, err := provision.CloudFormation(s)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(stack), "FunctionName: "+provision.OldName+"\n") || strings.Contains(string(stack), ours) {
		t.Error("it has other names")
	}
}

// field is one of a template, and what a run makes of it in AWS.
type field struct {
	path      string // in the stack
	attribute string // in Terraform
	want      any    // in AWS
}

// TestFields compares the templates with what a run makes in AWS, field by
// field.
func TestFields(t *testing.T) {
	for name, s := range variants() {
		t.Run(name, func(t *testing.T) {
			site := &site{fake: awsfake.New(s.Region, "packages")}
			site.fake.RunEdgeFunction = runEdge
			r := site.runnerIn(s.Region, nil)
			r.Settings = *s
			result, err := r.Run(t.Context(), provision.Everything)
			if err != nil {
				t.Fatal(err)
			}
			_, g, _ := site.fake.Distribution(result.DistributionID)
			text, err := provision.CloudFormation(s)
			if err != nil {
				t.Fatal(err)
			}
			var stack map[string]any
			if err := yaml.Unmarshal(text, &stack); err != nil {
				t.Fatal(err)
			}
			terraform, err := provision.Terraform(s)
			if err != nil {
				t.Fatal(err)
			}
			fields := append(distributionFields(g), accessFields(site, g)...)
			if s.Check == provision.CloudFrontFunction {
				fields = append(fields, edgeFields(site, g)...)
				checkCode(t, site, stack, string(terraform))
			} else {
				fields = append(fields, lambdaFields(g)...)
			}
			for _, f := range fields {
				f.check(t, stack, string(terraform))
			}
		})
	}
}

func (f *field) check(t *testing.T, stack map[string]any, terraform string) {
	t.Helper()
	if got := at(stack, strings.Split(f.path, ".")); got != f.want {
		t.Errorf("CloudFormation: %s is %v, want %v", f.path, got, f.want)
	}
	value := fmt.Sprint(f.want)
	if _, ok := f.want.(string); ok {
		value = strconv.Quote(value)
	}
	found := slices.ContainsFunc(strings.Split(terraform, "\n"), func(line string) bool {
		left, right, ok := strings.Cut(line, " = ")
		return ok && strings.TrimSpace(left) == f.attribute && (right == value || strings.HasPrefix(right, "[") && strings.Contains(right, value))
	})
	if f.attribute != "" && !found {
		t.Errorf("Terraform: no %s = %s", f.attribute, value)
	}
}

const inConfig = "Resources.Distribution.Properties.DistributionConfig."

func distributionFields(g *types.DistributionConfig) []field {
	b, o, errors := g.DefaultCacheBehavior, g.Origins.Items[0], g.CustomErrorResponses.Items
	fields := []field{
		{inConfig + "Enabled", "enabled", *g.Enabled},
		{inConfig + "Comment", "comment", *g.Comment},
		{inConfig + "HttpVersion", "http_version", string(g.HttpVersion)},
		{inConfig + "IPV6Enabled", "is_ipv6_enabled", *g.IsIPV6Enabled},
		{inConfig + "PriceClass", "price_class", string(g.PriceClass)},
		{inConfig + "Origins.0.Id", "origin_id", *o.Id},
		{inConfig + "Origins.0.DomainName", "domain_name", *o.DomainName},
		{inConfig + "DefaultCacheBehavior.TargetOriginId", "target_origin_id", *b.TargetOriginId},
		{inConfig + "DefaultCacheBehavior.ViewerProtocolPolicy", "viewer_protocol_policy", string(b.ViewerProtocolPolicy)},
		{inConfig + "DefaultCacheBehavior.Compress", "compress", *b.Compress},
		{inConfig + "DefaultCacheBehavior.AllowedMethods.0", "allowed_methods", string(b.AllowedMethods.Items[0])},
		{inConfig + "DefaultCacheBehavior.CachedMethods.1", "cached_methods", string(b.AllowedMethods.CachedMethods.Items[1])},
		{inConfig + "CustomErrorResponses.0.ErrorCode", "error_code", int(*errors[0].ErrorCode)},
		{inConfig + "CustomErrorResponses.1.ErrorCode", "error_code", int(*errors[1].ErrorCode)},
		{inConfig + "CustomErrorResponses.1.ErrorCachingMinTTL", "error_caching_min_ttl", int(*errors[1].ErrorCachingMinTTL)},
		{"Resources.Distribution.Properties.Tags.0.Key", "", provision.Tag},
	}
	if len(g.Aliases.Items) > 0 {
		fields = append(fields,
			field{inConfig + "Aliases.0", "aliases", g.Aliases.Items[0]},
			field{inConfig + "ViewerCertificate.AcmCertificateArn", "acm_certificate_arn", *g.ViewerCertificate.ACMCertificateArn},
			field{inConfig + "ViewerCertificate.MinimumProtocolVersion", "minimum_protocol_version", string(g.ViewerCertificate.MinimumProtocolVersion)},
			field{inConfig + "Logging.Bucket", "bucket", *g.Logging.Bucket})
	}
	return fields
}

// accessFields are the cache policy and the origin access control.
func accessFields(s *site, g *types.DistributionConfig) []field {
	cache, _ := s.fake.CachePolicy(*g.DefaultCacheBehavior.CachePolicyId)
	const in = "Resources.CachePolicy.Properties.CachePolicyConfig."
	fields := []field{
		{in + "MinTTL", "min_ttl", int(*cache.MinTTL)},
		{in + "DefaultTTL", "default_ttl", int(*cache.DefaultTTL)},
		{in + "MaxTTL", "max_ttl", int(*cache.MaxTTL)},
		{in + "ParametersInCacheKeyAndForwardedToOrigin.QueryStringsConfig.QueryStringBehavior", "query_string_behavior", string(cache.ParametersInCacheKeyAndForwardedToOrigin.QueryStringsConfig.QueryStringBehavior)},
	}
	if control, ok := s.fake.OriginAccessControl(aws.ToString(g.Origins.Items[0].OriginAccessControlId)); ok {
		fields = append(fields, field{"Resources.OriginAccessControl.Properties.OriginAccessControlConfig.SigningBehavior", "signing_behavior", string(control.SigningBehavior)})
	}
	return fields
}

func lambdaFields(g *types.DistributionConfig) []field {
	association := g.DefaultCacheBehavior.LambdaFunctionAssociations.Items[0]
	return []field{
		{inConfig + "DefaultCacheBehavior.LambdaFunctionAssociations.0.EventType", "event_type", string(association.EventType)},
		{inConfig + "DefaultCacheBehavior.LambdaFunctionAssociations.0.IncludeBody", "include_body", *association.IncludeBody},
		{"Resources.Function.Properties.FunctionName", "function_name", ours},
		{"Resources.Function.Properties.Runtime", "runtime", function.Runtime},
		{"Resources.Function.Properties.Handler", "handler", function.Handler},
		{"Resources.Function.Properties.MemorySize", "memory_size", function.Memory},
		{"Resources.Function.Properties.Timeout", "timeout", function.Timeout},
		{"Resources.Role.Properties.RoleName", "name", ours},
		{"Resources.KeyAlias.Properties.AliasName", "name", "alias/" + ours},
	}
}

func edgeFields(s *site, g *types.DistributionConfig) []field {
	association := g.DefaultCacheBehavior.FunctionAssociations.Items[0]
	config, comment := s.fake.EdgeFunctionConfig(ours)
	const in = "Resources.Function.Properties."
	return []field{
		{inConfig + "DefaultCacheBehavior.FunctionAssociations.0.EventType", "event_type", string(association.EventType)},
		{inConfig + "DefaultCacheBehavior.FunctionAssociations.0.FunctionARN.Fn::GetAtt.0", "", "Function"},
		{in + "Name", "name", ours},
		{in + "AutoPublish", "publish", true},
		{in + "FunctionConfig.Runtime", "runtime", string(config.Runtime)},
		{in + "FunctionConfig.Comment", "comment", *config.Comment},
		{in + "FunctionConfig.KeyValueStoreAssociations.0.KeyValueStoreARN.Fn::GetAtt.0", "", "Store"},
		{in + "Tags.0.Key", "", provision.Tag},
		{"Resources.Store.Properties.Name", "name", ours},
		{"Resources.Store.Properties.Comment", "comment", comment},
		{"Resources.Store.Properties.Tags.0.Key", "", provision.Tag},
	}
}

// checkCode compares the code of the CloudFront function, to the letter: a run
// after a template finds it right.
func checkCode(t *testing.T, s *site, stack map[string]any, terraform string) {
	t.Helper()
	want, _, _ := s.fake.EdgeFunction(edgeARN)
	if got := at(stack, strings.Split("Resources.Function.Properties.FunctionCode", ".")); got != string(want) {
		t.Error("CloudFormation has other code")
	}
	_, rest, _ := strings.Cut(terraform, "<<-EOT\n")
	body, _, _ := strings.Cut(rest, "\n  EOT\n")
	var got strings.Builder
	for line := range strings.SplitSeq(body, "\n") {
		got.WriteString(strings.TrimPrefix(line, "    ") + "\n") // the least indentation of all lines
	}
	if code := strings.NewReplacer("$${", "${", "%%{", "%{").Replace(got.String()); code != string(want) {
		t.Errorf("Terraform has other code:\n%s", cmp.Diff(string(want), code))
	}
	for _, line := range []string{`key_value_store_associations = [aws_cloudfront_key_value_store.packagecloud.arn]`, `function_arn = aws_cloudfront_function.packagecloud.arn`} {
		if !strings.Contains(terraform, line) {
			t.Errorf("Terraform: no %s", line)
		}
	}
}

// at is what stands at a path of a document.
func at(v any, path []string) any {
	for _, p := range path {
		switch x := v.(type) {
		case map[string]any:
			v = x[p]
		case []any:
			i, err := strconv.Atoi(p)
			if err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

// TestBundle runs the function as CloudFormation carries it.
func TestBundle(t *testing.T) {
	node := tooltest.Output(t, "node-tools") + "/node_modules/.bin/node"
	text, err := provision.CloudFormation(real(""))
	if err != nil {
		t.Fatal(err)
	}
	var stack map[string]any
	if err := yaml.Unmarshal(text, &stack); err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	pieces, _ := at(stack, strings.Split("Resources.Function.Properties.Code.ZipFile.Fn::Join.1", ".")).([]any)
	for _, p := range pieces {
		if s, ok := p.(string); ok {
			code.WriteString(s)
			continue
		}
		code.WriteString("AAAA")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.js"), []byte(code.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "-e", `
require('./index.js').handler({ Records: [{ cf: { request: { method: 'GET', uri: '/packages/x', querystring: '', headers: {} } } }] })
  .then((answer) => console.log(answer.status));`)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "403" || len(pieces) != 5 {
		t.Errorf("%d pieces, %v: %s", len(pieces), err, out)
	}
}
