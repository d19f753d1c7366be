package provision_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"packagecloud/internal/provision"
)

// operator makes a user with a policy, and is how to reach the emulator as that.
func (e *emulator) operator(t *testing.T, root aws.Config, policy provision.Policy) aws.Config {
	t.Helper()
	admin, user := iam.NewFromConfig(root), aws.String("operator")
	if _, err := admin.CreateUser(t.Context(), &iam.CreateUserInput{UserName: user}); err != nil {
		t.Fatal(err)
	}
	made, err := admin.CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: user, PolicyDocument: aws.String(policy.String())})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.AttachUserPolicy(t.Context(), &iam.AttachUserPolicyInput{UserName: user, PolicyArn: made.Policy.Arn}); err != nil {
		t.Fatal(err)
	}
	key, err := admin.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: user})
	if err != nil {
		t.Fatal(err)
	}
	c := e.config(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey)
	c.HTTPClient = &http.Client{Transport: refusals{e.Transport}}
	return c
}

// deny takes an action out of a policy.
func deny(p provision.Policy, action string) provision.Policy {
	for i := range p.Statement {
		s := &p.Statement[i]
		s.Action = slices.DeleteFunc(s.Action, func(a string) bool { return a == action })
	}
	p.Statement = slices.DeleteFunc(p.Statement, func(s provision.Statement) bool { return len(s.Action) == 0 })
	return p
}

// refusals words what emulators refuse as AWS does, in the protocol of the
// service: moto says it in the XML of EC2, except for S3, and MiniStack that of
// CloudFront in the XML of S3.
type refusals struct{ next http.RoundTripper }

var refusal = regexp.MustCompile(`(?s)<Error>\s*<Code>AccessDenied</Code>\s*<Message>(.*)</Message>`)

func (x refusals) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := x.next.RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusForbidden {
		return answer, err
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	scope := r.Header.Get("Authorization")
	switch m := refusal.FindSubmatch(body); {
	case m == nil, strings.Contains(scope, "/s3/"):
	case strings.Contains(scope, "/iam/"), strings.Contains(scope, "/cloudfront/"):
		body = fmt.Appendf(nil, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>%s</Message></Error></ErrorResponse>", m[1])
	default:
		body = fmt.Appendf(nil, `{"__type":"AccessDeniedException","message":%q}`, m[1])
	}
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return answer, err
}
