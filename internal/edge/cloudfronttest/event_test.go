package cloudfronttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// edit is the request of an event with other values, given as JSON; "" removes
// one. A name may be that of a header, with a prefix "headers.".
func edit(event []byte, changes map[string]string) ([]byte, error) {
	var e struct {
		Records []struct {
			CF struct {
				Request map[string]json.RawMessage `json:"request"`
			} `json:"cf"`
		} `json:"Records"`
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, err
	}
	request := e.Records[0].CF.Request
	headers := map[string]json.RawMessage{}
	if err := json.Unmarshal(request["headers"], &headers); err != nil {
		return nil, err
	}
	for name, value := range changes {
		in := request
		if header, ok := strings.CutPrefix(name, "headers."); ok {
			in, name = headers, header
		}
		if value == "" {
			delete(in, name)
		} else {
			in[name] = json.RawMessage(value)
		}
	}
	if _, ok := changes["headers"]; !ok {
		request["headers"], _ = json.Marshal(headers)
	}
	return json.Marshal(request)
}

// field is a field of the request of an event.
func field(event []byte, name string) json.RawMessage {
	text, _ := edit(event, nil)
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(text, &fields)
	return fields[name]
}

// TestEvent compares an event with the one of the guide.
func TestEvent(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "https://"+domain+"/a", nil)
	r.RequestURI = "/a%2Bb+c/%2e\xe9.deb?t=1_k_s&%20"
	r.RemoteAddr = "203.0.113.178:4711"
	r.Header.Set("User-Agent", "curl/8")
	r.Header.Add("Accept", "a/b")
	r.Header.Add("Accept", "c/d")
	r.Header.Set("Connection", "close")
	r.Header.Set("X-Amz-Cf-Id", "x")
	r.Header.Set("X-Forwarded-Proto", "x")
	r.Header.Set("X-Edge-Location", "x")
	got, err := json.Marshal(viewed(r))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"clientIp":"203.0.113.178","headers":{"accept":[{"key":"Accept","value":"a/b"},{"key":"Accept","value":"c/d"}],` +
		`"host":[{"key":"Host","value":"d1.cloudfront.net"}],"user-agent":[{"key":"User-Agent","value":"curl/8"}]},` +
		`"method":"GET","querystring":"t=1_k_s\u0026%20","uri":"/a%2Bb+c/%2eé.deb"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestConfigOfEvent looks at what stands around the request.
func TestConfigOfEvent(t *testing.T) {
	var config map[string]string
	s := newStand(t, func(event []byte) ([]byte, error) {
		var e struct {
			Records []struct {
				CF struct {
					Config map[string]string `json:"config"`
				} `json:"cf"`
			} `json:"Records"`
		}
		err := json.Unmarshal(event, &e)
		config = e.Records[0].CF.Config
		return []byte(`{"status":"200"}`), err
	})
	s.run(t, step{target: "/", status: 200, result: LambdaGeneratedResponse})
	if config["requestId"] == "" {
		t.Error("no requestId")
	}
	delete(config, "requestId")
	if diff := cmp.Diff(map[string]string{"distributionDomainName": domain, "distributionId": "E1", "eventType": "viewer-request"}, config); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestResults has what a function may return, and what not.
func TestResults(t *testing.T) {
	of := func(text string) functions {
		return func([]byte) ([]byte, error) { return []byte(text), nil }
	}
	with := func(pairs ...string) functions {
		changes := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			changes[pairs[i]] = pairs[i+1]
		}
		return func(event []byte) ([]byte, error) { return edit(event, changes) }
	}
	tests := []struct {
		name     string
		function functions
		status   int
		result   Result
	}{
		{"unchanged", with(), 200, Miss},
		{"no query", with("querystring", `""`), 200, Miss},
		{"another uri", with("uri", `"/b.deb"`), 403, Error},
		{"no authorization", with("headers.authorization", ""), 200, Miss},
		{"another header", with("headers.x-a", `[{"value":"x"}]`), 200, Miss},
		{"response", of(`{"status":"403"}`), 403, LambdaGeneratedResponse},
		{"base64", of(`{"status":"200","body":"eA==","bodyEncoding":"base64"}`), 200, LambdaGeneratedResponse},
		{"failure", func([]byte) ([]byte, error) { return nil, errors.New("thrown") }, 503, LambdaExecutionError},
		{"nothing", of(`null`), 502, LambdaValidationError},
		{"no JSON", of(``), 502, LambdaValidationError},
		{"a string", of(`"403"`), 502, LambdaValidationError},
		{"empty", of(`{}`), 502, LambdaValidationError},
		{"status as a number", of(`{"status":403}`), 502, LambdaValidationError},
		{"status 199", of(`{"status":"199"}`), 502, LambdaValidationError},
		{"status 600", of(`{"status":"600"}`), 502, LambdaValidationError},
		{"204 with a body", of(`{"status":"204","body":"x"}`), 502, LambdaValidationError},
		{"204", of(`{"status":"204"}`), 204, LambdaGeneratedResponse},
		{"bad base64", of(`{"status":"200","body":"!","bodyEncoding":"base64"}`), 502, LambdaValidationError},
		{"unknown encoding", of(`{"status":"200","body":"x","bodyEncoding":"hex"}`), 502, LambdaValidationError},
		{"most", of(fmt.Sprintf(`{"status":"200","body":%q}`, strings.Repeat("x", 40<<10))), 200, LambdaGeneratedResponse},
		{"too much", of(fmt.Sprintf(`{"status":"200","body":%q}`, strings.Repeat("x", 40<<10+1))), 502, LambdaValidationError},
		{"headers as strings", of(`{"status":"403","headers":{"x-a":"b"}}`), 502, LambdaValidationError},
		{"header in upper case", of(`{"status":"403","headers":{"X-A":[{"value":"b"}]}}`), 502, LambdaValidationError},
		{"header with another key", of(`{"status":"403","headers":{"x-a":[{"key":"X-B","value":"b"}]}}`), 502, LambdaValidationError},
		{"header with a line", of(`{"status":"403","headers":{"x-a":[{"value":"a\nb"}]}}`), 502, LambdaValidationError},
		{"disallowed header", of(`{"status":"403","headers":{"x-cache":[{"value":"b"}]}}`), 502, LambdaValidationError},
		{"disallowed prefix", with("headers.x-amz-cf-foo", `[{"value":"x"}]`), 502, LambdaValidationError},
		{"via in a response", of(`{"status":"403","headers":{"via":[{"value":"b"}]}}`), 502, LambdaValidationError},
		{"another host", with("headers.host", `[{"key":"Host","value":"evil"}]`), 502, LambdaValidationError},
		{"no host", with("headers.host", ""), 502, LambdaValidationError},
		{"via", with("headers.via", `[{"value":"x"}]`), 502, LambdaValidationError},
		{"another method", with("method", `"HEAD"`), 502, LambdaValidationError},
		{"another client", with("clientIp", `"10.0.0.1"`), 502, LambdaValidationError},
		{"relative uri", with("uri", `"a.deb"`), 502, LambdaValidationError},
		{"uri with a space", with("uri", `"/a b"`), 502, LambdaValidationError},
		{"uri with a query", with("uri", `"/a?b"`), 502, LambdaValidationError},
		{"query with a fragment", with("querystring", `"a#b"`), 502, LambdaValidationError},
		{"long uri", with("uri", fmt.Sprintf("%q", "/"+strings.Repeat("x", maxURL-2))), 502, LambdaValidationError},
		{"no headers", with("headers", ""), 502, LambdaValidationError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStand(t, tt.function)
			s.bucket.set("/packages/a.deb", stored{"package", forever})
			origin := 0
			if tt.result == Miss || tt.result == Error {
				origin = tt.status
			}
			s.run(t, step{target: "/a.deb?t=1", headers: []string{"Authorization: x"}, status: tt.status, result: tt.result, origin: origin})
		})
	}
}
