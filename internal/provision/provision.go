// Package provision makes in AWS what downloads through CloudFront need, by
// plan and apply: what should be (Settings), what is (Observed), and the
// difference as a list of actions (Plan), which is pure code. Apply carries out
// the first action, looks again, and so on until nothing is left to do. It may
// therefore be killed anywhere and run again.
//
//	viewer ── CloudFront ── origin access ── bucket (private)
//	              │
//	        viewer-request: Lambda@Edge function ── KMS: decrypts the secrets
//	                   or         └── IAM role
//	                        CloudFront function ── key value store: the secrets
//
// Nothing is ever deleted, but secrets that ended from our store. Only what
// carries our Tag is changed, and what the operator names: the bucket, and the
// distribution if its id is configured. Of these three, policy, tags and
// configuration are read, merged and written back; what others put there stays.
package provision

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	lambda "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

const (
	// OldName is what an earlier version of this program called everything that
	// AWS lets us name, whichever the bucket: see Name. A distribution that runs
	// a function of this name keeps it, unless another distribution runs it as
	// well.
	OldName = "packagecloud_cloudfront_auth"
	// Tag marks what is ours, and is the cost allocation tag of the page.
	Tag = "packagecloud:enterprise"
	// tagValue is its value. Resources that have the tag with another value
	// are ours as well, and keep it.
	tagValue = "true"

	// nameTag says whose key one without an alias is.
	nameTag = "packagecloud:name"

	keyDescription      = "packagecloud: encrypts the secrets of the CloudFront function"
	roleDescription     = "packagecloud: runs the CloudFront function"
	functionDescription = "packagecloud: checks the signatures of download links"

	cachePolicyName = "packagecloud_packages"
	originID        = "packagecloud-s3"

	// Lambda@Edge knows one region.
	edgeRegion = "us-east-1"
	runtime    = lambda.RuntimeNodejs24x
	handler    = "index.handler"
	memory     = 128 // MB; a viewer event may have no more
	timeout    = 5   // seconds; likewise
)

// Scope is how much of the whole is planned: each command of the page has its
// part.
type Scope int

// The parts.
const (
	Function     Scope = 1 << iota // key, role, function, version; or store and function
	Distribution                   // cache policy, origin access, distribution, bucket
	Everything   = Function | Distribution
)

// Check is what checks download links. The empty Check stands for Lambda.
type Check string

// The two, as the configuration calls them.
const (
	LambdaEdge         Check = "lambda"
	CloudFrontFunction Check = "cloudfront-function"
)

// Access is how CloudFront shows the bucket who it is.
type Access string

// The two ways. The empty Access stands for what a distribution has, or
// AccessControl for a new one.
const (
	AccessControl  Access = "oac"
	AccessIdentity Access = "oai"
)

// Code makes the package of a function, from the same input the same bytes: the
// secrets as KMS encrypted them, and the key that decrypts them. The secrets
// themselves must not be in it.
type Code func(function, keyARN string, ciphertext []byte, secrets ...string) ([]byte, error)

// Name is what everything of the installation with a bucket is called that AWS
// lets us name: the function of either kind, its role and the role's policy, the
// alias of the key, and the key value store. Their names are unique in an
// account, and those of buckets are unique in AWS, so two installations in one
// account have nothing in common but the cache policy, which never changes.
func Name(bucket string) string { return limited(OldName+"_", bucket) }

// limited is a name of at most 64 characters, the least that AWS allows of what
// we name. Of a long one the end is replaced by a part of its digest.
func limited(prefix, bucket string) string {
	name := prefix + bucket
	if len(name) > 64 {
		sum := sha256.Sum256([]byte(bucket))
		name = name[:55] + "_" + hex.EncodeToString(sum[:4])
	}
	return name
}

func keyAlias(name string) string { return "alias/" + name }

// nameIn is the name of the function in the ARN of a version or of a CloudFront
// function, empty for another ARN.
func nameIn(arn string) string {
	if m := versionPattern.FindStringSubmatch(arn); m != nil {
		return m[3]
	}
	if edgePattern.MatchString(arn) {
		return arn[strings.LastIndexByte(arn, '/')+1:]
	}
	return ""
}

// owns reports whether the ARN is that of a function of this installation, of
// either kind.
func (s *Settings) owns(arn string) bool {
	name := nameIn(arn)
	return name == Name(s.Bucket) || name == OldName
}

// Settings is what should be, as far as it is a choice.
type Settings struct {
	Bucket, Region string
	// Secrets sign URLs; any of them may. Their order does not matter.
	Secrets []string
	Check   Check
	// Edge is the CloudFront function; what follows is for that of Lambda.
	Edge EdgeFunction
	// Plaintext is what is encrypted for a function, and Context under which
	// encryption context.
	Plaintext func(secrets ...string) []byte
	Context   func(function string) map[string]string
	Code      Code
	// OldNames is that everything is called OldName, whatever is found. Templates of
	// an earlier version of this program had these names.
	OldNames bool

	// DistributionID names the distribution; empty to find it by tag and
	// bucket, or make one.
	DistributionID string
	// FunctionVersion is the ARN of the version to use, or of the CloudFront
	// function. Empty stands for the newest right one if the scope has Function,
	// else for what is in use.
	FunctionVersion string
	Access          Access
	// Migrate allows a change of Access on a distribution that has one.
	Migrate bool
	// RemoveOld takes the statement of the other Access out of the bucket's
	// policy once no edge needs it.
	RemoveOld bool

	// What follows is left as it is where it is empty or nil.
	Domain         string // a host name other than that of CloudFront
	CertificateARN string // its certificate in us-east-1
	PriceClass     string // as CloudFront names it
	LogBucket      string
	IPv6, HTTP3    *bool
}

var (
	edgePattern        = regexp.MustCompile(`^arn:aws:cloudfront::[0-9]{12}:function/[A-Za-z0-9_-]{1,64}$`)
	versionPattern     = regexp.MustCompile(`^arn:aws:lambda:([a-z0-9-]+):([0-9]{12}):function:([A-Za-z0-9_-]{1,64}):([0-9]+|\$LATEST|[A-Za-z0-9_-]+)$`)
	certificatePattern = regexp.MustCompile(`^arn:aws:acm:us-east-1:[0-9]{12}:certificate/[A-Za-z0-9-]+$`)
)

// ParseVersion checks the ARN of a function's version, or of a CloudFront
// function. Quotes and spaces around it are forgiven: the page prints one too
// many.
func ParseVersion(s string) (string, error) {
	arn := strings.Trim(s, "'\"` \t")
	m := versionPattern.FindStringSubmatch(arn)
	switch {
	case edgePattern.MatchString(arn):
		return arn, nil
	case strings.HasPrefix(arn, "arn:aws-"):
		return "", fmt.Errorf("%s: %w", arn, errPartition)
	case m == nil:
		return "", fmt.Errorf("%q is not the ARN of a version of a Lambda function: packagecloud-ctl bootstrap-cloudfront prints it", s)
	case m[1] != edgeRegion:
		return "", fmt.Errorf("the function %s is in %s: CloudFront takes functions of %s only", arn, m[1], edgeRegion)
	case strings.Trim(m[4], "0123456789") != "":
		return "", fmt.Errorf("%s has no numbered version: CloudFront takes neither aliases nor $LATEST; packagecloud-ctl bootstrap-cloudfront prints the right ARN", arn)
	}
	return arn, nil
}

// errPartition is for the partitions aws-cn and aws-us-gov.
var errPartition = errors.New("this set-up is for the commercial regions of AWS. CloudFront of the regions in China has no Lambda@Edge, and those of GovCloud have no CloudFront. Let clients download from the bucket, or from an edge of your own (edge_url)")

// checkPartition refuses credentials of another partition than aws.
func checkPartition(caller string) error {
	if caller != "" && !strings.HasPrefix(caller, "arn:aws:") {
		return fmt.Errorf("the AWS credentials are those of %s: %w", caller, errPartition)
	}
	return nil
}

func (s *Settings) check(scope Scope) error {
	if s.Bucket == "" {
		return errors.New("there is no bucket: set packagecloud_rails['s3_bucket']")
	}
	if strings.Contains(s.Bucket, ".") {
		return fmt.Errorf("the bucket %s has a dot in its name, and the certificates of S3 do not cover that: CloudFront could not reach it. Use another bucket", s.Bucket)
	}
	if strings.HasPrefix(s.Region, "cn-") || strings.HasPrefix(s.Region, "us-gov-") {
		return fmt.Errorf("the bucket %s is in %s: %w", s.Bucket, s.Region, errPartition)
	}
	if scope&Function != 0 && len(s.Secrets) == 0 {
		return errors.New("there is no secret: run packagecloud-ctl generate-cloudfront-secret, and add the line that it prints")
	}
	if s.CertificateARN != "" && !certificatePattern.MatchString(s.CertificateARN) {
		return fmt.Errorf("%q is not the ARN of a certificate of ACM in us-east-1, the only region that CloudFront takes them from", s.CertificateARN)
	}
	if s.CertificateARN != "" && s.Domain == "" {
		return errors.New("cloudfront_certificate_arn is set, but cloudfront_packages_domain is no host name of your own: set that as well")
	}
	return nil
}

// reference names what belongs to the bucket, besides what has its Name.
func (s *Settings) reference() string { return limited(referencePrefix, s.Bucket) }

const referencePrefix = "packagecloud_"

func (s *Settings) originDomain() string { return s.Bucket + ".s3." + s.Region + ".amazonaws.com" }

// sortedSecrets is the same for the same set of secrets, so that swapping two
// of them is no change.
func (s *Settings) sortedSecrets() []string {
	secrets := slices.Clone(s.Secrets)
	slices.Sort(secrets)
	return slices.Compact(secrets)
}

// fingerprint tells two versions of the function apart by all that they are
// made of. It stands in the description of a version: the code itself is no
// help, because KMS never encrypts the same way twice. The secrets are the key
// of an HMAC, so it tells nothing of them.
func (s *Settings) fingerprint(o *Observed) (string, error) {
	code, err := s.Code(o.Name, o.Key.ARN, []byte("fingerprint"), s.sortedSecrets()...)
	if err != nil {
		return "", fmt.Errorf("make the function: %w", err)
	}
	sum := sha256.Sum256(code)
	mac := hmac.New(sha256.New, []byte(strings.Join(s.sortedSecrets(), "\n")))
	fmt.Fprintf(mac, "%x %s %s %d %d %s %s", sum, runtime, handler, memory, timeout, logLevels(logging()), o.roleARN())
	return "packagecloud " + hex.EncodeToString(mac.Sum(nil)[:16]), nil
}
