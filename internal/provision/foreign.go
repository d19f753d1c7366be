package provision

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// What others put into the distribution or the bucket stays. Here is what it
// does to downloads: obstacles are refused, and the rest is noted.

// managedKey is the key of AWS for S3, whose policy nobody can change.
const managedKey = "alias/aws/s3"

// obstacles refuses a distribution that cannot hand out packages as it is.
func (s *Settings) obstacles(o *Observed) error {
	g := o.Distribution.Config
	b := g.DefaultCacheBehavior
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("the distribution "+o.Distribution.ID+" "+format+". It was not changed", args...)
	}
	switch {
	case wantsSigners(b):
		return refuse("serves only what is signed with a key of CloudFront (trusted key groups or signers), so every link of ours gets 403 MissingKey: take them from its default behaviour")
	case forwardsHost(o.RequestPolicy):
		return refuse("sends the viewer's Host header to the bucket by the origin request policy %s, so S3 refuses its signature: choose AllViewerExceptHostHeader, or none", aws.ToString(o.RequestPolicy.Name))
	case g.ConnectionMode == types.ConnectionModeTenantOnly:
		return refuse("is for tenants only, and answers under no name of its own: remove packagecloud_rails['cloudfront_distribution_id'] to have one made")
	case aws.ToBool(g.Staging):
		return refuse("is a staging distribution, which viewers do not reach: set packagecloud_rails['cloudfront_distribution_id'] to the primary one")
	case g.ViewerMtlsConfig != nil && g.ViewerMtlsConfig.Mode == types.ViewerMtlsModeRequired:
		return refuse("asks viewers for a client certificate, which package managers have none of: switch mutual TLS off")
	}
	return nil
}

func wantsSigners(b *types.DefaultCacheBehavior) bool {
	return b.TrustedKeyGroups != nil && aws.ToBool(b.TrustedKeyGroups.Enabled) || b.TrustedSigners != nil && aws.ToBool(b.TrustedSigners.Enabled)
}

// forwardsHost reports whether an origin request policy hands Host on. S3 takes
// it for a bucket, and the signature of origin access control is for another.
func forwardsHost(p *types.OriginRequestPolicyConfig) bool {
	if p == nil || p.HeadersConfig == nil {
		return false
	}
	named := p.HeadersConfig.Headers != nil && slices.ContainsFunc(p.HeadersConfig.Headers.Items, func(h string) bool { return strings.EqualFold(h, "Host") })
	switch p.HeadersConfig.HeaderBehavior {
	case types.OriginRequestPolicyHeaderBehaviorAllViewer, types.OriginRequestPolicyHeaderBehaviorAllViewerAndWhitelistCloudFront:
		return true
	case types.OriginRequestPolicyHeaderBehaviorWhitelist:
		return named
	case types.OriginRequestPolicyHeaderBehaviorAllExcept:
		return !named
	}
	return false
}

// geo is which countries CloudFront serves, empty for all.
func geo(g *types.DistributionConfig) string {
	if g.Restrictions == nil || g.Restrictions.GeoRestriction == nil {
		return ""
	}
	countries := strings.Join(g.Restrictions.GeoRestriction.Items, ", ")
	switch g.Restrictions.GeoRestriction.RestrictionType {
	case types.GeoRestrictionTypeWhitelist:
		return "only " + countries
	case types.GeoRestrictionTypeBlacklist:
		return "all but " + countries
	}
	return ""
}

// restrictions notes who or what else decides about a download.
func (p *Plan) restrictions(g *types.DistributionConfig) {
	b := g.DefaultCacheBehavior
	if countries := geo(g); countries != "" {
		p.note("the distribution serves %s (geographic restriction): machines elsewhere, and build services, get 403", countries)
	}
	if acl := aws.ToString(g.WebACLId); acl != "" {
		p.note("AWS WAF (%s) filters requests before the function: its managed rules may refuse package managers with 403 Request blocked, so let /packages/* and /indexes/* pass", acl)
	}
	if id := aws.ToString(b.OriginRequestPolicyId); id != "" {
		p.note("the origin request policy %s sends more to the bucket than it needs: it needs none", id)
	}
	if id := aws.ToString(b.ResponseHeadersPolicyId); id != "" {
		p.note("the response headers policy %s changes answers: if it sets Cache-Control, clients keep old indexes", id)
	}
	if id := aws.ToString(g.ContinuousDeploymentPolicyId); id != "" {
		p.note("the continuous deployment policy %s sends a part of the requests to another distribution, which this command does not change", id)
	}
	if g.CustomErrorResponses == nil {
		return
	}
	for _, e := range g.CustomErrorResponses.Items {
		status, _ := strconv.Atoi(aws.ToString(e.ResponseCode))
		if page := aws.ToString(e.ResponsePagePath); page != "" && status/100 == 2 {
			p.note("an error %d is answered with %d and the page %s: package managers take that page for a package. Remove this error page", aws.ToInt32(e.ErrorCode), status, page)
		}
	}
}

// encryption looks at the key that the bucket encrypts with: CloudFront needs to
// decrypt.
func (p *Plan) encryption(s *Settings, o *Observed, r *parts) error {
	key := o.Bucket.Key
	switch {
	case key == "":
		return nil
	case isManaged(key):
		return fmt.Errorf("the bucket %s encrypts with aws/s3, a key of AWS whose policy nobody can change, so CloudFront cannot decrypt what is stored. Let it encrypt with SSE-S3 (AES256) or with a key of yours, and copy what is in it onto itself", s.Bucket)
	case r.access == AccessIdentity:
		return fmt.Errorf("the bucket %s encrypts with the key %s, which an origin access identity cannot use: run packagecloud-ctl migrate-cloudfront-access oac", s.Bucket, key)
	}
	p.note("the bucket encrypts with the key %s: its policy must let CloudFront decrypt, by this statement: %s", key, KeyStatement(o.Distribution))
	return nil
}

func isManaged(key string) bool { return key == "aws/s3" || strings.HasSuffix(key, managedKey) }

// KeyStatement is the statement for the policy of a bucket's key that lets the
// distribution decrypt. A nil distribution is one that is not made yet.
func KeyStatement(d *ObservedDistribution) string {
	arn := unknown
	if d != nil {
		arn = d.ARN
	}
	return compact(Statement{
		Sid: "PackagecloudCloudFront", Effect: "Allow", Principal: map[string]any{"Service": "cloudfront.amazonaws.com"},
		Action: []string{"kms:Decrypt"}, Resource: []string{"*"}, Condition: equals("AWS:SourceArn", arn),
	})
}
