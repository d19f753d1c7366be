// Package awsfake is a small AWS for tests: the calls of IAM, STS, KMS, Lambda,
// CloudFront, its key value stores and S3 that package provision makes, in their real wire protocols,
// with the behaviour that trips programs up: ETags, resources that other
// services cannot see yet, policies that come back rewritten, versions that are
// only published if something changed. Its tests let aws-cli and the SDK for
// Python judge it.
//
// One handler serves all services: set AWS_ENDPOINT_URL, and path style for S3.
// It knows the control plane only; what the edge does with a distribution is
// for others, who read the configuration by Distribution, FunctionCode,
// EdgeFunction and BucketPolicy. Signatures are not verified.
package awsfake

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	cloudfront "github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// Account is the number of the only account.
const Account = "123456789012"

// Caller is who makes every call.
const Caller = "arn:aws:iam::" + Account + ":user/operator"

// maxBody is the largest request, in bytes; a function's code is in one.
const maxBody = 16 << 20

// Check is one permission that a call needed.
type Check struct {
	Service, Operation string // the call
	Action, Resource   string // the permission; Resource is "*" where AWS has none
	Context            map[string]string
}

// Fake is an AWS account. The zero value is not ready: use New. The knobs are
// set before it is used.
type Fake struct {
	// RoleDelay is how many calls of CreateFunction fail because Lambda cannot
	// assume a role that was just made.
	RoleDelay int
	// PrincipalDelay is how many calls of PutBucketPolicy fail because S3 does
	// not know a new origin access identity yet.
	PrincipalDelay int
	// PendingPolls is how many calls of GetFunction find a new or changed
	// function not ready.
	PendingPolls int
	// DeployPolls is how many calls of GetDistribution find a change of a
	// distribution not deployed.
	DeployPolls int
	// StorePolls is how many calls of DescribeKeyValueStore find a new store not
	// ready.
	StorePolls int
	// KeyDelay is how many calls of TestFunction find no key in the store.
	KeyDelay int
	// RunEdgeFunction runs the code of a CloudFront function with the keys of
	// its store for TestFunction, and returns what the function makes of an
	// event. Nil lets every test fail.
	RunEdgeFunction func(code []byte, keys map[string]string, event []byte) (output []byte, err error)
	// Tick is how much time passes with each call; 0 means a second.
	Tick time.Duration
	// PageSize is how many entries a listing returns at most; 0 means 100.
	PageSize int
	// Authorize decides whether the caller may; nil allows everything. Calls
	// of it are never concurrent.
	Authorize func(Check) bool
	// Forbid names the kind of policy that denies a call in so many words, such as
	// "service control policy"; empty for none. Nil forbids nothing.
	Forbid func(Check) string
	// Unverified is an account that AWS has not verified for CloudFront.
	Unverified bool
	// BadToken is that the credentials have a session token that key value stores
	// do not take.
	BadToken bool
	// TakenNames are host names that distributions of other accounts have.
	TakenNames []string
	// Changed is called after each call that changed something; nil for none.
	Changed func(operation string)

	mu            sync.Mutex
	checks        []Check
	count         int // makes ids and ETags different
	changed       bool
	now           time.Time
	roles         map[string]*role
	keys          map[string]*kmsKey
	aliases       map[string]string // alias/NAME -> key id
	functions     map[string]*lambdaFunction
	buckets       map[string]*bucket
	distributions map[string]*distribution
	identities    map[string]*cloudfront.CloudFrontOriginAccessIdentity
	controls      map[string]*cloudfront.OriginAccessControl
	policies      map[string]*cloudfront.CachePolicy
	requests      map[string]*cloudfront.OriginRequestPolicyConfig
	edgeFunctions map[string]*edgeFunction
	stores        map[string]*keyValueStore // by name
}

// New makes an empty account with buckets, by name, in a region.
func New(region string, buckets ...string) *Fake {
	f := &Fake{
		now:   time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		roles: map[string]*role{}, keys: map[string]*kmsKey{}, aliases: map[string]string{},
		functions: map[string]*lambdaFunction{}, buckets: map[string]*bucket{}, distributions: map[string]*distribution{},
		identities: map[string]*cloudfront.CloudFrontOriginAccessIdentity{},
		controls:   map[string]*cloudfront.OriginAccessControl{}, policies: map[string]*cloudfront.CachePolicy{},
		requests:      map[string]*cloudfront.OriginRequestPolicyConfig{},
		edgeFunctions: map[string]*edgeFunction{}, stores: map[string]*keyValueStore{},
	}
	for _, name := range buckets {
		f.buckets[name] = &bucket{region: region}
	}
	return f
}

// Checks lists the permissions that calls needed, in order.
func (f *Fake) Checks() []Check {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.checks)
}

// Pass lets time pass.
func (f *Fake) Pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// call is a request while it is answered. Its answer is encoded by the service.
type call struct {
	service, operation string
	r                  *http.Request
	body               []byte
}

// apiError is an answer that is an error.
type apiError struct {
	status        int
	code, message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

func fail(status int, code, format string, args ...any) *apiError {
	return &apiError{status, code, fmt.Sprintf(format, args...)}
}

// ServeHTTP answers a call of any service.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	c := &call{r: r, body: body}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed = false
	f.now = f.now.Add(cmp.Or(f.Tick, time.Second))
	w.Header().Set("X-Amzn-Requestid", f.id(""))
	switch target := r.Header.Get("X-Amz-Target"); {
	case strings.HasPrefix(r.URL.Path, "/2020-05-31/"):
		f.serveCloudFront(w, c)
	case strings.HasPrefix(r.URL.Path, "/key-value-stores/"):
		f.serveKeyValues(w, c)
	case strings.HasPrefix(r.URL.Path, "/2015-03-31/functions"), strings.HasPrefix(r.URL.Path, "/2017-03-31/tags/"):
		f.serveLambda(w, c)
	case strings.HasPrefix(target, "TrentService."):
		f.serveKMS(w, c, strings.TrimPrefix(target, "TrentService."))
	case r.Method == http.MethodPost && r.URL.Path == "/" && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		f.serveQuery(w, c)
	default:
		f.serveS3(w, c)
	}
	if f.changed && f.Changed != nil {
		f.mu.Unlock() // so that it can look
		f.Changed(c.operation)
		f.mu.Lock()
	}
}

// may checks a permission of the caller.
func (f *Fake) may(c *call, action, resource string, context ...string) error {
	check := Check{Service: c.service, Operation: c.operation, Action: action, Resource: resource}
	if len(context) > 0 {
		check.Context = map[string]string{}
		for i := 0; i < len(context); i += 2 {
			check.Context[context[i]] = context[i+1]
		}
	}
	f.checks = append(f.checks, check)
	code := "AccessDenied"
	if c.service == "lambda" || c.service == "kms" || c.service == "cloudfront-keyvaluestore" {
		code = "AccessDeniedException"
	}
	if f.Forbid != nil {
		if kind := f.Forbid(check); kind != "" {
			return fail(http.StatusForbidden, code, "User: %s is not authorized to perform: %s on resource: %s with an explicit deny in %s", Caller, action, resource, article(kind))
		}
	}
	if f.Authorize == nil || f.Authorize(check) {
		return nil
	}
	return fail(http.StatusForbidden, code, "User: %s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action", Caller, action, resource, action)
}

// article puts the right one before a kind of policy.
func article(kind string) string {
	if strings.HasPrefix(kind, "identity") {
		return "an " + kind
	}
	return "a " + kind
}

// id is a new identifier that looks like AWS's.
func (f *Fake) id(prefix string) string {
	f.count++
	return fmt.Sprintf("%s%010X", prefix, 0x1ABCDE0000+f.count*7919)
}

// uuid is a new random identifier.
func uuid() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Drift changes what somebody may have changed by hand: the role trusts nobody
// and may do nothing, and the function has another timeout.
func (f *Fake) Drift(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	const empty = `{"Version":"2012-10-17","Statement":[]}`
	f.roles[name].trust = empty
	f.roles[name].policies = map[string]string{name: empty}
	v := &f.functions[name].versions[0]
	v.Timeout = 1
	v.touch(f)
}

// Untag takes all tags from a distribution by its id, a CloudFront function by
// its ARN, or a key value store by its name.
func (f *Fake) Untag(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.distributions[id]; d != nil {
		clear(d.tags)
	}
	if e := f.edgeFunctions[strings.TrimPrefix(id, edgeFunctionPrefix)]; e != nil && strings.HasPrefix(id, edgeFunctionPrefix) {
		clear(e.tags)
	}
	if s := f.stores[id]; s != nil {
		clear(s.tags)
	}
}
