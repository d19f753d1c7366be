package cloudfronttest

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// The defaults of a cache policy and of error caching.
const (
	defaultTTL      = 86400 * time.Second
	defaultMaxTTL   = 31536000 * time.Second
	defaultErrorTTL = 10 * time.Second
)

// life is how long an answer of the bucket with some headers stays in the
// cache, 0 or less for not at all.
//
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html
func life(p *types.CachePolicyConfig, header http.Header, now time.Time) time.Duration {
	seconds := func(n *int64, otherwise time.Duration) time.Duration {
		if n == nil {
			return otherwise
		}
		return time.Duration(*n) * time.Second
	}
	least := seconds(p.MinTTL, 0)
	usual := max(least, seconds(p.DefaultTTL, defaultTTL))
	most := max(usual, seconds(p.MaxTTL, defaultMaxTTL))
	if p.MaxTTL != nil {
		most = max(least, seconds(p.MaxTTL, 0))
	}
	d := directives(header)
	for _, never := range []string{"no-cache", "no-store", "private"} {
		if _, ok := d[never]; ok {
			return least // although it says never
		}
	}
	if age, ok := maxAge(d); ok {
		return min(max(age, least), most)
	}
	if at, err := http.ParseTime(header.Get("Expires")); err == nil {
		return min(max(at.Sub(now), least), most)
	}
	return min(usual, most)
}

// errorLife is how long an error of the bucket stays in the cache.
//
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HTTPStatusCodes.html
// says of 400, 403, 412 and 415 that they are cached only if the origin sends a
// max-age; that 403 stays for ten seconds all the same was reported, and is
// what happens here.
func errorLife(d *types.DistributionConfig, status int, header http.Header) time.Duration {
	switch status {
	case 400, 403, 404, 405, 412, 414, 415, 500, 501, 502, 503, 504:
	default:
		return 0
	}
	least := defaultErrorTTL
	if d.CustomErrorResponses != nil {
		for _, c := range d.CustomErrorResponses.Items {
			if int(aws.ToInt32(c.ErrorCode)) == status && c.ErrorCachingMinTTL != nil {
				least = time.Duration(*c.ErrorCachingMinTTL) * time.Second
			}
		}
	}
	age, _ := maxAge(directives(header))
	return max(least, age)
}

// directives are those of Cache-Control, in lower case.
func directives(header http.Header) map[string]string {
	d := make(map[string]string)
	for part := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		d[strings.ToLower(name)] = strings.Trim(value, `"`)
	}
	return d
}

func maxAge(d map[string]string) (time.Duration, bool) {
	n, err := strconv.Atoi(cmp.Or(d["s-maxage"], d["max-age"]))
	return time.Duration(n) * time.Second, err == nil
}
