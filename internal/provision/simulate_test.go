package provision_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"packagecloud/internal/provision"
	"packagecloud/internal/provision/awsfake"
	"packagecloud/internal/tooltest"
)

// request is one question to scripts/iam-simulate.
type request struct {
	Principal      string            `json:"principal"`
	Account        string            `json:"account"`
	Action         string            `json:"action"`
	Resource       string            `json:"resource"`
	Context        map[string]string `json:"context,omitempty"`
	IdentityPolicy json.RawMessage   `json:"identityPolicy,omitempty"`
	ResourcePolicy json.RawMessage   `json:"resourcePolicy,omitempty"`

	want string
}

const allowed, refused = "Allowed", "ImplicitlyDenied"

// TestSimulate lets a stranger's evaluation of IAM judge the policies that are
// printed and made: what is needed is allowed, and what is near it is not.
func TestSimulate(t *testing.T) {
	s := newSite()
	id := s.run(t).DistributionID
	keyPolicy := json.RawMessage(s.fake.KeyPolicy(s.fake.Keys()[0]))
	account := "arn:aws:iam::" + awsfake.Account
	requests := near()
	for _, check := range both {
		requests = append(requests, operators(t, check, keyPolicy)...)
	}
	rolePolicy, _ := s.fake.RolePolicy(ours, ours)
	for distribution, want := range map[string]string{id: allowed, "E0OTHER": refused} {
		requests = append(requests, request{
			Principal: "cloudfront.amazonaws.com", Account: awsfake.Account, Action: "s3:GetObject", Resource: "arn:aws:s3:::packages/packages/x",
			Context:        map[string]string{"aws:SourceArn": "arn:aws:cloudfront::" + awsfake.Account + ":distribution/" + distribution},
			ResourcePolicy: json.RawMessage(s.fake.BucketPolicy("packages")), want: want,
		})
	}
	for function, want := range map[string]string{ours: allowed, "another": refused} {
		requests = append(requests, request{
			Principal: account + ":role/" + ours, Account: awsfake.Account, Action: "kms:Decrypt", Resource: s.fake.Keys()[0],
			Context: map[string]string{"kms:EncryptionContext:function": function}, IdentityPolicy: json.RawMessage(rolePolicy),
			ResourcePolicy: keyPolicy, want: want,
		})
	}

	simulate(t, requests)
}

// operator asks whether the policy that is printed for a check allows something.
func operator(check provision.Check, action, resource, want string, context map[string]string) request {
	policy := permissionsOf(check, provision.Everything)
	return request{Principal: awsfake.Caller, Account: awsfake.Account, Action: action, Resource: resource, Context: context, IdentityPolicy: json.RawMessage(policy.String()), want: want}
}

// near is what the printed policies must not allow.
func near() []request {
	function, account := "arn:aws:lambda:us-east-1:"+awsfake.Account+":function:", "arn:aws:iam::"+awsfake.Account
	cloudFront, edge := "arn:aws:cloudfront::"+awsfake.Account+":", provision.CloudFrontFunction
	return []request{
		operator("", "iam:CreateRole", account+":role/another", refused, nil),
		operator("", "iam:PassRole", account+":role/"+ours, refused, map[string]string{"iam:PassedToService": "ec2.amazonaws.com"}),
		operator("", "s3:PutBucketPolicy", "arn:aws:s3:::another", refused, nil),
		operator("", "s3:GetObject", "arn:aws:s3:::packages/x", refused, nil),
		operator("", "kms:Decrypt", "arn:aws:kms:us-east-1:"+awsfake.Account+":key/1", refused, map[string]string{"kms:EncryptionContext:function": ours}),
		operator("", "lambda:DeleteFunction", function+ours, refused, nil),
		operator("", "cloudfront:DeleteDistribution", cloudFront+"distribution/E1", refused, nil),
		operator(edge, "cloudfront:PublishFunction", cloudFront+"function/another", refused, nil),
		operator(edge, "cloudfront:DeleteFunction", cloudFront+"function/"+ours, refused, nil),
		operator(edge, "cloudfront:DeleteKeyValueStore", cloudFront+"key-value-store/1", refused, nil),
		operator(edge, "iam:CreateRole", account+":role/"+ours, refused, nil),
		operator(edge, "lambda:GetFunction", function+ours, refused, nil),
	}
}

// operators is what the printed policy must allow.
func operators(t *testing.T, check provision.Check, keyPolicy json.RawMessage) (requests []request) {
	t.Helper()
	policy := permissionsOf(check, provision.Everything)
	seen := map[string]bool{}
	for _, c := range needed(t, check, evaluate(t, policy)) {
		question := c.Action + " " + c.Resource
		if seen[question] || strings.HasPrefix(c.Action, "lambda:") && strings.HasSuffix(c.Action, "Replication*") {
			continue // its data has no action with an asterisk in its name
		}
		seen[question] = true
		r := operator(check, c.Action, strings.Replace(c.Resource, "distribution/*", "distribution/E1", 1), allowed, c.Context)
		if strings.Contains(r.Resource, ":key/") {
			r.ResourcePolicy = keyPolicy // KMS asks it as well
		}
		requests = append(requests, r)
	}
	return requests
}

// simulate asks the stranger.
func simulate(t *testing.T, requests []request) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "requests.json")
	text, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	// Its data does not know encryption contexts, whose keys have any name. A
	// key that it knows stands in for ours, in policies and requests alike.
	text = bytes.ReplaceAll(text, []byte("kms:EncryptionContext:function"), []byte("aws:PrincipalTag/function"))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	answers := strings.Split(tooltest.Output(t, "iam-simulate", path), "\n")
	if len(answers) != len(requests) {
		t.Fatalf("%d answers to %d requests", len(answers), len(requests))
	}
	for i, r := range requests {
		if answers[i] != r.want {
			t.Errorf("%s on %s %v by %s: %s, want %s", r.Action, r.Resource, r.Context, r.Principal, answers[i], r.want)
		}
	}
}
