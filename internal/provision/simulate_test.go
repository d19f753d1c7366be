package provision_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"packagecloud/internal/provision"
	"packagecloud/internal/provision/awsfake"
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

// TestSimulate lets a stranger's evaluation of IAM judge the policies that are
// printed and made: what is needed is allowed, and what is near it is not.
func TestSimulate(t *testing.T) {
	policy := provision.Permissions(awsfake.Account, "packages", "", provision.Everything)
	printed := json.RawMessage(policy.String())
	operator := func(action, resource, want string, context map[string]string) request {
		return request{Principal: awsfake.Caller, Account: awsfake.Account, Action: action, Resource: resource, Context: context, IdentityPolicy: printed, want: want}
	}
	const allowed, refused = "Allowed", "ImplicitlyDenied"
	account := "arn:aws:iam::" + awsfake.Account
	s := newSite()
	id := s.run(t).DistributionID
	key := s.fake.Keys()[0]
	keyPolicy := json.RawMessage(s.fake.KeyPolicy(key))
	requests := []request{
		operator("iam:CreateRole", account+":role/another", refused, nil),
		operator("iam:PassRole", account+":role/"+provision.Name, refused, map[string]string{"iam:PassedToService": "ec2.amazonaws.com"}),
		operator("s3:PutBucketPolicy", "arn:aws:s3:::another", refused, nil),
		operator("s3:GetObject", "arn:aws:s3:::packages/x", refused, nil),
		operator("kms:Decrypt", "arn:aws:kms:us-east-1:"+awsfake.Account+":key/1", refused, map[string]string{"kms:EncryptionContext:function": provision.Name}),
		operator("lambda:DeleteFunction", "arn:aws:lambda:us-east-1:"+awsfake.Account+":function:"+provision.Name, refused, nil),
		operator("cloudfront:DeleteDistribution", "arn:aws:cloudfront::"+awsfake.Account+":distribution/E1", refused, nil),
	}
	seen := map[string]bool{}
	for _, c := range needed(t, func(c awsfake.Check) bool { return grants(policy, c) }) {
		question := c.Action + " " + c.Resource
		if seen[question] || c.Action == "lambda:EnableReplication*" {
			continue // its data has no action with an asterisk in its name
		}
		seen[question] = true
		r := operator(c.Action, strings.Replace(c.Resource, "distribution/*", "distribution/E1", 1), allowed, c.Context)
		if strings.Contains(r.Resource, ":key/") {
			r.ResourcePolicy = keyPolicy // KMS asks it as well
		}
		requests = append(requests, r)
	}

	rolePolicy, _ := s.fake.RolePolicy(provision.Name, provision.Name)
	for distribution, want := range map[string]string{id: allowed, "E0OTHER": refused} {
		requests = append(requests, request{
			Principal: "cloudfront.amazonaws.com", Account: awsfake.Account, Action: "s3:GetObject", Resource: "arn:aws:s3:::packages/packages/x",
			Context:        map[string]string{"aws:SourceArn": "arn:aws:cloudfront::" + awsfake.Account + ":distribution/" + distribution},
			ResourcePolicy: json.RawMessage(s.fake.BucketPolicy("packages")), want: want,
		})
	}
	for function, want := range map[string]string{provision.Name: allowed, "another": refused} {
		requests = append(requests, request{
			Principal: account + ":role/" + provision.Name, Account: awsfake.Account, Action: "kms:Decrypt", Resource: key,
			Context: map[string]string{"kms:EncryptionContext:function": function}, IdentityPolicy: json.RawMessage(rolePolicy),
			ResourcePolicy: keyPolicy, want: want,
		})
	}

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
	out, err := exec.CommandContext(t.Context(), "../../scripts/iam-simulate", path).Output()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("scripts/iam-simulate: %v", err)
		}
		t.Skipf("scripts/iam-simulate: %v", err)
	}
	answers := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(answers) != len(requests) {
		t.Fatalf("%d answers to %d requests", len(answers), len(requests))
	}
	for i, r := range requests {
		if answers[i] != r.want {
			t.Errorf("%s on %s %v by %s: %s, want %s", r.Action, r.Resource, r.Context, r.Principal, answers[i], r.want)
		}
	}
}
