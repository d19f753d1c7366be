package doctor_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"packagecloud/internal/doctor"
	"packagecloud/internal/edge"
	"packagecloud/internal/provision"
	"packagecloud/internal/provision/awsfake"
)

// TestFaults plants each fault and expects its name and no other.
func TestFaults(t *testing.T) {
	findFaults(t, newWorld, []planted{
		{"healthy", func(*world) {}, both, "", ""},
		{"healthy, with a second secret", func(w *world) { w.deploy(secret, another); w.settings.Secrets = []string{secret, another} }, both, "", ""},
		{"healthy, with an origin access identity", func(w *world) {
			r := w.runner()
			r.Settings.Access, r.Settings.Migrate, r.Settings.RemoveOld = provision.AccessIdentity, true, true
			if _, err := r.Run(w.t.Context(), provision.Everything); err != nil {
				w.t.Fatal(err)
			}
		}, both, "", ""},
		{"healthy, with the printed permissions alone", func(w *world) { w.permit() }, told, "", ""},
		{"wrong secret", func(w *world) { w.settings.Secrets = []string{another} }, both, doctor.WrongSecret, "another secret"},
		{"a version with other secrets", func(w *world) {
			old := version(w)
			w.deploy(another)
			w.behavior(func(b *types.DefaultCacheBehavior) { b.LambdaFunctionAssociations.Items[0].LambdaFunctionARN = &old })
			w.settings.Secrets = []string{another}
		}, told, doctor.OldFunction, "auth_packages:2 has the secret"},
		{"only the second secret is at the edges", func(w *world) { w.settings.Secrets = []string{another, secret} }, both, doctor.OldFunction, "cloudfront_second_secret"},
		{"least TTL of 1 s", func(w *world) {
			w.policy(func(p *types.CachePolicyConfig) { p.MinTTL = aws.Int64(1) })
		}, both, doctor.MinTTL, "least TTL"},
		{"the managed policy with a least TTL", func(w *world) {
			w.behavior(func(b *types.DefaultCacheBehavior) {
				b.CachePolicyId = aws.String("658327ea-f89d-4fab-a63d-7e88639e58f6")
			})
		}, both, doctor.MinTTL, "least TTL"},
		{"query in the cache key", func(w *world) { w.policy(wholeQuery) }, told, doctor.QueryInKey, "copy of its own"},
		{"the same, not hidden by the function", func(w *world) { w.policy(wholeQuery); w.keepsT = true }, both, doctor.QueryInKey, "copy of its own"},
		{"function on origin-request", func(w *world) {
			w.behavior(func(b *types.DefaultCacheBehavior) {
				b.LambdaFunctionAssociations.Items[0].EventType = types.EventTypeOriginRequest
			})
		}, told, doctor.FunctionEvent, "origin-request"},
		{"no function", func(w *world) {
			w.behavior(func(b *types.DefaultCacheBehavior) { b.LambdaFunctionAssociations = nil })
		}, both, doctor.NoFunction, "nothing checks"},
		{"a function that fails", func(w *world) { w.broken = true }, both, doctor.FunctionFails, "503"},
		{"a distribution that is switched off", func(w *world) {
			w.aws.ChangeDistribution(w.id, func(c *types.DistributionConfig) { c.Enabled = aws.Bool(false) })
		}, told, doctor.Disabled, "disabled"},
		{"a proxy that takes ranges out", func(w *world) {
			w.client.Transport = tamper{w.client.Transport, func(r *http.Request) { r.Header.Del("Range") }}
		}, both, doctor.Ranges, "resumed"},
		{"a proxy that answers for CloudFront", func(w *world) {
			w.client.Transport = tamper{w.client.Transport, func(r *http.Request) { r.URL, _ = url.Parse(w.bucket.url + "/packages/x") }}
		}, both, doctor.WrongDomain, "not answered by CloudFront"},
		{"missing bucket statement", func(w *world) { w.aws.SetBucket("packages", `{"Version":"2012-10-17","Statement":[]}`, nil) }, both, doctor.BucketStatement, "does not let the distribution"},
		{"another bucket", func(w *world) {
			w.aws.ChangeDistribution(w.id, func(c *types.DistributionConfig) {
				c.Origins.Items[0].DomainName = aws.String("other.s3.eu-central-1.amazonaws.com")
			})
		}, told, doctor.WrongOrigin, "and not to the bucket packages"},
		{"a bucket policy that denies", func(w *world) {
			p := w.aws.BucketPolicy("packages")
			deny := `{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::packages/*"},`
			w.aws.SetBucket("packages", strings.Replace(p, `"Statement":[`, `"Statement":[`+deny, 1), nil)
		}, told, doctor.BucketDenies, "although"},
		{"public bucket", func(w *world) { w.bucket.public = true }, both, doctor.PublicBucket, "PUBLIC"},
		{"a bucket policy for everybody", func(w *world) {
			p := w.aws.BucketPolicy("packages")
			allow := `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::packages/*"},`
			w.aws.SetBucket("packages", strings.Replace(p, `"Statement":[`, `"Statement":[`+allow, 1), nil)
		}, told, doctor.PublicBucket, "PUBLIC"},
		{"wrong packages domain", func(w *world) { w.domain = "d0000000000000.cloudfront.net" }, both, doctor.WrongDomain, "d0000000000000.cloudfront.net"},
		{"a packages domain that is no host", func(w *world) {
			w.domain = "packages.example.com"
			w.resolves = func(host string) bool { return host != w.domain }
		}, both, doctor.WrongDomain, "there is no host packages.example.com"},
		{"clock ahead", func(w *world) { w.clock = 2 * time.Hour }, both, doctor.ClockOff, "2h0m0s ahead of"},
		{"clock behind", func(w *world) { w.clock = -2 * time.Hour }, both, doctor.ClockOff, "2h0m0s behind"},
		{"stale index: the bucket loses its header", func(w *world) { w.bucket.forgets = true }, both, doctor.StaleIndex, "without no-store"},
		{"stale index: stored before the headers", func(w *world) {
			w.bucket.objects["indexes/00/Packages"] = object{[]byte("Package: a\n"), "public, max-age=3600"}
		}, both, doctor.StaleIndex, "1 of 1 indexes"},
	})
}

// TestFaultsOfFunction has those that differ with a CloudFront function.
func TestFaultsOfFunction(t *testing.T) {
	begin := func(t *testing.T) *world { return newWorldOf(t, provision.CloudFrontFunction) }
	findFaults(t, begin, []planted{
		{"healthy", func(*world) {}, both, "", ""},
		{"healthy, with a second secret", func(w *world) { w.deploy(secret, another); w.settings.Secrets = []string{secret, another} }, both, "", ""},
		{"healthy, with the printed permissions alone", func(w *world) { w.permit() }, told, "", ""},
		{"wrong secret", func(w *world) { w.settings.Secrets = []string{another} }, both, doctor.WrongSecret, "another secret"},
		{"a secret on its way", func(w *world) {
			w.aws.Tick = time.Millisecond
			w.aws.ChangeKeyValues(provision.Name("packages"), func(keys map[string]string) { keys[edge.KeyID(another)] = another })
			w.settings.Secrets = []string{another, secret}
			w.stale = map[string]string{edge.KeyID(secret): secret}
		}, told, doctor.OldFunction, "cloudfront_second_secret"},
		{"the same, with one secret", func(w *world) {
			w.aws.Tick = time.Millisecond
			w.aws.ChangeKeyValues(provision.Name("packages"), func(keys map[string]string) { keys[edge.KeyID(another)] = another })
			w.settings.Secrets = []string{another}
			w.stale = map[string]string{edge.KeyID(secret): secret}
		}, told, doctor.OldFunction, "still on its way"},
		{"the check of before", func(w *world) {
			lambda := newWorld(w.t)
			lambda.settings.Secrets = []string{another}
			lambda.aws, lambda.settings.DistributionID = w.aws, w.id
			lambda.deploy(another)
			w.known = lambda.known
		}, told, doctor.OldFunction, "function/packagecloud_cloudfront_auth_packages has the secret"},
		{"no function", func(w *world) {
			w.behavior(func(b *types.DefaultCacheBehavior) { b.FunctionAssociations = nil })
		}, both, doctor.NoFunction, "nothing checks"},
		{"a function that fails", func(w *world) { w.broken = true }, both, doctor.FunctionFails, "503"},
		{"other code", func(w *world) { w.aws.DriftEdgeFunction(provision.Name("packages")) }, both, doctor.NoFunction, "nothing checks"},
	})
}

// planted is a fault and what it is to be called.
type planted struct {
	what  string
	plant func(*world)
	blind []bool
	want  string // empty for a healthy installation
	says  string // a part of its sentence
}

var (
	both = []bool{false, true} // with what AWS tells, and by requests alone
	told = both[:1]
)

func findFaults(t *testing.T, begin func(*testing.T) *world, list []planted) {
	for _, c := range list {
		for _, b := range c.blind {
			name := c.what
			if b {
				name += ", by requests alone"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := begin(t)
				w.blind = b
				c.plant(w)
				before := len(w.bucket.objects)
				r, err := w.doctor().Examine(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, entry := range w.edge.Entries() {
					t.Log(entry)
				}
				if len(w.bucket.objects) != before {
					t.Error("probes stayed in the bucket")
				}
				check(t, r, c.want, c.says)
			})
		}
	}
}

func check(t *testing.T, r *doctor.Report, want, says string) {
	t.Helper()
	t.Log(r.Notes)
	var names []string
	for _, f := range r.Faults {
		t.Logf("%s: %s: %s", f.Name, f.What, f.Do)
		names = append(names, f.Name)
	}
	if want == "" {
		for _, c := range r.Checks {
			if !c.OK {
				t.Errorf("%s: %s", c.What, c.Detail)
			}
		}
		if len(names) > 0 || len(r.Checks) != 11 {
			t.Errorf("a healthy installation has %q, and %d checks", names, len(r.Checks))
		}
		return
	}
	if !slices.Equal(names, []string{want}) {
		t.Fatalf("found %q, want %s alone", names, want)
	}
	f := r.Faults[0]
	if !strings.Contains(f.What, says) || f.Do == "" || strings.Contains(f.What+f.Do, "\n") {
		t.Errorf("the fault is told as %q: %q", f.What, f.Do)
	}
	if text := fmt.Sprint(r); strings.Contains(text, secret) || strings.Contains(text, another) {
		t.Error("a secret is told")
	}
}

// tamper changes requests on their way.
type tamper struct {
	http.RoundTripper
	change func(*http.Request)
}

func (t tamper) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	t.change(r)
	return t.RoundTripper.RoundTrip(r)
}

// permit allows what is printed, and nothing else.
func (w *world) permit() {
	may, err := awsfake.Evaluate(w.settings.Permissions(awsfake.Account, provision.Everything).String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.aws.Authorize = may
	if f, err := w.doctor().Facts(w.t.Context()); err != nil || f == nil {
		w.t.Errorf("the facts: %+v %v", f, err)
	}
}

// version is the one of the function that is in use.
func version(w *world) string {
	return aws.ToString(w.aws.AtEdges(w.id)[0].DefaultCacheBehavior.LambdaFunctionAssociations.Items[0].LambdaFunctionARN)
}

func wholeQuery(p *types.CachePolicyConfig) {
	p.ParametersInCacheKeyAndForwardedToOrigin.QueryStringsConfig = &types.CachePolicyQueryStringsConfig{QueryStringBehavior: types.CachePolicyQueryStringBehaviorAll}
}
