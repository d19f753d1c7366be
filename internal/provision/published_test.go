package provision_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"

	"packagecloud/internal/provision"
)

// published stands before an emulator and answers one operation with an error
// that AWS has sent to somebody, in the protocol of the service. Everything else
// goes on.
type published struct {
	next       http.RoundTripper
	operation  string
	status     int
	code, text string
	region     string // of the bucket, as S3 tells it
	times      int    // how often; 0 is always
}

func (p *published) RoundTrip(r *http.Request) (*http.Response, error) {
	if awsmiddleware.GetOperationName(r.Context()) != p.operation || p.times < 0 {
		return p.next.RoundTrip(r)
	}
	if p.times == 1 {
		p.times = -1
	} else if p.times > 1 {
		p.times--
	}
	var body string
	header := http.Header{}
	switch scope := r.Header.Get("Authorization"); {
	case strings.Contains(scope, "/s3/"):
		body = fmt.Sprintf("<Error><Code>%s</Code><Message>%s</Message></Error>", p.code, p.text)
		if p.region != "" {
			header.Set("X-Amz-Bucket-Region", p.region)
		}
	case strings.Contains(scope, "/iam/"), strings.Contains(scope, "/cloudfront/"):
		body = fmt.Sprintf("<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>", p.code, p.text)
	default:
		header.Set("X-Amzn-Errortype", p.code)
		body = fmt.Sprintf(`{"__type":%q,"message":%q,"Message":%[2]q}`, p.code, p.text)
	}
	return &http.Response{StatusCode: p.status, Header: header, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r}, nil
}

// TestMiniStackPublished sets everything up in MiniStack, which refuses nothing,
// behind what AWS has refused others: each refusal is told in AWS's words with
// the advice that fits it, or is waited for where it passes.
func TestMiniStackPublished(t *testing.T) {
	t.Parallel()
	e := startMiniStack(t)
	const user = "User: arn:aws:iam::123456789012:user/operator is not authorized to perform: "
	for i, tt := range []struct {
		published
		missing bool
		want    string // a part of the error; empty if it passes
	}{
		{published{operation: "CreateKey", status: 400, code: "MalformedPolicyDocumentException", text: "The new key policy will not allow you to update the key policy in the future."}, true, "the permission kms:PutKeyPolicy on "},
		{published{operation: "CreateRole", status: 403, code: "AccessDenied", text: user + "iam:CreateRole on resource: arn:aws:iam::123456789012:role/x because no identity-based policy allows the iam:CreateRole action"}, true, "the permission iam:CreateRole on arn:aws:iam::123456789012:role/x is missing"},
		{published{operation: "CreateRole", status: 403, code: "AccessDenied", text: user + "iam:CreateRole on resource: arn:aws:iam::123456789012:role/x with an explicit deny in a service control policy"}, false, "who administers the organization"},
		{published{operation: "CreateFunction", status: 403, code: "AccessDeniedException", text: user + "iam:PassRole on resource: arn:aws:iam::123456789012:role/x because no permissions boundary allows the iam:PassRole action"}, false, "AWS refuses iam:PassRole on arn:aws:iam::123456789012:role/x"},
		{published{operation: "CreateFunction", status: 400, code: "InvalidParameterValueException", text: "The role defined for the function cannot be assumed by Lambda.", times: 2}, false, ""},
		{published{operation: "CreateCachePolicy", status: 400, code: "TooManyCachePolicies", text: "You have reached the maximum number of cache policies for this AWS account."}, false, "a quota of the account is reached"},
		{published{operation: "CreateDistributionWithTags", status: 403, code: "AccessDenied", text: "Your account must be verified before you can add new CloudFront resources. To verify your account, please contact AWS Support (https://console.aws.amazon.com/support/home#/) and include this error message."}, false, "Open a case with AWS Support"},
		{published{operation: "CreateDistributionWithTags", status: 400, code: "InvalidLambdaFunctionAssociation", text: "The function execution role must be assumable with edgelambda.amazonaws.com as well as lambda.amazonaws.com principals. Update the IAM role and try again. Role: arn:aws:iam::123456789012:role/x", times: 2}, false, ""},
		{published{operation: "CreateDistributionWithTags", status: 400, code: "InvalidLambdaFunctionAssociation", text: "Lambda@Edge cannot retrieve the specified Lambda function. Update the IAM policy to add permission: lambda:GetFunction for resource: arn:aws:lambda:us-east-1:123456789012:function:x:1 and try again."}, true, "the permission lambda:GetFunction on arn:aws:lambda:us-east-1:123456789012:function:x:1 is missing"},
		{published{operation: "CreateDistributionWithTags", status: 400, code: "InvalidOriginAccessControl", text: "The origin access control is not valid or doesn't exist.", times: 2}, false, ""},
		{published{operation: "CreateDistributionWithTags", status: 409, code: "CNAMEAlreadyExists", text: "One or more of the CNAMEs you provided are already associated with a different resource."}, false, "list-conflicting-aliases"},
		{published{operation: "CreateDistributionWithTags", status: 409, code: "DistributionAlreadyExists", text: "The caller reference that you are using to create a distribution is associated with another distribution. Already exists: E1SAMPLE1"}, false, "set packagecloud_rails['cloudfront_distribution_id'] = 'E1SAMPLE1'"},
		{published{operation: "PutBucketPolicy", status: 403, code: "AccessDenied", text: user + "s3:PutBucketPolicy on resource: &quot;arn:aws:s3:::packages&quot; because public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access."}, false, "Take that statement out"},
		{published{operation: "GetBucketLocation", status: 301, code: "PermanentRedirect", text: "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.", region: "us-west-2"}, false, "is in us-west-2, but packagecloud_rails['s3_region'] is 'eu-central-1': correct it"},
		{published{operation: "GetBucketLocation", status: 400, code: "AuthorizationHeaderMalformed", text: "The authorization header is malformed; the region 'eu-central-1' is wrong; expecting 'us-east-1'"}, false, "is in us-east-1, but packagecloud_rails['s3_region'] is 'eu-central-1': correct it"},
	} {
		t.Run(tt.operation+" "+tt.code, func(t *testing.T) {
			account := fmt.Sprintf("%012d", i+1)
			c := e.config(account, "test")
			newBucket(t, c, "packages-"+account)
			p := tt.published
			p.next = e.Transport
			c.HTTPClient = &http.Client{Transport: &p, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			r := e.runner(c)
			r.Settings.Bucket = "packages-" + account
			_, err := r.Run(t.Context(), provision.Everything)
			if tt.want == "" {
				if err != nil || p.times >= 0 {
					t.Errorf("it was not waited for: %v", err)
				}
				return
			}
			said := strings.TrimSuffix(strings.ReplaceAll(tt.text, "&quot;", `"`), ".")
			if err == nil || !strings.Contains(err.Error(), tt.want) || p.operation != "GetBucketLocation" && !strings.Contains(err.Error(), said) {
				t.Errorf("it is told as %v\nwant %q, and what AWS said", err, tt.want)
			}
			if refusal, ok := errors.AsType[*provision.RefusalError](err); ok != (p.operation != "GetBucketLocation" && p.code != "DistributionAlreadyExists") || ok && refusal.Missing != tt.missing {
				t.Errorf("missing: %+v", refusal)
			}
		})
	}
}
