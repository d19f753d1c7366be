package provision_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/edge"
	"packagecloud/internal/provision"
)

// MiniStack does as AWS does: role and key, a function that runs, by version;
// cache policies, origin access controls, distributions with their ETags and
// tags; the settings of a bucket. Not asked: origin access identities (it has
// none), bad references (it takes them all), a role that cannot be assumed yet,
// deploying (at once), PublishVersion without a change (a new version each time,
// so that one we do not need would be seen).

// TestMiniStack sets everything up in MiniStack, twice, and again for another
// secret, after others have changed the distribution and while they do. The
// published versions answer as their secrets say.
func TestMiniStack(t *testing.T) {
	t.Parallel()
	e := startMiniStack(t)
	c := e.config("test", "test")
	front, bucket := cloudfront.NewFromConfig(c), newBucket(t, c, "packages")
	run := func(r *provision.Runner) *provision.Result {
		t.Helper()
		result, err := r.Run(t.Context(), provision.Everything)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	first := run(e.runner(c))
	checkBucket(t, bucket, "packages", 3)
	if len(first.Done) != 11 || !strings.HasSuffix(first.Version, ":1") || !strings.HasSuffix(first.Domain, ".cloudfront.net") {
		t.Errorf("%+v", first)
	}
	made := distributionOf(t, front, first.DistributionID)
	if again := run(e.runner(c)); len(again.Done) != 0 || again.Version != first.Version || *distributionOf(t, front, first.DistributionID).ETag != *made.ETag {
		t.Errorf("again: %+v", again)
	}

	want := changeDistribution(t, front, first.DistributionID, touch)
	other, races := strings.Repeat("x", 40), 0
	c.HTTPClient = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/config") && races < 3 {
			races++
			want = changeDistribution(t, front, first.DistributionID, func(g *types.DistributionConfig) { g.Comment = aws.String(fmt.Sprint("theirs ", races)) })
		}
		return e.Transport.RoundTrip(r)
	})}
	r := e.runner(c)
	r.Settings.Secrets = append(r.Settings.Secrets, other)
	second := run(r)
	want.DefaultCacheBehavior.LambdaFunctionAssociations.Items[0].LambdaFunctionARN = aws.String(strings.TrimSuffix(first.Version, "1") + "2")
	if diff := cmp.Diff(plain(t, want), plain(t, distributionOf(t, front, first.DistributionID).DistributionConfig)); diff != "" || races != 3 {
		t.Errorf("after %d changes of others (-want +got):\n%s", races, diff)
	}
	checkBucket(t, bucket, "packages", 3)
	r.Settings.Secrets = []string{other, secret} // their order does not matter
	if again := run(r); len(again.Done) != 0 || again.Version != second.Version {
		t.Errorf("again: %+v", again)
	}
	checkVersions(t, lambda.NewFromConfig(c), first.Version, second.Version, other)
}

func distributionOf(t *testing.T, front *cloudfront.Client, id string) *cloudfront.GetDistributionConfigOutput {
	t.Helper()
	out, err := front.GetDistributionConfig(t.Context(), &cloudfront.GetDistributionConfigInput{Id: &id})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// changeDistribution changes a configuration behind our back, and tells how it
// is then.
func changeDistribution(t *testing.T, front *cloudfront.Client, id string, change func(*types.DistributionConfig)) *types.DistributionConfig {
	t.Helper()
	now := distributionOf(t, front, id)
	change(now.DistributionConfig)
	if _, err := front.UpdateDistribution(t.Context(), &cloudfront.UpdateDistributionInput{Id: &id, IfMatch: now.ETag, DistributionConfig: now.DistributionConfig}); err != nil {
		t.Fatal(err)
	}
	return distributionOf(t, front, id).DistributionConfig
}

// touch is what people may do to a distribution.
func touch(g *types.DistributionConfig) {
	g.Comment, g.WebACLId, g.PriceClass = aws.String("do not touch"), aws.String("waf"), types.PriceClassPriceClass100
	g.Origins.Items = append(g.Origins.Items, types.Origin{Id: aws.String("site"), DomainName: aws.String("www.example.com"), CustomOriginConfig: &types.CustomOriginConfig{
		HTTPPort: aws.Int32(80), HTTPSPort: aws.Int32(443), OriginProtocolPolicy: types.OriginProtocolPolicyHttpsOnly,
	}})
	g.Origins.Quantity = aws.Int32(2)
	g.CacheBehaviors = &types.CacheBehaviors{Quantity: aws.Int32(1), Items: []types.CacheBehavior{{
		PathPattern: aws.String("/docs/*"), TargetOriginId: aws.String("site"), ViewerProtocolPolicy: types.ViewerProtocolPolicyAllowAll, CachePolicyId: g.DefaultCacheBehavior.CachePolicyId,
	}}}
	g.CustomErrorResponses.Items = append(g.CustomErrorResponses.Items, types.CustomErrorResponse{ErrorCode: aws.Int32(500), ErrorCachingMinTTL: aws.Int64(60)})
	g.CustomErrorResponses.Quantity = aws.Int32(3)
}

// checkVersions invokes two versions: the first knows secret, the second
// another secret as well.
func checkVersions(t *testing.T, functions *lambda.Client, first, second, other string) {
	t.Helper()
	const key = "packages/0123/a+b_1.0_amd64.deb"
	end := time.Now().Add(time.Hour)
	for _, c := range []struct{ version, secret, change, want string }{
		{first, secret, "", "passes"},
		{first, secret, "deb?", "403"},
		{first, secret, "_", "403"},
		{first, other, "", "403"},
		{second, secret, "", "passes"},
		{second, other, "", "passes"},
		{second, strings.Repeat("y", 40), "", "403"},
	} {
		keys, err := edge.NewKeys(c.secret)
		if err != nil {
			t.Fatal(err)
		}
		link := (&edge.Signer{Keys: keys}).Until(key, end)
		switch c.change {
		case "deb?":
			link = strings.Replace(link, "deb?", "rpm?", 1)
		case "_":
			link, _, _ = strings.Cut(link, "_")
		}
		if got := invoke(t, functions, c.version, link); got != c.want {
			t.Errorf("%s is asked for %s: %s, want %s", c.version, link, got, c.want)
		}
	}
}

// invoke asks a version about a link: it passes, or has the status of the answer.
func invoke(t *testing.T, functions *lambda.Client, version, link string) string {
	t.Helper()
	uri, query, _ := strings.Cut(link, "?")
	request := map[string]any{
		"clientIp": "203.0.113.178", "method": "GET", "uri": uri, "querystring": query,
		"headers": map[string]any{"host": []map[string]string{{"key": "Host", "value": "d1.cloudfront.net"}}},
	}
	event := map[string]any{"Records": []any{map[string]any{"cf": map[string]any{
		"config": map[string]string{"distributionDomainName": "d1.cloudfront.net", "distributionId": "E1", "eventType": "viewer-request", "requestId": "r"}, "request": request,
	}}}}
	out, err := functions.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String(version), Payload: []byte(plain(t, event))})
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Status, URI string }
	if err := json.Unmarshal(out.Payload, &got); err != nil || out.FunctionError != nil {
		t.Fatalf("%s: %v %s", out.Payload, err, aws.ToString(out.FunctionError))
	}
	if got.Status == "" && got.URI == uri {
		return "passes"
	}
	return got.Status
}

// TestMiniStackKilled kills the set-up after each change, before it knows of it,
// and runs it again: nothing is made twice. Each has an account of its own.
func TestMiniStackKilled(t *testing.T) {
	t.Parallel()
	e := startMiniStack(t)
	for n := 0; ; n++ {
		account := fmt.Sprintf("%012d", n+1)
		c := e.config(account, "test")
		bucket := newBucket(t, c, "packages-"+account)
		run := func(c aws.Config) (*provision.Result, error) {
			r := e.runner(c)
			r.Settings.Bucket = "packages-" + account
			return r.Run(t.Context(), provision.Everything)
		}
		dying := c
		dying.HTTPClient = &http.Client{Transport: &killer{next: e.Transport, n: n, after: true}}
		if _, err := run(dying); err == nil {
			if n != 11 {
				t.Errorf("%d changes", n)
			}
			break
		} else if !errors.Is(err, errKilled) {
			t.Fatalf("killed after change %d: %v", n, err)
		}
		result, err := run(c)
		if err != nil {
			t.Fatalf("killed after change %d, and once more: %v", n, err)
		}
		if !strings.HasSuffix(result.Version, ":1") || len(result.Done) > 11-n {
			t.Errorf("killed after change %d: %s after %v", n, result.Version, result.Done)
		}
		checkBucket(t, bucket, "packages-"+account, 3)
		checkOnce(t, c, provision.Name("packages-"+account))
	}
}

// checkOnce looks whether there is one of everything in an account.
func checkOnce(t *testing.T, c aws.Config, name string) {
	t.Helper()
	front := cloudfront.NewFromConfig(c)
	keys, err := kms.NewFromConfig(c).ListKeys(t.Context(), &kms.ListKeysInput{})
	if err != nil || len(keys.Keys) != 1 {
		t.Errorf("keys: %+v %v", keys, err)
	}
	versions, err := lambda.NewFromConfig(c).ListVersionsByFunction(t.Context(), &lambda.ListVersionsByFunctionInput{FunctionName: aws.String(name)})
	if err != nil || len(versions.Versions) != 2 { // with $LATEST
		t.Errorf("versions: %+v %v", versions, err)
	}
	distributions, err := front.ListDistributions(t.Context(), &cloudfront.ListDistributionsInput{})
	if err != nil || len(distributions.DistributionList.Items) != 1 {
		t.Errorf("distributions: %+v %v", distributions, err)
	}
	controls, err := front.ListOriginAccessControls(t.Context(), &cloudfront.ListOriginAccessControlsInput{})
	if err != nil || len(controls.OriginAccessControlList.Items) != 1 {
		t.Errorf("origin access controls: %+v %v", controls, err)
	}
}

// TestMiniStackPermissions is a user who may do what is printed: everything can
// be set up. Without a permission for CloudFront it cannot, and the error says
// which; moto asks for those of other services.
func TestMiniStackPermissions(t *testing.T) {
	t.Parallel()
	e := startMiniStack(t, "AUTH=true")
	accounts := 0
	run := func(without string) (*calls, error) {
		accounts++
		account := fmt.Sprintf("%012d", accounts)
		all, _, err := e.runAsUser(t, account, deny(forMiniStack(account), without))
		return all, err
	}
	all, err := run("")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, action := range all.permissions() {
		switch {
		case !strings.HasPrefix(action, "cloudfront:"):
			continue
		case action == "cloudfront:CreateDistribution", action == "cloudfront:TagResource":
			continue // it asks for CreateDistributionWithTags instead, which is none in AWS
		}
		asked++
		if _, err := run(action); err == nil || !strings.Contains(err.Error(), action+" on ") {
			t.Errorf("without %s: %v", action, err)
		}
	}
	if asked != 8 {
		t.Errorf("%d permissions were asked for", asked)
	}
}

// TestMiniStackSimulates is a user who may ask IAM besides: any permission that
// is printed is missed before anything is made. MiniStack simulates without
// conditions, so there are none.
func TestMiniStackSimulates(t *testing.T) {
	t.Parallel()
	e := startMiniStack(t, "AUTH=true")
	accounts := 0
	for _, statement := range permissionsOf("", provision.Everything).Statement {
		for _, action := range statement.Action {
			accounts++
			account := fmt.Sprintf("%012d", accounts)
			policy := deny(forMiniStack(account), action)
			for i := range policy.Statement {
				policy.Statement[i].Condition = nil
			}
			policy.Statement = append(policy.Statement, provision.Statement{
				Sid: "Ask", Effect: "Allow", Action: []string{"iam:SimulatePrincipalPolicy"}, Resource: []string{"*"},
			})
			_, root, err := e.runAsUser(t, account, policy)
			if _, ok := errors.AsType[*provision.RefusalsError](err); !ok || !strings.Contains(err.Error(), action+" on ") {
				t.Errorf("without %s: %v", action, err)
			}
			if keys, err := kms.NewFromConfig(root).ListKeys(t.Context(), &kms.ListKeysInput{}); err != nil || len(keys.Keys) != 0 {
				t.Errorf("without %s: keys %v %v", action, keys, err)
			}
		}
	}
}

// runAsUser sets everything up in a new account as a user with a policy. root is
// how to reach the account.
func (e *emulator) runAsUser(t *testing.T, account string, policy provision.Policy) (all *calls, root aws.Config, err error) {
	t.Helper()
	root = e.config(account, "test")
	newBucket(t, root, "packages-"+account)
	c := e.operator(t, root, policy)
	all = &calls{}
	all.record(&c)
	r := e.runner(c)
	r.Settings.Bucket = "packages-" + account
	_, err = r.Run(t.Context(), provision.Everything)
	return all, root, err
}

// forMiniStack is the printed policy as MiniStack reads policies.
func forMiniStack(account string) provision.Policy {
	s := settings()
	s.Bucket = "packages-" + account
	policy := s.Permissions(account, provision.Everything)
	for i := range policy.Statement {
		if policy.Statement[i].Sid == "EncryptSecrets" {
			policy.Statement[i].Condition = nil // it does not know encryption contexts
		}
	}
	// It knows a resource only by the path, or as a KeyId. AWS finds no key by a
	// missing alias, whatever is allowed.
	policy.Statement = append(policy.Statement, provision.Statement{
		Sid: "MiniStack", Effect: "Allow", Resource: []string{"*"},
		Action: []string{"kms:CreateAlias", "kms:DescribeKey", "lambda:CreateFunction", "cloudfront:ListTagsForResource", "cloudfront:CreateDistributionWithTags"},
	})
	return policy
}
