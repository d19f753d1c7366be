package cloudfronttest

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
)

// maxGenerated bounds a response that a function makes, headers included, in
// bytes.
const maxGenerated = 40 << 10

// result is what a function returned: one of the two.
type result struct {
	request  *request
	response *response
}

// response is an answer that a function makes.
type response struct {
	Status       string                   `json:"status"`
	Description  string                   `json:"statusDescription"`
	Headers      map[string][]headerValue `json:"headers"`
	Body         *string                  `json:"body"`
	BodyEncoding string                   `json:"bodyEncoding"`

	code      int
	body      []byte
	generated Result // by which kind of function; empty for Lambda's
}

// parseResult reads what a function returned, given what it was asked. The
// errors are what CloudFront answers with 502.
func parseResult(text []byte, asked request) (result, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil || fields == nil {
		return result{}, errors.New("neither a request nor a response")
	}
	if _, ok := fields["status"]; ok {
		r := new(response)
		if err := json.Unmarshal(text, r); err != nil {
			return result{}, err
		}
		return result{response: r}, r.check()
	}
	r := new(request)
	if err := json.Unmarshal(text, r); err != nil {
		return result{}, err
	}
	return result{request: r}, r.check(asked)
}

var (
	status     = regexp.MustCompile(`^[2-5]\d\d$`)
	headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	badHeader  = regexp.MustCompile(`[\x00-\x08\x0a-\x1f\x7f]`)
	badURI     = regexp.MustCompile(`[\x00-\x20\x7f#]`)
)

func (r *response) check() error {
	if !status.MatchString(r.Status) {
		return fmt.Errorf("status %q is not 200 to 599", r.Status)
	}
	_, _ = fmt.Sscan(r.Status, &r.code)
	if err := checkHeaders(r.Headers); err != nil {
		return err
	}
	for _, name := range []string{"transfer-encoding", "via", "content-length"} {
		if _, ok := r.Headers[name]; ok {
			return fmt.Errorf("header %s is read-only", name)
		}
	}
	if r.Body == nil {
		return nil
	}
	if r.code == http.StatusNoContent {
		return errors.New("status 204 with a body")
	}
	switch r.BodyEncoding {
	case "", "text":
		r.body = []byte(*r.Body)
	case "base64":
		var err error
		if r.body, err = base64.StdEncoding.DecodeString(*r.Body); err != nil {
			return fmt.Errorf("the body is not base64: %w", err)
		}
	default:
		return fmt.Errorf("body encoding %q", r.BodyEncoding)
	}
	size := len(*r.Body)
	for name, values := range r.Headers {
		for _, v := range values {
			size += len(name) + len(v.Value)
		}
	}
	if size > maxGenerated {
		return fmt.Errorf("the response has %d bytes, more than %d", size, maxGenerated)
	}
	return nil
}

// check compares a request that is returned with the one that was given.
func (r *request) check(asked request) error {
	switch {
	case r.Method != asked.Method:
		return fmt.Errorf("the method is read-only, and became %q", r.Method)
	case r.ClientIP != asked.ClientIP:
		return fmt.Errorf("clientIp is read-only, and became %q", r.ClientIP)
	case !strings.HasPrefix(r.URI, "/"):
		return fmt.Errorf("uri %q does not begin with a slash", r.URI)
	case r.URI != asked.URI && (badURI.MatchString(r.URI) || strings.Contains(r.URI, "?")):
		return fmt.Errorf("uri %q has spaces, control characters, # or ?", r.URI)
	case r.Query != asked.Query && badURI.MatchString(r.Query):
		return fmt.Errorf("querystring %q has spaces, control characters or #", r.Query)
	case len(r.URI)+1+len(r.Query) >= maxURL:
		return fmt.Errorf("uri and querystring have %d bytes", len(r.URI)+1+len(r.Query))
	case r.Headers == nil:
		return errors.New("the request has no headers")
	}
	for _, name := range readOnly {
		if !slices.EqualFunc(r.Headers[name], asked.Headers[name], headerValue.equal) {
			return fmt.Errorf("header %s is read-only", name)
		}
	}
	return checkHeaders(r.Headers)
}

func checkHeaders(headers map[string][]headerValue) error {
	for name, values := range headers {
		switch {
		case name != strings.ToLower(name):
			return fmt.Errorf("header %q is not in lower case", name)
		case isDisallowed(name) || name == "cloudfront-viewer-country":
			return fmt.Errorf("header %s is not allowed", name)
		case len(values) == 0:
			return fmt.Errorf("header %s has no values", name)
		}
		for _, v := range values {
			if key := v.Key; key != "" && !strings.EqualFold(key, name) || !headerName.MatchString(name) || badHeader.MatchString(v.Value) {
				return fmt.Errorf("header %s: %q: %q", name, key, v.Value)
			}
		}
	}
	return nil
}

// by is what the log calls a response.
func (r *response) by() Result { return cmp.Or(r.generated, LambdaGeneratedResponse) }

// write sends the response, which is never cached.
func (r *response) write(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Server", "CloudFront")
	header.Set("X-Cache", string(r.by())+" from cloudfront")
	for name, values := range r.Headers {
		header.Del(name)
		for _, v := range values {
			key := v.Key
			if key == "" {
				key = textproto.CanonicalMIMEHeaderKey(name)
			}
			header.Add(key, v.Value)
		}
	}
	w.WriteHeader(r.code)
	_, _ = w.Write(r.body)
}
