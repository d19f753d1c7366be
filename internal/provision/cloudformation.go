package provision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

type m = map[string]any

// CloudFormation writes the desired state as a template of CloudFormation. With
// a Lambda function the stack is in us-east-1 and made twice: once to have the
// key, and once more with what the key makes of the secrets. With a CloudFront
// function it is in the region of the bucket.
func CloudFormation(s *Settings) ([]byte, error) {
	d, err := newDesign(s)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	d.head(&b)
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(d.stack()); err != nil {
		return nil, fmt.Errorf("write the template: %w", err)
	}
	return b.Bytes(), nil
}

// stackRegion is where the stack must be: CloudFront takes Lambda functions of one
// region, and makes its own functions from any.
func (d *design) stackRegion() string {
	if d.edge != nil {
		return d.settings.Region
	}
	return edgeRegion
}

// reachesBucket reports whether the stack can have the policy of the bucket: a
// stack reaches buckets of its own region only.
func (d *design) reachesBucket() bool { return d.stackRegion() == d.settings.Region }

// head tells how the template is applied.
func (d *design) head(b *bytes.Buffer) {
	deploy := "aws cloudformation deploy --region " + d.stackRegion() + " --stack-name packagecloud-cloudfront --template-file <this file>"
	parameters, policy := "", "#   The policy of the bucket: ChangeBucketPolicy=replace, or add the output\n#   BucketStatement to the one that it has, which by-hand leaves as it is.\n"
	if d.reachesBucket() {
		parameters = " ChangeBucketPolicy=by-hand"
	} else {
		policy = "#   The bucket is in " + d.settings.Region + ", where this stack does not reach: add the output\n#   BucketStatement to its policy yourself.\n"
	}
	fmt.Fprintf(b, "# Downloads of packagecloud through CloudFront, from the bucket %s.\n", d.settings.Bucket)
	if d.edge != nil {
		fmt.Fprintf(b, `# The secrets are in a key value store that it makes:
#   1. %s \
#        --parameter-overrides%s
#   2. packagecloud-ctl bootstrap-cloudfront, which puts them there and changes
#      nothing else; after a change of the secrets, again
`, deploy, parameters)
	} else {
		deploy += " \\\n#        --capabilities CAPABILITY_NAMED_IAM"
		first := ""
		if parameters != "" {
			first = " --parameter-overrides" + parameters
		}
		fmt.Fprintf(b, `# The stack must be in us-east-1. It makes a role of IAM with a name, which it must
# be allowed to: CAPABILITY_NAMED_IAM. The secrets are encrypted with a key that it
# makes, so there are two runs:
#   1. %[1]s%[2]s
#   2. packagecloud-ctl cloudfront-template --encrypt <KeyArn, an output>
#   3. %[1]s \
#        --parameter-overrides%[3]s Ciphertext=<what that prints>
`, deploy, first, parameters)
	}
	fmt.Fprintf(b, "%s# The tag of the bucket is yours to set: %s\n", policy, Tag)
}

// stack is the template in its own order.
func (d *design) stack() any {
	replaces := m{"Fn::Equals": []any{m{"Ref": "ChangeBucketPolicy"}, "replace"}}
	stack := struct {
		Version     string `yaml:"AWSTemplateFormatVersion"`
		Description string `yaml:"Description"`
		Parameters  m      `yaml:"Parameters,omitempty"`
		Conditions  m      `yaml:"Conditions,omitempty"`
		Resources   m      `yaml:"Resources"`
		Outputs     m      `yaml:"Outputs"`
	}{
		"2010-09-09", "packagecloud: downloads through CloudFront",
		m{}, m{}, d.resources(),
		m{
			"DistributionId":  d.when(m{"Description": "cloudfront_distribution_id", "Value": m{"Ref": "Distribution"}}),
			"Domain":          d.when(m{"Description": "cloudfront_packages_domain", "Value": m{"Fn::GetAtt": []string{"Distribution", "DomainName"}}}),
			"BucketStatement": d.when(m{"Description": "The statement for the policy of the bucket", "Value": m{"Fn::Sub": compact(d.bucket.Statement[0])}}),
		},
	}
	if d.reachesBucket() {
		stack.Parameters["ChangeBucketPolicy"] = m{"Type": "String", "AllowedValues": []string{"replace", "by-hand"}, "Description": "replace puts our statement in the place of the whole policy of the bucket. If it has one already, choose by-hand and add the output BucketStatement yourself"}
		stack.Conditions["ReplacesPolicy"] = replaces
	}
	if d.edge == nil {
		stack.Parameters["Ciphertext"] = m{"Type": "String", "Default": "", "Description": "What packagecloud-ctl cloudfront-template --encrypt prints; empty at first"}
		stack.Conditions["Encrypted"] = m{"Fn::Not": []any{m{"Fn::Equals": []any{m{"Ref": "Ciphertext"}, ""}}}}
		if d.reachesBucket() {
			stack.Conditions["ReplacesPolicy"] = m{"Fn::And": []any{m{"Condition": "Encrypted"}, replaces}}
		}
		stack.Outputs["KeyArn"] = m{"Value": m{"Fn::GetAtt": []string{"Key", "Arn"}}}
	}
	return stack
}

// when makes what needs the secrets wait for them.
func (d *design) when(v m) m {
	if d.edge == nil {
		v["Condition"] = "Encrypted"
	}
	return v
}

func compact(v any) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(plainJSON(v))); err != nil {
		panic(err) // it was written a moment ago
	}
	return b.String()
}

func (d *design) resources() m {
	tags := []m{{"Key": Tag, "Value": tagValue}}
	version := "Version" + strings.ToUpper(d.codeID)
	when := func(kind string, properties m) m { return d.when(m{"Type": kind, "Properties": properties}) }
	r := m{
		"CachePolicy":  when("AWS::CloudFront::CachePolicy", m{"CachePolicyConfig": tree(d.cache)}),
		"Distribution": when("AWS::CloudFront::Distribution", m{"DistributionConfig": distributionTree(d), "Tags": tags}),
	}
	if d.reachesBucket() {
		r["BucketPolicy"] = m{"Type": "AWS::S3::BucketPolicy", "Condition": "ReplacesPolicy", "Properties": m{"Bucket": d.settings.Bucket, "PolicyDocument": d.bucket}}
	}
	if d.control != nil {
		r["OriginAccessControl"] = when("AWS::CloudFront::OriginAccessControl", m{"OriginAccessControlConfig": tree(d.control)})
	} else {
		r["OriginAccessIdentity"] = when("AWS::CloudFront::CloudFrontOriginAccessIdentity", m{"CloudFrontOriginAccessIdentityConfig": m{"Comment": d.settings.reference()}})
	}
	if d.edge != nil {
		maps.Copy(r, d.edgeResources(tags))
	} else {
		maps.Copy(r, d.lambdaResources(tags, version))
	}
	for name, resource := range r {
		r[name] = intrinsics(tree(resource), version)
	}
	// The code is full of ${...} of its own.
	function := r["Function"].(m)["Properties"].(m)
	if d.edge != nil {
		function["FunctionCode"] = string(d.settings.Edge.Code)
		return r
	}
	pieces := cut(d.bundle())
	function["Code"] = m{"ZipFile": m{"Fn::Join": []any{"", join(pieces, m{"Ref": "Ciphertext"}, m{"Fn::GetAtt": []string{"Key", "Arn"}})}}}
	return r
}

// lambdaResources are the Lambda function and what it needs.
func (d *design) lambdaResources(tags []m, version string) m {
	return m{
		"Key": m{"Type": "AWS::KMS::Key", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": m{
			"Description": keyDescription, "KeyPolicy": d.key, "Tags": tags,
		}},
		"KeyAlias": m{"Type": "AWS::KMS::Alias", "Properties": m{"AliasName": keyAlias(d.name), "TargetKeyId": "${Key}"}},
		"Role": m{"Type": "AWS::IAM::Role", "Properties": m{
			"RoleName": d.name, "Description": roleDescription, "AssumeRolePolicyDocument": d.trust, "Tags": tags,
			"Policies": []m{{"PolicyName": d.name, "PolicyDocument": d.role}},
		}},
		"Function": d.when(m{"Type": "AWS::Lambda::Function", "Properties": m{
			"FunctionName": d.name, "Description": functionDescription, "Role": "${Role.Arn}", "Runtime": string(runtime), "Handler": handler,
			"MemorySize": memory, "Timeout": timeout, "LoggingConfig": tree(logging()), "Tags": tags,
		}}),
		version: m{"Type": "AWS::Lambda::Version", "Condition": "Encrypted", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": m{
			"FunctionName": "${Function}", "Description": "packagecloud " + d.codeID,
		}},
	}
}

// edgeResources are the CloudFront function and its store.
func (d *design) edgeResources(tags []m) m {
	g := tree(d.edge).(m)
	flat(g)
	return m{
		"Store": m{"Type": "AWS::CloudFront::KeyValueStore", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": m{
			"Name": d.name, "Comment": storeComment, "Tags": tags,
		}},
		"Function": m{"Type": "AWS::CloudFront::Function", "Properties": m{
			"Name": d.name, "AutoPublish": true, "FunctionConfig": g, "Tags": tags,
		}},
	}
}

// join puts what the key and the ciphertext are between the pieces of a text,
// which has the key first.
func join(pieces []string, ciphertext, key any) []any {
	list := []any{pieces[0]}
	for i, p := range pieces[1:] {
		list = append(list, []any{key, ciphertext}[i], p)
	}
	return list
}

// tree is a value as maps and lists, without what is not set.
func tree(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types
	}
	var t any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&t); err != nil {
		panic(err)
	}
	return prune(t)
}

// prune takes out what is null, and numbers their Go types back.
func prune(v any) any {
	switch v := v.(type) {
	case m:
		for k, e := range v {
			if e == nil || e == "" && k != "OriginAccessIdentity" && k != "Prefix" {
				delete(v, k)
				continue
			}
			v[k] = prune(e)
		}
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
	case json.Number:
		n, err := v.Int64()
		if err == nil {
			return n
		}
	}
	return v
}

// distributionTree is the configuration in the words of CloudFormation: lists
// have no Quantity, and some names differ.
func distributionTree(d *design) m {
	g := tree(d.config).(m)
	delete(g, "CallerReference")
	flat(g)
	g["IPV6Enabled"] = g["IsIPV6Enabled"]
	delete(g, "IsIPV6Enabled")
	methods := g["DefaultCacheBehavior"].(m)
	methods["CachedMethods"] = d.config.DefaultCacheBehavior.AllowedMethods.CachedMethods.Items
	rename := func(in m, from, to string) {
		if v, ok := in[from]; ok {
			in[to] = v
			delete(in, from)
		}
	}
	if certificate, ok := g["ViewerCertificate"].(m); ok {
		rename(certificate, "ACMCertificateArn", "AcmCertificateArn")
		rename(certificate, "SSLSupportMethod", "SslSupportMethod")
		delete(certificate, "CloudFrontDefaultCertificate")
	}
	if logging, ok := g["Logging"].(m); ok {
		delete(logging, "Enabled")
	}
	if d.control == nil {
		for _, o := range g["Origins"].([]any) {
			delete(o.(m), "OriginAccessControlId")
		}
	}
	return g
}

// flat replaces each list with a Quantity by its items.
func flat(v m) {
	for k, e := range v {
		child, ok := e.(m)
		if !ok {
			continue
		}
		items, isList := child["Items"]
		if _, counted := child["Quantity"]; counted {
			v[k] = items
			if !isList {
				delete(v, k)
			}
			if list, ok := items.([]any); ok {
				for _, item := range list {
					if inner, ok := item.(m); ok {
						flat(inner)
					}
				}
			}
			continue
		}
		flat(child)
	}
}

// reference is a text that is nothing but one.
var reference = regexp.MustCompile(`^\$\{([A-Za-z0-9]+)(?:\.([A-Za-z0-9]+))?\}$`)

// intrinsics writes references as functions of CloudFormation.
func intrinsics(v any, version string) any {
	switch v := v.(type) {
	case m:
		for k, e := range v {
			v[k] = intrinsics(e, version)
		}
	case []any:
		for i := range v {
			v[i] = intrinsics(v[i], version)
		}
	case string:
		text := strings.ReplaceAll(v, "${Version}", "${"+version+"}")
		match := reference.FindStringSubmatch(text)
		switch {
		case match != nil && match[2] != "":
			return m{"Fn::GetAtt": []string{match[1], match[2]}}
		case match != nil:
			return m{"Ref": match[1]}
		case strings.Contains(text, "${"):
			return m{"Fn::Sub": text}
		}
	}
	return v
}
