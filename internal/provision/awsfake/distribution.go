package awsfake

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cloudfront "github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// distribution has two configurations while a change is on its way: any edge
// may still have the one before.
type distribution struct {
	id, etag string
	config   *cloudfront.DistributionConfig
	deployed *cloudfront.DistributionConfig // nil until the first is
	polls    int                            // until config is deployed
	tags     map[string]string
}

func (d *distribution) arn() string    { return cloudFrontARN + "distribution/" + d.id }
func (d *distribution) domain() string { return "d" + strings.ToLower(d.id[1:]) + ".cloudfront.net" }

func (d *distribution) status() string {
	if d.polls > 0 {
		return "InProgress"
	}
	return "Deployed"
}

func (d *distribution) value() *cloudfront.Distribution {
	return &cloudfront.Distribution{
		Id: &d.id, ARN: aws.String(d.arn()), Status: aws.String(d.status()), DomainName: aws.String(d.domain()),
		InProgressInvalidationBatches: aws.Int32(0), DistributionConfig: d.config,
		ActiveTrustedSigners: &cloudfront.ActiveTrustedSigners{Enabled: aws.Bool(false), Quantity: aws.Int32(0)},
	}
}

// Distribution is the newest configuration of a distribution, given its id or
// one of its host names. It must not be changed.
func (f *Fake) Distribution(name string) (id string, config *cloudfront.DistributionConfig, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.distributions {
		if d.id == name || d.domain() == name || slices.Contains(d.config.Aliases.Items, name) {
			return d.id, d.config, true
		}
	}
	return "", nil, false
}

// Distributions lists the ids of all distributions.
func (f *Fake) Distributions() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := make([]string, 0, len(f.distributions))
	for id := range f.distributions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// DistributionNames are the ARN of a distribution and its domain name.
func (f *Fake) DistributionNames(id string) (arn, domain string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.distributions[id].arn(), f.distributions[id].domain()
}

// DistributionTags are the tags of a distribution.
func (f *Fake) DistributionTags(id string) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.distributions[id].tags
}

// AtEdges lists the configurations of a distribution that edges may have at
// this moment: the newest, and the one before until that is deployed.
func (f *Fake) AtEdges(id string) []*cloudfront.DistributionConfig {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.distributions[id]
	list := []*cloudfront.DistributionConfig{d.config}
	if d.polls > 0 && d.deployed != nil {
		list = append(list, d.deployed)
	}
	return list
}

// ChangeDistribution changes a configuration as somebody else would, with a
// new ETag and at once at all edges.
func (f *Fake) ChangeDistribution(id string, change func(*cloudfront.DistributionConfig)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.distributions[id]
	config := clone(d.config) // readers keep what they have
	change(config)
	fill(config)
	d.config, d.deployed, d.polls, d.etag = config, config, 0, f.id("E")
}

func clone(g *cloudfront.DistributionConfig) *cloudfront.DistributionConfig {
	same := &cloudfront.DistributionConfig{}
	if err := decode(encode("DistributionConfig", g), "DistributionConfig", same); err != nil {
		panic(err)
	}
	return same
}

// AddDistribution adds a distribution as somebody else would have made it.
func (f *Fake) AddDistribution(config cloudfront.DistributionConfig, tags map[string]string) (id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fill(&config)
	d := &distribution{id: f.id("E"), config: clone(&config), tags: map[string]string{}}
	d.deployed = d.config
	for k, v := range tags {
		d.tags[k] = v
	}
	d.etag = f.id("E")
	f.distributions[d.id] = d
	return d.id
}

func (f *Fake) createDistribution(c *call, _ string) (answer, error) {
	c.operation = "CreateDistributionWithTags"
	in := &cloudfront.DistributionConfigWithTags{}
	if !c.r.URL.Query().Has("WithTags") {
		c.operation = "CreateDistribution"
		in.DistributionConfig = &cloudfront.DistributionConfig{}
		if err := parse(c, "DistributionConfig", in.DistributionConfig); err != nil {
			return answer{}, err
		}
	} else if err := parse(c, "DistributionConfigWithTags", in); err != nil {
		return answer{}, err
	}
	if err := f.may(c, "cloudfront:CreateDistribution", "*"); err != nil {
		return answer{}, err
	}
	if f.Unverified {
		return answer{}, fail(http.StatusForbidden, "AccessDenied", "Your account must be verified before you can add new CloudFront resources. To verify your account, please contact AWS Support (https://console.aws.amazon.com/support/home#/) and include this error message.")
	}
	d := &distribution{id: f.id("E"), config: in.DistributionConfig, polls: f.DeployPolls}
	var err error
	if d.tags, err = f.newTags(c, cloudFrontARN+"distribution/*", in.Tags); err != nil {
		return answer{}, err
	}
	if err := f.checkConfig(c, d.id, d.config, nil); err != nil {
		return answer{}, err
	}
	for _, have := range f.distributions {
		if *have.config.CallerReference == *d.config.CallerReference {
			return answer{}, fail(http.StatusConflict, "DistributionAlreadyExists", "The caller reference that you are using to create a distribution is associated with another distribution. Already exists: %s", have.id)
		}
	}
	fill(d.config)
	d.etag = f.id("E")
	f.distributions[d.id] = d
	f.changed = true
	return answer{http.StatusCreated, "Distribution", d.value(), d.etag}, nil
}

func (f *Fake) distribution(c *call, action, id string) (*distribution, error) {
	if err := f.may(c, action, cloudFrontARN+"distribution/"+id); err != nil {
		return nil, err
	}
	d := f.distributions[id]
	if d == nil {
		return nil, fail(http.StatusNotFound, "NoSuchDistribution", "The specified distribution does not exist.")
	}
	return d, nil
}

func (f *Fake) getDistribution(c *call, id string) (answer, error) {
	c.operation = "GetDistribution"
	d, err := f.distribution(c, "cloudfront:GetDistribution", id)
	if err != nil {
		return answer{}, err
	}
	value := d.value()
	if d.polls = max(0, d.polls-1); d.polls == 0 {
		d.deployed = d.config
	}
	return answer{http.StatusOK, "Distribution", value, d.etag}, nil
}

func (f *Fake) getDistributionConfig(c *call, id string) (answer, error) {
	c.operation = "GetDistributionConfig"
	d, err := f.distribution(c, "cloudfront:GetDistributionConfig", id)
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, "DistributionConfig", d.config, d.etag}, nil
}

func (f *Fake) updateDistribution(c *call, id string) (answer, error) {
	c.operation = "UpdateDistribution"
	d, err := f.distribution(c, "cloudfront:UpdateDistribution", id)
	if err != nil {
		return answer{}, err
	}
	config := &cloudfront.DistributionConfig{}
	if err := parse(c, "DistributionConfig", config); err != nil {
		return answer{}, err
	}
	switch match := c.r.Header.Get("If-Match"); {
	case match == "":
		return answer{}, fail(http.StatusBadRequest, "InvalidIfMatchVersion", "The If-Match version is missing or not valid for the resource.")
	case match != d.etag:
		return answer{}, fail(http.StatusPreconditionFailed, "PreconditionFailed", "The request failed because it didn't meet the preconditions in one or more request-header fields.")
	}
	if err := f.checkConfig(c, id, config, d.config); err != nil {
		return answer{}, err
	}
	fill(config)
	d.config, d.etag, d.polls = config, f.id("E"), f.DeployPolls
	f.changed = true
	return answer{http.StatusOK, "Distribution", d.value(), d.etag}, nil
}

func (f *Fake) listDistributions(c *call, _ string) (answer, error) {
	c.operation = "ListDistributions"
	if err := f.may(c, "cloudfront:ListDistributions", "*"); err != nil {
		return answer{}, err
	}
	all, next := page(f, c, f.distributions)
	list := &cloudfront.DistributionList{
		IsTruncated: aws.Bool(next != nil), Marker: aws.String(c.r.URL.Query().Get("Marker")), NextMarker: next, MaxItems: count(f.pageSize()), Quantity: count(len(all)),
	}
	for _, d := range all {
		g := d.config
		list.Items = append(list.Items, cloudfront.DistributionSummary{
			Id: &d.id, ARN: aws.String(d.arn()), ETag: &d.etag, Status: aws.String(d.status()), LastModifiedTime: &f.now, DomainName: aws.String(d.domain()),
			Aliases: g.Aliases, Origins: g.Origins, DefaultCacheBehavior: g.DefaultCacheBehavior, CacheBehaviors: g.CacheBehaviors,
			CustomErrorResponses: g.CustomErrorResponses, Comment: g.Comment, PriceClass: g.PriceClass, Enabled: g.Enabled,
			ViewerCertificate: g.ViewerCertificate, Restrictions: g.Restrictions, WebACLId: g.WebACLId, HttpVersion: g.HttpVersion,
			IsIPV6Enabled: g.IsIPV6Enabled, Staging: aws.Bool(false),
		})
	}
	return answer{http.StatusOK, "DistributionList", list, ""}, nil
}

var numberedVersion = regexp.MustCompile(`^arn:aws:lambda:us-east-1:[0-9]{12}:function:[A-Za-z0-9_-]+:[0-9]+$`)

// checkConfig refuses what CloudFront refuses.
func (f *Fake) checkConfig(c *call, id string, g, before *cloudfront.DistributionConfig) error {
	invalid := func(format string, args ...any) error {
		return fail(http.StatusBadRequest, "InvalidArgument", format, args...)
	}
	if g.CallerReference == nil || g.Comment == nil || g.Enabled == nil || g.Origins == nil || g.DefaultCacheBehavior == nil {
		return fail(http.StatusBadRequest, "MalformedXML", "a required element is missing")
	}
	if before != nil && *before.CallerReference != *g.CallerReference {
		return fail(http.StatusBadRequest, "IllegalUpdate", "The caller reference cannot be changed.")
	}
	origins := map[string]bool{}
	for _, o := range g.Origins.Items {
		origins[aws.ToString(o.Id)] = true
		control, identity := aws.ToString(o.OriginAccessControlId), ""
		if o.S3OriginConfig != nil {
			identity = aws.ToString(o.S3OriginConfig.OriginAccessIdentity)
		} else if o.CustomOriginConfig == nil {
			return invalid("The origin %s has neither an S3 nor a custom configuration.", *o.Id)
		}
		if control != "" && identity != "" {
			return invalid("Cannot use both Origin Access Control and Origin Access Identity on an origin")
		}
		if control != "" && f.controls[control] == nil {
			return fail(http.StatusBadRequest, "InvalidOriginAccessControl", "The origin access control is not valid or doesn't exist.")
		}
		name, ok := strings.CutPrefix(identity, "origin-access-identity/cloudfront/")
		if identity != "" && (!ok || f.identities[name] == nil) {
			return fail(http.StatusBadRequest, "InvalidOriginAccessIdentity", "The origin access identity is not valid or doesn't exist.")
		}
	}
	had := &cloudfront.DefaultCacheBehavior{}
	if before != nil {
		had = before.DefaultCacheBehavior
	}
	if err := f.checkBehavior(c, origins, g.DefaultCacheBehavior, had); err != nil {
		return err
	}
	if g.Aliases != nil && len(g.Aliases.Items) > 0 {
		if g.ViewerCertificate == nil || aws.ToString(g.ViewerCertificate.ACMCertificateArn) == "" {
			return fail(http.StatusBadRequest, "InvalidViewerCertificate", "To add an alternate domain name (CNAME) to a CloudFront distribution, you must attach a trusted certificate that validates your authorization to use the domain name.")
		}
		taken := fail(http.StatusConflict, "CNAMEAlreadyExists", "One or more of the CNAMEs you provided are already associated with a different resource.")
		if slices.ContainsFunc(g.Aliases.Items, func(name string) bool { return slices.Contains(f.TakenNames, name) }) {
			return taken
		}
		for _, d := range f.distributions {
			for _, alias := range g.Aliases.Items {
				if d.id != id && slices.Contains(d.config.Aliases.Items, alias) {
					return taken
				}
			}
		}
	}
	return nil
}

// lambdas are the ARNs of the Lambda functions of a behaviour.
func lambdas(b *cloudfront.DefaultCacheBehavior) (arns []string) {
	if b.LambdaFunctionAssociations != nil {
		for _, a := range b.LambdaFunctionAssociations.Items {
			arns = append(arns, aws.ToString(a.LambdaFunctionARN))
		}
	}
	return arns
}

// mayReplicate checks what CloudFront asks Lambda for in the name of the caller:
// to copy functions that are new to a behaviour to the edges, and to remove
// those that leave it.
func (f *Fake) mayReplicate(c *call, b, had *cloudfront.DefaultCacheBehavior) error {
	for _, arn := range lambdas(had) {
		if slices.Contains(lambdas(b), arn) {
			continue
		}
		if err := f.may(c, "lambda:DisableReplication*", arn); err != nil {
			return err
		}
	}
	for _, arn := range lambdas(b) {
		for _, action := range []string{"lambda:GetFunction", "lambda:EnableReplication*", "lambda:DisableReplication*"} {
			if f.may(c, action, arn) != nil {
				return fail(http.StatusBadRequest, "InvalidLambdaFunctionAssociation", "Lambda@Edge cannot retrieve the specified Lambda function. Update the IAM policy to add permission: %s for resource: %s and try again.", action, arn)
			}
		}
	}
	return nil
}

func (f *Fake) checkBehavior(c *call, origins map[string]bool, b, had *cloudfront.DefaultCacheBehavior) error {
	if !origins[aws.ToString(b.TargetOriginId)] {
		return fail(http.StatusNotFound, "NoSuchOrigin", "One or more of your origins or origin groups do not exist.")
	}
	policy := aws.ToString(b.CachePolicyId)
	if policy != "" && f.policies[policy] == nil {
		return fail(http.StatusNotFound, "NoSuchCachePolicy", "The cache policy does not exist.")
	}
	legacy := b.ForwardedValues != nil //nolint:staticcheck // what older distributions have
	if policy != "" && legacy {
		return fail(http.StatusBadRequest, "InvalidArgument", "The parameter ForwardedValues cannot be used when a cache policy is associated to the cache behavior.")
	}
	if policy == "" && !legacy {
		return fail(http.StatusBadRequest, "InvalidArgument", "A cache policy or forwarded values are needed.")
	}
	if id := aws.ToString(b.OriginRequestPolicyId); id != "" && f.requests[id] == nil {
		return fail(http.StatusNotFound, "NoSuchOriginRequestPolicy", "The origin request policy does not exist.")
	}
	if err := f.checkEdgeFunctions(b); err != nil {
		return err
	}
	if err := f.mayReplicate(c, b, had); err != nil {
		return err
	}
	if b.LambdaFunctionAssociations == nil {
		return nil
	}
	for _, a := range b.LambdaFunctionAssociations.Items {
		arn := aws.ToString(a.LambdaFunctionARN)
		if err := f.may(c, "iam:CreateServiceLinkedRole", "arn:aws:iam::"+Account+":role/aws-service-role/replicator.lambda.amazonaws.com/AWSServiceRoleForLambdaReplicator", "iam:AWSServiceName", "replicator.lambda.amazonaws.com"); err != nil {
			return err
		}
		if !numberedVersion.MatchString(arn) {
			return fail(http.StatusBadRequest, "InvalidLambdaFunctionAssociation", "The function ARN must reference a specific function version. (The ARN must end with the version number.)")
		}
		fn, v := f.version(arn)
		if v == nil {
			return fail(http.StatusBadRequest, "InvalidLambdaFunctionAssociation", "The function cannot be found: %s", arn)
		}
		_, name, _ := strings.Cut(v.Role, ":role/")
		if r := f.roles[name]; r == nil || !strings.Contains(r.trust, "edgelambda.amazonaws.com") {
			return fail(http.StatusBadRequest, "InvalidLambdaFunctionAssociation", "The function execution role must be assumable with edgelambda.amazonaws.com as well as lambda.amazonaws.com principals. Update the IAM role and try again. Role: %s", v.Role)
		}
		if fn.pending > 0 {
			return fail(http.StatusBadRequest, "InvalidLambdaFunctionAssociation", "The function must be in an Active state. The current state for function %s is Pending.", arn)
		}
		if a.EventType == cloudfront.EventTypeViewerRequest && (v.MemorySize > 128 || v.Timeout > 5) {
			return fail(http.StatusBadRequest, "InvalidLambdaFunctionAssociation", "The function has an invalid timeout or memory size for viewer events.")
		}
	}
	return nil
}

// fill puts in what CloudFront puts in where a configuration is silent.
func fill(g *cloudfront.DistributionConfig) {
	zero := aws.Int32(0)
	if g.Aliases == nil {
		g.Aliases = &cloudfront.Aliases{Quantity: zero}
	}
	if g.CacheBehaviors == nil {
		g.CacheBehaviors = &cloudfront.CacheBehaviors{Quantity: zero}
	}
	if g.CustomErrorResponses == nil {
		g.CustomErrorResponses = &cloudfront.CustomErrorResponses{Quantity: zero}
	}
	if g.Logging == nil {
		g.Logging = &cloudfront.LoggingConfig{Enabled: aws.Bool(false), IncludeCookies: aws.Bool(false), Bucket: aws.String(""), Prefix: aws.String("")}
	}
	if g.ViewerCertificate == nil {
		g.ViewerCertificate = &cloudfront.ViewerCertificate{
			CloudFrontDefaultCertificate: aws.Bool(true), MinimumProtocolVersion: cloudfront.MinimumProtocolVersionTLSv1,
		}
	}
	if g.Restrictions == nil {
		g.Restrictions = &cloudfront.Restrictions{GeoRestriction: &cloudfront.GeoRestriction{RestrictionType: cloudfront.GeoRestrictionTypeNone, Quantity: zero}}
	}
	if g.PriceClass == "" {
		g.PriceClass = cloudfront.PriceClassPriceClassAll
	}
	if g.HttpVersion == "" {
		g.HttpVersion = cloudfront.HttpVersionHttp2
	}
	if g.IsIPV6Enabled == nil {
		g.IsIPV6Enabled = aws.Bool(true)
	}
	if g.WebACLId == nil {
		g.WebACLId = aws.String("")
	}
	for i := range g.Origins.Items {
		o := &g.Origins.Items[i]
		if o.CustomHeaders == nil {
			o.CustomHeaders = &cloudfront.CustomHeaders{Quantity: zero}
		}
		if o.OriginPath == nil {
			o.OriginPath = aws.String("")
		}
		if o.ConnectionAttempts == nil {
			o.ConnectionAttempts, o.ConnectionTimeout = aws.Int32(3), aws.Int32(10)
		}
		if o.OriginAccessControlId == nil {
			o.OriginAccessControlId = aws.String("")
		}
		if o.OriginShield == nil {
			o.OriginShield = &cloudfront.OriginShield{Enabled: aws.Bool(false)}
		}
	}
	fillBehavior(g.DefaultCacheBehavior)
}

func fillBehavior(b *cloudfront.DefaultCacheBehavior) {
	zero := aws.Int32(0)
	if b.TrustedSigners == nil {
		b.TrustedSigners = &cloudfront.TrustedSigners{Enabled: aws.Bool(false), Quantity: zero}
	}
	if b.TrustedKeyGroups == nil {
		b.TrustedKeyGroups = &cloudfront.TrustedKeyGroups{Enabled: aws.Bool(false), Quantity: zero}
	}
	if b.LambdaFunctionAssociations == nil {
		b.LambdaFunctionAssociations = &cloudfront.LambdaFunctionAssociations{Quantity: zero}
	}
	if b.FunctionAssociations == nil {
		b.FunctionAssociations = &cloudfront.FunctionAssociations{Quantity: zero}
	}
	if b.FieldLevelEncryptionId == nil {
		b.FieldLevelEncryptionId = aws.String("")
	}
	if b.SmoothStreaming == nil {
		b.SmoothStreaming = aws.Bool(false)
	}
	if b.Compress == nil {
		b.Compress = aws.Bool(false)
	}
	if b.AllowedMethods == nil {
		two := []cloudfront.Method{cloudfront.MethodHead, cloudfront.MethodGet}
		b.AllowedMethods = &cloudfront.AllowedMethods{Quantity: aws.Int32(2), Items: two, CachedMethods: &cloudfront.CachedMethods{Quantity: aws.Int32(2), Items: two}}
	}
}
