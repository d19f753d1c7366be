package provision

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// Permissions is the least that the AWS credentials must be allowed for a
// scope: the calls of this package, and what AWS asks for behind them (passing
// the role, replicating the function). An empty account stands for any, an
// empty logBucket for none. A test compares it with the calls.
func Permissions(check Check, account, bucket, logBucket string, scope Scope) Policy {
	if account == "" {
		account = "*"
	}
	s := lambdaPermissions(account, scope)
	if check == CloudFrontFunction {
		s = edgeFunctionPermissions(account, scope)
	}
	actions := []string{"s3:GetBucketLocation", "s3:GetBucketPolicy", "s3:GetBucketTagging", "s3:GetBucketPublicAccessBlock"}
	if scope&Distribution != 0 {
		s = append(s, allow("CloudFront", []string{"*"}, nil, "cloudfront:ListCachePolicies", "cloudfront:CreateCachePolicy",
			"cloudfront:ListOriginAccessControls", "cloudfront:CreateOriginAccessControl",
			"cloudfront:ListCloudFrontOriginAccessIdentities", "cloudfront:CreateCloudFrontOriginAccessIdentity",
			"cloudfront:ListDistributions", "cloudfront:CreateDistribution"),
			allow("Distribution", []string{"arn:aws:cloudfront::" + account + ":distribution/*"}, nil,
				"cloudfront:GetDistribution", "cloudfront:UpdateDistribution", "cloudfront:ListTagsForResource", "cloudfront:TagResource"))
		actions = append(actions, "s3:PutBucketPolicy", "s3:PutBucketTagging")
	}
	s = append(s, allow("Bucket", []string{"arn:aws:s3:::" + bucket}, nil, actions...))
	if logBucket != "" && scope&Distribution != 0 {
		s = append(s, allow("LogBucket", []string{"arn:aws:s3:::" + logBucket}, nil, "s3:GetBucketAcl", "s3:PutBucketAcl"))
	}
	return policyOf(s...)
}

func allow(sid string, resources []string, condition map[string]map[string][]string, actions ...string) Statement {
	return Statement{Sid: sid, Effect: "Allow", Action: actions, Resource: resources, Condition: condition}
}

func equals(key string, values ...string) map[string]map[string][]string {
	return map[string]map[string][]string{"StringEquals": {key: values}}
}

// lambdaPermissions are for the Lambda function and what it needs.
func lambdaPermissions(account string, scope Scope) (s []Statement) {
	role := "arn:aws:iam::" + account + ":role/" + Name
	function := "arn:aws:lambda:" + edgeRegion + ":" + account + ":function:" + Name
	keys := "arn:aws:kms:" + edgeRegion + ":" + account + ":key/*"
	if scope&Function != 0 {
		s = append(s,
			allow("Role", []string{role}, nil, "iam:GetRole", "iam:GetRolePolicy", "iam:CreateRole", "iam:TagRole", "iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy"),
			allow("PassRole", []string{role}, equals("iam:PassedToService", "lambda.amazonaws.com"), "iam:PassRole"),
			allow("NewKey", []string{"*"}, nil, "kms:CreateKey", "kms:ListKeys"),
			allow("Key", []string{keys}, nil, "kms:DescribeKey", "kms:ListResourceTags", "kms:TagResource", "kms:CreateAlias"),
			allow("KeyAlias", []string{"arn:aws:kms:" + edgeRegion + ":" + account + ":" + keyAlias}, nil, "kms:CreateAlias"),
			allow("EncryptSecrets", []string{keys}, equals("kms:EncryptionContext:function", Name), "kms:Encrypt"),
			allow("ChangeFunction", []string{function}, nil, "lambda:CreateFunction", "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration", "lambda:PublishVersion", "lambda:TagResource"))
	}
	s = append(s, allow("Function", []string{function, function + ":*"}, nil, "lambda:GetFunction", "lambda:ListTags", "lambda:ListVersionsByFunction"))
	if scope&Distribution != 0 {
		s = append(s,
			allow("ReplicateFunction", []string{function + ":*"}, nil, "lambda:EnableReplication*"),
			allow("ReplicationRoles", []string{"arn:aws:iam::" + account + ":role/aws-service-role/*"},
				equals("iam:AWSServiceName", "replicator.lambda.amazonaws.com", "logger.cloudfront.amazonaws.com"), "iam:CreateServiceLinkedRole"))
	}
	return s
}

// edgeFunctionPermissions are for the CloudFront function and its store, whose
// ARN has an id that is not known before.
func edgeFunctionPermissions(account string, scope Scope) (s []Statement) {
	function := "arn:aws:cloudfront::" + account + ":function/" + Name
	stores := "arn:aws:cloudfront::" + account + ":key-value-store/*"
	if scope&Function != 0 {
		s = append(s,
			allow("NewFunction", []string{"*"}, nil, "cloudfront:CreateFunction", "cloudfront:CreateKeyValueStore"),
			allow("ChangeFunction", []string{function}, nil, "cloudfront:UpdateFunction", "cloudfront:TestFunction", "cloudfront:PublishFunction"),
			allow("TagFunction", []string{function, stores}, nil, "cloudfront:TagResource"))
	}
	return append(s,
		allow("Function", []string{function}, nil, "cloudfront:DescribeFunction", "cloudfront:GetFunction", "cloudfront:ListTagsForResource"),
		allow("Store", []string{stores}, nil, "cloudfront:DescribeKeyValueStore", "cloudfront:ListTagsForResource",
			"cloudfront-keyvaluestore:DescribeKeyValueStore", "cloudfront-keyvaluestore:ListKeys", "cloudfront-keyvaluestore:UpdateKeys"))
}

// allowed asks IAM whether all permissions are there, before anything is
// created. If it must not be asked, the reads that were done already are what
// can be known.
func (r *Runner) allowed(ctx context.Context, o *Observed, scope Scope) error {
	principal, ok := principalARN(o.Caller)
	if !ok {
		return nil
	}
	var missing []error
	for _, s := range Permissions(r.Settings.Check, o.Account, r.Settings.Bucket, r.Settings.LogBucket, scope).Statement {
		for _, resource := range s.Resource {
			in := &iam.SimulatePrincipalPolicyInput{
				PolicySourceArn: aws.String(principal), ActionNames: s.Action, ResourceArns: []string{example(resource)},
			}
			for key, values := range s.Condition["StringEquals"] {
				in.ContextEntries = append(in.ContextEntries, iamtypes.ContextEntry{
					ContextKeyName: aws.String(key), ContextKeyType: iamtypes.ContextKeyTypeEnumString, ContextKeyValues: values[:1],
				})
			}
			pages := iam.NewSimulatePrincipalPolicyPaginator(r.AWS.IAM, in)
			for pages.HasMorePages() {
				page, err := pages.NextPage(ctx)
				if err != nil && ctx.Err() != nil {
					return ctx.Err()
				}
				if err != nil { // not allowed to ask, or a principal that cannot be asked for
					r.say("IAM does not tell which permissions there are (%s): a missing one will be seen when it is needed", code(err))
					return nil
				}
				for _, e := range page.EvaluationResults {
					if e.EvalDecision != iamtypes.PolicyEvaluationDecisionTypeAllowed {
						missing = append(missing, &MissingPermissionError{Action: aws.ToString(e.EvalActionName), Resource: resource})
					}
				}
			}
		}
	}
	if len(missing) > 0 {
		return &MissingError{Missing: missing}
	}
	return nil
}

// principalARN is the user or role to ask about. The root user is allowed
// everything, and of federated users nothing can be asked.
func principalARN(caller string) (string, bool) {
	if strings.Contains(caller, ":user/") {
		return caller, true
	}
	prefix, session, ok := strings.Cut(caller, ":assumed-role/")
	if !ok {
		return "", false
	}
	// The path of a role is not in the ARN of its session. Where it has one,
	// IAM knows no such role, and nothing is learned.
	name, _, _ := strings.Cut(session, "/")
	return strings.Replace(prefix, ":sts:", ":iam:", 1) + ":role/" + name, true
}

// example is a resource that a pattern stands for.
func example(pattern string) string {
	if pattern == "*" {
		return pattern
	}
	if strings.Contains(pattern, ":role/aws-service-role/") {
		return strings.Replace(pattern, "*", "replicator.lambda.amazonaws.com/AWSServiceRoleForLambdaReplicator", 1)
	}
	return strings.ReplaceAll(pattern, "*", "1")
}
