package provision

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// Permissions is the least that the AWS credentials must be allowed for a
// scope: the calls of this package, and what AWS asks for behind them (passing
// the role, replicating the function, changing the policy of a key that is made).
// An empty account stands for any. The names are those of Runner.Names, or else
// the one for the bucket. A test runs everything with it and nothing else.
func (s *Settings) Permissions(account string, scope Scope, names ...string) Policy {
	if account == "" {
		account = "*"
	}
	if len(names) == 0 {
		names = []string{Name(s.Bucket)}
	}
	a := named{account, names}
	statements := a.lambdaPermissions(scope)
	if s.Check == CloudFrontFunction {
		statements = a.edgeFunctionPermissions(scope)
	}
	// What the distribution runs decides what is what.
	list := []string{"cloudfront:ListDistributions"}
	distribution := []string{"cloudfront:GetDistribution", "cloudfront:ListTagsForResource"}
	bucket := []string{"s3:GetBucketLocation", "s3:GetBucketPolicy", "s3:GetBucketTagging", "s3:GetBucketPublicAccessBlock"}
	if scope&Distribution != 0 {
		list = append(list, "cloudfront:ListCachePolicies", "cloudfront:CreateCachePolicy",
			"cloudfront:ListOriginAccessControls", "cloudfront:CreateOriginAccessControl",
			"cloudfront:ListCloudFrontOriginAccessIdentities", "cloudfront:CreateCloudFrontOriginAccessIdentity", "cloudfront:CreateDistribution")
		distribution = append(distribution, "cloudfront:UpdateDistribution", "cloudfront:TagResource")
		bucket = append(bucket, "s3:GetEncryptionConfiguration", "s3:PutBucketPolicy", "s3:PutBucketTagging")
		statements = append(statements, allow("OriginRequestPolicy", []string{"arn:aws:cloudfront::" + account + ":origin-request-policy/*"}, nil, "cloudfront:GetOriginRequestPolicy"))
	}
	statements = append(statements, allow("CloudFront", []string{"*"}, nil, list...),
		allow("Distribution", []string{"arn:aws:cloudfront::" + account + ":distribution/*"}, nil, distribution...),
		allow("Bucket", []string{"arn:aws:s3:::" + s.Bucket}, nil, bucket...))
	if s.LogBucket != "" && scope&Distribution != 0 {
		statements = append(statements, allow("LogBucket", []string{"arn:aws:s3:::" + s.LogBucket}, nil, "s3:GetBucketAcl", "s3:PutBucketAcl"))
	}
	return policyOf(statements...)
}

// Names are what the function and what it needs may be called: one name, or both
// where the distribution that the configuration names may not be read.
func (r *Runner) Names(ctx context.Context) ([]string, error) {
	a := &observer{AWS: r.AWS, settings: &r.Settings}
	o := &Observed{}
	err := a.readDistribution(ctx, o)
	if err == nil {
		err = a.chooseName(ctx, o)
	}
	if isDenied(err) && r.Settings.DistributionID != "" {
		return []string{Name(r.Settings.Bucket), OldName}, nil
	}
	if isDenied(err) {
		return []string{Name(r.Settings.Bucket)}, nil
	}
	return []string{o.Name}, err
}

func allow(sid string, resources []string, condition map[string]map[string][]string, actions ...string) Statement {
	return Statement{Sid: sid, Effect: "Allow", Action: actions, Resource: resources, Condition: condition}
}

func equals(key string, values ...string) map[string]map[string][]string {
	return map[string]map[string][]string{"StringEquals": {key: values}}
}

// named makes the resources of names in an account.
type named struct {
	account string
	names   []string
}

// arns are the ARNs of all names with something before and after each.
func (a named) arns(before string, after ...string) (arns []string) {
	if len(after) == 0 {
		after = []string{""}
	}
	for _, name := range a.names {
		for _, end := range after {
			arns = append(arns, "arn:aws:"+strings.ReplaceAll(before, "ACCOUNT", a.account)+name+end)
		}
	}
	return arns
}

const functionARN = "lambda:" + edgeRegion + ":ACCOUNT:function:"

// lambdaPermissions are for the Lambda function and what it needs.
func (a named) lambdaPermissions(scope Scope) (s []Statement) {
	role := a.arns("iam::ACCOUNT:role/")
	keys := []string{"arn:aws:kms:" + edgeRegion + ":" + a.account + ":key/*"}
	if scope&Function != 0 {
		s = append(s,
			allow("Role", role, nil, "iam:GetRole", "iam:GetRolePolicy", "iam:CreateRole", "iam:TagRole", "iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy"),
			allow("PassRole", role, equals("iam:PassedToService", "lambda.amazonaws.com"), "iam:PassRole"),
			allow("NewKey", []string{"*"}, nil, "kms:CreateKey", "kms:ListKeys"),
			// CreateKey asks whether its caller could change the policy of the key.
			allow("Key", keys, nil, "kms:DescribeKey", "kms:ListResourceTags", "kms:TagResource", "kms:PutKeyPolicy", "kms:CreateAlias"),
			allow("KeyAlias", a.arns("kms:"+edgeRegion+":ACCOUNT:alias/"), nil, "kms:CreateAlias"),
			allow("EncryptSecrets", keys, equals("kms:EncryptionContext:function", a.names...), "kms:Encrypt"),
			allow("ChangeFunction", a.arns(functionARN), nil, "lambda:CreateFunction", "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration", "lambda:PublishVersion", "lambda:TagResource"))
	}
	s = append(s, allow("Function", a.arns(functionARN, "", ":*"), nil, "lambda:GetFunction", "lambda:ListTags", "lambda:ListVersionsByFunction"))
	if scope&Distribution != 0 {
		s = append(s,
			allow("ReplicateFunction", a.arns(functionARN, ":*"), nil, "lambda:EnableReplication*", "lambda:DisableReplication*"),
			allow("ReplicationRoles", []string{"arn:aws:iam::" + a.account + ":role/aws-service-role/*"},
				equals("iam:AWSServiceName", "replicator.lambda.amazonaws.com", "logger.cloudfront.amazonaws.com"), "iam:CreateServiceLinkedRole"))
	}
	return s
}

// edgeFunctionPermissions are for the CloudFront function and its store, whose
// ARN has an id that is not known before.
func (a named) edgeFunctionPermissions(scope Scope) (s []Statement) {
	function := a.arns("cloudfront::ACCOUNT:function/")
	stores := []string{"arn:aws:cloudfront::" + a.account + ":key-value-store/*"}
	if scope&Function != 0 {
		s = append(s,
			allow("NewFunction", []string{"*"}, nil, "cloudfront:CreateFunction", "cloudfront:CreateKeyValueStore"),
			allow("ChangeFunction", function, nil, "cloudfront:UpdateFunction", "cloudfront:TestFunction", "cloudfront:PublishFunction"),
			allow("TagFunction", slices.Concat(function, stores), nil, "cloudfront:TagResource"))
	}
	if scope&Distribution != 0 { // where it takes the place of the Lambda function
		s = append(s, allow("ReplicateFunction", a.arns(functionARN, ":*"), nil, "lambda:DisableReplication*"))
	}
	return append(s,
		allow("Function", function, nil, "cloudfront:DescribeFunction", "cloudfront:GetFunction", "cloudfront:ListTagsForResource"),
		allow("Store", stores, nil, "cloudfront:DescribeKeyValueStore", "cloudfront:ListTagsForResource",
			"cloudfront-keyvaluestore:DescribeKeyValueStore", "cloudfront-keyvaluestore:ListKeys", "cloudfront-keyvaluestore:UpdateKeys"))
}

// allowed asks IAM whether all permissions are there, before anything is
// created. What IAM does not answer will be seen when it is needed.
func (r *Runner) allowed(ctx context.Context, o *Observed, scope Scope) error {
	principal, ok := principalARN(o.Caller)
	if !ok {
		return nil
	}
	var refusals []error
	silent := ""
	for _, q := range questions(r.Settings.Permissions(o.Account, scope, o.Name)) {
		found, err := r.ask(ctx, principal, q)
		refusals = append(refusals, found...)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			silent = code(err)
		}
		if isDenied(err) || code(err) == "NoSuchEntity" { // all others would be answered alike
			break
		}
	}
	if len(refusals) > 0 {
		return &RefusalsError{Refusals: refusals}
	}
	if silent != "" {
		r.say("IAM does not tell about all permissions (%s): a missing one will be seen when it is needed", silent)
	}
	return nil
}

// question is one call of SimulatePrincipalPolicy.
type question struct {
	permissions map[string]string // by the action that is asked for
	resource    string
	condition   map[string][]string
}

// questions are a policy as IAM can be asked about it: it takes no wildcards in
// actions. An action that stands for a wildcard is asked for alone, because IAM
// may not know it and then answers nothing.
func questions(policy Policy) (list []question) {
	for _, s := range policy.Statement {
		for _, resource := range s.Resource {
			plain := question{map[string]string{}, resource, s.Condition["StringEquals"]}
			for _, permission := range s.Action {
				if action, wild := strings.CutSuffix(permission, "*"); wild {
					list = append(list, question{map[string]string{action: permission}, resource, plain.condition})
				} else {
					plain.permissions[permission] = permission
				}
			}
			if len(plain.permissions) > 0 {
				list = append(list, plain)
			}
		}
	}
	return list
}

// ask returns what IAM says will be refused.
func (r *Runner) ask(ctx context.Context, principal string, q question) (refusals []error, err error) {
	in := &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: aws.String(principal), ActionNames: slices.Sorted(maps.Keys(q.permissions)), ResourceArns: []string{example(q.resource)},
	}
	for key, values := range q.condition {
		in.ContextEntries = append(in.ContextEntries, iamtypes.ContextEntry{
			ContextKeyName: aws.String(key), ContextKeyType: iamtypes.ContextKeyTypeEnumString, ContextKeyValues: values[:1],
		})
	}
	pages := iam.NewSimulatePrincipalPolicyPaginator(r.AWS.IAM, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return refusals, err
		}
		for _, e := range page.EvaluationResults {
			if e.EvalDecision != iamtypes.PolicyEvaluationDecisionTypeAllowed {
				refusals = append(refusals, simulated(&e, q.permissions[aws.ToString(e.EvalActionName)], q.resource))
			}
		}
	}
	return refusals, nil
}

// simulated is a refusal that IAM foretells.
func simulated(e *iamtypes.EvaluationResult, permission, resource string) *RefusalError {
	f := &RefusalError{Action: permission, Resource: resource}
	switch {
	case e.OrganizationsDecisionDetail != nil && !e.OrganizationsDecisionDetail.AllowedByOrganizations:
		f.Advice = "a policy of your AWS organization does not allow it: ask who administers the organization"
	case e.PermissionsBoundaryDecisionDetail != nil && !e.PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary:
		f.Advice = "the permissions boundary of these credentials leaves it out: add it there as well"
	case e.EvalDecision == iamtypes.PolicyEvaluationDecisionTypeExplicitDeny:
		f.Advice = "a policy forbids it by a Deny, which outweighs every permission: except these credentials from it"
	default:
		f.Missing = true
	}
	return f
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
