package doctor

import (
	"net/http"
	"strings"
	"testing"

	"packagecloud/internal/provision"
)

// TestBehindTheCache: with an origin request policy that hands the query on, a
// function behind the cache refuses forged links until the package is cached.
// The stand-in knows no such policies.
func TestBehindTheCache(t *testing.T) {
	from := func(status int, cache, body string) *answer {
		return &answer{status: status, header: http.Header{"X-Cache": {cache + " from cloudfront"}, "X-Amz-Cf-Id": {"1"}}, body: []byte(body)}
	}
	e := &evidence{
		probe: newProbe(), forged: from(403, "LambdaGeneratedResponse", "This link was not made by the package server.\n"),
		expired: from(403, "LambdaGeneratedResponse", "This link has expired. Ask the package server for a new one.\n"),
	}
	e.signed = from(200, "Miss", string(e.probe.body))
	e.forgedCached = from(200, "Hit", string(e.probe.body))
	faults := e.diagnose()
	if len(faults) != 1 || faults[0].Name != FunctionEvent {
		t.Errorf("found %v", faults)
	}
}

// The pages and documents of CloudFront and S3, as they publish them.
const (
	unknownName = "<H1>403 ERROR</H1><H2>The request could not be satisfied.</H2>Bad request. We can't connect to the server for this app or website at this time."
	otherLand   = "<H1>403 ERROR</H1><H2>The request could not be satisfied.</H2>The Amazon CloudFront distribution is configured to block access from your country. We can't connect to the server for this app or website at this time."
	firewall    = "<H1>403 ERROR</H1><H2>The request could not be satisfied.</H2>Request blocked. We can't connect to the server for this app or website at this time."
	throttling  = "<H1>503 ERROR</H1><H2>The request could not be satisfied.</H2>The Lambda function associated with the CloudFront distribution was throttled."
	missingKey  = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>MissingKey</Code><Message>Missing Key-Pair-Id query parameter or cookie value</Message></Error>`
)

func inXML(code, message string) string {
	return "<Error><Code>" + code + "</Code><Message>" + message + "</Message></Error>"
}

// TestPublishedErrors: what CloudFront and S3 answer is told as what it means,
// with what is known of the distribution and without.
func TestPublishedErrors(t *testing.T) {
	from := func(status int, cache, body string) *answer {
		return &answer{status: status, header: http.Header{"X-Cache": {cache + " from cloudfront"}, "X-Amz-Cf-Id": {"1"}}, body: []byte(body)}
	}
	refusedForged := from(403, "LambdaGeneratedResponse", "This link was not made by the package server.\n")
	refusedExpired := from(403, "LambdaGeneratedResponse", "This link has expired. Ask the package server for a new one.\n")
	everything := func(a *answer) *evidence { return &evidence{forged: a, expired: a, signed: a} }
	signed := func(status int, body string) *evidence {
		return &evidence{forged: refusedForged, expired: refusedExpired, signed: from(status, "Error", body)}
	}
	facts := func(change func(*provision.Facts)) *provision.Facts {
		f := &provision.Facts{Distribution: "E1", Names: []string{"d1.cloudfront.net"}, Enabled: true, Deployed: true, Granted: true, Version: "arn:1", Function: "name"}
		change(f)
		return f
	}
	for name, tt := range map[string]struct {
		e          *evidence
		facts      *provision.Facts
		want, says string
	}{
		"unknown name":            {everything(from(403, "Error", unknownName)), nil, WrongDomain, "knows no distribution"},
		"country":                 {everything(from(403, "Error", otherLand)), nil, GeoBlocked, "country of this machine"},
		"country, known":          {everything(from(403, "Error", otherLand)), facts(func(f *provision.Facts) { f.Geo = "only DE" }), GeoBlocked, "it serves only DE"},
		"firewall":                {everything(from(403, "Error", firewall)), nil, WAFBlocks, "AWS WAF refuses"},
		"firewall, known":         {everything(from(403, "Error", firewall)), facts(func(f *provision.Facts) { f.WAF = "acl-1" }), WAFBlocks, "acl-1"},
		"signers":                 {everything(from(403, "Error", missingKey)), nil, Signers, "MissingKey"},
		"Lambda's limit":          {everything(from(503, "LambdaLimitExceeded", "")), nil, FunctionLimit, "LambdaLimitExceeded"},
		"Lambda's limit, in text": {everything(from(503, "Error", throttling)), nil, FunctionLimit, "more of the account run at once"},
		"function throttled":      {everything(from(503, "FunctionThrottledError", "")), nil, FunctionLimit, "FunctionThrottledError"},
		"Host":                    {signed(403, inXML("SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")), nil, HostForwarded, "Host header"},
		"OAI and KMS":             {signed(400, inXML("KMS.UnrecognizedClientException", "No account found for the given parameters")), nil, BucketKey, "KMS.UnrecognizedClientException"},
		"OAI and KMS, known": {signed(400, inXML("KMS.UnrecognizedClientException", "No account found for the given parameters")), facts(func(f *provision.Facts) {
			f.Key, f.KeyProblem = "key", "an origin access identity cannot use it"
		}), BucketKey, "an origin access identity cannot use it"},
		"signature of before": {signed(400, inXML("InvalidArgument", "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4.")), nil, BucketKey, "InvalidArgument"},
		"key without the statement": {signed(403, inXML("AccessDenied", "Access Denied")), facts(func(f *provision.Facts) {
			f.Key, f.KeyStatement = "key", "{statement}"
		}), BucketKey, "may not use the key"},
		"disabled key":      {signed(400, inXML("KMS.DisabledException", "is disabled.")), nil, BucketKey, "KMS.DisabledException"},
		"no such bucket":    {signed(404, inXML("NoSuchBucket", "The specified bucket does not exist")), nil, WrongOrigin, "NoSuchBucket"},
		"another region":    {signed(301, inXML("PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint.")), nil, WrongOrigin, "another region"},
		"no statement":      {signed(403, inXML("AccessDenied", "Access Denied")), nil, BucketStatement, "does not let"},
		"a Deny":            {signed(403, inXML("AccessDenied", "Access Denied")), facts(func(*provision.Facts) {}), BucketDenies, "although"},
		"a firewall's page": {signed(403, "go away"), facts(func(f *provision.Facts) { f.WAF = "acl-1" }), Unexplained, "403"},
	} {
		t.Run(name, func(t *testing.T) {
			e := tt.e
			e.domain, e.facts, e.probe = "d1.cloudfront.net", tt.facts, newProbe()
			faults := e.diagnose()
			if len(faults) != 1 || faults[0].Name != tt.want || !strings.Contains(faults[0].What, tt.says) || faults[0].Do == "" {
				t.Errorf("found %+v, want %s with %q", faults, tt.want, tt.says)
			}
			if tt.facts != nil && tt.facts.KeyStatement != "" && !strings.Contains(faults[0].Do, tt.facts.KeyStatement) {
				t.Errorf("the statement is not told: %s", faults[0].Do)
			}
		})
	}
}
