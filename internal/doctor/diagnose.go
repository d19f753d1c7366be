package doctor

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"packagecloud/internal/edge"
	"packagecloud/internal/provision"
)

// The names of faults. docs/cloudfront.md lists them.
const (
	WrongDomain     = "wrong-domain"
	Unreachable     = "unreachable"
	Disabled        = "disabled"
	ClockOff        = "clock"
	FunctionEvent   = "function-event"
	NoFunction      = "no-function"
	FunctionFails   = "function-fails"
	FunctionLimit   = "function-limit"
	GeoBlocked      = "geo-blocked"
	WAFBlocks       = "waf"
	Signers         = "signers"
	HostForwarded   = "host-forwarded"
	BucketKey       = "bucket-key"
	WrongSecret     = "wrong-secret"
	OldFunction     = "old-function"
	ExpiredLinks    = "expired-links"
	WrongOrigin     = "wrong-origin"
	BucketStatement = "bucket-statement"
	BucketDenies    = "bucket-denies"
	PublicBucket    = "public-bucket"
	MinTTL          = "min-ttl"
	QueryInKey      = "query-in-key"
	StaleIndex      = "stale-index"
	Ranges          = "ranges"
	Head            = "head"
	Unexplained     = "unexplained"
)

const runSetup = "run packagecloud-ctl setup-cloudfront"

// diagnose names the faults behind the evidence. What follows from a fault that
// is named already is no fault of its own.
func (e *evidence) diagnose() []Fault {
	for _, look := range []func() *Fault{e.blocked, e.wrongDomain} {
		if f := look(); f != nil {
			return []Fault{*f} // somebody else answered
		}
	}
	var faults []Fault
	for _, look := range []func() *Fault{e.clockOff, e.function, e.bucket, e.public, e.minTTL, e.query, e.staleIndex, e.rangeAndHead} {
		if f := look(); f != nil {
			faults = append(faults, *f)
		}
	}
	if e.signed != nil && !e.signed.ok() && !explains(faults) {
		faults = append(faults, Fault{Unexplained, "a signed link is answered with " + e.signed.String(), e.unexplained()})
	}
	return faults
}

// explains reports whether a fault is why signed links are not answered.
func explains(faults []Fault) bool {
	return slices.ContainsFunc(faults, func(f Fault) bool {
		return slices.Contains([]string{FunctionEvent, FunctionFails, FunctionLimit, WrongSecret, OldFunction, WrongOrigin, HostForwarded, BucketKey, BucketStatement, BucketDenies}, f.Name)
	})
}

// unexplained is what to do where nothing is known.
func (e *evidence) unexplained() string {
	do := "see whether the network or a firewall stands between; " + runSetup + " --plan"
	if e.facts != nil && e.facts.WAF != "" {
		do = "see in AWS WAF (" + e.facts.WAF + ") whether a rule refuses it; " + runSetup + " --plan"
	}
	return do
}

// blocked looks for who refuses requests at CloudFront before the function sees
// them.
// https://repost.aws/knowledge-center/cloudfront-troubleshoot-403-errors
func (e *evidence) blocked() *Fault {
	first, f := e.forged, e.facts
	if first.err != nil || !first.cloudFront() || first.status != http.StatusForbidden {
		return nil
	}
	switch {
	case first.code() == "MissingKey", f != nil && f.Signers && !first.refuses():
		return &Fault{Signers, "CloudFront asks for a signature by a key of its own (trusted key groups or signers), and not for ours: " + first.String(), "take the key groups and signers from the default behaviour of the distribution"}
	case first.says("block access from your country"):
		which := ""
		if f != nil && f.Geo != "" {
			which = ": it serves " + f.Geo
		}
		return &Fault{GeoBlocked, "the distribution does not serve the country of this machine (geographic restriction)" + which, "add the country, or end the restriction"}
	case first.says("request blocked"):
		which := ""
		if f != nil && f.WAF != "" {
			which = " (" + f.WAF + ")"
		}
		return &Fault{WAFBlocks, "AWS WAF" + which + " refuses requests before the function sees them: 403 Request blocked", "let /packages/* and /indexes/* pass in its web ACL; the sampled requests there show the rule"}
	}
	return nil
}

func (e *evidence) wrongDomain() *Fault {
	first := e.forged
	if first.err != nil {
		return e.noAnswer(first.err)
	}
	correct := "set cloudfront_packages_domain to what packagecloud-ctl setup-cloudfront prints"
	if f := e.facts; f != nil && !slices.ContainsFunc(f.Names, func(n string) bool { return strings.EqualFold(n, e.domain) }) {
		return &Fault{WrongDomain, fmt.Sprintf("%s is not a name of the distribution %s, which has %s", e.domain, f.Distribution, strings.Join(f.Names, ", ")), correct + ", or cloudfront_certificate_arn to have the name added"}
	}
	if e.facts != nil && !e.facts.Enabled {
		return &Fault{Disabled, fmt.Sprintf("the distribution %s is disabled", e.facts.Distribution), runSetup}
	}
	if !first.cloudFront() {
		return &Fault{WrongDomain, fmt.Sprintf("%s is not answered by CloudFront but by %q", e.domain, first.header.Get("Server")), correct + ", and point its CNAME to the distribution"}
	}
	if first.status == http.StatusForbidden && first.result() == "Error" && first.says("request could not be satisfied") {
		return &Fault{WrongDomain, fmt.Sprintf("CloudFront knows no distribution with the name %s", e.domain), correct}
	}
	return nil
}

func (e *evidence) noAnswer(err error) *Fault {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return &Fault{WrongDomain, fmt.Sprintf("there is no host %s", e.domain), "correct cloudfront_packages_domain, or make the CNAME of that name"}
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return &Fault{WrongDomain, fmt.Sprintf("the certificate that %s shows is for other names", e.domain), "correct cloudfront_packages_domain, or set cloudfront_certificate_arn and " + runSetup}
	}
	return &Fault{Unreachable, fmt.Sprintf("%s does not answer: %v", e.domain, err), "see whether this machine may open https to the internet"}
}

func (e *evidence) clockOff() *Fault {
	c := e.skew()
	if c == 0 {
		return nil
	}
	far := c.Abs()
	if far > 10*time.Minute {
		far = far.Round(time.Minute)
	}
	where := "behind"
	if c < 0 {
		where = "ahead of"
	}
	return &Fault{ClockOff, fmt.Sprintf("the clock of this machine is %s %s that of CloudFront, so links end at the wrong time", far, where), "set it, and keep it right by NTP"}
}

// function looks at what checks the links.
func (e *evidence) function() *Fault {
	f := e.facts
	if f != nil && f.Version == "" && len(f.Elsewhere) > 0 {
		return &Fault{FunctionEvent, fmt.Sprintf("the function runs on %s, which comes after the cache: what is cached is served unchecked", strings.Join(f.Elsewhere, ", ")), "remove it there, and " + runSetup + ", which puts it on viewer-request"}
	}
	for _, a := range []*answer{e.forged, e.expired, e.signed} {
		switch {
		case a.throttled():
			return &Fault{FunctionLimit, "the function is not run, because more of the account run at once than it may: " + a.String(), "have the quota Concurrent executions of Lambda raised, in each region where clients are (a new account may have 10); or set cloudfront_check to 'cloudfront-function', and " + runSetup}
		case a.failing():
			return e.functionFails(a)
		}
	}
	switch {
	case e.signed.says(saysForged):
		return e.secret()
	case e.forged.refuses() && e.forgedCached.ok():
		return &Fault{FunctionEvent, "a forged link is refused before the package is cached, and served after: the function runs behind the cache", "remove it there, and " + runSetup + ", which puts it on viewer-request"}
	case f != nil && f.Version == "", !e.forged.refuses():
		return &Fault{NoFunction, "nothing checks the links: a forged one is answered with " + e.forged.String(), runSetup}
	case !e.expired.refuses():
		return &Fault{ExpiredLinks, "an expired link is answered with " + e.expired.String(), runSetup + ", which puts the right function there"}
	case e.signed.says(saysExpired):
		return &Fault{ClockOff, "a link that was just signed has expired for the function", "set the clock of this machine, and keep it right by NTP"}
	}
	return nil
}

// functionFails says where the log of the function is, of either kind.
func (e *evidence) functionFails(a *answer) *Fault {
	name := provision.OldName + "_<bucket>"
	if e.facts != nil {
		name = e.facts.Function
	}
	do := "read its log (group /aws/lambda/us-east-1." + name + " in the region nearest to here); " + runSetup + " --plan shows a missing permission for KMS"
	if strings.HasPrefix(a.result(), "Function") {
		do = "read its log (group /aws/cloudfront/function/" + name + " in us-east-1); " + runSetup + " --plan shows whether it has its key value store"
	}
	return &Fault{FunctionFails, "the function fails: " + a.String(), do}
}

// secret tells why links of this server are taken for forged.
func (e *evidence) secret() *Fault {
	const seen = "the edges take links of this server for forged: "
	f := e.facts
	switch {
	case e.second != nil && !e.second.says(saysForged):
		return &Fault{OldFunction, seen + "they know cloudfront_second_secret, and not yet cloudfront_secret", runSetup + " and wait until it ends; until then, swap the two secrets back"}
	case f != nil && f.Secrets && f.RightVersion != "" && f.RightVersion != f.Version:
		return &Fault{OldFunction, fmt.Sprintf("%sthe distribution runs %s, and %s has the secret", seen, f.Version, f.RightVersion), runSetup}
	case f != nil && f.Secrets && f.RightVersion != "" && !f.Deployed:
		return &Fault{OldFunction, seen + "a change is still on its way to them", "wait: " + runSetup + " ends when they have it"}
	}
	return &Fault{WrongSecret, seen + "they have another secret than cloudfront_secret", "correct it (all servers need the same), or " + runSetup + " to give it to the edges"}
}

// bucket looks at whether CloudFront may read.
func (e *evidence) bucket() *Fault {
	f := e.facts
	switch {
	case f != nil && f.OriginError != "":
		return &Fault{WrongOrigin, f.OriginError, runSetup}
	case e.signed.code() == "SignatureDoesNotMatch":
		return &Fault{HostForwarded, "the bucket refuses CloudFront's signature (SignatureDoesNotMatch), because the Host header of the viewer reaches it", "take the origin request policy from the default behaviour, or choose AllViewerExceptHostHeader"}
	case slices.Contains([]string{"NoSuchBucket", "PermanentRedirect", "TemporaryRedirect", "NoSuchKey"}, e.signed.code()):
		return &Fault{WrongOrigin, "the distribution asks another bucket, or another region than that of the bucket: " + e.signed.String(), runSetup + ", which corrects the host of the origin"}
	case strings.HasPrefix(e.signed.code(), "KMS."), e.signed.says("aws kms managed keys require"), f != nil && f.Granted && f.Key != "" && e.signed.denied():
		return e.key()
	case f != nil && !f.Granted, f == nil && e.signed.denied():
		return &Fault{BucketStatement, "the policy of the bucket does not let the distribution read it", runSetup + ", which adds the statement"}
	case e.signed.denied():
		return &Fault{BucketDenies, "the bucket refuses CloudFront, although its policy has the statement", "look for a Deny in the policy; if objects are encrypted with a key of KMS, let cloudfront.amazonaws.com decrypt with it"}
	case e.signed.ok() && string(e.signed.body) != string(e.probe.body):
		return &Fault{WrongOrigin, "the distribution answers with other bytes than are in the bucket", runSetup + " --plan shows where it sends requests"}
	}
	return nil
}

// key tells why CloudFront cannot decrypt what is in the bucket.
func (e *evidence) key() *Fault {
	what := "CloudFront may not use the key of KMS that encrypts the bucket: " + e.signed.String()
	do := "the distribution needs origin access control (packagecloud-ctl migrate-cloudfront-access oac), and the policy of the key a statement for cloudfront.amazonaws.com, which " + runSetup[len("run "):] + " --plan prints"
	if f := e.facts; f != nil && f.KeyProblem != "" {
		what, do = f.KeyProblem, "do what this says"
	} else if f != nil && f.Key != "" {
		do = "add to the policy of the key " + f.Key + ": " + f.KeyStatement
	}
	return &Fault{BucketKey, what, do}
}

func (e *evidence) public() *Fault {
	if e.direct.ok() || e.facts != nil && e.facts.Public {
		return &Fault{PublicBucket, "THE BUCKET IS PUBLIC: whoever knows a name can read private packages, without a link", "block public access to it in all four ways, and remove the statement for everybody"}
	}
	return nil
}

// indexCached is that an index came from a cache.
func (e *evidence) indexCached() bool {
	return e.indexAgain.ok() && e.indexAgain.cached() || e.stale()
}

func (e *evidence) minTTL() *Fault {
	const do = ": indexes are cached although they forbid it"
	if e.facts != nil && e.facts.MinTTL > 0 {
		return &Fault{MinTTL, fmt.Sprintf("the least TTL of the cache policy is %d s%s", e.facts.MinTTL, do), runSetup + ", which uses a policy with 0"}
	}
	if e.indexCached() && e.index.never() {
		return &Fault{MinTTL, "the least TTL of the cache policy is above 0" + do, runSetup + ", which uses a policy with 0"}
	}
	return nil
}

func (e *evidence) query() *Fault {
	unshared := e.again.ok() && e.again.cached() && e.other.ok() && !e.other.cached()
	if unshared || e.facts != nil && e.facts.QueryInKey {
		return &Fault{QueryInKey, "the query is part of the cache key: each link to a package is a copy of its own in the cache", runSetup + ", which uses a policy without it"}
	}
	return nil
}

// staleIndex looks at indexes that lack the header that keeps them out of caches.
func (e *evidence) staleIndex() *Fault {
	const then = "; then invalidate /indexes/* in CloudFront"
	switch {
	case e.index.ok() && !e.index.never():
		return &Fault{StaleIndex, "indexes are served without no-store, so CloudFront keeps old ones: the bucket loses the header Cache-Control, or the distribution replaces it", "run packagecloud-ctl check-storage, and remove a response headers policy from the distribution" + then}
	case e.cacheable > 0:
		return &Fault{StaleIndex, fmt.Sprintf("%d of %d indexes in the bucket lack no-store, so CloudFront keeps old ones", e.cacheable, e.sampled), "run packagecloud-ctl reindex-everything" + then}
	}
	return nil
}

func (e *evidence) rangeAndHead() *Fault {
	switch {
	case e.ranged != nil && !e.rangeOK():
		return &Fault{Ranges, "a range of a package is answered with " + e.ranged.String() + ": broken downloads cannot be resumed", "see whether something stands between here and CloudFront"}
	case e.head != nil && !e.headOK():
		return &Fault{Head, "HEAD is answered with " + e.head.String(), runSetup + ", which allows the method"}
	}
	return nil
}

// notes are no faults, but should be known.
func (e *evidence) notes() (notes []string) {
	if c := e.clock(); c.Abs() > 5*time.Second && c.Abs() <= edge.Tolerance {
		notes = append(notes, fmt.Sprintf("The clock of this machine differs from CloudFront's by %s; %s are tolerated.", c.Abs(), edge.Tolerance))
	}
	if f := e.facts; f != nil {
		if !f.Deployed {
			notes = append(notes, "A change of the distribution is on its way to the edges: run this again when packagecloud-ctl setup-cloudfront has ended.")
		}
		if f.Secrets && f.Version != "" && f.Version != f.RightVersion && e.signed.ok() {
			notes = append(notes, "The function is not the one that this program would deploy, or lacks cloudfront_second_secret: run packagecloud-ctl setup-cloudfront.")
		}
	}
	if e.again.ok() && !e.again.cached() {
		notes = append(notes, "A package asked for twice did not come from the cache. Different edges may have answered: run this again.")
	}
	return notes
}
