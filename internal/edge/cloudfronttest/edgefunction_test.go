package cloudfronttest

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/google/go-cmp/cmp"
)

const edgeFunction = "arn:aws:cloudfront::111122223333:function/check"

// newEdgeStand is one whose distribution runs a CloudFront function.
func newEdgeStand(t *testing.T, f functions) *stand {
	t.Helper()
	s := newStand(t, f)
	b := s.config.Distributions[0].Config.DefaultCacheBehavior
	b.LambdaFunctionAssociations = nil
	b.FunctionAssociations = &types.FunctionAssociations{Items: []types.FunctionAssociation{{EventType: types.EventTypeViewerRequest, FunctionARN: aws.String(edgeFunction)}}}
	return s
}

// TestEdgeEvent compares an event with the one of the guide.
func TestEdgeEvent(t *testing.T) {
	var got map[string]any
	s := newEdgeStand(t, func(event []byte) ([]byte, error) {
		return []byte(`{"statusCode":200,"statusDescription":"OK"}`), json.Unmarshal(event, &got)
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+domain+"/a%2Bb+c.deb?t=1_k%20&x=2&x=3&y", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"User-Agent": {"curl/8"}, "X-A": {"b", "c"}, "Cookie": {"k=1; l=2"}, "X-Forwarded-Proto": {"x"}}
	answer, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if x := answer.Header.Get("X-Cache"); x != "FunctionGeneratedResponse from cloudfront" {
		t.Errorf("X-Cache is %q", x)
	}
	type object = map[string]any
	value := func(s string, more ...string) object {
		o := object{"value": s}
		if len(more) > 0 {
			list := []any{object{"value": s}}
			for _, m := range more {
				list = append(list, object{"value": m})
			}
			o["multiValue"] = list
		}
		return o
	}
	context, _ := got["context"].(object)
	if context["requestId"] == "" || got["viewer"].(object)["ip"] != "127.0.0.1" {
		t.Errorf("%v", got)
	}
	delete(context, "requestId")
	delete(got, "viewer")
	want := object{
		"version": "1.0", "context": object{"distributionDomainName": domain, "distributionId": "E1", "eventType": "viewer-request"},
		"request": object{
			"method": "GET", "uri": "/a%2Bb+c.deb", "querystring": object{"t": value("1_k%20"), "x": value("2", "3"), "y": value("")},
			"headers": object{"host": value(domain), "user-agent": value("curl/8"), "x-a": value("b", "c")},
			"cookies": object{"k": value("1"), "l": value("2")},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestEdgeResults has what a CloudFront function may return, and what not.
func TestEdgeResults(t *testing.T) {
	of := func(text string) functions {
		return func([]byte) ([]byte, error) { return []byte(text), nil }
	}
	with := func(change func(request map[string]any)) functions {
		return func(event []byte) ([]byte, error) {
			var e struct{ Request map[string]any }
			if err := json.Unmarshal(event, &e); err != nil {
				return nil, err
			}
			change(e.Request)
			return json.Marshal(e.Request)
		}
	}
	set := func(name string, value any) functions { return with(func(r map[string]any) { r[name] = value }) }
	header := func(name string, value any) functions {
		return with(func(r map[string]any) { r["headers"].(map[string]any)[name] = value })
	}
	text := map[string]string{"value": "x"}
	for _, tt := range []struct {
		name     string
		function functions
		status   int
		result   Result
	}{
		{"unchanged", set("method", "GET"), 200, Miss},
		{"no query", set("querystring", map[string]any{}), 200, Miss},
		{"another uri", set("uri", "/b.deb"), 403, Error},
		{"another header", header("x-a", text), 200, Miss},
		{"response", of(`{"statusCode":403,"statusDescription":"Forbidden"}`), 403, FunctionGeneratedResponse},
		{"body", of(`{"statusCode":200,"body":{"encoding":"text","data":"x"}}`), 200, FunctionGeneratedResponse},
		{"body as a text", of(`{"statusCode":200,"body":"x"}`), 200, FunctionGeneratedResponse},
		{"base64", of(`{"statusCode":200,"body":{"encoding":"base64","data":"eA=="}}`), 200, FunctionGeneratedResponse},
		{"failure", func([]byte) ([]byte, error) { return nil, errors.New("thrown") }, 503, FunctionExecutionError},
		{"nothing", of(`null`), 502, FunctionValidationError},
		{"status as a text", of(`{"statusCode":"403"}`), 502, FunctionValidationError},
		{"status 600", of(`{"statusCode":600}`), 502, FunctionValidationError},
		{"bad base64", of(`{"statusCode":200,"body":{"encoding":"base64","data":"!"}}`), 502, FunctionValidationError},
		{"headers of Lambda", of(`{"statusCode":403,"headers":{"x-a":[{"value":"b"}]}}`), 502, FunctionValidationError},
		{"response of Lambda", of(`{"status":"403"}`), 502, FunctionValidationError},
		{"header in upper case", of(`{"statusCode":403,"headers":{"X-A":{"value":"b"}}}`), 502, FunctionValidationError},
		{"disallowed header", of(`{"statusCode":403,"headers":{"x-cache":{"value":"b"}}}`), 502, FunctionValidationError},
		{"another host", header("host", text), 502, FunctionValidationError},
		{"another method", set("method", "HEAD"), 502, FunctionValidationError},
		{"uri with a space", set("uri", "/a b"), 502, FunctionValidationError},
		{"no headers", set("headers", nil), 502, FunctionValidationError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newEdgeStand(t, tt.function)
			s.bucket.set("/packages/a.deb", stored{"package", forever})
			origin := 0
			if tt.result == Miss || tt.result == Error {
				origin = tt.status
			}
			s.run(t, step{target: "/a.deb?t=1", headers: []string{"Authorization: x"}, status: tt.status, result: tt.result, origin: origin})
		})
	}
}

// TestEdgeUnknown has what the stand-in does not know.
func TestEdgeUnknown(t *testing.T) {
	for what, change := range map[string]func(*types.DefaultCacheBehavior){
		"viewer-response": func(b *types.DefaultCacheBehavior) {
			b.FunctionAssociations.Items[0].EventType = types.EventTypeViewerResponse
		},
		"one of Lambda beside it": func(b *types.DefaultCacheBehavior) {
			b.LambdaFunctionAssociations = &types.LambdaFunctionAssociations{Items: []types.LambdaFunctionAssociation{{EventType: types.EventTypeViewerRequest, LambdaFunctionARN: aws.String(function)}}}
		},
		"no ARN": func(b *types.DefaultCacheBehavior) { b.FunctionAssociations.Items[0].FunctionARN = aws.String("check") },
	} {
		s := newEdgeStand(t, pass)
		change(s.config.Distributions[0].Config.DefaultCacheBehavior)
		if got := s.ask(t, http.MethodGet, "/a.deb"); got.StatusCode != http.StatusInternalServerError {
			t.Errorf("%s: %d", what, got.StatusCode)
		}
	}
}
