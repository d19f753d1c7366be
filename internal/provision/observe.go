package provision

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// Observed is what is, as far as it concerns us. A nil pointer stands for what
// does not exist.
type Observed struct {
	Account, Caller string
	// Name is what the function and what it needs are called: see Name.
	Name string
	// Sharers are other distributions that run a function of OldName, if the
	// distribution does.
	Sharers      []string
	Role         *Role
	Key          *Key
	Function     *ObservedFunction
	Store        *Store
	EdgeFunction *ObservedEdgeFunction

	CachePolicies  []types.CachePolicy              // of the account
	RequestPolicy  *types.OriginRequestPolicyConfig // of the distribution, nil for none
	AccessControls []types.OriginAccessControlSummary
	Identities     []Identity
	Distribution   *ObservedDistribution
	Bucket         Bucket
}

// Role is the role of the function.
type Role struct {
	Trust  string // its trust policy
	Policy string // its inline policy, empty for none
	Tags   map[string]string
}

// Key is the key of KMS.
type Key struct {
	ARN   string
	State kmstypes.KeyState
	Named bool // it has our alias
	Tags  map[string]string
}

// ObservedFunction is the function of Lambda.
type ObservedFunction struct {
	Role, Runtime, Handler string
	Memory, Timeout        int32
	Log                    string // see logLevels
	CodeSHA256             string
	Versions               []Version // published ones, oldest first
	Tags                   map[string]string
}

// Version is a published version.
type Version struct{ ARN, Description string }

// Identity is an origin access identity.
type Identity struct{ ID, CanonicalUser, Comment string }

// ObservedDistribution is the distribution.
type ObservedDistribution struct {
	ID, ARN, Domain, ETag string
	Deployed              bool
	Config                *types.DistributionConfig
	Tags                  map[string]string
}

// Bucket is the bucket of the packages.
type Bucket struct {
	Region  string
	Policy  string // empty for none
	Tags    map[string]string
	Private bool // public access is blocked in all four ways
	// Key is the key of KMS that objects are encrypted with by default, empty if
	// S3 has its own.
	Key string
}

func (o *Observed) roleARN() string { return "arn:aws:iam::" + o.Account + ":role/" + o.Name }

// observer reads what is. It goes on when AWS refuses a call, to tell of all
// refusals at once.
type observer struct {
	*AWS
	settings *Settings
	// createdKey is the ARN of a key that was just made and may not be listed
	// yet.
	createdKey string
}

// observe reads what a scope needs to know.
func (a *observer) observe(ctx context.Context, scope Scope) (*Observed, error) {
	o := &Observed{}
	var err error
	if o.Account, o.Caller, err = a.Caller(ctx); err != nil {
		return nil, err
	}
	if err := checkPartition(o.Caller); err != nil {
		return nil, err
	}
	// The names of the rest hang upon what the distribution runs.
	steps := append([]func(context.Context, *Observed) error{a.readDistribution, a.chooseName}, a.settings.readers(a, scope)...)
	steps = append(steps, a.readBucket)
	if scope&Distribution != 0 {
		steps = append(steps, a.readEncryption, a.readCachePolicies, a.readAccessControls, a.readIdentities, a.readRequestPolicy)
	}
	var refusals []error
	for _, step := range steps {
		err := step(ctx, o)
		if isDenied(err) {
			refusals = append(refusals, err)
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	if len(refusals) > 0 {
		return nil, &RefusalsError{Refusals: refusals}
	}
	return o, nil
}

// chooseName finds out what the function and what it needs are called: what the
// command was told, or what the distribution runs, if that is OldName and no
// other distribution runs it.
func (a *observer) chooseName(ctx context.Context, o *Observed) (err error) {
	s := a.settings
	o.Name = Name(s.Bucket)
	if s.OldNames {
		o.Name = OldName
		return nil
	}
	if s.FunctionVersion != "" {
		if nameIn(s.FunctionVersion) == OldName {
			o.Name = OldName
		}
		return nil
	}
	if o.Distribution == nil || nameIn(s.viewerRequest(o.Distribution.Config)) != OldName {
		return nil
	}
	if o.Sharers, err = a.sharers(ctx, o.Distribution.ID); err == nil && len(o.Sharers) == 0 {
		o.Name = OldName
	}
	return err
}

// sharers are the ids of the distributions but one that run a function of
// OldName.
func (a *observer) sharers(ctx context.Context, but string) (ids []string, err error) {
	err = a.eachDistribution(ctx, func(d *types.DistributionSummary) error {
		arns := functionsOf(d.DefaultCacheBehavior.LambdaFunctionAssociations, d.DefaultCacheBehavior.FunctionAssociations)
		if d.CacheBehaviors != nil {
			for _, b := range d.CacheBehaviors.Items {
				arns = append(arns, functionsOf(b.LambdaFunctionAssociations, b.FunctionAssociations)...)
			}
		}
		if aws.ToString(d.Id) != but && slices.ContainsFunc(arns, func(arn string) bool { return nameIn(arn) == OldName }) {
			ids = append(ids, aws.ToString(d.Id))
		}
		return nil
	})
	return ids, err
}

// eachDistribution lists the distributions of the account.
func (a *observer) eachDistribution(ctx context.Context, look func(*types.DistributionSummary) error) error {
	pages := cloudfront.NewListDistributionsPaginator(a.CloudFront, &cloudfront.ListDistributionsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return denied(err, "cloudfront:ListDistributions", "*", "list the distributions")
		}
		for i := range page.DistributionList.Items {
			if err := look(&page.DistributionList.Items[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// readRequestPolicy reads the origin request policy of the distribution.
func (a *observer) readRequestPolicy(ctx context.Context, o *Observed) error {
	if o.Distribution == nil {
		return nil
	}
	id := aws.ToString(o.Distribution.Config.DefaultCacheBehavior.OriginRequestPolicyId)
	if id == "" {
		return nil
	}
	out, err := a.CloudFront.GetOriginRequestPolicy(ctx, &cloudfront.GetOriginRequestPolicyInput{Id: aws.String(id)})
	if err != nil {
		return denied(err, "cloudfront:GetOriginRequestPolicy", "arn:aws:cloudfront::"+o.Account+":origin-request-policy/"+id, "read the origin request policy %s", id)
	}
	o.RequestPolicy = out.OriginRequestPolicy.OriginRequestPolicyConfig
	return nil
}

// readers read what the check needs to know of itself.
func (s *Settings) readers(a *observer, scope Scope) []func(context.Context, *Observed) error {
	type steps = []func(context.Context, *Observed) error
	switch {
	case s.Check == CloudFrontFunction && (scope&Function != 0 || s.endsSecrets(scope)):
		return steps{a.readEdgeFunction, a.readStore}
	case s.Check == CloudFrontFunction:
		return steps{a.readEdgeFunction}
	case scope&Function != 0:
		return steps{a.readFunction, a.readKey, a.readRole}
	}
	return steps{a.readFunction}
}

func (a *observer) readRole(ctx context.Context, o *Observed) error {
	out, err := a.IAM.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(o.Name)})
	if code(err) == "NoSuchEntity" {
		return nil
	}
	if err != nil {
		return denied(err, "iam:GetRole", o.roleARN(), "read the role %s", o.Name)
	}
	o.Role = &Role{Tags: map[string]string{}}
	for _, t := range out.Role.Tags {
		o.Role.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	if o.Role.Trust, err = url.PathUnescape(aws.ToString(out.Role.AssumeRolePolicyDocument)); err != nil {
		return fmt.Errorf("read the trust policy of the role %s: %w", o.Name, err)
	}
	policy, err := a.IAM.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: aws.String(o.Name), PolicyName: aws.String(o.Name)})
	if code(err) == "NoSuchEntity" {
		return nil
	}
	if err != nil {
		return denied(err, "iam:GetRolePolicy", o.roleARN(), "read the policy of the role %s", o.Name)
	}
	if o.Role.Policy, err = url.PathUnescape(aws.ToString(policy.PolicyDocument)); err != nil {
		return fmt.Errorf("read the policy of the role %s: %w", o.Name, err)
	}
	return nil
}

// readKey finds the key by its alias, or one that was made but not named, which
// a killed run left.
func (a *observer) readKey(ctx context.Context, o *Observed) error {
	key, err := a.describeKey(ctx, keyAlias(o.Name))
	if err == nil && key != nil {
		key.Named, o.Key = true, key
		return nil
	}
	if err != nil || a.createdKey != "" {
		if err == nil {
			o.Key, err = a.describeKey(ctx, a.createdKey)
		}
		return err
	}
	pages := kms.NewListKeysPaginator(a.KMS, &kms.ListKeysInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return denied(err, "kms:ListKeys", "*", "list the keys of KMS")
		}
		for _, k := range page.Keys {
			key, err := a.describeKey(ctx, aws.ToString(k.KeyArn))
			if isDenied(err) || err == nil && (key == nil || !ours(key.Tags) || !key.isOf(o.Name) || key.State != kmstypes.KeyStateEnabled) {
				continue // of somebody else, and often not for us to read
			}
			if err != nil {
				return err
			}
			if o.Key == nil || key.ARN < o.Key.ARN { // all runs choose the same
				o.Key = key
			}
		}
	}
	return nil
}

// isOf reports whether a key without an alias was made for a name. An earlier
// version of this program did not tag whose it is.
func (k *Key) isOf(name string) bool {
	tag, ok := k.Tags[nameTag]
	return tag == name || !ok && name == OldName
}

// describeKey is nil if there is no such key.
func (a *observer) describeKey(ctx context.Context, id string) (*Key, error) {
	out, err := a.KMS.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String(id)})
	if code(err) == "NotFoundException" {
		return nil, nil
	}
	if err != nil {
		return nil, denied(err, "kms:DescribeKey", id, "read the key %s", id)
	}
	k := &Key{ARN: aws.ToString(out.KeyMetadata.Arn), State: out.KeyMetadata.KeyState, Tags: map[string]string{}}
	if out.KeyMetadata.KeyManager == kmstypes.KeyManagerTypeAws {
		return k, nil
	}
	tags, err := a.KMS.ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: aws.String(k.ARN)})
	if err != nil {
		return nil, denied(err, "kms:ListResourceTags", k.ARN, "read the tags of the key %s", k.ARN)
	}
	for _, t := range tags.Tags {
		k.Tags[aws.ToString(t.TagKey)] = aws.ToString(t.TagValue)
	}
	return k, nil
}

func (a *observer) readFunction(ctx context.Context, o *Observed) error {
	resource := "arn:aws:lambda:" + edgeRegion + ":" + o.Account + ":function:" + o.Name
	out, err := a.Lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String(o.Name)})
	if code(err) == "ResourceNotFoundException" {
		return nil
	}
	if err != nil {
		return denied(err, "lambda:GetFunction", resource, "read the function %s", o.Name)
	}
	if out.TagsError != nil {
		e := out.TagsError
		return denied(&smithy.GenericAPIError{Code: aws.ToString(e.ErrorCode), Message: aws.ToString(e.Message)}, "lambda:ListTags", resource, "read the tags of the function %s", o.Name)
	}
	c := out.Configuration
	o.Function = &ObservedFunction{
		Role: aws.ToString(c.Role), Runtime: string(c.Runtime), Handler: aws.ToString(c.Handler), Memory: aws.ToInt32(c.MemorySize),
		Timeout: aws.ToInt32(c.Timeout), Log: logLevels(c.LoggingConfig), CodeSHA256: aws.ToString(c.CodeSha256), Tags: out.Tags,
	}
	pages := lambda.NewListVersionsByFunctionPaginator(a.Lambda, &lambda.ListVersionsByFunctionInput{FunctionName: aws.String(o.Name)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return denied(err, "lambda:ListVersionsByFunction", resource, "list the versions of the function %s", o.Name)
		}
		for _, v := range page.Versions {
			if aws.ToString(v.Version) != "$LATEST" {
				o.Function.Versions = append(o.Function.Versions, Version{aws.ToString(v.FunctionArn), aws.ToString(v.Description)})
			}
		}
	}
	// 10 is newer than 9: longer first, then by letter.
	slices.SortFunc(o.Function.Versions, func(x, y Version) int {
		return cmp.Or(cmp.Compare(len(x.ARN), len(y.ARN)), cmp.Compare(x.ARN, y.ARN))
	})
	return nil
}

func (a *observer) readCachePolicies(ctx context.Context, o *Observed) error {
	in := &cloudfront.ListCachePoliciesInput{Type: types.CachePolicyTypeCustom}
	for {
		out, err := a.CloudFront.ListCachePolicies(ctx, in)
		if err != nil {
			return denied(err, "cloudfront:ListCachePolicies", "*", "list the cache policies")
		}
		for _, item := range out.CachePolicyList.Items {
			o.CachePolicies = append(o.CachePolicies, *item.CachePolicy)
		}
		if in.Marker = out.CachePolicyList.NextMarker; aws.ToString(in.Marker) == "" {
			return nil
		}
	}
}

func (a *observer) readAccessControls(ctx context.Context, o *Observed) error {
	in := &cloudfront.ListOriginAccessControlsInput{}
	for {
		out, err := a.CloudFront.ListOriginAccessControls(ctx, in)
		if err != nil {
			return denied(err, "cloudfront:ListOriginAccessControls", "*", "list the origin access controls")
		}
		o.AccessControls = append(o.AccessControls, out.OriginAccessControlList.Items...)
		if in.Marker = out.OriginAccessControlList.NextMarker; aws.ToString(in.Marker) == "" {
			return nil
		}
	}
}

func (a *observer) readIdentities(ctx context.Context, o *Observed) error {
	pages := cloudfront.NewListCloudFrontOriginAccessIdentitiesPaginator(a.CloudFront, &cloudfront.ListCloudFrontOriginAccessIdentitiesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return denied(err, "cloudfront:ListCloudFrontOriginAccessIdentities", "*", "list the origin access identities")
		}
		for _, i := range page.CloudFrontOriginAccessIdentityList.Items {
			o.Identities = append(o.Identities, Identity{aws.ToString(i.Id), aws.ToString(i.S3CanonicalUserId), aws.ToString(i.Comment)})
		}
	}
	return nil
}

// readDistribution reads the distribution that is configured, or finds the one
// that carries our tag and serves the bucket.
func (a *observer) readDistribution(ctx context.Context, o *Observed) error {
	id := a.settings.DistributionID
	if id == "" {
		found, err := a.findDistributions(ctx)
		if err != nil {
			return err
		}
		switch len(found) {
		case 0:
			return nil
		case 1:
			id = found[0]
		default:
			return fmt.Errorf("the distributions %s all carry the tag %s and serve the bucket %s: choose one by packagecloud_rails['cloudfront_distribution_id']", strings.Join(found, ", "), Tag, a.settings.Bucket)
		}
	}
	out, err := a.CloudFront.GetDistribution(ctx, &cloudfront.GetDistributionInput{Id: aws.String(id)})
	if code(err) == "NoSuchDistribution" {
		return fmt.Errorf("there is no distribution %s in the account %s: correct packagecloud_rails['cloudfront_distribution_id'], or remove it to have one made", id, o.Account)
	}
	if err != nil {
		return denied(err, "cloudfront:GetDistribution", "arn:aws:cloudfront::"+o.Account+":distribution/"+id, "read the distribution %s", id)
	}
	d := out.Distribution
	o.Distribution = &ObservedDistribution{
		ID: aws.ToString(d.Id), ARN: aws.ToString(d.ARN), Domain: aws.ToString(d.DomainName), ETag: aws.ToString(out.ETag),
		Deployed: aws.ToString(d.Status) == "Deployed", Config: d.DistributionConfig,
	}
	o.Distribution.Tags, err = a.cloudFrontTags(ctx, o.Distribution.ARN)
	return err
}

// findDistributions finds those with our tag and the bucket for an origin.
func (a *observer) findDistributions(ctx context.Context) (found []string, err error) {
	err = a.eachDistribution(ctx, func(d *types.DistributionSummary) error {
		if !slices.ContainsFunc(d.Origins.Items, func(o types.Origin) bool { return isBucketOrigin(aws.ToString(o.DomainName), a.settings.Bucket) }) {
			return nil
		}
		tags, err := a.cloudFrontTags(ctx, aws.ToString(d.ARN))
		if err == nil && ours(tags) {
			found = append(found, aws.ToString(d.Id))
		}
		return err
	})
	return found, err
}

// cloudFrontTags are the tags of a distribution, a function or a store.
func (a *observer) cloudFrontTags(ctx context.Context, arn string) (map[string]string, error) {
	out, err := a.CloudFront.ListTagsForResource(ctx, &cloudfront.ListTagsForResourceInput{Resource: aws.String(arn)})
	if err != nil {
		return nil, denied(err, "cloudfront:ListTagsForResource", arn, "read the tags of %s", arn)
	}
	tags := map[string]string{}
	for _, t := range out.Tags.Items {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return tags, nil
}

// isBucketOrigin reports whether a host name is that of the bucket, in either
// form that S3 has for it.
func isBucketOrigin(host, bucket string) bool {
	rest, ok := strings.CutPrefix(host, bucket+".s3")
	return ok && strings.HasSuffix(rest, ".amazonaws.com") && !strings.Contains(rest, "-website")
}

func (a *observer) readBucket(ctx context.Context, o *Observed) error {
	name := aws.String(a.settings.Bucket)
	resource := "arn:aws:s3:::" + a.settings.Bucket
	location, err := a.S3.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: name})
	if region, ok := otherRegion(err); ok {
		return a.wrongRegion(region, err)
	}
	if err != nil {
		return denied(err, "s3:GetBucketLocation", resource, "ask where the bucket %s is", a.settings.Bucket)
	}
	o.Bucket.Region = cmp.Or(string(location.LocationConstraint), edgeRegion)
	if o.Bucket.Region == "EU" {
		o.Bucket.Region = "eu-west-1"
	}
	if o.Bucket.Region != a.settings.Region {
		return a.wrongRegion(o.Bucket.Region, nil)
	}
	policy, err := a.S3.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: name})
	if err != nil && code(err) != "NoSuchBucketPolicy" {
		return denied(err, "s3:GetBucketPolicy", resource, "read the policy of the bucket %s", a.settings.Bucket)
	}
	if err == nil {
		o.Bucket.Policy = aws.ToString(policy.Policy)
	}
	o.Bucket.Tags = map[string]string{}
	tags, err := a.S3.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: name})
	if err != nil && code(err) != "NoSuchTagSet" {
		return denied(err, "s3:GetBucketTagging", resource, "read the tags of the bucket %s", a.settings.Bucket)
	}
	if err == nil {
		for _, t := range tags.TagSet {
			o.Bucket.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
		}
	}
	access, err := a.S3.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: name})
	if err != nil && code(err) != "NoSuchPublicAccessBlockConfiguration" {
		return denied(err, "s3:GetBucketPublicAccessBlock", resource, "ask whether the bucket %s is private", a.settings.Bucket)
	}
	if err == nil {
		b := access.PublicAccessBlockConfiguration
		o.Bucket.Private = aws.ToBool(b.BlockPublicAcls) && aws.ToBool(b.IgnorePublicAcls) && aws.ToBool(b.BlockPublicPolicy) && aws.ToBool(b.RestrictPublicBuckets)
	}
	return nil
}

// wrongRegion says that the configuration has another region than the bucket. An
// empty region is one that S3 does not tell.
func (a *observer) wrongRegion(region string, err error) error {
	if region == "" {
		return fmt.Errorf("the bucket %s is not in %s, which packagecloud_rails['s3_region'] says: correct it: %w", a.settings.Bucket, a.settings.Region, err)
	}
	return fmt.Errorf("the bucket %s is in %s, but packagecloud_rails['s3_region'] is '%s': correct it", a.settings.Bucket, region, a.settings.Region)
}

// readEncryption reads how the bucket encrypts what is stored in it.
func (a *observer) readEncryption(ctx context.Context, o *Observed) error {
	out, err := a.S3.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: aws.String(a.settings.Bucket)})
	if code(err) == "ServerSideEncryptionConfigurationNotFoundError" {
		return nil
	}
	if err != nil {
		return denied(err, "s3:GetEncryptionConfiguration", "arn:aws:s3:::"+a.settings.Bucket, "ask how the bucket %s encrypts", a.settings.Bucket)
	}
	for _, rule := range out.ServerSideEncryptionConfiguration.Rules {
		if d := rule.ApplyServerSideEncryptionByDefault; d != nil && d.SSEAlgorithm != s3types.ServerSideEncryptionAes256 {
			o.Bucket.Key = cmp.Or(aws.ToString(d.KMSMasterKeyID), managedKey)
		}
	}
	return nil
}

func ours(tags map[string]string) bool {
	_, ok := tags[Tag]
	return ok
}
