package provision

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Terraform writes the desired state as a configuration of Terraform, laid out
// as terraform fmt does. With a Lambda function the key is applied first, by
// -target, because the secrets are encrypted with it.
func Terraform(s *Settings) ([]byte, error) {
	d, err := newDesign(s)
	if err != nil {
		return nil, err
	}
	h := &hcl{}
	h.line("# Downloads of packagecloud through CloudFront, from the bucket %s.", s.Bucket)
	if d.edge != nil {
		h.line("# The secrets are in a key value store that it makes, so there are two steps:")
		h.line("#   1. terraform apply -var bucket_policy=replace")
		h.line("#   2. packagecloud-ctl bootstrap-cloudfront, which puts them there and changes")
		h.line("#      nothing else; after a change of the secrets, again")
	} else {
		h.line("# The secrets are encrypted with a key of its own, so it is applied in two steps:")
		h.line("#   1. terraform apply -target=aws_kms_key.packagecloud -target=aws_kms_alias.packagecloud")
		h.line("#   2. packagecloud-ctl cloudfront-template --encrypt \"$(terraform output -raw key_arn)\"")
		h.line("#   3. terraform apply -var ciphertext=<what that prints> -var bucket_policy=replace")
	}
	h.line("# The tag of the bucket is yours to set: %s", Tag)
	d.header(h)
	if d.edge != nil {
		d.terraformEdgeFunction(h)
	} else {
		d.terraformKeyAndRole(h)
		d.terraformFunction(h)
		h.block(`output "key_arn"`, func() { h.attrs("value", "aws_kms_key.packagecloud.arn") })
	}
	d.terraformAccess(h)
	d.terraformDistribution(h)
	h.block(`output "distribution_id"`, func() { h.attrs("value", "aws_cloudfront_distribution.packagecloud.id") })
	h.block(`output "domain"`, func() { h.attrs("value", "aws_cloudfront_distribution.packagecloud.domain_name") })
	return h.b.Bytes(), nil
}

// hcl writes Terraform's language.
type hcl struct {
	b     bytes.Buffer
	depth int
}

func (h *hcl) line(format string, args ...any) {
	if format != "" {
		h.b.WriteString(strings.Repeat("  ", h.depth))
	}
	fmt.Fprintf(&h.b, format+"\n", args...)
}

// block writes a block, with an empty line before one that stands alone.
func (h *hcl) block(header string, body func()) {
	if text := h.b.String(); !strings.HasSuffix(text, "{\n") {
		h.line("")
	}
	h.line("%s {", header)
	h.depth++
	body()
	h.depth--
	h.line("}")
}

// attrs writes attributes, names and values in turn, with their equals signs
// one above the other. A value of several lines is a text as it is, with
// references in it.
func (h *hcl) attrs(pairs ...string) {
	width := 0
	for i := 0; i < len(pairs); i += 2 {
		width = max(width, len(pairs[i]))
	}
	for i := 0; i < len(pairs); i += 2 {
		value := pairs[i+1]
		if !strings.Contains(value, "\n") {
			h.line("%-*s = %s", width, pairs[i], value)
			continue
		}
		h.line("%-*s = <<-EOT", width, pairs[i])
		h.depth++
		for l := range strings.SplitSeq(strings.TrimSuffix(value, "\n"), "\n") {
			if l == "" {
				h.b.WriteByte('\n')
				continue
			}
			h.line("%s", l)
		}
		h.depth--
		h.line("EOT")
	}
}

func (h *hcl) tags() {
	h.line("tags = {")
	h.depth++
	h.attrs(quote(Tag), quote(tagValue))
	h.depth--
	h.line("}")
}

// addresses are what references are in Terraform.
var addresses = map[string]string{
	"${Key.Arn}": "aws_kms_key.packagecloud.arn", "${AWS::AccountId}": "data.aws_caller_identity.current.account_id",
	"${Version}": "aws_lambda_function.packagecloud.qualified_arn", "${CachePolicy}": "aws_cloudfront_cache_policy.packagecloud.id",
	"${OriginAccessControl.Id}":                 "aws_cloudfront_origin_access_control.packagecloud.id",
	"${OriginAccessIdentity}":                   "aws_cloudfront_origin_access_identity.packagecloud.id",
	"${OriginAccessIdentity.S3CanonicalUserId}": "aws_cloudfront_origin_access_identity.packagecloud.s3_canonical_user_id",
	"${Distribution}":                           "aws_cloudfront_distribution.packagecloud.id",
	"${Store.Arn}":                              "aws_cloudfront_key_value_store.packagecloud.arn",
	"${Function.FunctionARN}":                   "aws_cloudfront_function.packagecloud.arn",
}

var references = regexp.MustCompile(`\$\{[A-Za-z0-9.:]+\}`)

// refer writes the references of a text as those of Terraform.
func refer(text string) string {
	return references.ReplaceAllStringFunc(text, func(r string) string { return "${" + addresses[r] + "}" })
}

// quote is a text, or the bare address of what it refers to.
func quote(text string) string {
	if address, ok := addresses[text]; ok {
		return address
	}
	return refer(strconv.Quote(text))
}

// literal keeps a text from being taken for a template.
func literal(text string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(text)
}

func list[T ~string](values []T) string {
	quoted := make([]string, 0, len(values))
	for _, v := range values {
		quoted = append(quoted, quote(string(v)))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func (d *design) header(h *hcl) {
	provider := func(name, version string) {
		h.line("%s = {", name)
		h.depth++
		h.attrs("source", quote("hashicorp/"+name), "version", quote(">= "+version))
		h.depth--
		h.line("}")
	}
	h.block("terraform", func() {
		h.block("required_providers", func() {
			if d.edge != nil {
				provider("aws", "6.64") // tags of functions and key value stores
				return
			}
			provider("archive", "2.4")
			provider("aws", "6.25") // nodejs24.x
		})
	})
	if d.edge == nil {
		h.block(`variable "ciphertext"`, func() {
			h.attrs("type", "string", "default", `""`, "description", quote("What packagecloud-ctl cloudfront-template --encrypt prints"))
		})
		h.block(`provider "aws"`, func() { h.attrs("alias", `"edge"`, "region", quote(edgeRegion)) })
	}
	h.block(`variable "bucket_policy"`, func() {
		h.attrs("type", "string", "default", `"by-hand"`, "description", quote("replace puts our statement in the place of the whole policy of the bucket; by-hand leaves the policy to you"))
	})
	h.block(`data "aws_caller_identity" "current"`, func() {})
}

func (d *design) terraformKeyAndRole(h *hcl) {
	h.block(`resource "aws_kms_key" "packagecloud"`, func() {
		h.attrs("provider", "aws.edge", "description", quote(keyDescription), "policy", refer(plainJSON(d.key)))
		h.tags()
		h.block("lifecycle", func() { h.attrs("prevent_destroy", "true") })
	})
	h.block(`resource "aws_kms_alias" "packagecloud"`, func() {
		h.attrs("provider", "aws.edge", "name", quote(keyAlias(d.name)), "target_key_id", "aws_kms_key.packagecloud.key_id")
	})
	h.block(`resource "aws_iam_role" "packagecloud"`, func() {
		h.attrs("name", quote(d.name), "description", quote(roleDescription), "assume_role_policy", refer(plainJSON(d.trust)))
		h.tags()
	})
	h.block(`resource "aws_iam_role_policy" "packagecloud"`, func() {
		h.attrs("name", quote(d.name), "role", "aws_iam_role.packagecloud.id", "policy", refer(plainJSON(d.role)))
	})
}

func (d *design) terraformFunction(h *hcl) {
	h.block(`data "archive_file" "packagecloud"`, func() {
		h.attrs("type", `"zip"`, "output_path", quote(d.name+".zip"))
		for _, name := range d.names() {
			h.block("source", func() {
				pieces := cut(d.files[name])
				for i := range pieces {
					pieces[i] = literal(pieces[i])
				}
				body := strings.Builder{}
				for _, p := range join(pieces, "${var.ciphertext}", "${aws_kms_key.packagecloud.arn}") {
					fmt.Fprint(&body, p)
				}
				h.attrs("filename", quote(name), "content", body.String())
			})
		}
	})
	h.block(`resource "aws_lambda_function" "packagecloud"`, func() {
		h.attrs("provider", "aws.edge", "function_name", quote(d.name), "description", quote(functionDescription),
			"role", "aws_iam_role.packagecloud.arn", "runtime", quote(string(runtime)), "handler", quote(handler),
			"memory_size", fmt.Sprint(memory), "timeout", fmt.Sprint(timeout), "publish", "true",
			"filename", "data.archive_file.packagecloud.output_path", "source_code_hash", "data.archive_file.packagecloud.output_base64sha256")
		h.tags()
		h.block("logging_config", func() {
			l := logging()
			h.attrs("log_format", quote(string(l.LogFormat)), "application_log_level", quote(string(l.ApplicationLogLevel)), "system_log_level", quote(string(l.SystemLogLevel)))
		})
	})
}

func (d *design) terraformEdgeFunction(h *hcl) {
	h.block(`resource "aws_cloudfront_key_value_store" "packagecloud"`, func() {
		h.attrs("name", quote(d.name), "comment", quote(storeComment))
		h.tags()
		h.block("lifecycle", func() { h.attrs("prevent_destroy", "true") })
	})
	h.block(`resource "aws_cloudfront_function" "packagecloud"`, func() {
		stores := []string{aws.ToString(d.edge.KeyValueStoreAssociations.Items[0].KeyValueStoreARN)}
		h.attrs("name", quote(d.name), "comment", quote(*d.edge.Comment), "runtime", quote(string(d.edge.Runtime)), "publish", "true",
			"key_value_store_associations", list(stores), "code", literal(string(d.settings.Edge.Code)))
		h.tags()
	})
}

func (d *design) terraformAccess(h *hcl) {
	c := d.cache
	p := c.ParametersInCacheKeyAndForwardedToOrigin
	h.block(`resource "aws_cloudfront_cache_policy" "packagecloud"`, func() {
		h.attrs("name", quote(*c.Name), "comment", quote(*c.Comment), "min_ttl", fmt.Sprint(*c.MinTTL), "default_ttl", fmt.Sprint(*c.DefaultTTL), "max_ttl", fmt.Sprint(*c.MaxTTL))
		h.block("parameters_in_cache_key_and_forwarded_to_origin", func() {
			h.attrs("enable_accept_encoding_gzip", fmt.Sprint(*p.EnableAcceptEncodingGzip), "enable_accept_encoding_brotli", fmt.Sprint(*p.EnableAcceptEncodingBrotli))
			h.block("headers_config", func() { h.attrs("header_behavior", quote(string(p.HeadersConfig.HeaderBehavior))) })
			h.block("cookies_config", func() { h.attrs("cookie_behavior", quote(string(p.CookiesConfig.CookieBehavior))) })
			h.block("query_strings_config", func() {
				h.attrs("query_string_behavior", quote(string(p.QueryStringsConfig.QueryStringBehavior)))
			})
		})
	})
	if d.control != nil {
		h.block(`resource "aws_cloudfront_origin_access_control" "packagecloud"`, func() {
			h.attrs("name", quote(*d.control.Name), "description", quote(*d.control.Description), "origin_access_control_origin_type", quote(string(d.control.OriginAccessControlOriginType)),
				"signing_behavior", quote(string(d.control.SigningBehavior)), "signing_protocol", quote(string(d.control.SigningProtocol)))
		})
	} else {
		h.block(`resource "aws_cloudfront_origin_access_identity" "packagecloud"`, func() { h.attrs("comment", quote(d.settings.reference())) })
	}
	h.block(`resource "aws_s3_bucket_policy" "packagecloud"`, func() {
		h.attrs("count", `var.bucket_policy == "replace" ? 1 : 0`, "region", quote(d.settings.Region), "bucket", quote(d.settings.Bucket), "policy", refer(plainJSON(d.bucket)))
	})
	h.block(`output "bucket_statement"`, func() { h.attrs("value", refer(plainJSON(d.bucket.Statement[0]))) })
}

func (d *design) terraformDistribution(h *hcl) {
	g := d.config
	b := g.DefaultCacheBehavior
	h.block(`resource "aws_cloudfront_distribution" "packagecloud"`, func() {
		top := []string{"enabled", fmt.Sprint(*g.Enabled), "comment", quote(*g.Comment), "http_version", quote(string(g.HttpVersion)),
			"is_ipv6_enabled", fmt.Sprint(*g.IsIPV6Enabled), "price_class", quote(string(g.PriceClass))}
		if g.Aliases != nil {
			top = append(top, "aliases", list(g.Aliases.Items))
		}
		h.attrs(top...)
		h.tags()
		o := g.Origins.Items[0]
		h.block("origin", func() {
			origin := []string{"origin_id", quote(*o.Id), "domain_name", quote(*o.DomainName)}
			if d.control != nil {
				h.attrs(append(origin, "origin_access_control_id", quote(*o.OriginAccessControlId))...)
				return
			}
			h.attrs(origin...)
			h.block("s3_origin_config", func() {
				h.attrs("origin_access_identity", quote(aws.ToString(o.S3OriginConfig.OriginAccessIdentity)))
			})
		})
		h.block("default_cache_behavior", func() {
			h.attrs("target_origin_id", quote(*b.TargetOriginId), "viewer_protocol_policy", quote(string(b.ViewerProtocolPolicy)),
				"allowed_methods", list(b.AllowedMethods.Items), "cached_methods", list(b.AllowedMethods.CachedMethods.Items),
				"cache_policy_id", quote(*b.CachePolicyId), "compress", fmt.Sprint(*b.Compress))
			for _, a := range b.FunctionAssociations.Items {
				h.block("function_association", func() {
					h.attrs("event_type", quote(string(a.EventType)), "function_arn", quote(*a.FunctionARN))
				})
			}
			for _, a := range b.LambdaFunctionAssociations.Items {
				h.block("lambda_function_association", func() {
					h.attrs("event_type", quote(string(a.EventType)), "lambda_arn", quote(*a.LambdaFunctionARN), "include_body", fmt.Sprint(*a.IncludeBody))
				})
			}
		})
		for _, e := range g.CustomErrorResponses.Items {
			h.block("custom_error_response", func() {
				h.attrs("error_code", fmt.Sprint(*e.ErrorCode), "error_caching_min_ttl", fmt.Sprint(*e.ErrorCachingMinTTL))
			})
		}
		if l := g.Logging; l != nil {
			h.block("logging_config", func() {
				h.attrs("bucket", quote(*l.Bucket), "prefix", quote(*l.Prefix), "include_cookies", fmt.Sprint(*l.IncludeCookies))
			})
		}
		h.block("restrictions", func() { h.block("geo_restriction", func() { h.attrs("restriction_type", `"none"`) }) })
		h.block("viewer_certificate", func() {
			v := g.ViewerCertificate
			if v == nil {
				h.attrs("cloudfront_default_certificate", "true")
				return
			}
			h.attrs("acm_certificate_arn", quote(*v.ACMCertificateArn), "ssl_support_method", quote(string(v.SSLSupportMethod)), "minimum_protocol_version", quote(string(v.MinimumProtocolVersion)))
		})
	})
}
