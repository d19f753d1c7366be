package cloudfronttest

import (
	"html"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// The limits of requests, in bytes.
const (
	maxURL     = 8192
	maxRequest = 20480
)

// behavior is a cache behavior of a distribution, the default one too, with
// what the stand-in needs of it.
type behavior struct {
	TargetOriginID       string
	ViewerProtocolPolicy types.ViewerProtocolPolicy
	Methods              []types.Method
	Function             string // ARN of the viewer-request function of Lambda, or ""
	EdgeFunction         string // that of CloudFront, or ""
	OriginFunction       string // and of the origin-request function
	CachePolicy          *types.CachePolicyConfig
}

// admit finds the distribution and the behavior of the request, and refuses
// what breaks a limit.
func (x *exchange) admit() error {
	forbidden := func(reason string) error { return &refusal{http.StatusForbidden, Error, reason} }
	if x.config == nil {
		return forbidden("bad request: no distribution is deployed")
	}
	x.dist = x.config.distribution(hostOnly(x.r.Host))
	if x.dist == nil || !aws.ToBool(x.dist.Config.Enabled) {
		return forbidden("bad request: no enabled distribution has the name " + hostOnly(x.r.Host))
	}
	if len("https://"+x.r.Host+x.r.RequestURI) > maxURL || requestSize(x.r) > maxRequest {
		return &refusal{http.StatusRequestEntityTooLarge, LimitExceeded, "request header fields too large"}
	}
	if !strings.HasPrefix(x.r.RequestURI, "/") {
		return &refusal{http.StatusBadRequest, Error, "bad request: the request target is no path"}
	}
	var err error
	if x.behavior, err = x.config.behavior(x.dist, x.r); err != nil {
		return err
	}
	if !slices.Contains(x.behavior.Methods, types.Method(x.r.Method)) {
		return forbidden("this distribution is not configured to allow the HTTP request method that was used for this request")
	}
	if x.r.Method == http.MethodGet && x.r.ContentLength != 0 {
		return forbidden("bad request: a GET request with a body")
	}
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		return unknown("method %s", x.r.Method)
	}
	return nil
}

func (c *Configuration) distribution(host string) *Distribution {
	for i := range c.Distributions {
		d := &c.Distributions[i]
		if strings.EqualFold(d.DomainName, host) || d.Config.Aliases != nil && slices.ContainsFunc(d.Config.Aliases.Items, func(a string) bool { return strings.EqualFold(a, host) }) {
			return d
		}
	}
	return nil
}

// behavior is that of the first pattern that matches the path, dots and
// encoding resolved; the function and the bucket see the path as it was sent.
func (c *Configuration) behavior(d *Distribution, r *http.Request) (behavior, error) {
	if d.Config.OriginGroups != nil && len(d.Config.OriginGroups.Items) > 0 {
		return behavior{}, unknown("origin groups")
	}
	if aws.ToString(d.Config.DefaultRootObject) != "" {
		return behavior{}, unknown("a default root object")
	}
	if d.Config.CacheBehaviors != nil {
		normal := normalPath(r.RequestURI)
		for _, b := range d.Config.CacheBehaviors.Items {
			if matches(strings.TrimPrefix(aws.ToString(b.PathPattern), "/"), strings.TrimPrefix(normal, "/")) {
				return c.resolve(types.DefaultCacheBehavior{
					TargetOriginId: b.TargetOriginId, ViewerProtocolPolicy: b.ViewerProtocolPolicy, AllowedMethods: b.AllowedMethods,
					CachePolicyId: b.CachePolicyId, LambdaFunctionAssociations: b.LambdaFunctionAssociations, FunctionAssociations: b.FunctionAssociations,
					OriginRequestPolicyId: b.OriginRequestPolicyId, ResponseHeadersPolicyId: b.ResponseHeadersPolicyId,
					TrustedKeyGroups: b.TrustedKeyGroups, TrustedSigners: b.TrustedSigners, FieldLevelEncryptionId: b.FieldLevelEncryptionId,
				})
			}
		}
	}
	return c.resolve(*d.Config.DefaultCacheBehavior)
}

func (c *Configuration) resolve(b types.DefaultCacheBehavior) (behavior, error) {
	out := behavior{TargetOriginID: aws.ToString(b.TargetOriginId), ViewerProtocolPolicy: b.ViewerProtocolPolicy, Methods: []types.Method{types.MethodGet, types.MethodHead}}
	if b.AllowedMethods != nil {
		out.Methods = b.AllowedMethods.Items
	}
	switch {
	case b.TrustedKeyGroups != nil && aws.ToBool(b.TrustedKeyGroups.Enabled), b.TrustedSigners != nil && aws.ToBool(b.TrustedSigners.Enabled):
		return out, unknown("signed URLs of CloudFront itself")
	case aws.ToString(b.OriginRequestPolicyId) != "", aws.ToString(b.ResponseHeadersPolicyId) != "", aws.ToString(b.FieldLevelEncryptionId) != "":
		return out, unknown("an origin request policy, a response headers policy or field-level encryption")
	}
	if b.LambdaFunctionAssociations != nil {
		for _, a := range b.LambdaFunctionAssociations.Items {
			switch a.EventType {
			case types.EventTypeViewerRequest:
				out.Function = aws.ToString(a.LambdaFunctionARN)
			case types.EventTypeOriginRequest:
				out.OriginFunction = aws.ToString(a.LambdaFunctionARN)
			default:
				return out, unknown("a function for %s", a.EventType)
			}
		}
	}
	if b.FunctionAssociations != nil {
		for _, a := range b.FunctionAssociations.Items {
			if a.EventType != types.EventTypeViewerRequest || out.Function != "" {
				return out, unknown("a CloudFront function for %s, or beside one of Lambda", a.EventType)
			}
			out.EdgeFunction = aws.ToString(a.FunctionARN)
		}
	}
	id := aws.ToString(b.CachePolicyId)
	out.CachePolicy = c.CachePolicies[id]
	if out.CachePolicy == nil {
		out.CachePolicy = managed[id]
	}
	if out.CachePolicy == nil {
		return out, unknown("the cache policy %q", id)
	}
	return out, nil
}

// normalPath is the path by which behaviors are chosen.
func normalPath(target string) string {
	raw, _, _ := strings.Cut(target, "?")
	if decoded, err := url.PathUnescape(raw); err == nil {
		raw = decoded
	}
	return path.Clean("/" + raw)
}

// matches reports whether a path pattern, with * for any bytes and ? for one,
// matches.
func matches(pattern, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		return matches(pattern[1:], s) || s != "" && matches(pattern, s[1:])
	case s == "":
		return false
	case pattern[0] == '?' || pattern[0] == s[0]:
		return matches(pattern[1:], s[1:])
	}
	return false
}

// requestSize is the length of the request line and the headers.
func requestSize(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(" HTTP/1.1\r\nHost: \r\n ") + len(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return n
}

func hostOnly(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return host
}

func htmlEscape(s string) string { return html.EscapeString(s) }
