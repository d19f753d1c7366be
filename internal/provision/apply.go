package provision

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// do carries out an action. What it needs is in o: an action whose parts are
// not known yet is never the first of a plan.
func (r *Runner) do(ctx context.Context, o *Observed, a Action, scope Scope) error {
	switch a.Verb {
	case createKey:
		return r.createKey(ctx, o)
	case nameKey:
		_, err := r.AWS.KMS.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String(keyAlias(o.Name)), TargetKeyId: aws.String(o.Key.ARN)})
		return refused(err, "kms:CreateAlias", keyAlias(o.Name))
	case createRole, trustRole, grantRole:
		return r.doRole(ctx, o, a.Verb)
	case createFunction, configureFunction, publishVersion:
		return r.doFunction(ctx, o, a.Verb)
	case createStore, putKeys, recordKeys, removeKeys, waitKeys:
		return r.doStore(ctx, o, a.Verb)
	case createEdgeFunction, updateEdgeFunction, publishEdgeFunction:
		return r.doEdgeFunction(ctx, o, a.Verb)
	case tagDistribution:
		_, err := r.AWS.CloudFront.TagResource(ctx, &cloudfront.TagResourceInput{
			Resource: aws.String(o.Distribution.ARN), Tags: ourTags(),
		})
		return refused(err, "cloudfront:TagResource", o.Distribution.ARN)
	case tagBucket:
		return r.tagBucket(ctx, o)
	case waitDeployed:
		return r.waitDeployed(ctx, o.Distribution.ID)
	}
	parts, err := (&Plan{}).parts(&r.Settings, o, scope)
	if err != nil {
		return err
	}
	switch a.Verb {
	case createCachePolicy:
		_, err := r.AWS.CloudFront.CreateCachePolicy(ctx, &cloudfront.CreateCachePolicyInput{CachePolicyConfig: cachePolicy()})
		return refused(err, "cloudfront:CreateCachePolicy", "*")
	case createControl:
		_, err := r.AWS.CloudFront.CreateOriginAccessControl(ctx, &cloudfront.CreateOriginAccessControlInput{OriginAccessControlConfig: controlConfig(&r.Settings)})
		return refused(err, "cloudfront:CreateOriginAccessControl", "*")
	case createIdentity:
		_, err := r.AWS.CloudFront.CreateCloudFrontOriginAccessIdentity(ctx, &cloudfront.CreateCloudFrontOriginAccessIdentityInput{
			CloudFrontOriginAccessIdentityConfig: &types.CloudFrontOriginAccessIdentityConfig{
				CallerReference: aws.String(r.Settings.reference()), Comment: aws.String(r.Settings.reference()),
			},
		})
		return refused(err, "cloudfront:CreateCloudFrontOriginAccessIdentity", "*")
	case grantBucket, revokeBucket:
		return r.doBucketPolicy(ctx, o, a.Verb, parts)
	case createDistribution, updateDistribution:
		return r.doDistribution(ctx, o, parts)
	}
	return fmt.Errorf("there is no way to %s", a)
}

func (r *Runner) createKey(ctx context.Context, o *Observed) error {
	out, err := r.AWS.KMS.CreateKey(ctx, &kms.CreateKeyInput{
		Description: aws.String(keyDescription),
		Policy:      aws.String(keyPolicy(o.Account).String()),
		Tags:        []kmstypes.Tag{{TagKey: aws.String(Tag), TagValue: aws.String(tagValue)}, {TagKey: aws.String(nameTag), TagValue: aws.String(o.Name)}},
	})
	if err != nil {
		return refused(err, "kms:CreateKey", "*")
	}
	r.observer.createdKey = aws.ToString(out.KeyMetadata.Arn)
	return nil
}

func (r *Runner) doRole(ctx context.Context, o *Observed, v Verb) error {
	trust, policy := "", ""
	if o.Role != nil {
		trust, policy = o.Role.Trust, o.Role.Policy
	}
	trust, _, err := merge(trust, trustStatement())
	if err != nil {
		return err
	}
	policy, _, err = merge(policy, roleStatements(o)...)
	if err != nil {
		return err
	}
	switch v {
	case createRole:
		_, err = r.AWS.IAM.CreateRole(ctx, &iam.CreateRoleInput{
			RoleName: aws.String(o.Name), AssumeRolePolicyDocument: aws.String(trust), Description: aws.String(roleDescription),
			Tags: []iamtypes.Tag{{Key: aws.String(Tag), Value: aws.String(tagValue)}},
		})
		return refused(err, "iam:CreateRole", o.roleARN())
	case trustRole:
		_, err = r.AWS.IAM.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String(o.Name), PolicyDocument: aws.String(trust)})
		return refused(err, "iam:UpdateAssumeRolePolicy", o.roleARN())
	}
	_, err = r.AWS.IAM.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String(o.Name), PolicyName: aws.String(o.Name), PolicyDocument: aws.String(policy)})
	return refused(err, "iam:PutRolePolicy", o.roleARN())
}

// code makes the code of the function, with the secrets encrypted in it, once
// in a run.
func (r *Runner) code(ctx context.Context, o *Observed) (zip []byte, fingerprint string, err error) {
	if fingerprint, err = r.Settings.fingerprint(o); err != nil {
		return nil, "", err
	}
	if r.made.fingerprint == fingerprint {
		return r.made.zip, fingerprint, nil
	}
	secrets := r.Settings.sortedSecrets()
	out, err := r.AWS.KMS.Encrypt(ctx, &kms.EncryptInput{
		KeyId: aws.String(o.Key.ARN), Plaintext: r.Settings.Plaintext(secrets...), EncryptionContext: r.Settings.Context(o.Name),
	})
	if err != nil {
		return nil, "", refused(err, "kms:Encrypt", o.Key.ARN)
	}
	zip, err = r.Settings.Code(o.Name, o.Key.ARN, out.CiphertextBlob, secrets...)
	if err != nil {
		return nil, "", fmt.Errorf("make the function: %w", err)
	}
	r.made = madeCode{fingerprint, zip}
	return zip, fingerprint, nil
}

func (r *Runner) doFunction(ctx context.Context, o *Observed, v Verb) error {
	resource := "arn:aws:lambda:" + edgeRegion + ":" + o.Account + ":function:" + o.Name
	if v == configureFunction {
		_, err := r.AWS.Lambda.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
			FunctionName: aws.String(o.Name), Role: aws.String(o.roleARN()), Runtime: runtime, Handler: aws.String(handler),
			MemorySize: aws.Int32(memory), Timeout: aws.Int32(timeout), LoggingConfig: logging(),
		})
		return refused(err, "lambda:UpdateFunctionConfiguration", resource)
	}
	zip, fingerprint, err := r.code(ctx, o)
	if err != nil {
		return err
	}
	if v == createFunction {
		_, err := r.AWS.Lambda.CreateFunction(ctx, &lambda.CreateFunctionInput{
			FunctionName: aws.String(o.Name), Description: aws.String(functionDescription),
			Role: aws.String(o.roleARN()), Runtime: runtime, Handler: aws.String(handler), MemorySize: aws.Int32(memory), Timeout: aws.Int32(timeout),
			LoggingConfig: logging(),
			Code:          &lambdatypes.FunctionCode{ZipFile: zip}, Tags: map[string]string{Tag: tagValue},
		})
		return refused(err, "lambda:CreateFunction", resource)
	}
	sum := sha256.Sum256(zip)
	digest := base64.StdEncoding.EncodeToString(sum[:])
	if o.Function.CodeSHA256 != digest {
		if err := r.waitReady(ctx, o.Name, resource); err != nil {
			return err
		}
		if _, err := r.AWS.Lambda.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: aws.String(o.Name), ZipFile: zip}); err != nil {
			return refused(err, "lambda:UpdateFunctionCode", resource)
		}
	}
	if err := r.waitReady(ctx, o.Name, resource); err != nil {
		return err
	}
	out, err := r.AWS.Lambda.PublishVersion(ctx, &lambda.PublishVersionInput{
		FunctionName: aws.String(o.Name), CodeSha256: aws.String(digest), Description: aws.String(fingerprint),
	})
	if err != nil {
		return refused(err, "lambda:PublishVersion", resource)
	}
	if got := aws.ToString(out.Description); got != fingerprint {
		// The same code was published under another description, so Lambda
		// made no version. Code that was encrypted anew is different.
		r.made = madeCode{}
		return errAgain
	}
	return nil
}

// logging is that the function writes what went wrong and nothing else. By
// default Lambda writes three lines for each request, which cost a third of what
// the requests themselves do.
func logging() *lambdatypes.LoggingConfig {
	return &lambdatypes.LoggingConfig{
		LogFormat: lambdatypes.LogFormatJson, ApplicationLogLevel: lambdatypes.ApplicationLogLevelWarn, SystemLogLevel: lambdatypes.SystemLogLevelWarn,
	}
}

// waitReady waits until the function can be changed or published.
func (r *Runner) waitReady(ctx context.Context, name, resource string) error {
	for waited := time.Duration(0); ; waited += time.Second {
		out, err := r.AWS.Lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String(name)})
		if err != nil {
			return refused(err, "lambda:GetFunction", resource)
		}
		c := out.Configuration
		switch {
		case c.State == lambdatypes.StateFailed, c.LastUpdateStatus == lambdatypes.LastUpdateStatusFailed:
			return fmt.Errorf("lambda could not make the function ready: %s %s", aws.ToString(c.StateReason), aws.ToString(c.LastUpdateStatusReason))
		case c.State != lambdatypes.StatePending && c.LastUpdateStatus != lambdatypes.LastUpdateStatusInProgress:
			return nil
		case waited >= patience:
			return fmt.Errorf("the function %s is still not ready after %s: run the command again later", name, patience)
		}
		if err := r.sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

func controlConfig(s *Settings) *types.OriginAccessControlConfig {
	return &types.OriginAccessControlConfig{
		Name: aws.String(s.reference()), Description: aws.String("packagecloud: reads the bucket " + s.Bucket),
		OriginAccessControlOriginType: types.OriginAccessControlOriginTypesS3,
		SigningBehavior:               types.OriginAccessControlSigningBehaviorsAlways,
		SigningProtocol:               types.OriginAccessControlSigningProtocolsSigv4,
	}
}

// doBucketPolicy changes the policy of the bucket. S3 has no locking for it, so
// it is read again at the last moment, and once more when the plan is made
// anew.
func (r *Runner) doBucketPolicy(ctx context.Context, o *Observed, v Verb, p parts) error {
	fresh := &Observed{Account: o.Account}
	if err := r.observer.readBucket(ctx, fresh); err != nil {
		return err
	}
	d, err := parseDocument(fresh.Bucket.Policy)
	if err != nil {
		return fmt.Errorf("the policy of the bucket %s: %w", r.Settings.Bucket, err)
	}
	if v == grantBucket {
		d.put(p.statement(&r.Settings, o))
	} else {
		for _, sid := range oldStatements(&r.Settings, o, p) {
			d.remove(sid)
		}
	}
	policy := d.String()
	if err := checkSize(policy); err != nil {
		return err
	}
	_, err = r.AWS.S3.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: aws.String(r.Settings.Bucket), Policy: aws.String(policy)})
	return refused(err, "s3:PutBucketPolicy", "arn:aws:s3:::"+r.Settings.Bucket)
}

// tagBucket adds our tag to those that the bucket has.
func (r *Runner) tagBucket(ctx context.Context, o *Observed) error {
	fresh := &Observed{Account: o.Account}
	if err := r.observer.readBucket(ctx, fresh); err != nil {
		return err
	}
	tags := fresh.Bucket.Tags
	tags[Tag] = tagValue
	if len(tags) > 50 {
		return fmt.Errorf("the bucket %s has 50 tags already, and S3 allows no more: remove one", r.Settings.Bucket)
	}
	var set []s3types.Tag
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		set = append(set, s3types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	_, err := r.AWS.S3.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: aws.String(r.Settings.Bucket), Tagging: &s3types.Tagging{TagSet: set}})
	return refused(err, "s3:PutBucketTagging", "arn:aws:s3:::"+r.Settings.Bucket)
}

func (r *Runner) doDistribution(ctx context.Context, o *Observed, p parts) error {
	var before *types.DistributionConfig
	if o.Distribution != nil {
		before = o.Distribution.Config
	}
	config, _, err := configure(&r.Settings, before, p)
	if err != nil {
		return err
	}
	if before == nil {
		_, err = r.AWS.CloudFront.CreateDistributionWithTags(ctx, &cloudfront.CreateDistributionWithTagsInput{
			DistributionConfigWithTags: &types.DistributionConfigWithTags{
				DistributionConfig: config, Tags: ourTags(),
			},
		})
		if code(err) == "DistributionAlreadyExists" {
			return r.alreadyMade(ctx, err)
		}
		return refused(err, "cloudfront:CreateDistribution", "*")
	}
	_, err = r.AWS.CloudFront.UpdateDistribution(ctx, &cloudfront.UpdateDistributionInput{
		Id: aws.String(o.Distribution.ID), IfMatch: aws.String(o.Distribution.ETag), DistributionConfig: config,
	})
	return refused(err, "cloudfront:UpdateDistribution", o.Distribution.ARN)
}

// existingPattern is how CloudFront names the distribution that has the
// reference of ours.
var existingPattern = regexp.MustCompile(`Already exists: ([A-Z0-9]+)`)

// alreadyMade tells what to do about a distribution that was made for the bucket
// before, and is not found by its tag and origin: another run has just made it,
// or somebody changed it since.
func (r *Runner) alreadyMade(ctx context.Context, err error) error {
	m := existingPattern.FindStringSubmatch(message(err))
	if m == nil {
		return fmt.Errorf("a distribution was made for the bucket %s before, and has another origin or lacks the tag %s now: set packagecloud_rails['cloudfront_distribution_id'] to have it used: %w", r.Settings.Bucket, Tag, err)
	}
	out, getErr := r.AWS.CloudFront.GetDistribution(ctx, &cloudfront.GetDistributionInput{Id: aws.String(m[1])})
	if getErr == nil {
		tags, tagErr := r.observer.cloudFrontTags(ctx, aws.ToString(out.Distribution.ARN))
		serves := slices.ContainsFunc(out.Distribution.DistributionConfig.Origins.Items, func(o types.Origin) bool { return isBucketOrigin(aws.ToString(o.DomainName), r.Settings.Bucket) })
		if tagErr == nil && ours(tags) && serves {
			return errNotListed
		}
	}
	return fmt.Errorf("the distribution %s was made for the bucket %s before, and has another origin or lacks the tag %s now. If it is to be used, set packagecloud_rails['cloudfront_distribution_id'] = '%s' and run the command again: %w", m[1], r.Settings.Bucket, Tag, m[1], err)
}

// waitDeployed waits until all edges have the distribution as it is now.
func (r *Runner) waitDeployed(ctx context.Context, id string) error {
	for waited := time.Duration(0); waited < deployTime; waited += deployPoll {
		out, err := r.AWS.CloudFront.GetDistribution(ctx, &cloudfront.GetDistributionInput{Id: aws.String(id)})
		if err != nil {
			return refused(err, "cloudfront:GetDistribution", "distribution/"+id)
		}
		if aws.ToString(out.Distribution.Status) == "Deployed" {
			return nil
		}
		r.say("  CloudFront deploys it to its edges: %s so far, usually a few minutes", waited)
		if err := r.sleep(ctx, deployPoll); err != nil {
			return err
		}
	}
	return errors.New("CloudFront has not deployed the distribution after " + deployTime.String() + ": look at it in the console, and run the command again")
}
