package provision

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/aws/smithy-go"
)

// RefusalError says that AWS refused a call, and always what AWS said.
type RefusalError struct {
	Action, Resource string // the permission that the call is about
	// Missing is that AWS says that the permission is missing. Any other refusal
	// is not cured by a permission.
	Missing bool
	// Advice is what to do about it, empty where that is to give the permission.
	Advice string
	Err    error // of AWS; nil where IAM was asked beforehand
}

func (e *RefusalError) Error() string {
	text := "AWS refuses " + e.Action + " on " + e.Resource
	if e.Missing {
		text = "the permission " + e.Action + " on " + e.Resource + " is missing"
	}
	if said := e.said(); said != "" {
		text += ". AWS says: " + said
	}
	if e.Advice != "" {
		text += ". To do: " + e.Advice
	}
	return text
}

// said is the sentence of AWS, without the full stop.
func (e *RefusalError) said() string { return strings.TrimSuffix(message(e.Err), ".") }

func (e *RefusalError) Unwrap() error { return e.Err }

// RefusalsError is everything that AWS refused before anything was changed.
type RefusalsError struct{ Refusals []error }

func (e *RefusalsError) Error() string {
	var missing, others []string
	for _, err := range e.Refusals {
		r, ok := errors.AsType[*RefusalError](err)
		switch {
		case !ok:
			others = appendNew(others, "  "+err.Error())
		case r.Missing:
			line := "  " + r.Action + " on " + r.Resource
			if said := r.said(); said != "" {
				line += "\n    AWS says: " + said
			}
			missing = appendNew(missing, line)
		default:
			others = appendNew(others, "  "+r.Error())
		}
	}
	text := "AWS refuses what is needed, and nothing was changed."
	if len(missing) > 0 {
		text = "the AWS credentials may not do all that is needed, and nothing was changed. Missing:\n" + strings.Join(missing, "\n") +
			"\npackagecloud-ctl cloudfront-permissions prints a policy with everything"
	}
	if len(others) > 0 {
		text += "\nRefused for another reason, which no permission changes:\n" + strings.Join(others, "\n")
	}
	return text
}

func (e *RefusalsError) Unwrap() []error { return e.Refusals }

func appendNew(lines []string, line string) []string {
	if slices.Contains(lines, line) {
		return lines
	}
	return append(lines, line)
}

// code is the code of an error of AWS, or empty.
func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

func message(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorMessage()
	}
	return ""
}

func isDenied(err error) bool {
	switch code(err) {
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation":
		return true
	}
	_, ok := errors.AsType[*RefusalError](err)
	return ok
}

// permissionPattern is how AWS names the permission in most refusals.
var permissionPattern = regexp.MustCompile(`not authorized to perform: ([A-Za-z0-9-]+:[A-Za-z*]+)(?: on resource: (\S+))?`)

// denials are the sentences of refused calls: whether the permission is
// missing, and the advice. The first that matches counts.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
var denials = []struct {
	pattern *regexp.Regexp
	missing bool
	advice  string
}{
	{regexp.MustCompile(`account must be verified`), false, "AWS has not yet verified this account for CloudFront, as is usual with new accounts. Open a case with AWS Support (Account and billing), quote this sentence, and run the command again when they have answered"},
	{regexp.MustCompile(`BlockPublicPolicy|public policies`), false, "the policy of the bucket has a statement for everybody (its Principal is *), and Block Public Access of the bucket or the account refuses to store such a policy. Take that statement out, and run the command again"},
	{regexp.MustCompile(`(service|resource) control policy|declarative policy`), false, "a policy of your AWS organization decides this for the whole account. Ask who administers the organization"},
	{regexp.MustCompile(`explicit deny`), false, "a policy forbids this by a Deny, which outweighs every permission. Find the policy that AWS names, and except these credentials from it"},
	{regexp.MustCompile(`permissions boundary`), false, "the permissions boundary of these credentials leaves this out. Add it there as well"},
	{regexp.MustCompile(`session policy`), false, "the policy of this session leaves this out. Begin a session without it"},
	{regexp.MustCompile(`VPC endpoint policy`), false, "the policy of the VPC endpoint leaves this out. Add it there"},
	{regexp.MustCompile(`^Authentication failed`), false, "key value stores take no session token of the global STS endpoint. Set AWS_STS_REGIONAL_ENDPOINTS=regional where the token is made, or use the access key of a user"},
	{permissionPattern, true, ""},
}

// denied says what a refused call means, in the words of AWS, and what any other
// call was for.
func denied(err error, action, resource, format string, args ...any) error {
	if !isDenied(err) {
		return fmt.Errorf(format+": %w", append(args, err)...)
	}
	text := message(err)
	if m := permissionPattern.FindStringSubmatch(text); m != nil {
		action = m[1]
		if m[2] != "" {
			resource = m[2]
		}
	}
	for _, d := range denials {
		if d.pattern.MatchString(text) {
			return &RefusalError{Action: action, Resource: resource, Missing: d.missing, Advice: d.advice, Err: err}
		}
	}
	return &RefusalError{
		Action: action, Resource: resource, Err: err,
		Advice: "AWS does not say why. See whether the credentials have this permission (packagecloud-ctl cloudfront-permissions prints all), and whether a policy of the resource or the organization forbids it",
	}
}

// advice is for refusals that are not about the caller. A permission, if AWS
// names one, is the first group of the pattern, and its resource the second.
var advice = []struct {
	code    string
	pattern *regexp.Regexp
	missing string // the permission that AWS means without naming it
	text    string
}{
	// The lock-out check of CreateKey: who makes a key must be able to change its policy later.
	{"MalformedPolicyDocumentException", regexp.MustCompile(`update the key policy in the future`), "kms:PutKeyPolicy", ""},
	{"InvalidLambdaFunctionAssociation", regexp.MustCompile(`add permission: (lambda:[A-Za-z*]+) for resource: (\S+)`), "", ""},
	{"CNAMEAlreadyExists", nil, "", "another distribution has the name that cloudfront_packages_domain says, perhaps in another account. `aws cloudfront list-conflicting-aliases` tells which: take the name from it, or choose another"},
	{"InvalidViewerCertificate", nil, "", "the certificate that cloudfront_certificate_arn says must be in us-east-1, issued, and for cloudfront_packages_domain"},
	{"InvalidDomainNameForOriginAccessControl", nil, "", "origin access control needs the bucket's own host name: see s3_bucket and s3_region"},
	{"", regexp.MustCompile(`^(TooMany|.*LimitExceeded)`), "", "a quota of the account is reached: remove what is not used, or have it raised in Service Quotas"},
}

// refused is an error as it is, or with what it means.
func refused(err error, action, resource string) error {
	if err == nil {
		return nil
	}
	if isDenied(err) {
		return denied(err, action, resource, "")
	}
	for _, a := range advice {
		if a.code == "" && !a.pattern.MatchString(code(err)) || a.code != "" && code(err) != a.code {
			continue
		}
		e := &RefusalError{Action: action, Resource: resource, Advice: a.text, Err: err}
		if a.code != "" && a.pattern != nil {
			m := a.pattern.FindStringSubmatch(message(err))
			switch {
			case m == nil:
				continue
			case len(m) > 2:
				e.Action, e.Resource = m[1], m[2]
			default:
				e.Action = a.missing
			}
			e.Missing = true
		}
		return e
	}
	return err
}

// expectedRegion is how S3 names the region in a refused signature.
var expectedRegion = regexp.MustCompile(`expecting '([a-z0-9-]+)'`)

// otherRegion is the region of the bucket, if an error is that it was asked in
// another; it is empty if S3 does not tell it.
func otherRegion(err error) (region string, ok bool) {
	switch code(err) {
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "TemporaryRedirect", "301", "MovedPermanently":
	default:
		return "", false
	}
	if m := expectedRegion.FindStringSubmatch(message(err)); m != nil {
		return m[1], true
	}
	if r, found := errors.AsType[*smithyhttp.ResponseError](err); found {
		return r.Response.Header.Get("X-Amz-Bucket-Region"), true
	}
	return "", true
}

// passing are the errors that go away by waiting, or by looking again: what AWS
// made a moment ago is not known everywhere yet, or another run was faster.
var passing = []struct{ code, text, why string }{
	{"InvalidParameterValueException", "cannot be assumed", "Lambda does not know the new role yet"},
	{"InvalidParameterValueException", "CodeSHA256", "somebody else changed the code"},
	{"NoSuchEntity", "", "the new role is not known everywhere yet"},
	{"NoSuchFunctionExists", "", "the new function is not known everywhere yet"},
	{"InvalidFunctionAssociation", "", "CloudFront does not know the published function yet"},
	{"EntityNotFound", "", "the new key value store is not known everywhere yet"},
	{"ConflictException", "", "somebody else changed the key value store"},
	{"FunctionAlreadyExists", "", "somebody else made the function"},
	{"ConcurrentModification", "", "somebody else changes the role"},
	{"MalformedPolicy", "Invalid principal", "S3 does not know the new principal yet"},
	{"OperationAborted", "", "somebody else changes the bucket"},
	{"PreconditionFailed", "", "somebody else changed it"},
	{"InvalidIfMatchVersion", "", "somebody else changed it"},
	{"ResourceConflictException", "", "the function is being changed"},
	{"ResourceNotFoundException", "", "what was just made is not known everywhere yet"},
	{"NotFoundException", "", "the new key is not known everywhere yet"},
	{"InvalidLambdaFunctionAssociation", "Active", "the new version is not ready yet"},
	{"InvalidLambdaFunctionAssociation", "must be assumable", "CloudFront does not know the new role yet"},
	{"NoSuchCachePolicy", "", "the new cache policy is not known everywhere yet"},
	{"InvalidOriginAccessControl", "", "the new origin access control is not known everywhere yet"},
	{"InvalidOriginAccessIdentity", "", "the new origin access identity is not known everywhere yet"},
	{"EntityAlreadyExists", "", "somebody else made it"},
	{"AlreadyExistsException", "", "somebody else made the alias"},
	{"OriginAccessControlAlreadyExists", "", "somebody else made the origin access control"},
	{"CachePolicyAlreadyExists", "", "somebody else made the cache policy"},
}

// Why an action came to nothing, and will not the next time.
var (
	errAgain      = errors.New("this code was published already, for other secrets")
	errNoStoreYet = errors.New("the new key value store is not ready yet")
	errNotSeen    = errors.New("the function does not see the secrets yet")
	errNotListed  = errors.New("the new distribution is not listed yet")
)

// transient reports whether an error passes, and why it came.
func transient(err error) (why string, ok bool) {
	for _, e := range []error{errAgain, errNoStoreYet, errNotSeen, errNotListed} {
		if errors.Is(err, e) {
			return e.Error(), true
		}
	}
	if r, found := errors.AsType[*RefusalError](err); found && (r.Missing || r.Advice != "") {
		return "", false
	}
	for _, p := range passing {
		if code(err) == p.code && strings.Contains(message(err), p.text) {
			return p.why + " (AWS: " + message(err) + ")", true
		}
	}
	return "", false
}
