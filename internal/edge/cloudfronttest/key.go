package cloudfronttest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// managed are the cache policies of AWS that distributions use most.
var managed = map[string]*types.CachePolicyConfig{
	// CachingOptimized: mind its MinTTL.
	"658327ea-f89d-4fab-a63d-7e88639e58f6": managedPolicy(1, 86400, 31536000, true),
	// CachingDisabled.
	"4135ea2d-6df8-44a3-9df3-4b5a84be39ad": managedPolicy(0, 0, 0, false),
}

func managedPolicy(least, usual, most int64, encodings bool) *types.CachePolicyConfig {
	return &types.CachePolicyConfig{
		MinTTL: &least, DefaultTTL: &usual, MaxTTL: &most,
		ParametersInCacheKeyAndForwardedToOrigin: &types.ParametersInCacheKeyAndForwardedToOrigin{
			EnableAcceptEncodingGzip: &encodings, EnableAcceptEncodingBrotli: &encodings,
			HeadersConfig:      &types.CachePolicyHeadersConfig{HeaderBehavior: types.CachePolicyHeaderBehaviorNone},
			CookiesConfig:      &types.CachePolicyCookiesConfig{CookieBehavior: types.CachePolicyCookieBehaviorNone},
			QueryStringsConfig: &types.CachePolicyQueryStringsConfig{QueryStringBehavior: types.CachePolicyQueryStringBehaviorNone},
		},
	}
}

// keyed is what distinguishes an object in the cache. What the policy puts
// into it is also what the bucket is sent.
type keyed struct {
	key     string
	query   string
	headers map[string]string // in lower case
}

// keyed applies the cache policy to the request that the function left.
func (x *exchange) keyed() (keyed, error) {
	k := keyed{headers: map[string]string{}}
	p := x.behavior.CachePolicy.ParametersInCacheKeyAndForwardedToOrigin
	if p == nil {
		return k, unknown("a cache policy without parameters")
	}
	if p.CookiesConfig != nil && p.CookiesConfig.CookieBehavior != types.CachePolicyCookieBehaviorNone {
		return k, unknown("cookies in the cache key")
	}
	if q := p.QueryStringsConfig; q != nil {
		k.query = chosen(x.request.Query, q)
	}
	if h := p.HeadersConfig; h != nil && h.HeaderBehavior == types.CachePolicyHeaderBehaviorWhitelist && h.Headers != nil {
		for _, name := range h.Headers.Items {
			name = strings.ToLower(name)
			k.headers[name] = x.viewerHeader(name)
		}
	}
	accepted := x.viewerHeader("accept-encoding")
	var encodings []string
	if aws.ToBool(p.EnableAcceptEncodingBrotli) && strings.Contains(accepted, "br") {
		encodings = append(encodings, "br")
	}
	if aws.ToBool(p.EnableAcceptEncodingGzip) && strings.Contains(accepted, "gzip") {
		encodings = append(encodings, "gzip")
	}
	if len(encodings) > 0 {
		k.headers["accept-encoding"] = strings.Join(encodings, ",")
	}
	k.key = fmt.Sprint(x.dist.ID, " ", x.request.URI, "?", k.query, " ", k.headers)
	return k, nil
}

// chosen are the parameters of a query that a policy lets through, as they
// were sent.
func chosen(query string, q *types.CachePolicyQueryStringsConfig) string {
	var names []string
	if q.QueryStrings != nil {
		names = q.QueryStrings.Items
	}
	keep := func(string) bool { return false }
	switch q.QueryStringBehavior {
	case types.CachePolicyQueryStringBehaviorAll:
		keep = func(string) bool { return true }
	case types.CachePolicyQueryStringBehaviorWhitelist:
		keep = func(name string) bool { return slices.Contains(names, name) }
	case types.CachePolicyQueryStringBehaviorAllExcept:
		keep = func(name string) bool { return !slices.Contains(names, name) }
	}
	var out []string
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if part != "" && keep(name) {
			out = append(out, part)
		}
	}
	return strings.Join(out, "&")
}

// viewerHeader is a header of the request that the function left.
func (x *exchange) viewerHeader(lower string) string {
	var values []string
	for _, v := range x.request.Headers[lower] {
		values = append(values, v.Value)
	}
	return strings.Join(values, ", ")
}
