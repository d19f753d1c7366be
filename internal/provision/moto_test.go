package provision_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packagecloud/internal/provision"
)

// moto does as AWS does: role, key and function, the versions of which it
// publishes only if something changed; policy, tags and public access of a
// bucket. Not asked: Invoke (it needs Docker), CloudFront (no cache policies, no
// identities, loses the function of a behaviour, one ETag for ever).

// TestMoto makes the function in moto, twice, and again for another secret.
func TestMoto(t *testing.T) {
	t.Parallel()
	e := startMoto(t)
	c := e.config("test", "test")
	newBucket(t, c, "packages")
	functions, keys := lambda.NewFromConfig(c), kms.NewFromConfig(c)
	secrets := []string{secret}
	for _, step := range []struct {
		more    string // one more secret
		actions int
		version string
	}{{"", 6, ":1"}, {"", 0, ":1"}, {strings.Repeat("x", 40), 1, ":2"}, {"", 0, ":2"}} {
		r := e.runner(c)
		if step.more != "" {
			secrets = append(secrets, step.more)
		}
		r.Settings.Secrets = secrets
		result, err := r.Run(t.Context(), provision.Function)
		if err != nil {
			t.Fatal(err)
		}
		if len(result.Done) != step.actions || !strings.HasSuffix(result.Version, ":function:"+ours+step.version) {
			t.Errorf("with %d secrets: %s after %v", len(secrets), result.Version, result.Done)
		}
	}
	listed, err := functions.ListVersionsByFunction(t.Context(), &lambda.ListVersionsByFunctionInput{FunctionName: aws.String(ours)})
	if err != nil || len(listed.Versions) != 3 { // with $LATEST
		t.Errorf("versions: %+v %v", listed, err)
	}
	all, err := keys.ListKeys(t.Context(), &kms.ListKeysInput{})
	if err != nil || len(all.Keys) != 1 {
		t.Errorf("keys: %+v %v", all, err)
	}
}

// TestMotoBucket has the bucket in moto, and the rest in our fake: what others
// put there stays, and is not written again.
func TestMotoBucket(t *testing.T) {
	t.Parallel()
	e := startMoto(t)
	c := e.config("test", "test")
	client := newBucket(t, c, "packages")
	site := newSite()
	run := func(access provision.Access) *provision.Result {
		t.Helper()
		r := site.runner(nil)
		r.AWS.S3 = provision.NewAWS(c, provision.Connection{BucketRegion: "eu-central-1", PathStyle: true}).S3
		r.Settings.Access, r.Settings.Migrate = access, true
		result, err := r.Run(t.Context(), provision.Everything)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	for i, access := range []provision.Access{provision.AccessControl, provision.AccessIdentity, ""} {
		run(access)
		checkBucket(t, client, "packages", min(i+3, 4))
		if again := run(access); len(again.Done) != 0 {
			t.Errorf("%q again: %v", access, again.Done)
		}
	}
}

// checkBucket looks whether a bucket of newBucket has so many statements
// in its policy, the first two as they were, its tags, and one of ours.
func checkBucket(t *testing.T, client *s3.Client, name string, statements int) {
	t.Helper()
	policy, err := client.GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: &name})
	if err != nil {
		t.Fatal(err)
	}
	tags, err := client.GetBucketTagging(t.Context(), &s3.GetBucketTaggingInput{Bucket: &name})
	if err != nil {
		t.Fatal(err)
	}
	var got, had struct {
		ID        string `json:"Id"`
		Statement []any
	}
	if err := json.Unmarshal([]byte(*policy.Policy), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(foreign), &had); err != nil {
		t.Fatal(err)
	}
	if got.ID != had.ID || len(got.Statement) != statements || plain(t, got.Statement[:2]) != plain(t, had.Statement) {
		t.Errorf("%d statements wanted: %s", statements, *policy.Policy)
	}
	var pairs []string
	for _, tag := range tags.TagSet {
		pairs = append(pairs, *tag.Key+"="+*tag.Value)
	}
	slices.Sort(pairs)
	if want := []string{"cost=7", provision.Tag + "=true", "team=build"}; !slices.Equal(pairs, want) {
		t.Errorf("tags %q, want %q", pairs, want)
	}
}

// TestMotoPermissions is a user who may do what is printed, and nothing else:
// the function can be made, and the bucket opened to CloudFront. Without any one
// of the permissions that moto asks for they cannot, and the error says which.
//
// moto does not ask for what AWS asks for behind a call (tags, passing the role,
// changing the policy of a key), nor for reading the encryption of a bucket,
// and knows the resources of a bucket only: the others are for TestSimulate.
func TestMotoPermissions(t *testing.T) {
	t.Parallel()
	e := startMoto(t)
	for _, tt := range []struct {
		scope provision.Scope
		asked string // the services that are moto's
		count int
	}{{provision.Function, "iam: kms: lambda: s3:", 18}, {provision.Distribution, "s3:", 6}} {
		all, err := e.runAs(t, tt.scope, "")
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		for _, action := range all.permissions() {
			service, _, _ := strings.Cut(action, ":")
			if !strings.Contains(tt.asked, service+":") || slices.Contains([]string{"iam:PassRole", "iam:TagRole", "kms:TagResource", "kms:PutKeyPolicy", "lambda:TagResource", "lambda:ListTags", "s3:GetEncryptionConfiguration"}, action) {
				continue
			}
			asked++
			if _, err := e.runAs(t, tt.scope, action); err == nil || !strings.Contains(err.Error(), action+" on ") {
				t.Errorf("without %s: %v", action, err)
			}
		}
		if asked != tt.count {
			t.Errorf("%d permissions were asked for", asked)
		}
	}
}

// runAs carries out a scope in a new account, as a user who has the printed
// permissions but one. Everything is in moto for the function; for the
// distribution it is the bucket, and the rest is in our fake.
func (e *emulator) runAs(t *testing.T, scope provision.Scope, without string) (*calls, error) {
	t.Helper()
	e.post(t, "/moto-api/reset", "")
	root := e.config("test", "test")
	newBucket(t, root, "packages")
	c := e.operator(t, root, forMoto(scope, without))
	// Without it moto takes parameters of a path for a body.
	c.APIOptions = append(c.APIOptions, v4.AddContentSHA256HeaderMiddleware)
	all := &calls{}
	all.record(&c)
	r := e.runner(c)
	if scope == provision.Distribution {
		site := newSite()
		first, err := site.runner(nil).Run(t.Context(), provision.Function)
		if err != nil {
			t.Fatal(err)
		}
		mixed := site.runner(nil)
		mixed.AWS.S3, mixed.Settings.FunctionVersion = r.AWS.S3, first.Version
		r = mixed
	}
	e.post(t, "/moto-api/reset-auth", "0")
	defer e.post(t, "/moto-api/reset-auth", "Infinity")
	_, err := r.Run(t.Context(), scope)
	return all, err
}

// forMoto is the printed policy without a permission, as moto reads policies.
func forMoto(scope provision.Scope, without string) provision.Policy {
	policy := deny(permissionsOf("", scope), without)
	for i := range policy.Statement {
		s := &policy.Statement[i]
		if s.Sid != "Bucket" {
			s.Resource = []string{"*"}
		} else if slices.Contains(s.Action, "s3:GetBucketPublicAccessBlock") {
			s.Action = append(s.Action, "s3:ListBucket") // which moto takes that call for
		}
	}
	return policy
}

func (e *emulator) post(t *testing.T, path, body string) {
	t.Helper()
	answer, err := (&http.Client{Transport: e.Transport}).Post(e.URL+path, "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, answer.Status)
	}
}
