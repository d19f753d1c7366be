package s3blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"packagecloud/internal/blob"
	"packagecloud/internal/repo"
)

// code is the error code of S3, such as NoSuchKey, or "".
func code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// status is the HTTP status of an error, or 0.
func status(err error) int {
	if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return answer.HTTPStatusCode()
	}
	return 0
}

// missing tells the absence of an object in the words of package blob. That of
// the bucket is something else.
func missing(err error) error {
	switch code(err) {
	case "NoSuchKey", "NotFound":
		return blob.ErrNotFound
	case "NoSuchBucket":
		return err
	}
	if status(err) == http.StatusNotFound {
		return fmt.Errorf("%w (%w)", blob.ErrNotFound, err)
	}
	return err
}

// wrap says what was done to what.
func wrap(act, key string, err error) error {
	if err == nil {
		return nil
	}
	if passing(err) {
		err = fmt.Errorf("%w: %w", repo.ErrStorage, err)
	}
	return fmt.Errorf("%s %s in S3: %w", act, key, err)
}

// passing reports whether an error of the store, or of the way to it, may be gone
// when the request is made again: it is busy, fails by itself or does not answer.
// What this machine has no room for passes as little as what is refused.
func passing(err error) bool {
	var network net.Error
	switch {
	case errors.Is(err, repo.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, blob.ErrNotFound):
		return false
	case errors.Is(err, errStalled), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded), errors.As(err, &network):
		return true
	case unsupported(err):
		return false
	}
	// What the SDK has tried again in vain; 503 and 429 have many codes.
	return status(err) >= 500 || status(err) == http.StatusTooManyRequests || slices.Contains(busy, code(err))
}

// busy are error codes that say so, whatever their status.
var busy = []string{"SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling", "ThrottlingException",
	"RequestLimitExceeded", "TooManyRequests", "ConditionalRequestConflict", "OperationAborted"}

// unsupported reports whether an error says that the store, or what stands in
// front of it, cannot do what was asked, rather than that it failed.
func unsupported(err error) bool {
	return status(err) == http.StatusNotImplemented || status(err) == http.StatusMethodNotAllowed ||
		slices.Contains([]string{"NotImplemented", "MethodNotAllowed", "NotSupported", "UnsupportedOperation"}, code(err))
}

// explain says what to do about an error of the first request.
func (c *Config) explain(err error) string {
	where := "s3_bucket " + c.Bucket
	switch code(err) {
	case "NoSuchBucket":
		return where + " does not exist: create it, or correct s3_bucket or s3_endpoint"
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "BadRequest", "MovedPermanently":
		if region := regionOf(err); region != "" && region != c.Region {
			return fmt.Sprintf("%s is in the region %s, and s3_region is %s: correct s3_region", where, region, c.Region)
		}
		return fmt.Sprintf("%s is not in the region %s: correct s3_region", where, c.Region)
	case "InvalidAccessKeyId", "InvalidClientTokenId", "XAdminUserNotFound":
		return "aws_access_key is not known there: correct it"
	case "SignatureDoesNotMatch":
		return "aws_secret_key does not belong to aws_access_key: correct it"
	case "ExpiredToken", "InvalidToken", "TokenRefreshRequired":
		return "the credentials have expired: get new ones"
	case "RequestTimeTooSkewed":
		return "the clock of this machine is wrong: set it"
	case "AccessDenied", "Forbidden", "AllAccessDisabled":
		return "the credentials may not list " + where + ": they need the permissions of docs/operating.md, section S3"
	}
	return ""
}

var expectedRegion = regexp.MustCompile(`expecting ['"]([a-z0-9-]+)['"]`)

// regionOf is the region that an answer names as the right one, or "".
func regionOf(err error) string {
	if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok && answer.Response != nil {
		if region := answer.Response.Header.Get("X-Amz-Bucket-Region"); region != "" {
			return region
		}
	}
	// "... the region 'us-east-1' is wrong; expecting 'eu-west-1'"
	if m := expectedRegion.FindStringSubmatch(fmt.Sprint(err)); m != nil {
		return m[1]
	}
	return ""
}
