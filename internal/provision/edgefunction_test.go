package provision_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"packagecloud/internal/edge"
	"packagecloud/internal/provision"
)

const second = "Zt3kLq8WnB1xYc6vRj0uHs5gPe2mDa9oTf7iNrXwQzE"

// edgeARN is the ARN of the CloudFront function.
var edgeARN = "arn:aws:cloudfront::123456789012:function/" + ours

// checked fails if an edge would let unchecked requests pass at this moment, or
// refuse links of the secret, whichever configuration it has.
func (s *site) checked(t *testing.T) {
	t.Helper()
	for _, id := range s.fake.Distributions() {
		for _, g := range s.fake.AtEdges(id) {
			b := g.DefaultCacheBehavior
			lambdas, functions := b.LambdaFunctionAssociations.Items, b.FunctionAssociations.Items
			if len(lambdas)+len(functions) != 1 {
				t.Errorf("an edge runs %d functions", len(lambdas)+len(functions))
				continue
			}
			if len(lambdas) == 1 {
				if _, ok := s.fake.FunctionCode(*lambdas[0].LambdaFunctionARN); !ok {
					t.Errorf("an edge runs %s, which does not exist", *lambdas[0].LambdaFunctionARN)
				}
				continue
			}
			code, keys, ok := s.fake.EdgeFunction(*functions[0].FunctionARN)
			if !ok || string(code) != "the code" || keys[edge.KeyID(secret)] != secret {
				t.Errorf("an edge runs %s with %q and %v", *functions[0].FunctionARN, code, keys)
			}
		}
	}
}

// TestChangeCheck changes from one check to the other and back, and looks after
// each change what the edges have. Nothing of the other is changed.
func TestChangeCheck(t *testing.T) {
	s := newSite()
	s.fake.DeployPolls = 3
	first := s.run(t)
	s.fake.ChangeDistribution(first.DistributionID, func(g *types.DistributionConfig) { g.Comment = aws.String("do not touch") })
	s.fake.Changed = func(string) { s.checked(t) }
	s.check = provision.CloudFrontFunction
	if r := s.run(t); r.Version != edgeARN || r.DistributionID != first.DistributionID {
		t.Errorf("%+v", r)
	}
	if n := len(s.fake.FunctionVersions(ours)); n != 1 {
		t.Errorf("there are %d versions", n)
	}
	s.check = provision.LambdaEdge
	r := s.run(t)
	if r.Version != first.Version || len(s.fake.KeyValues(ours)) != 2 {
		t.Errorf("%+v", r)
	}
	if done := fmt.Sprint(r.Done); len(r.Done) != 2 || !strings.Contains(done, "update the distribution") || !strings.Contains(done, "wait for the distribution") {
		t.Errorf("to change back it did %s", done)
	}
	if _, g, _ := s.fake.Distribution(first.DistributionID); *g.Comment != "do not touch" {
		t.Errorf("the comment is %q", *g.Comment)
	}
}

// TestKeys adds and ends secrets. A key of somebody else stays.
func TestKeys(t *testing.T) {
	s := newSiteOf(provision.CloudFrontFunction)
	s.run(t)
	s.fake.ChangeKeyValues(ours, func(keys map[string]string) { keys["theirs"] = "x" })
	run := func(scope provision.Scope, want string, secrets ...string) {
		t.Helper()
		times := 0
		r := s.runner(func(next http.RoundTripper) http.RoundTripper {
			return transport(func(r *http.Request) (*http.Response, error) {
				// Somebody is faster.
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/keys") && times < 2 {
					times++
					s.fake.ChangeKeyValues(ours, func(keys map[string]string) { keys["theirs"] = fmt.Sprint(times) })
				}
				return next.RoundTrip(r)
			})
		})
		r.Settings.Secrets = secrets
		result, err := r.Run(t.Context(), scope)
		if err != nil {
			t.Fatal(err)
		}
		var done []string
		for _, a := range result.Done {
			done = append(done, string(a.Verb)+fmt.Sprint(a.Changes))
		}
		if got := strings.Join(done, ", "); got != want {
			t.Errorf("it did %s, want %s", got, want)
		}
		keys := s.fake.KeyValues(ours)
		for _, secret := range secrets {
			if keys[edge.KeyID(secret)] != secret {
				t.Errorf("a secret is not there: %v", slices.Collect(maps.Keys(keys)))
			}
		}
		if times > 0 && keys["theirs"] != "2" {
			t.Errorf("the key of somebody else is %q", keys["theirs"])
		}
	}
	one, two := edge.KeyID(secret), edge.KeyID(second)
	wait := "wait for the key value store[]"
	run(provision.Everything, wait, secret)
	run(provision.Everything, "put secrets into the key value store[put "+two+"], "+wait, secret, second)
	run(provision.Everything, "", second, secret)
	run(provision.Function, "", second) // links of the other are still good
	if n := len(s.fake.KeyValues(ours)); n != 4 {
		t.Errorf("%d keys", n)
	}
	run(provision.Everything, "take secrets out of the key value store[remove "+one+"], "+wait, second)
	if n := len(s.fake.KeyValues(ours)); n != 3 {
		t.Errorf("%d keys", n)
	}
}

// TestTwoCommands does what the two commands of the page do.
func TestTwoCommands(t *testing.T) {
	s := newSiteOf(provision.CloudFrontFunction)
	first, err := s.runner(nil).Run(t.Context(), provision.Function)
	if err != nil || first.Version != edgeARN {
		t.Fatal(first, err)
	}
	next := s.runner(nil)
	next.Settings.FunctionVersion = first.Version
	r, err := next.Run(t.Context(), provision.Distribution)
	if err != nil {
		t.Fatal(err)
	}
	_, g, _ := s.fake.Distribution(r.DistributionID)
	if a := g.DefaultCacheBehavior.FunctionAssociations.Items; len(a) != 1 || *a[0].FunctionARN != edgeARN || a[0].EventType != types.EventTypeViewerRequest {
		t.Errorf("associated: %s", plain(t, a))
	}
	for arn, want := range map[string]string{
		"arn:aws:lambda:us-east-1:123456789012:function:" + ours + ":1": "is not what packagecloud_rails['cloudfront_check'] asks for",
		edgeARN + "_other": "there is no published CloudFront function",
	} {
		next.Settings.FunctionVersion = arn
		if _, err := next.Run(t.Context(), provision.Distribution); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", arn, err)
		}
	}
	// Without one, what is there stays, also when the configuration has changed.
	s.check = provision.LambdaEdge
	if plan, err := s.runner(nil).Plan(t.Context(), provision.Distribution); err != nil || len(plan.Actions) != 0 {
		t.Errorf("%+v %v", plan, err)
	}
}

// TestEdgeDrift repairs what somebody changed, and publishes nothing whose test
// fails.
func TestEdgeDrift(t *testing.T) {
	s := newSiteOf(provision.CloudFrontFunction)
	s.fake.DeployPolls = 2
	s.run(t)
	s.fake.DriftEdgeFunction(ours)
	drifted, _, _ := s.fake.EdgeFunction(edgeARN)
	s.fake.RunEdgeFunction = func([]byte, map[string]string, []byte) ([]byte, error) { return nil, errors.New("TypeError") }
	if _, err := s.runner(nil).Run(t.Context(), provision.Everything); err == nil || !strings.Contains(err.Error(), "was not published: TypeError") {
		t.Error(err)
	}
	if code, _, _ := s.fake.EdgeFunction(edgeARN); string(code) != string(drifted) {
		t.Errorf("it was published: %s", code)
	}
	s.fake.RunEdgeFunction = func([]byte, map[string]string, []byte) ([]byte, error) { return []byte("refused"), nil }
	if _, err := s.runner(nil).Run(t.Context(), provision.Everything); err == nil || !strings.Contains(err.Error(), "does not see the secrets yet, for 3m0s now") {
		t.Error(err)
	}
	s.fake.RunEdgeFunction = runEdge
	s.run(t)
	s.checked(t)
	if plan, err := s.runner(nil).Plan(t.Context(), provision.Everything); err != nil || len(plan.Actions) != 0 {
		t.Errorf("%+v %v", plan, err)
	}
}

// TestEdgeUntouched has things in the way that are not ours.
func TestEdgeUntouched(t *testing.T) {
	viewer := func(event types.EventType, arn string) func(*types.DistributionConfig) {
		return func(g *types.DistributionConfig) {
			g.DefaultCacheBehavior.FunctionAssociations = &types.FunctionAssociations{Quantity: aws.Int32(0)}
			g.DefaultCacheBehavior.LambdaFunctionAssociations = &types.LambdaFunctionAssociations{Quantity: aws.Int32(1), Items: []types.LambdaFunctionAssociation{{EventType: event, LambdaFunctionARN: &arn}}}
		}
	}
	const lambda = "arn:aws:lambda:us-east-1:123456789012:function:theirs:1"
	for _, c := range []struct {
		what, want string
		change     func(*site, string)
	}{
		{"a function without the tag", "CloudFront function " + ours + ", which does not carry the tag", func(s *site, _ string) { s.fake.Untag(edgeARN) }},
		{"a store without the tag", "key value store " + ours + ", which does not carry the tag", func(s *site, _ string) { s.fake.Untag(ours) }},
		{"a Lambda function of others on viewer requests", "which is not ours and stays", func(s *site, id string) {
			s.fake.ChangeDistribution(id, viewer(types.EventTypeViewerRequest, lambda))
		}},
		{"one on viewer responses", "allows no function of its own beside it", func(s *site, id string) {
			s.fake.ChangeDistribution(id, viewer(types.EventTypeViewerResponse, lambda))
		}},
		{"a CloudFront function of others", "which is not ours and stays", func(s *site, id string) {
			s.fake.ChangeDistribution(id, func(g *types.DistributionConfig) {
				g.DefaultCacheBehavior.FunctionAssociations.Items[0].FunctionARN = aws.String("arn:aws:cloudfront::123456789012:function/theirs")
			})
		}},
	} {
		s := newSiteOf(provision.CloudFrontFunction)
		c.change(s, s.run(t).DistributionID)
		before := s.state0()
		r := s.runner(nil)
		r.Settings.Secrets = []string{second}
		if _, err := r.Run(t.Context(), provision.Everything); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
		if s.state0() != before {
			t.Errorf("%s: something was changed", c.what)
		}
	}
}
