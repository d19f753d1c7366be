package awsfake

import (
	"bytes"
	"maps"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cloudfront "github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

const (
	edgeFunctionPrefix = cloudFrontARN + "function/"
	maxEdgeFunction    = 10 << 10 // bytes of code
)

// edgeFunction is a CloudFront function with its two stages.
type edgeFunction struct {
	name, etag  string // of DEVELOPMENT
	development edgeStage
	live        *edgeStage // nil until it is published
	tags        map[string]string
}

type edgeStage struct {
	config   *cloudfront.FunctionConfig
	code     []byte
	modified time.Time
}

// EdgeFunction is what edges run for the ARN of a CloudFront function: its
// published code, and the keys of its store.
func (f *Fake) EdgeFunction(arn string) (code []byte, keys map[string]string, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.edgeFunctions {
		if e.live != nil && edgeFunctionPrefix+e.name == arn {
			return e.live.code, f.keysOf(e.live), true
		}
	}
	return nil, nil, false
}

// EdgeFunctionConfig is the published configuration of a CloudFront function, and
// the comment of the key value store of its name.
func (f *Fake) EdgeFunctionConfig(name string) (config cloudfront.FunctionConfig, comment string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *f.edgeFunctions[name].live.config, f.stores[name].comment
}

// keysOf are the keys of the store of a stage.
func (f *Fake) keysOf(s *edgeStage) map[string]string {
	if a := s.config.KeyValueStoreAssociations; a != nil && len(a.Items) > 0 {
		if store := f.storeByARN(aws.ToString(a.Items[0].KeyValueStoreARN)); store != nil {
			return maps.Clone(store.keys)
		}
	}
	return nil
}

// DriftEdgeFunction changes a CloudFront function as somebody else would: other
// code is published, and under development.
func (f *Fake) DriftEdgeFunction(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.edgeFunctions[name]
	e.development.code, e.etag = []byte("function handler(event) { return event.request; }"), f.id("ETV")
	same := e.development
	e.live = &same
}

// summary shows a stage.
func (f *Fake) summary(e *edgeFunction, s *edgeStage) *cloudfront.FunctionSummary {
	stage, status := cloudfront.FunctionStageDevelopment, "UNPUBLISHED"
	if s == e.live {
		stage, status = cloudfront.FunctionStageLive, "UNASSOCIATED"
		for range f.running(e) {
			status = "DEPLOYED"
		}
	}
	return &cloudfront.FunctionSummary{
		Name: &e.name, Status: &status, FunctionConfig: s.config,
		FunctionMetadata: &cloudfront.FunctionMetadata{FunctionARN: aws.String(edgeFunctionPrefix + e.name), Stage: stage, CreatedTime: &s.modified, LastModifiedTime: &s.modified},
	}
}

// running are the distributions that run a function.
func (f *Fake) running(e *edgeFunction) (list []*distribution) {
	for _, d := range f.distributions {
		if a := d.config.DefaultCacheBehavior.FunctionAssociations; a != nil {
			for _, item := range a.Items {
				if aws.ToString(item.FunctionARN) == edgeFunctionPrefix+e.name {
					list = append(list, d)
				}
			}
		}
	}
	return list
}

// edgeFunction finds the stage that a call names, and checks a permission.
func (f *Fake) edgeFunction(c *call, action, name string, stage cloudfront.FunctionStage) (*edgeFunction, *edgeStage, error) {
	if err := f.may(c, action, edgeFunctionPrefix+name); err != nil {
		return nil, nil, err
	}
	e := f.edgeFunctions[name]
	if e == nil || stage == cloudfront.FunctionStageLive && e.live == nil {
		return nil, nil, fail(http.StatusNotFound, "NoSuchFunctionExists", "The specified function does not exist.")
	}
	if stage == cloudfront.FunctionStageLive {
		return e, e.live, nil
	}
	return e, &e.development, nil
}

// matchingEdgeFunction finds a function whose DEVELOPMENT stage has the ETag
// that a call names.
func (f *Fake) matchingEdgeFunction(c *call, action, name string) (*edgeFunction, error) {
	e, _, err := f.edgeFunction(c, action, name, "")
	if err != nil {
		return nil, err
	}
	switch c.r.Header.Get("If-Match") {
	case "":
		return nil, fail(http.StatusBadRequest, "InvalidIfMatchVersion", "The If-Match version is missing or not valid for the resource.")
	case e.etag:
		return e, nil
	}
	return nil, fail(http.StatusPreconditionFailed, "PreconditionFailed", "The request failed because it didn't meet the preconditions in one or more request-header fields.")
}

// edgeFunctionRequest is the body of CreateFunction and UpdateFunction.
type edgeFunctionRequest struct {
	Name           *string
	FunctionConfig *cloudfront.FunctionConfig
	FunctionCode   []byte
	Tags           *cloudfront.Tags
}

// stage checks what a request asks for.
func (f *Fake) stage(in *edgeFunctionRequest) (edgeStage, error) {
	g := in.FunctionConfig
	if g == nil || g.Comment == nil || g.Runtime == "" || len(in.FunctionCode) == 0 {
		return edgeStage{}, fail(http.StatusBadRequest, "InvalidArgument", "Comment, Runtime and FunctionCode are required")
	}
	if len(in.FunctionCode) > maxEdgeFunction {
		return edgeStage{}, fail(http.StatusRequestEntityTooLarge, "FunctionSizeLimitExceeded", "The function is too large.")
	}
	if a := g.KeyValueStoreAssociations; a != nil && len(a.Items) > 0 {
		store := f.storeByARN(aws.ToString(a.Items[0].KeyValueStoreARN))
		switch {
		case len(a.Items) > 1, g.Runtime != cloudfront.FunctionRuntimeCloudfrontJs20:
			return edgeStage{}, fail(http.StatusBadRequest, "InvalidArgument", "one key value store may be associated, with the runtime cloudfront-js-2.0")
		case store == nil, store.polls > 0:
			return edgeStage{}, fail(http.StatusBadRequest, "InvalidArgument", "the key value store does not exist or is not ready")
		}
	}
	return edgeStage{config: g, code: bytes.Clone(in.FunctionCode), modified: f.now}, nil
}

func (f *Fake) createEdgeFunction(c *call, _ string) (answer, error) {
	c.operation = "CreateFunction"
	if err := f.may(c, "cloudfront:CreateFunction", "*"); err != nil {
		return answer{}, err
	}
	in := &edgeFunctionRequest{}
	if err := parse(c, "CreateFunctionRequest", in); err != nil {
		return answer{}, err
	}
	name := aws.ToString(in.Name)
	tags, err := f.newTags(c, edgeFunctionPrefix+name, in.Tags)
	if err != nil {
		return answer{}, err
	}
	if f.edgeFunctions[name] != nil {
		return answer{}, fail(http.StatusConflict, "FunctionAlreadyExists", "A function with the same name already exists in this AWS account.")
	}
	s, err := f.stage(in)
	if err != nil {
		return answer{}, err
	}
	e := &edgeFunction{name: name, etag: f.id("ETV"), development: s, tags: tags}
	f.edgeFunctions[name] = e
	f.changed = true
	return answer{http.StatusCreated, "FunctionSummary", f.summary(e, &e.development), e.etag}, nil
}

func (f *Fake) describeEdgeFunction(c *call, name string) (answer, error) {
	c.operation = "DescribeFunction"
	e, s, err := f.edgeFunction(c, "cloudfront:DescribeFunction", name, cloudfront.FunctionStage(c.r.URL.Query().Get("Stage")))
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, "FunctionSummary", f.summary(e, s), e.etag}, nil
}

// raw is an answer that is no XML.
type raw []byte

func (f *Fake) getEdgeFunction(c *call, name string) (answer, error) {
	c.operation = "GetFunction"
	e, s, err := f.edgeFunction(c, "cloudfront:GetFunction", name, cloudfront.FunctionStage(c.r.URL.Query().Get("Stage")))
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, "", raw(s.code), e.etag}, nil
}

func (f *Fake) updateEdgeFunction(c *call, name string) (answer, error) {
	c.operation = "UpdateFunction"
	e, err := f.matchingEdgeFunction(c, "cloudfront:UpdateFunction", name)
	if err != nil {
		return answer{}, err
	}
	in := &edgeFunctionRequest{}
	if err := parse(c, "UpdateFunctionRequest", in); err != nil {
		return answer{}, err
	}
	s, err := f.stage(in)
	if err != nil {
		return answer{}, err
	}
	e.development, e.etag = s, f.id("ETV")
	f.changed = true
	return answer{http.StatusOK, "FunctionSummary", f.summary(e, &e.development), e.etag}, nil
}

func (f *Fake) publishEdgeFunction(c *call, name string) (answer, error) {
	c.operation = "PublishFunction"
	e, err := f.matchingEdgeFunction(c, "cloudfront:PublishFunction", name)
	if err != nil {
		return answer{}, err
	}
	same := e.development
	same.modified = f.now
	e.live = &same
	for _, d := range f.running(e) {
		d.polls = max(d.polls, f.DeployPolls)
	}
	f.changed = true
	return answer{http.StatusOK, "FunctionSummary", f.summary(e, e.live), ""}, nil
}

// testEdgeFunction runs a function with an event by RunEdgeFunction.
func (f *Fake) testEdgeFunction(c *call, name string) (answer, error) {
	c.operation = "TestFunction"
	in := &struct {
		Stage       cloudfront.FunctionStage
		EventObject []byte
	}{}
	if err := parse(c, "TestFunctionRequest", in); err != nil {
		return answer{}, err
	}
	e, err := f.matchingEdgeFunction(c, "cloudfront:TestFunction", name)
	if err != nil {
		return answer{}, err
	}
	s := &e.development
	if in.Stage == cloudfront.FunctionStageLive {
		s = e.live
	}
	if f.RunEdgeFunction == nil || s == nil {
		return answer{}, fail(http.StatusInternalServerError, "TestFunctionFailed", "The CloudFront function failed.")
	}
	keys := f.keysOf(s)
	if f.KeyDelay > 0 {
		f.KeyDelay--
		clear(keys)
	}
	t := &cloudfront.TestResult{FunctionSummary: f.summary(e, s), ComputeUtilization: aws.String("21"), FunctionExecutionLogs: []string{"one line"}}
	output, err := f.RunEdgeFunction(s.code, keys, in.EventObject)
	if err != nil {
		t.FunctionErrorMessage = aws.String(err.Error())
	} else {
		t.FunctionOutput = aws.String(string(output))
	}
	return answer{http.StatusOK, "TestResult", t, ""}, nil
}

// checkEdgeFunctions refuses associations that CloudFront refuses.
func (f *Fake) checkEdgeFunctions(b *cloudfront.DefaultCacheBehavior) error {
	if b.FunctionAssociations == nil {
		return nil
	}
	invalid := func(format string, args ...any) error {
		return fail(http.StatusBadRequest, "InvalidFunctionAssociation", format, args...)
	}
	seen := map[cloudfront.EventType]bool{}
	for _, a := range b.FunctionAssociations.Items {
		viewer := a.EventType == cloudfront.EventTypeViewerRequest || a.EventType == cloudfront.EventTypeViewerResponse
		if !viewer || seen[a.EventType] {
			return invalid("one function may be associated with each viewer event")
		}
		seen[a.EventType] = true
		found := false
		for _, e := range f.edgeFunctions {
			found = found || e.live != nil && edgeFunctionPrefix+e.name == aws.ToString(a.FunctionARN)
		}
		if !found {
			return invalid("The function %s does not exist or is not published.", aws.ToString(a.FunctionARN))
		}
	}
	if b.LambdaFunctionAssociations == nil || len(seen) == 0 {
		return nil
	}
	for _, a := range b.LambdaFunctionAssociations.Items {
		if a.EventType == cloudfront.EventTypeViewerRequest || a.EventType == cloudfront.EventTypeViewerResponse {
			return invalid("CloudFront functions and Lambda@Edge functions cannot both be associated with the viewer events of a cache behavior.")
		}
	}
	return nil
}
