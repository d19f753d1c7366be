package provision

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

const identityPath = "origin-access-identity/cloudfront/"

// configure is a configuration with what we need put into what is there; before
// is nil for a new distribution. changes tells the difference; what is not in
// it is as before.
func configure(s *Settings, before *types.DistributionConfig, r parts) (g *types.DistributionConfig, changes []string, err error) {
	c := &configurer{settings: s, parts: r}
	if before == nil {
		c.config = newConfig(s)
	} else if c.config, err = clone(before); err != nil {
		return nil, nil, err
	}
	for _, step := range []func() error{c.origin, c.behavior, c.function, c.errors, c.domain, c.rest} {
		if err := step(); err != nil {
			return nil, nil, err
		}
	}
	return c.config, c.changes, nil
}

// newConfig is a distribution before anything is configured. What stands here
// is never changed afterwards.
func newConfig(s *Settings) *types.DistributionConfig {
	return &types.DistributionConfig{
		CallerReference: aws.String(s.reference()),
		Comment:         aws.String("packagecloud: packages in " + s.Bucket),
		Enabled:         aws.Bool(true),
		HttpVersion:     types.HttpVersionHttp2and3,
		IsIPV6Enabled:   aws.Bool(true),
		PriceClass:      types.PriceClassPriceClassAll,
		Origins: &types.Origins{Quantity: aws.Int32(1), Items: []types.Origin{{
			Id: aws.String(originID), DomainName: aws.String(s.originDomain()),
			S3OriginConfig: &types.S3OriginConfig{OriginAccessIdentity: aws.String("")},
		}}},
		DefaultCacheBehavior: &types.DefaultCacheBehavior{
			TargetOriginId: aws.String(originID), ViewerProtocolPolicy: types.ViewerProtocolPolicyRedirectToHttps, Compress: aws.Bool(false),
		},
	}
}

func clone(g *types.DistributionConfig) (*types.DistributionConfig, error) {
	b, err := json.Marshal(g)
	if err != nil {
		return nil, fmt.Errorf("copy the configuration: %w", err)
	}
	same := &types.DistributionConfig{}
	if err := json.Unmarshal(b, same); err != nil {
		return nil, fmt.Errorf("copy the configuration: %w", err)
	}
	return same, nil
}

// configurer changes a configuration and remembers what it changed.
type configurer struct {
	settings *Settings
	parts    parts
	config   *types.DistributionConfig
	changes  []string
}

// set changes a field if it is not right.
func set[T comparable](c *configurer, name string, field **T, want T) {
	if *field != nil && **field == want {
		return
	}
	from := ""
	if *field != nil {
		from = fmt.Sprint(**field)
	}
	c.changes = append(c.changes, change(name, from, fmt.Sprint(want)))
	*field = &want
}

// choose changes an enumeration if it is not right.
func choose[T ~string](c *configurer, name string, field *T, want T) {
	if *field == want {
		return
	}
	c.changes = append(c.changes, change(name, string(*field), string(want)))
	*field = want
}

// bucketOrigin is the origin of the default behaviour, which must be the bucket.
func bucketOrigin(s *Settings, g *types.DistributionConfig) (*types.Origin, error) {
	target := aws.ToString(g.DefaultCacheBehavior.TargetOriginId)
	for i := range g.Origins.Items {
		o := &g.Origins.Items[i]
		if aws.ToString(o.Id) != target {
			continue
		}
		switch host := aws.ToString(o.DomainName); {
		case !isBucketOrigin(host, s.Bucket):
			return nil, fmt.Errorf("the default behaviour of the distribution sends requests to %s and not to the bucket %s: it serves something else, and stays untouched. Remove packagecloud_rails['cloudfront_distribution_id'] to have a distribution of our own made", host, s.Bucket)
		case o.S3OriginConfig == nil:
			return nil, fmt.Errorf("the origin %s of the distribution is configured as a custom origin, which cannot read a private bucket: make it an S3 origin", target)
		case aws.ToString(o.OriginPath) != "":
			return nil, fmt.Errorf("the origin %s of the distribution has the path %s, so no package would be found: remove the path", target, *o.OriginPath)
		}
		return o, nil
	}
	return nil, fmt.Errorf("the default behaviour of the distribution sends requests to %s, which is no origin of its own: let it send them to the bucket %s", target, s.Bucket)
}

// currentAccess is how a distribution accesses the bucket, and the id of the
// identity or control. Both are empty without a distribution.
func currentAccess(s *Settings, o *Observed) (access Access, id string, err error) {
	if o.Distribution == nil {
		return "", "", nil
	}
	origin, err := bucketOrigin(s, o.Distribution.Config)
	if err != nil {
		return "", "", err
	}
	if id := aws.ToString(origin.OriginAccessControlId); id != "" {
		return AccessControl, id, nil
	}
	if id, ok := strings.CutPrefix(aws.ToString(origin.S3OriginConfig.OriginAccessIdentity), identityPath); ok {
		return AccessIdentity, id, nil
	}
	return "", "", nil
}

func (c *configurer) origin() error {
	o, err := bucketOrigin(c.settings, c.config)
	if err != nil {
		return err
	}
	set(c, "host of the origin", &o.DomainName, c.settings.originDomain())
	control, identity := c.parts.controlID, ""
	if c.parts.access == AccessIdentity {
		control, identity = "", identityPath+c.parts.identity.ID
	}
	if o.OriginAccessControlId == nil {
		o.OriginAccessControlId = aws.String("")
	}
	set(c, "origin access control", &o.OriginAccessControlId, control)
	set(c, "origin access identity", &o.S3OriginConfig.OriginAccessIdentity, identity)
	return nil
}

func (c *configurer) behavior() error {
	b := c.config.DefaultCacheBehavior
	if b.ViewerProtocolPolicy == types.ViewerProtocolPolicyAllowAll { // a link is as good as a password
		choose(c, "viewer protocol", &b.ViewerProtocolPolicy, types.ViewerProtocolPolicyRedirectToHttps)
	}
	methods := []types.Method{types.MethodGet, types.MethodHead}
	if !sameMethods(b.AllowedMethods, methods) {
		c.changes = append(c.changes, "methods: GET and HEAD only")
		b.AllowedMethods = &types.AllowedMethods{
			Quantity: aws.Int32(2), Items: methods, CachedMethods: &types.CachedMethods{Quantity: aws.Int32(2), Items: methods},
		}
	}
	set(c, "cache policy", &b.CachePolicyId, c.parts.cachePolicy)
	dropLegacy(b)
	set(c, "compression", &b.Compress, false)
	return nil
}

// dropLegacy takes out what a cache policy replaces: CloudFront refuses both.
func dropLegacy(b *types.DefaultCacheBehavior) {
	b.ForwardedValues = nil                          //nolint:staticcheck // what older distributions have
	b.MinTTL, b.DefaultTTL, b.MaxTTL = nil, nil, nil //nolint:staticcheck // likewise
}

func sameMethods(have *types.AllowedMethods, want []types.Method) bool {
	if have == nil || have.CachedMethods == nil {
		return false
	}
	a, b := slices.Sorted(slices.Values(have.Items)), slices.Sorted(slices.Values(have.CachedMethods.Items))
	return slices.Equal(a, want) && slices.Equal(b, want)
}

// viewerRequest is the ARN of our function on viewer requests, of either kind,
// or empty.
func (s *Settings) viewerRequest(g *types.DistributionConfig) string {
	if a := viewerAssociation(g); a != nil && s.owns(aws.ToString(a.LambdaFunctionARN)) {
		return *a.LambdaFunctionARN
	}
	if a := edgeAssociation(g.DefaultCacheBehavior); a != nil && s.owns(aws.ToString(a.FunctionARN)) {
		return *a.FunctionARN
	}
	return ""
}

// functionsOf are the ARNs of all functions that a behaviour runs.
func functionsOf(lambdas *types.LambdaFunctionAssociations, functions *types.FunctionAssociations) (arns []string) {
	if lambdas != nil {
		for _, a := range lambdas.Items {
			arns = append(arns, aws.ToString(a.LambdaFunctionARN))
		}
	}
	if functions != nil {
		for _, a := range functions.Items {
			arns = append(arns, aws.ToString(a.FunctionARN))
		}
	}
	return arns
}

func viewerAssociation(g *types.DistributionConfig) *types.LambdaFunctionAssociation {
	if g.DefaultCacheBehavior.LambdaFunctionAssociations == nil {
		return nil
	}
	items := g.DefaultCacheBehavior.LambdaFunctionAssociations.Items
	i := slices.IndexFunc(items, func(a types.LambdaFunctionAssociation) bool { return a.EventType == types.EventTypeViewerRequest })
	if i < 0 {
		return nil
	}
	return &items[i]
}

// function puts the check on viewer requests. Where the other kind of ours is
// there, it gives way in the same change: CloudFront takes one of them.
func (c *configurer) function() error {
	b := c.config.DefaultCacheBehavior
	edge := c.settings.Check == CloudFrontFunction
	if nameIn(c.parts.version) != "" { // else it is not known yet
		edge = edgePattern.MatchString(c.parts.version)
	}
	if err := c.settings.othersOnViewer(b, edge); err != nil {
		return err
	}
	was := c.settings.viewerRequest(c.config)
	if was == c.parts.version {
		return nil
	}
	c.changes = append(c.changes, change("function on viewer requests", was, c.parts.version))
	functions, lambdas := &types.FunctionAssociations{}, &types.LambdaFunctionAssociations{}
	if b.FunctionAssociations != nil {
		functions.Items = slices.DeleteFunc(b.FunctionAssociations.Items, func(a types.FunctionAssociation) bool { return a.EventType == types.EventTypeViewerRequest })
	}
	if b.LambdaFunctionAssociations != nil {
		lambdas.Items = slices.DeleteFunc(b.LambdaFunctionAssociations.Items, func(a types.LambdaFunctionAssociation) bool { return a.EventType == types.EventTypeViewerRequest })
	}
	if edge {
		functions.Items = append(functions.Items, types.FunctionAssociation{EventType: types.EventTypeViewerRequest, FunctionARN: aws.String(c.parts.version)})
	} else {
		lambdas.Items = slices.Insert(lambdas.Items, 0, types.LambdaFunctionAssociation{EventType: types.EventTypeViewerRequest, IncludeBody: aws.Bool(false), LambdaFunctionARN: aws.String(c.parts.version)})
	}
	functions.Quantity, lambdas.Quantity = aws.Int32(int32(len(functions.Items))), aws.Int32(int32(len(lambdas.Items)))
	b.FunctionAssociations, b.LambdaFunctionAssociations = functions, lambdas
	return nil
}

// othersOnViewer refuses a behaviour on whose viewer events something of others
// is in the way: it takes one function each, and not both kinds.
func (s *Settings) othersOnViewer(b *types.DefaultCacheBehavior, edge bool) error {
	if b.FunctionAssociations != nil {
		for _, a := range b.FunctionAssociations.Items {
			arn := aws.ToString(a.FunctionARN)
			switch {
			case a.EventType == types.EventTypeViewerRequest && s.owns(arn):
			case a.EventType == types.EventTypeViewerRequest && edge:
				return fmt.Errorf("the distribution runs the function %s on viewer requests, which is not ours and stays: a behaviour takes one function, so move that one away", arn)
			case !edge:
				return fmt.Errorf("the distribution runs the CloudFront function %s on a %s, and CloudFront allows no Lambda function beside it: move that function away", arn, a.EventType)
			}
		}
	}
	if b.LambdaFunctionAssociations == nil {
		return nil
	}
	for _, a := range b.LambdaFunctionAssociations.Items {
		arn := aws.ToString(a.LambdaFunctionARN)
		switch {
		case a.EventType == types.EventTypeViewerRequest && !s.owns(arn):
			return fmt.Errorf("the distribution runs the function %s on viewer requests, which is not ours and stays: a behaviour takes one function, so move that one away", arn)
		case a.EventType == types.EventTypeViewerResponse && edge:
			return fmt.Errorf("the distribution runs the Lambda function %s on a %s, and CloudFront allows no function of its own beside it: move that function away", arn, a.EventType)
		}
	}
	return nil
}

// errors keeps CloudFront from remembering that an object was missing, which a
// private bucket answers with 403.
func (c *configurer) errors() error {
	if c.config.CustomErrorResponses == nil {
		c.config.CustomErrorResponses = &types.CustomErrorResponses{}
	}
	e := c.config.CustomErrorResponses
	for _, status := range []int32{403, 404} {
		i := slices.IndexFunc(e.Items, func(r types.CustomErrorResponse) bool { return aws.ToInt32(r.ErrorCode) == status })
		if i < 0 {
			e.Items = append(e.Items, types.CustomErrorResponse{ErrorCode: aws.Int32(status)})
			i = len(e.Items) - 1
		}
		set(c, fmt.Sprintf("seconds to remember a %d", status), &e.Items[i].ErrorCachingMinTTL, 0)
	}
	e.Quantity = aws.Int32(int32(len(e.Items)))
	return nil
}

func (c *configurer) domain() error {
	s := c.settings
	if s.CertificateARN == "" {
		return nil
	}
	if c.config.Aliases == nil {
		c.config.Aliases = &types.Aliases{}
	}
	if a := c.config.Aliases; !slices.Contains(a.Items, s.Domain) {
		c.changes = append(c.changes, change("name", "", s.Domain))
		a.Items = append(a.Items, s.Domain)
		a.Quantity = aws.Int32(int32(len(a.Items)))
	}
	v := c.config.ViewerCertificate
	if v == nil || aws.ToString(v.ACMCertificateArn) != s.CertificateARN {
		c.changes = append(c.changes, change("certificate", "", s.CertificateARN))
		c.config.ViewerCertificate = &types.ViewerCertificate{
			ACMCertificateArn: aws.String(s.CertificateARN), CloudFrontDefaultCertificate: aws.Bool(false),
			SSLSupportMethod: types.SSLSupportMethodSniOnly, MinimumProtocolVersion: types.MinimumProtocolVersionTLSv122021,
		}
	}
	return nil
}

// rest is what only the configuration of the server asks for.
func (c *configurer) rest() error {
	s, g := c.settings, c.config
	set(c, "enabled", &g.Enabled, true)
	if s.PriceClass != "" {
		choose(c, "price class", &g.PriceClass, types.PriceClass(s.PriceClass))
	}
	if s.IPv6 != nil {
		set(c, "IPv6", &g.IsIPV6Enabled, *s.IPv6)
	}
	if s.HTTP3 != nil {
		version := types.HttpVersionHttp2
		if *s.HTTP3 {
			version = types.HttpVersionHttp2and3
		}
		choose(c, "HTTP", &g.HttpVersion, version)
	}
	if s.LogBucket == "" {
		return nil
	}
	if g.Logging == nil {
		g.Logging = &types.LoggingConfig{}
	}
	l := g.Logging
	set(c, "log bucket", &l.Bucket, s.LogBucket+".s3.amazonaws.com")
	set(c, "log", &l.Enabled, true)
	if l.IncludeCookies == nil {
		l.IncludeCookies = aws.Bool(false)
	}
	if aws.ToString(l.Prefix) == "" {
		set(c, "prefix of logs", &l.Prefix, "cloudfront/")
	}
	return nil
}

// cachePolicy is what is cached, for how long and by what. With MinTTL above 0
// CloudFront would cache what says no-store; the query has the signature and
// must not be part of the key; and compression would vary what is compressed
// already.
func cachePolicy() *types.CachePolicyConfig {
	return &types.CachePolicyConfig{
		Name:    aws.String(cachePolicyName),
		Comment: aws.String("packagecloud: as long as the headers of an object say"),
		MinTTL:  aws.Int64(0), DefaultTTL: aws.Int64(86400), MaxTTL: aws.Int64(31536000),
		ParametersInCacheKeyAndForwardedToOrigin: &types.ParametersInCacheKeyAndForwardedToOrigin{
			EnableAcceptEncodingGzip: aws.Bool(false), EnableAcceptEncodingBrotli: aws.Bool(false),
			HeadersConfig:      &types.CachePolicyHeadersConfig{HeaderBehavior: types.CachePolicyHeaderBehaviorNone},
			CookiesConfig:      &types.CachePolicyCookiesConfig{CookieBehavior: types.CachePolicyCookieBehaviorNone},
			QueryStringsConfig: &types.CachePolicyQueryStringsConfig{QueryStringBehavior: types.CachePolicyQueryStringBehaviorNone},
		},
	}
}

// checkCachePolicy refuses one of our name that somebody changed: it cannot
// carry a tag, so it is not changed back.
func checkCachePolicy(have *types.CachePolicyConfig) error {
	p := have.ParametersInCacheKeyAndForwardedToOrigin
	right := aws.ToInt64(have.MinTTL) == 0 && p != nil && !aws.ToBool(p.EnableAcceptEncodingGzip) && !aws.ToBool(p.EnableAcceptEncodingBrotli) &&
		p.HeadersConfig.HeaderBehavior == types.CachePolicyHeaderBehaviorNone && p.CookiesConfig.CookieBehavior == types.CachePolicyCookieBehaviorNone &&
		p.QueryStringsConfig.QueryStringBehavior == types.CachePolicyQueryStringBehaviorNone
	if !right {
		return fmt.Errorf("the cache policy %s must have a minimum TTL of 0, no compression, and no headers, cookies and query in its key: set that, or rename the policy to have another made", cachePolicyName)
	}
	return nil
}
