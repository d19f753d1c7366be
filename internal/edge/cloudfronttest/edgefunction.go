package cloudfronttest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
)

// edgeFunctionARN is that of a CloudFront function.
var edgeFunctionARN = regexp.MustCompile(`^arn:aws[a-z-]*:cloudfront::\d{12}:function/[A-Za-z0-9_-]{1,64}$`)

// edgeEvent is what a CloudFront function gets: another event than that of a
// Lambda function. Query and cookies are taken apart, and nothing is decoded.
type edgeEvent struct {
	Version string            `json:"version"`
	Context eventConfig       `json:"context"`
	Viewer  map[string]string `json:"viewer"`
	Request edgeRequest       `json:"request"`
}

type edgeRequest struct {
	Method  string            `json:"method"`
	URI     string            `json:"uri"`
	Query   map[string]values `json:"querystring"`
	Headers map[string]values `json:"headers"`
	Cookies map[string]values `json:"cookies"`
}

// values are those of one name: the first, and all of them if there are more.
type values struct {
	Value      string       `json:"value"`
	MultiValue []onlyAValue `json:"multiValue,omitempty"`
}

type onlyAValue struct {
	Value string `json:"value"`
}

func (v values) all() []string {
	if len(v.MultiValue) == 0 {
		return []string{v.Value}
	}
	list := make([]string, 0, len(v.MultiValue))
	for _, m := range v.MultiValue {
		list = append(list, m.Value)
	}
	return list
}

func addValue(m map[string]values, name, value string) {
	v, ok := m[name]
	switch {
	case !ok:
		v.Value = value
	case len(v.MultiValue) == 0:
		v.MultiValue = []onlyAValue{{v.Value}, {value}}
	default:
		v.MultiValue = append(v.MultiValue, onlyAValue{value})
	}
	m[name] = v
}

// taken takes a request apart for a CloudFront function.
func (r *request) taken() edgeRequest {
	e := edgeRequest{Method: r.Method, URI: r.URI, Query: map[string]values{}, Headers: map[string]values{}, Cookies: map[string]values{}}
	for part := range strings.SplitSeq(r.Query, "&") {
		if name, value, _ := strings.Cut(part, "="); part != "" {
			addValue(e.Query, name, value)
		}
	}
	for name, list := range r.Headers {
		for _, h := range list {
			if name != "cookie" {
				addValue(e.Headers, name, h.Value)
				continue
			}
			for pair := range strings.SplitSeq(h.Value, ";") {
				if n, v, ok := strings.Cut(strings.TrimSpace(pair), "="); ok {
					addValue(e.Cookies, n, v)
				}
			}
		}
	}
	return e
}

// put puts a request together as a CloudFront function left it.
func (e *edgeRequest) put(clientIP string) request {
	r := request{ClientIP: clientIP, Method: e.Method, URI: e.URI, Headers: map[string][]headerValue{}}
	var query []string
	for _, name := range slices.Sorted(maps.Keys(e.Query)) {
		for _, value := range e.Query[name].all() {
			query = append(query, name+"="+value)
		}
	}
	r.Query = strings.Join(query, "&")
	for name, v := range e.Headers {
		for _, value := range v.all() {
			r.Headers[name] = append(r.Headers[name], headerValue{textproto.CanonicalMIMEHeaderKey(name), value})
		}
	}
	for name, v := range e.Cookies {
		for _, value := range v.all() {
			r.Headers["cookie"] = append(r.Headers["cookie"], headerValue{"Cookie", name + "=" + value})
		}
	}
	return r
}

// edgeResponse is an answer that a CloudFront function makes.
type edgeResponse struct {
	Status      json.RawMessage   `json:"statusCode"`
	Description string            `json:"statusDescription"`
	Headers     map[string]values `json:"headers"`
	Cookies     map[string]values `json:"cookies"`
	Body        json.RawMessage   `json:"body"`
}

// plain is the answer as that of a Lambda function would be.
func (e *edgeResponse) plain() (*response, error) {
	if len(e.Cookies) > 0 {
		return nil, errors.New("the stand-in knows no cookies in responses")
	}
	if bytes.HasPrefix(e.Status, []byte(`"`)) {
		return nil, fmt.Errorf("statusCode %s is no number", e.Status)
	}
	r := &response{Status: string(e.Status), Description: e.Description, Headers: map[string][]headerValue{}}
	for name, v := range e.Headers {
		for _, value := range v.all() {
			r.Headers[name] = append(r.Headers[name], headerValue{Value: value})
		}
	}
	if len(e.Body) == 0 {
		return r, nil
	}
	var body struct{ Encoding, Data string }
	if err := json.Unmarshal(e.Body, &body); err != nil { // a text stands for itself
		body.Encoding = "text"
		if err := json.Unmarshal(e.Body, &body.Data); err != nil {
			return nil, fmt.Errorf("the body is neither a text nor an object: %w", err)
		}
	}
	if body.Encoding == "base64" {
		if _, err := base64.StdEncoding.DecodeString(body.Data); err != nil {
			return nil, fmt.Errorf("the body is not base64: %w", err)
		}
	}
	r.Body, r.BodyEncoding = &body.Data, body.Encoding
	return r, nil
}

// parseEdgeResult reads what a CloudFront function returned.
func parseEdgeResult(text []byte, asked request) (result, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil || fields == nil {
		return result{}, errors.New("neither a request nor a response")
	}
	if _, ok := fields["statusCode"]; ok {
		e := new(edgeResponse)
		if err := json.Unmarshal(text, e); err != nil {
			return result{}, err
		}
		r, err := e.plain()
		if err != nil {
			return result{}, err
		}
		r.generated = FunctionGeneratedResponse
		return result{response: r}, r.check()
	}
	e := new(edgeRequest)
	if err := json.Unmarshal(text, e); err != nil {
		return result{}, err
	}
	if e.Headers == nil || e.Query == nil {
		return result{}, errors.New("the request has no headers or no querystring")
	}
	r := e.put(asked.ClientIP)
	return result{request: &r}, r.check(asked)
}

// invokeEdge runs a CloudFront function.
func (x *exchange) invokeEdge(arn string, asked request) (result, error) {
	if !edgeFunctionARN.MatchString(arn) {
		return result{}, unknown("no ARN of a CloudFront function: %s", arn)
	}
	out, err := x.run(arn, edgeEvent{
		Version: "1.0", Context: eventConfig{x.dist.DomainName, x.dist.ID, "viewer-request", newID()},
		Viewer: map[string]string{"ip": asked.ClientIP}, Request: asked.taken(),
	})
	if err != nil {
		return result{}, &refusal{http.StatusServiceUnavailable, FunctionExecutionError, "the CloudFront function failed: " + err.Error()}
	}
	got, err := parseEdgeResult(out, asked)
	if err != nil {
		return result{}, &refusal{http.StatusBadGateway, FunctionValidationError, "the CloudFront function returned an invalid result: " + err.Error()}
	}
	return got, nil
}
