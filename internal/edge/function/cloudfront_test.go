package function_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/edge"
	"packagecloud/internal/edge/edgetest"
	"packagecloud/internal/edge/function"
)

// What the CloudFront function returns, to the letter.
func TestCloudFrontAnswers(t *testing.T) {
	njs := edgetest.NewNJS(t)
	path, query := signed(t, secret, "packages/00/a+b.deb")
	type object = map[string]any
	value := func(s string) object { return object{"value": s} }
	request := func(method, token string) object {
		return object{
			"method": method, "uri": "/packages/00/a+b.deb", "querystring": object{"t": value(token), "x": value("1")},
			"headers": object{"host": value("d1.cloudfront.net"), "range": value("bytes=5-"), "authorization": value("Basic eDp5"), "cookie": value("a=b")},
			"cookies": object{"a": value("b")},
		}
	}
	passed := object{
		"method": "GET", "uri": path, "querystring": object{}, "cookies": object{},
		"headers": object{"host": value("d1.cloudfront.net"), "range": value("bytes=5-")},
	}
	refused := func(status float64, title, text string, more ...string) object {
		headers := object{"cache-control": value("no-store"), "content-type": value("text/plain; charset=utf-8")}
		for i := 0; i < len(more); i += 2 {
			headers[more[i]] = value(more[i+1])
		}
		return object{"statusCode": status, "statusDescription": title, "headers": headers, "body": object{"encoding": "text", "data": text}}
	}
	forbidden := refused(403, "Forbidden", "This link was not made by the package server.\n")
	unavailable := refused(503, "Service Unavailable", "Links cannot be checked at the moment. Try again.\n", "retry-after", "5")
	const fails = `throw new Error('of the store');`
	has := fmt.Sprintf("return %q;", secret)

	for _, c := range []struct {
		name, get, exists string
		request           object
		want              object
	}{
		{"a good link", has, fails, request("GET", query[2:]), passed},
		{"a method", has, fails, request("POST", query[2:]), refused(405, "Method Not Allowed", "Only GET and HEAD are answered.\n", "allow", "GET, HEAD")},
		{"no link", fails, fails, object{"method": "GET", "uri": "/", "querystring": object{}, "headers": object{}, "cookies": object{}}, forbidden},
		{"an unknown key", fails, "return false;", request("GET", query[2:]), forbidden},
		{"a known key that cannot be read", fails, "return true;", request("GET", query[2:]), unavailable},
		{"no store", fails, fails, request("GET", query[2:]), unavailable},
		{"another secret under the key", "return 'x';", fails, request("GET", query[2:]), forbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			event, err := json.Marshal(object{"version": "1.0", "request": c.request})
			if err != nil {
				t.Fatal(err)
			}
			module := fmt.Sprintf("export default { kvs: function () { return { get: async function () { %s }, exists: async function () { %s } }; } };\n", c.get, c.exists)
			out, err := njs.Run(t.Context(), function.CloudFront(), module, event)
			if err != nil {
				t.Fatal(err)
			}
			var got object
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestProbe runs what is sent to CloudFront's test, with the secret in the store
// and without.
func TestProbe(t *testing.T) {
	njs := edgetest.NewNJS(t)
	event, right, err := function.Probe(secret)
	if err != nil {
		t.Fatal(err)
	}
	id := edge.KeyID(secret)
	for _, c := range []struct {
		keys map[string]string
		want bool
	}{{map[string]string{id: secret}, true}, {map[string]string{id: "x"}, false}, {nil, false}} {
		out, err := njs.Test(function.CloudFront(), c.keys, event)
		if err != nil || right(string(out)) != c.want {
			t.Errorf("with %v: %s %v", c.keys, out, err)
		}
	}
	if right(`{"request":{"uri":"/packages/test","querystring":{"t":{"value":"1"}}}}`) || right("") {
		t.Error("a request with its query, or none, is taken for right")
	}
}
