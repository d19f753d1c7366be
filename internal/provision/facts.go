package provision

import (
	"encoding/json"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// cachingOptimized is the managed cache policy that people choose most. It has
// a least TTL of a second. Managed policies are not listed.
const cachingOptimized = "658327ea-f89d-4fab-a63d-7e88639e58f6"

// Facts is what downloads hang upon, of what was observed, in plain values.
type Facts struct {
	Distribution string   // its id
	Names        []string // its host names: that of CloudFront, then others
	Enabled      bool
	Deployed     bool // all edges have it, and the secrets

	// Version is the ARN of our function on viewer requests, of either kind,
	// empty for none, and Elsewhere the other events that it runs on.
	Version   string
	Elsewhere []string
	// RightVersion is the version with the configured secrets, empty for none.
	// It is known if Secrets is.
	RightVersion string
	Secrets      bool

	// MinTTL is the least time that anything is cached, in seconds.
	MinTTL     int64
	QueryInKey bool

	Function string // what our function is called
	// What others configured: the id of a web ACL of WAF, which countries are
	// served (empty for all), whether only what CloudFront's own keys sign is, and
	// whether the viewer's Host reaches the bucket.
	WAF, Geo              string
	Signers, ForwardsHost bool
	// Key is the key of KMS that the bucket encrypts with, empty for none, and
	// KeyProblem why CloudFront cannot use it, as far as its own policy does not
	// decide that.
	Key, KeyProblem, KeyStatement string

	OriginError string // why the default behaviour does not go to the bucket, or empty
	Granted     bool   // the bucket lets the distribution read
	Public      bool   // and anybody else
}

// Facts makes them of what was observed in a scope, which has Distribution. It
// is nil if there is no distribution.
func (s *Settings) Facts(o *Observed, scope Scope) (*Facts, error) {
	d := o.Distribution
	if d == nil {
		return nil, nil
	}
	f := &Facts{
		Distribution: d.ID, Names: []string{d.Domain}, Enabled: aws.ToBool(d.Config.Enabled), Deployed: d.Deployed,
		Version: s.viewerRequest(d.Config), Public: public(o.Bucket.Policy), Secrets: scope&Function != 0 && len(s.Secrets) > 0,
	}
	if d.Config.Aliases != nil {
		f.Names = append(f.Names, d.Config.Aliases.Items...)
	}
	if o.Store != nil && o.Store.Ready && !o.Store.Settled {
		f.Deployed = false
	}
	if l := d.Config.DefaultCacheBehavior.FunctionAssociations; l != nil {
		for _, a := range l.Items {
			if a.EventType != types.EventTypeViewerRequest && s.owns(aws.ToString(a.FunctionARN)) {
				f.Elsewhere = append(f.Elsewhere, string(a.EventType))
			}
		}
	}
	if l := d.Config.DefaultCacheBehavior.LambdaFunctionAssociations; l != nil {
		for _, a := range l.Items {
			if a.EventType != types.EventTypeViewerRequest && s.owns(aws.ToString(a.LambdaFunctionARN)) {
				f.Elsewhere = append(f.Elsewhere, string(a.EventType))
			}
		}
	}
	f.MinTTL, f.QueryInKey = caching(d.Config.DefaultCacheBehavior, o.CachePolicies)
	var err error
	if f.Secrets {
		if f.RightVersion, err = rightVersion(s, o); err != nil {
			return nil, err
		}
	}
	f.readAccess(s, o)
	f.Function = o.Name
	f.WAF, f.Geo = aws.ToString(d.Config.WebACLId), geo(d.Config)
	f.Signers, f.ForwardsHost = wantsSigners(d.Config.DefaultCacheBehavior), forwardsHost(o.RequestPolicy)
	if f.Key = o.Bucket.Key; f.Key != "" {
		f.KeyStatement = KeyStatement(d)
		if access, _, _ := currentAccess(s, o); access == AccessIdentity || isManaged(f.Key) {
			f.KeyProblem = (&Plan{}).encryption(s, o, &parts{access: access}).Error()
		}
	}
	return f, nil
}

// readAccess tells whether the distribution reaches the bucket.
func (f *Facts) readAccess(s *Settings, o *Observed) {
	access, id, err := currentAccess(s, o)
	if err != nil {
		f.OriginError = err.Error()
		return
	}
	r := parts{access: access}
	if i := slices.IndexFunc(o.Identities, func(i Identity) bool { return i.ID == id }); access == AccessIdentity && i >= 0 {
		r.identity = &o.Identities[i]
	}
	if access == AccessControl || r.identity != nil {
		policy, err := parseDocument(o.Bucket.Policy)
		f.Granted = err == nil && policy.allows(r.statement(s, o), r.identity)
	}
}

// caching is the least TTL of a behaviour, and whether the query is in its
// cache key.
func caching(b *types.DefaultCacheBehavior, policies []types.CachePolicy) (least int64, query bool) {
	id := aws.ToString(b.CachePolicyId)
	if id == "" {
		return aws.ToInt64(b.MinTTL), b.ForwardedValues != nil && aws.ToBool(b.ForwardedValues.QueryString) //nolint:staticcheck // what older distributions have
	}
	for _, p := range policies {
		if aws.ToString(p.Id) != id {
			continue
		}
		if k := p.CachePolicyConfig.ParametersInCacheKeyAndForwardedToOrigin; k != nil && k.QueryStringsConfig != nil {
			query = k.QueryStringsConfig.QueryStringBehavior != types.CachePolicyQueryStringBehaviorNone
		}
		return aws.ToInt64(p.CachePolicyConfig.MinTTL), query
	}
	if id == cachingOptimized {
		least = 1
	}
	return least, false
}

// public reports whether a policy lets anybody read, without a condition.
func public(policy string) bool {
	d, err := parseDocument(policy)
	if err != nil {
		return false
	}
	for _, text := range d.statements {
		var s reader
		if json.Unmarshal(text, &s) != nil || s.Effect != "Allow" || s.Condition != nil {
			continue
		}
		anybody := simplify(s.Principal)
		if m, ok := anybody.(map[string]any); ok {
			anybody = m["AWS"]
		}
		names, _ := anybody.([]string)
		if anybody == "*" || slices.Contains(names, "*") {
			return true
		}
	}
	return false
}
