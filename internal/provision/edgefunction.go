package provision

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// The check as a CloudFront function. It has two stages and no versions: what
// is right in DEVELOPMENT is tested and published, and then at all edges, with
// the same ARN.

const (
	edgeFunctionComment = "packagecloud: checks the signatures of download links"
	edgeRuntime         = types.FunctionRuntimeCloudfrontJs20
)

// EdgeFunction is what Settings say of the CloudFront function.
type EdgeFunction struct {
	// Code is its code. There is no secret in it.
	Code []byte
	// KeyID names a secret in the store.
	KeyID func(secret string) string
	// Probe makes an event with a link that a secret has signed, and tells
	// whether what the function makes of it is right.
	Probe func(secret string) (event []byte, right func(output string) bool, err error)
}

// ObservedEdgeFunction is the CloudFront function.
type ObservedEdgeFunction struct {
	ARN         string
	ETag        string // of DEVELOPMENT
	Development *Stage
	Live        *Stage // nil if it is not published
	Tags        map[string]string
}

// Stage is one of the two.
type Stage struct {
	Code             []byte
	Runtime, Comment string
	Stores           []string // the ARNs of its key value stores
}

// edgeFunctionARN is that of our CloudFront function, which is known before it
// is made.
func (o *Observed) edgeFunctionARN() string {
	return "arn:aws:cloudfront::" + o.Account + ":function/" + o.Name
}

// readEdgeFunction reads both stages.
func (a *observer) readEdgeFunction(ctx context.Context, o *Observed) error {
	f := &ObservedEdgeFunction{}
	var summary *types.FunctionSummary
	var err error
	if f.Development, summary, f.ETag, err = a.readStage(ctx, o, types.FunctionStageDevelopment); err != nil || f.Development == nil {
		return err
	}
	f.ARN = aws.ToString(summary.FunctionMetadata.FunctionARN)
	if f.Live, _, _, err = a.readStage(ctx, o, types.FunctionStageLive); err != nil {
		return err
	}
	if f.Tags, err = a.cloudFrontTags(ctx, f.ARN); err != nil {
		return err
	}
	o.EdgeFunction = f
	return nil
}

// readStage is nil if there is no such stage. The code is read after the ETag,
// so that who changed it in between makes the ETag wrong and not the code.
func (a *observer) readStage(ctx context.Context, o *Observed, stage types.FunctionStage) (*Stage, *types.FunctionSummary, string, error) {
	arn := o.edgeFunctionARN()
	out, err := a.CloudFront.DescribeFunction(ctx, &cloudfront.DescribeFunctionInput{Name: aws.String(o.Name), Stage: stage})
	if code(err) == "NoSuchFunctionExists" {
		return nil, nil, "", nil
	}
	if err != nil {
		return nil, nil, "", denied(err, "cloudfront:DescribeFunction", arn, "read the CloudFront function %s", o.Name)
	}
	text, err := a.CloudFront.GetFunction(ctx, &cloudfront.GetFunctionInput{Name: aws.String(o.Name), Stage: stage})
	if err != nil {
		return nil, nil, "", denied(err, "cloudfront:GetFunction", arn, "read the code of the CloudFront function %s", o.Name)
	}
	g := out.FunctionSummary.FunctionConfig
	s := &Stage{Code: text.FunctionCode, Runtime: string(g.Runtime), Comment: aws.ToString(g.Comment)}
	if g.KeyValueStoreAssociations != nil {
		for _, k := range g.KeyValueStoreAssociations.Items {
			s.Stores = append(s.Stores, aws.ToString(k.KeyValueStoreARN))
		}
	}
	return s, out.FunctionSummary, aws.ToString(out.ETag), nil
}

// drift is how a stage differs from the right one. A nil stage differs in
// nothing that could be told.
func (st *Stage) drift(s *Settings, o *Observed) (changes []string) {
	store := unknown
	if o.Store != nil {
		store = o.Store.ARN
	}
	for _, c := range []struct{ name, have, want string }{
		{"runtime", st.Runtime, string(edgeRuntime)},
		{"key value store", strings.Join(st.Stores, ", "), store},
		{"comment", st.Comment, edgeFunctionComment},
	} {
		if c.have != c.want {
			changes = append(changes, change(c.name, c.have, c.want))
		}
	}
	if !bytes.Equal(st.Code, s.Edge.Code) {
		changes = append(changes, "code: that of this program")
	}
	return changes
}

// edgeFunction plans the CloudFront function and what it needs.
func (p *Plan) edgeFunction(s *Settings, o *Observed) error {
	if err := p.store(s, o); err != nil {
		return err
	}
	f := o.EdgeFunction
	if f == nil {
		p.add(createEdgeFunction, o.Name, "it checks the signatures of download links at the edge")
		p.add(publishEdgeFunction, o.Name, "CloudFront takes published functions only")
		return nil
	}
	if !ours(f.Tags) {
		return notOurs("CloudFront function", o.Name)
	}
	changes := f.Development.drift(s, o)
	if len(changes) > 0 {
		p.add(updateEdgeFunction, o.Name, "the function is not the right one", changes...)
	}
	if len(changes) > 0 || f.Live == nil || len(f.Live.drift(s, o)) > 0 {
		p.add(publishEdgeFunction, o.Name, "the edges run what is published")
	}
	return nil
}

// rightEdgeFunction is the ARN of the function if it and its secrets are right.
func rightEdgeFunction(s *Settings, o *Observed) string {
	f := o.EdgeFunction
	if f == nil || f.Live == nil || o.Store == nil || len(f.Live.drift(s, o)) > 0 || len(o.Store.missing(s)) > 0 {
		return ""
	}
	return f.ARN
}

func (r *Runner) doEdgeFunction(ctx context.Context, o *Observed, v Verb) error {
	if o.Store == nil || !o.Store.Ready {
		return errNoStoreYet
	}
	g, arn := edgeConfig(o.Store.ARN), o.edgeFunctionARN()
	switch v {
	case createEdgeFunction:
		_, err := r.AWS.CloudFront.CreateFunction(ctx, &cloudfront.CreateFunctionInput{Name: aws.String(o.Name), FunctionConfig: g, FunctionCode: r.Settings.Edge.Code, Tags: ourTags()})
		return refused(err, "cloudfront:CreateFunction", "*")
	case updateEdgeFunction:
		_, err := r.AWS.CloudFront.UpdateFunction(ctx, &cloudfront.UpdateFunctionInput{
			Name: aws.String(o.Name), IfMatch: aws.String(o.EdgeFunction.ETag), FunctionConfig: g, FunctionCode: r.Settings.Edge.Code,
		})
		return refused(err, "cloudfront:UpdateFunction", arn)
	}
	if err := r.testEdgeFunction(ctx, o); err != nil {
		return err
	}
	_, err := r.AWS.CloudFront.PublishFunction(ctx, &cloudfront.PublishFunctionInput{Name: aws.String(o.Name), IfMatch: aws.String(o.EdgeFunction.ETag)})
	return refused(err, "cloudfront:PublishFunction", arn)
}

// edgeConfig is the configuration of the function, given the ARN of its store.
func edgeConfig(store string) *types.FunctionConfig {
	return &types.FunctionConfig{
		Comment: aws.String(edgeFunctionComment), Runtime: edgeRuntime,
		KeyValueStoreAssociations: &types.KeyValueStoreAssociations{
			Quantity: aws.Int32(1), Items: []types.KeyValueStoreAssociation{{KeyValueStoreARN: aws.String(store)}},
		},
	}
}

// testEdgeFunction lets CloudFront run what is about to be published, with a
// link of each secret.
func (r *Runner) testEdgeFunction(ctx context.Context, o *Observed) error {
	for _, secret := range r.Settings.sortedSecrets() {
		event, right, err := r.Settings.Edge.Probe(secret)
		if err != nil {
			return fmt.Errorf("make a link to test the function: %w", err)
		}
		out, err := r.AWS.CloudFront.TestFunction(ctx, &cloudfront.TestFunctionInput{
			Name: aws.String(o.Name), IfMatch: aws.String(o.EdgeFunction.ETag), Stage: types.FunctionStageDevelopment, EventObject: event,
		})
		if err != nil {
			return refused(err, "cloudfront:TestFunction", o.edgeFunctionARN())
		}
		t := out.TestResult
		if message := aws.ToString(t.FunctionErrorMessage); message != "" {
			return fmt.Errorf("the function fails in CloudFront's test, and was not published: %s", message)
		}
		if !right(aws.ToString(t.FunctionOutput)) {
			return errNotSeen
		}
		r.say("  the test of a link by %s passes, with %s%% of the time that a function may use", r.Settings.Edge.KeyID(secret), aws.ToString(t.ComputeUtilization))
	}
	return nil
}

// edgeAssociation is what runs on viewer requests of a behaviour, nil for none.
func edgeAssociation(b *types.DefaultCacheBehavior) *types.FunctionAssociation {
	if b.FunctionAssociations == nil {
		return nil
	}
	items := b.FunctionAssociations.Items
	i := slices.IndexFunc(items, func(a types.FunctionAssociation) bool { return a.EventType == types.EventTypeViewerRequest })
	if i < 0 {
		return nil
	}
	return &items[i]
}

// chooseEdgeFunction is the function that the distribution should have. In a
// scope that makes it, it may not be there yet.
func (s *Settings) chooseEdgeFunction(o *Observed, scope Scope) (string, error) {
	arn := o.edgeFunctionARN()
	switch f := o.EdgeFunction; {
	case scope&Function != 0:
		return arn, nil
	case s.FunctionVersion != arn, f == nil, f.Live == nil:
		return "", fmt.Errorf("there is no published CloudFront function %s of the name %s in the account %s: packagecloud-ctl bootstrap-cloudfront prints the right one", s.FunctionVersion, o.Name, o.Account)
	case !ours(f.Tags):
		return "", notOurs("CloudFront function", o.Name)
	}
	return arn, nil
}
