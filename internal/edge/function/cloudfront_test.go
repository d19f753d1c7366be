package function_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/edge/edgetest"
	"packagecloud/internal/edge/function"
)

// What the CloudFront function returns, to the letter.
func TestCloudFrontAnswers(t *testing.T) {
	njs, err := exec.LookPath("njs")
	edgetest.Need(t, "njs", err == nil)
	below, err := os.ReadFile("testdata/answers.js")
	if err != nil {
		t.Fatal(err)
	}
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
			dir := t.TempDir()
			event, err := json.Marshal(object{"version": "1.0", "request": c.request})
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, "event", event)
			write(t, dir, "cloudfront", fmt.Appendf(nil, "export default { kvs: function () { return { get: async function () { %s }, exists: async function () { %s } }; } };\n", c.get, c.exists))
			write(t, dir, "function.js", slices.Concat(function.CloudFront(), below))
			command := exec.Command(njs, "-p", dir, "function.js")
			command.Dir = dir
			out, err := command.Output()
			if err != nil {
				t.Fatal(err)
			}
			// The last line: what is above is the log.
			lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
			var got object
			if err := json.Unmarshal(lines[len(lines)-1], &got); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
