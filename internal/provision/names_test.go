package provision_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/edge"
	"packagecloud/internal/provision"
)

// neighbor is another installation in the account of a site: a bucket of its own
// and another secret.
func (s *site) neighbor() *site { return &site{fake: s.fake, check: s.check, bucket: "others"} }

// installation is what an account has of one installation, and what its edges
// know.
func (s *site) installation(t *testing.T, id, name string) string {
	t.Helper()
	_, g, ok := s.fake.Distribution(id)
	if !ok {
		t.Fatalf("there is no distribution %s", id)
	}
	var b strings.Builder
	fmt.Fprintln(&b, plain(t, g), s.fake.BucketPolicy(s.settings().Bucket), s.fake.BucketTags(s.settings().Bucket))
	role, _ := s.fake.RolePolicy(name, name)
	fmt.Fprintln(&b, role, s.fake.FunctionVersions(name), s.fake.KeyValues(name))
	for _, a := range g.DefaultCacheBehavior.LambdaFunctionAssociations.Items {
		code, _ := s.fake.FunctionCode(aws.ToString(a.LambdaFunctionARN))
		fmt.Fprintf(&b, "%x\n", code)
	}
	return b.String()
}

// with runs everything for the secrets.
func (s *site) with(t *testing.T, change func(*provision.Settings), secrets ...string) *provision.Result {
	t.Helper()
	r := s.runner(nil)
	r.Settings.Secrets = secrets
	if change != nil {
		change(&r.Settings)
	}
	result, err := r.Run(t.Context(), provision.Everything)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// TestTwoInstallations has two in one account, with each pair of checks: neither
// changes anything of the other, when it is made or when its secrets change.
func TestTwoInstallations(t *testing.T) {
	for _, one := range both {
		for _, two := range both {
			t.Run(string(one)+" and "+string(two), func(t *testing.T) {
				a := newSiteOf(one)
				b := a.neighbor()
				b.check = two
				first := a.with(t, nil, secret)
				before := a.installation(t, first.DistributionID, ours)
				theirs := b.with(t, nil, second)
				if got := a.installation(t, first.DistributionID, ours); got != before {
					t.Errorf("the second changed the first (-before +after):\n%s", cmp.Diff(before, got))
				}
				if theirs.Version == first.Version || theirs.DistributionID == first.DistributionID {
					t.Errorf("they share something: %+v %+v", first, theirs)
				}
				name := provision.Name("others")
				before = b.installation(t, theirs.DistributionID, name)
				a.with(t, nil, secret, third)
				a.with(t, nil, third)
				if got := b.installation(t, theirs.DistributionID, name); got != before {
					t.Errorf("the first changed the second (-before +after):\n%s", cmp.Diff(before, got))
				}
			})
		}
	}
}

const third = "a third secret, of which nobody knows anything yet"

// TestUnnamedKey has the key of another installation that is not named yet, as a
// killed run leaves it: it is not taken.
func TestUnnamedKey(t *testing.T) {
	s := newSite()
	r := s.neighbor().runner(nil)
	for action := range 2 { // the key, and not its alias
		plan, err := r.Plan(t.Context(), provision.Function)
		if err != nil || action == 1 && plan.Actions[0].Verb != "name the key" {
			t.Fatalf("%+v %v", plan, err)
		}
		if action == 0 {
			s.fake.AddKey(map[string]string{provision.Tag: "true", "packagecloud:name": provision.Name("others")})
		}
	}
	s.run(t)
	if n := len(s.fake.Keys()); n != 2 {
		t.Errorf("there are %d keys", n)
	}
}

// TestLongBucket has a bucket whose name is too long for what is named by it.
func TestLongBucket(t *testing.T) {
	long := strings.Repeat("b", 63)
	if a, b := provision.Name(long), provision.Name(long[:62]+"c"); len(a) != 64 || a == b {
		t.Errorf("%s %s", a, b)
	}
}

// old are the settings of an earlier version of this program.
func old(s *provision.Settings) { s.OldNames = true }

// forget takes out of a store what an earlier version did not put there.
func (s *site) forget() {
	if s.fake.KeyValues(provision.OldName) != nil {
		s.fake.ChangeKeyValues(provision.OldName, func(keys map[string]string) {
			maps.DeleteFunc(keys, func(k, _ string) bool { return strings.HasPrefix(k, "packagecloud_") })
		})
	}
}

// TestOldNames has an installation of an earlier version: it keeps its names, and
// nothing is taken out of its store that it did not put there.
func TestOldNames(t *testing.T) {
	for _, check := range both {
		t.Run(string(check), func(t *testing.T) {
			s := newSiteOf(check)
			first := s.with(t, old, secret)
			s.forget()
			if check == provision.CloudFrontFunction {
				s.fake.ChangeKeyValues(provision.OldName, func(keys map[string]string) { keys["deadbeef"] = "theirs" })
			}
			r := s.with(t, nil, secret)
			for _, a := range r.Done {
				if a.Verb != "record secrets in the key value store" && a.Verb != "wait for the key value store" {
					t.Errorf("it did %s", a)
				}
			}
			if r.Version != first.Version {
				t.Errorf("%s became %s", first.Version, r.Version)
			}
			names, err := s.runner(nil).Names(t.Context())
			if err != nil || !slices.Equal(names, []string{provision.OldName}) {
				t.Errorf("%q %v", names, err)
			}
			s.with(t, nil, secret, second)
			r = s.with(t, nil, second)
			if !strings.Contains(r.Version, provision.OldName) {
				t.Errorf("it runs %s", r.Version)
			}
			if check == provision.LambdaEdge {
				return
			}
			keys := s.fake.KeyValues(provision.OldName)
			if keys["deadbeef"] != "theirs" || keys[edge.KeyID(secret)] != "" || keys[edge.KeyID(second)] != second {
				t.Errorf("the store has %v", slices.Sorted(maps.Keys(keys)))
			}
		})
	}
}

// TestSharedOldNames has two installations of an earlier version in one account,
// which share a function. The one that is set up first moves to names of its own,
// and the links of the other stay good.
func TestSharedOldNames(t *testing.T) {
	for _, check := range both {
		t.Run(string(check), func(t *testing.T) {
			a := newSiteOf(check)
			b := a.neighbor()
			first := a.with(t, old, secret)
			a.forget()
			theirs := b.with(t, old, second)
			a.forget()
			before := b.installation(t, theirs.DistributionID, provision.OldName)
			plan, err := a.runner(nil).Plan(t.Context(), provision.Everything)
			if err != nil || !strings.Contains(strings.Join(plan.Notices, "\n"), "also checks links for "+theirs.DistributionID) {
				t.Errorf("%+v %v", plan, err)
			}
			moved := a.with(t, nil, secret)
			if !strings.Contains(moved.Version, ours) || moved.DistributionID != first.DistributionID {
				t.Errorf("%+v", moved)
			}
			a.with(t, nil, third) // ends secret
			if got := b.installation(t, theirs.DistributionID, provision.OldName); got != before {
				t.Errorf("the other was changed (-before +after):\n%s", cmp.Diff(before, got))
			}
			if kept := b.with(t, nil, second); kept.Version != theirs.Version {
				t.Errorf("%s became %s", theirs.Version, kept.Version)
			}
		})
	}
}
