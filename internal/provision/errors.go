package provision

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/smithy-go"
)

// MissingPermissionError says that AWS refused a call.
type MissingPermissionError struct {
	Action, Resource string
	Err              error
}

func (e *MissingPermissionError) Error() string {
	return fmt.Sprintf("the permission %s on %s is missing", e.Action, e.Resource)
}

func (e *MissingPermissionError) Unwrap() error { return e.Err }

// MissingError says all the permissions that are missing.
type MissingError struct{ Missing []error }

func (e *MissingError) Error() string {
	lines := make([]string, 0, len(e.Missing))
	for _, m := range e.Missing {
		line := "  " + m.Error()
		if p, ok := errors.AsType[*MissingPermissionError](m); ok {
			line = "  " + p.Action + " on " + p.Resource
		}
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return "the AWS credentials may not do all that is needed, and nothing was changed. Missing:\n" + strings.Join(lines, "\n") +
		"\npackagecloud-ctl cloudfront-permissions prints a policy with everything"
}

func (e *MissingError) Unwrap() []error { return e.Missing }

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
	_, ok := errors.AsType[*MissingPermissionError](err)
	return ok
}

// deniedPattern is how AWS words most refusals.
var deniedPattern = regexp.MustCompile(`not authorized to perform: ([A-Za-z0-9-]+:[A-Za-z*]+)(?: on resource: (\S+))?`)

// denied says which permission a refused call needed, as AWS says or else as
// the caller knows, and what any other call was for.
func denied(err error, action, resource, format string, args ...any) error {
	if !isDenied(err) {
		return fmt.Errorf(format+": %w", append(args, err)...)
	}
	if m := deniedPattern.FindStringSubmatch(message(err)); m != nil {
		action = m[1]
		if m[2] != "" {
			resource = m[2]
		}
	}
	return &MissingPermissionError{Action: action, Resource: resource, Err: err}
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
	{"InvalidLambdaFunctionAssociation", "cannot be assumed", "CloudFront does not know the new role yet"},
	{"NoSuchCachePolicy", "", "the new cache policy is not known everywhere yet"},
	{"NoSuchOriginAccessControl", "", "the new origin access control is not known everywhere yet"},
	{"InvalidOriginAccessIdentity", "", "the new origin access identity is not known everywhere yet"},
	{"EntityAlreadyExists", "", "somebody else made it"},
	{"AlreadyExistsException", "", "somebody else made the alias"},
	{"OriginAccessControlAlreadyExists", "", "somebody else made the origin access control"},
	{"CachePolicyAlreadyExists", "", "somebody else made the cache policy"},
	{"DistributionAlreadyExists", "", "somebody else made the distribution"},
}

// Why an action came to nothing, and will not the next time.
var (
	errAgain      = errors.New("this code was published already, for other secrets")
	errNoStoreYet = errors.New("the new key value store is not ready yet")
	errNotSeen    = errors.New("the function does not see the secrets yet")
)

// transient reports whether an error passes, and why it came.
func transient(err error) (why string, ok bool) {
	for _, e := range []error{errAgain, errNoStoreYet, errNotSeen} {
		if errors.Is(err, e) {
			return e.Error(), true
		}
	}
	for _, p := range passing {
		if code(err) == p.code && strings.Contains(message(err), p.text) {
			return p.why, true
		}
	}
	return "", false
}
