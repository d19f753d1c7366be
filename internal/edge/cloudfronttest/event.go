package cloudfronttest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// functionTime is how long a function for viewer events may take.
const functionTime = 5 * time.Second

// functionARN is that of a numbered version, which alone may be associated.
var functionARN = regexp.MustCompile(`^arn:aws[a-z-]*:lambda:us-east-1:\d{12}:function:[A-Za-z0-9_-]+:[1-9]\d*$`)

// event is what a Lambda function gets.
type event struct {
	Records []record `json:"Records"`
}

type record struct {
	CF struct {
		Config  eventConfig `json:"config"`
		Request request     `json:"request"`
	} `json:"cf"`
}

type eventConfig struct {
	DomainName string `json:"distributionDomainName"`
	ID         string `json:"distributionId"`
	Type       string `json:"eventType"`
	RequestID  string `json:"requestId"`
}

// request is the request of a viewer as functions see and return it. URI is
// still encoded, and Query has no question mark.
type request struct {
	ClientIP string                   `json:"clientIp"`
	Headers  map[string][]headerValue `json:"headers"`
	Method   string                   `json:"method"`
	Query    string                   `json:"querystring"`
	URI      string                   `json:"uri"`
}

type headerValue struct {
	Key   string `json:"key,omitempty"`
	Value string `json:"value"`
}

func (h headerValue) equal(o headerValue) bool { return h.Value == o.Value }

// disallowed are the headers that functions do not see and may not add; those
// that end in a hyphen are prefixes.
var disallowed = strings.Fields(`connection expect keep-alive proxy-authenticate proxy-authorization proxy-connection trailer upgrade
	x-accel-buffering x-accel-charset x-accel-limit-rate x-accel-redirect x-amz-cf- x-amzn-auth x-amzn-cf-billing x-amzn-cf-id
	x-amzn-cf-xff x-amzn-errortype x-amzn-fle-profile x-amzn-header-count x-amzn-header-order x-amzn-lambda-integration-tag
	x-amzn-requestid x-cache x-edge- x-forwarded-proto x-real-ip`)

// readOnly are the headers that a function for viewer-request may not change.
var readOnly = []string{"content-length", "host", "transfer-encoding", "via"}

func isDisallowed(lower string) bool {
	for _, d := range disallowed {
		if lower == d || strings.HasSuffix(d, "-") && strings.HasPrefix(lower, d) {
			return true
		}
	}
	return false
}

// viewed is the request as the function sees it.
func viewed(r *http.Request) request {
	uri, query, _ := strings.Cut(r.RequestURI, "?")
	v := request{ClientIP: hostOnly(r.RemoteAddr), Headers: map[string][]headerValue{"host": {{"Host", r.Host}}}, Method: r.Method, Query: utf8Of(query), URI: utf8Of(uri)}
	for name, values := range r.Header {
		lower := strings.ToLower(name)
		if isDisallowed(lower) {
			continue
		}
		for _, value := range values {
			v.Headers[lower] = append(v.Headers[lower], headerValue{name, utf8Of(value)})
		}
	}
	return v
}

// utf8Of takes what is not UTF-8 for ISO-8859-1.
func utf8Of(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// viewerRequest runs the function, which answers the request or lets it, maybe
// changed, pass.
func (x *exchange) viewerRequest(w http.ResponseWriter) (answered bool, err error) {
	x.request = viewed(x.r)
	var got result
	switch {
	case x.behavior.EdgeFunction != "":
		got, err = x.invokeEdge(x.behavior.EdgeFunction, x.request)
	case x.behavior.Function != "":
		got, err = x.invoke(x.behavior.Function, "viewer-request", x.request)
	default:
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if got.response != nil {
		x.entry.Result = got.response.by()
		got.response.write(w)
		return true, nil
	}
	x.request = *got.request
	return false, nil
}

// invoke runs a version of a Lambda function.
func (x *exchange) invoke(arn, kind string, asked request) (result, error) {
	if !functionARN.MatchString(arn) {
		return result{}, unknown("a function that is no numbered version in us-east-1: %s", arn)
	}
	var ev event
	ev.Records = make([]record, 1)
	ev.Records[0].CF.Config = eventConfig{x.dist.DomainName, x.dist.ID, kind, newID()}
	ev.Records[0].CF.Request = asked
	out, err := x.run(arn, ev)
	if err != nil {
		return result{}, &refusal{http.StatusServiceUnavailable, LambdaExecutionError, "the Lambda function failed: " + err.Error()}
	}
	got, err := parseResult(out, asked)
	if err != nil {
		return result{}, &refusal{http.StatusBadGateway, LambdaValidationError, "the Lambda function returned an invalid result: " + err.Error()}
	}
	return got, nil
}

// run gives an event to a function of either kind, within the time it has.
func (x *exchange) run(arn string, event any) ([]byte, error) {
	text, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), functionTime)
	defer cancel()
	x.entry.Function = true
	return x.edge.Functions.Invoke(ctx, arn, text)
}

// originRequest runs the function that stands between cache and bucket. It sees
// what the cache policy lets through. Its answer, if it makes one, is cached as
// one of the bucket would be.
func (x *exchange) originRequest(k *keyed) (*object, error) {
	if x.behavior.OriginFunction == "" {
		return nil, nil
	}
	asked := x.request
	asked.Query = k.query
	got, err := x.invoke(x.behavior.OriginFunction, "origin-request", asked)
	if err != nil {
		return nil, err
	}
	if got.request != nil {
		x.request.URI, k.query = got.request.URI, got.request.Query
		return nil, nil
	}
	r := got.response
	now := x.edge.now()
	o := &object{status: r.code, header: http.Header{}, size: int64(len(r.body)), parts: []part{{body: r.body}}, stored: now}
	for name, values := range r.Headers {
		for _, v := range values {
			o.header.Add(name, v.Value)
		}
	}
	o.expires = now.Add(max(life(x.behavior.CachePolicy, o.header, now), errorLife(x.dist.Config, r.code, o.header)))
	return o, nil
}

// newID is an id of a request, different every time.
func newID() string { return rand.Text() + "==" }
