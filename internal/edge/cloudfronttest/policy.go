package cloudfronttest

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// principal is who asks the bucket: an origin access identity, CloudFront on
// behalf of a distribution, or, with neither, anybody.
type principal struct {
	identity, canonicalUser string
	sourceARN               string
}

const cloudFront = "cloudfront.amazonaws.com"

// principal is the one that an origin's access settings make.
func (x *exchange) principal(o types.Origin) (principal, error) {
	control := aws.ToString(o.OriginAccessControlId)
	identity := strings.TrimPrefix(aws.ToString(o.S3OriginConfig.OriginAccessIdentity), "origin-access-identity/cloudfront/")
	switch {
	case control != "" && identity != "":
		return principal{}, unknown("an origin with both an OAI and an OAC")
	case control != "":
		c := x.config.OriginAccessControls[control]
		if c == nil {
			return principal{}, unknown("the origin access control %q", control)
		}
		switch c.SigningBehavior {
		case types.OriginAccessControlSigningBehaviorsNever:
			return principal{}, nil
		case types.OriginAccessControlSigningBehaviorsAlways:
			return principal{sourceARN: x.dist.ARN}, nil
		}
		return principal{}, unknown("signing behavior %s", c.SigningBehavior)
	case identity != "":
		user, ok := x.config.OriginAccessIdentities[identity]
		if !ok {
			return principal{}, unknown("the origin access identity %q", identity)
		}
		return principal{identity: identity, canonicalUser: user}, nil
	}
	return principal{}, nil
}

// policy is a bucket policy, as far as it is understood.
type policy struct {
	Statement list[statement]
}

type statement struct {
	Effect    string
	Principal json.RawMessage
	Action    list[string]
	Resource  list[string]
	Condition map[string]map[string]list[string]

	NotPrincipal, NotAction, NotResource json.RawMessage
}

// list is a JSON array, or its only element.
type list[T any] []T

func (l *list[T]) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '[' {
		return json.Unmarshal(text, (*[]T)(l))
	}
	*l = make(list[T], 1)
	return json.Unmarshal(text, &(*l)[0])
}

// allows reports whether the policy of a bucket lets somebody do something
// with a key, given with its slash, or with the bucket itself.
func (c *Configuration) allows(who principal, bucket, action, path string) (bool, error) {
	text, ok := c.BucketPolicies[bucket]
	if !ok {
		return false, nil
	}
	var p policy
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return false, unknown("the policy of bucket %s: %s", bucket, err)
	}
	allowed := false
	for _, s := range p.Statement {
		if s.NotPrincipal != nil || s.NotAction != nil || s.NotResource != nil {
			return false, unknown("a bucket policy with Not...")
		}
		fold := func(pattern string) bool { return matches(strings.ToLower(pattern), strings.ToLower(action)) }
		is := func(pattern string) bool { return matches(pattern, "arn:aws:s3:::"+bucket+path) }
		if !slices.ContainsFunc(s.Action, fold) || !slices.ContainsFunc(s.Resource, is) || !who.named(s.Principal) {
			continue
		}
		met, err := who.meets(s.Condition)
		switch {
		case err != nil:
			return false, err
		case met && s.Effect == "Deny":
			return false, nil
		case met && s.Effect == "Allow":
			allowed = true
		}
	}
	return allowed, nil
}

// named reports whether the Principal of a statement is or includes who.
func (who principal) named(raw json.RawMessage) bool {
	var anybody string
	if json.Unmarshal(raw, &anybody) == nil {
		return anybody == "*"
	}
	var kinds map[string]list[string]
	if json.Unmarshal(raw, &kinds) != nil {
		return false
	}
	for kind, names := range kinds {
		for _, name := range names {
			switch {
			case kind == "AWS" && name == "*",
				kind == "Service" && name == cloudFront && who.sourceARN != "",
				kind == "CanonicalUser" && name == who.canonicalUser && name != "",
				kind == "AWS" && who.identity != "" && strings.ReplaceAll(name, "_", " ") == "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity "+who.identity:
				return true
			}
		}
	}
	return false
}

// meets reports whether the conditions of a statement hold.
func (who principal) meets(conditions map[string]map[string]list[string]) (bool, error) {
	known := map[string]string{"aws:securetransport": "true"}
	if who.sourceARN != "" {
		known["aws:sourcearn"] = who.sourceARN
		known["aws:sourceaccount"] = strings.Split(who.sourceARN+":::::", ":")[4]
	}
	for operator, tests := range conditions {
		var holds func(want, is string) bool
		switch operator {
		case "StringEquals", "Bool":
			holds = func(want, is string) bool { return want == is }
		case "ArnEquals", "ArnLike", "StringLike":
			holds = matches
		default:
			return false, unknown("the condition %s in a bucket policy", operator)
		}
		for key, values := range tests {
			is, ok := known[strings.ToLower(key)]
			if !ok || !slices.ContainsFunc(values, func(want string) bool { return holds(want, is) }) {
				return false, nil
			}
		}
	}
	return true, nil
}
