package function_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/edge"
	"packagecloud/internal/edge/edgetest"
	"packagecloud/internal/edge/function"
)

// checkers are all that there are.
var checkers = []struct {
	name string
	new  func(t testing.TB, now int64, secrets ...string) checker
}{{"Go", golang}, {"Lambda@Edge", lambda}, {"CloudFront function", cloudFront}}

type vectors struct {
	Secrets []string
	Now     int64
	Vectors []struct{ Name, Method, Path, Query, Answer, Canonical string }
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	var v vectors
	text, err := os.ReadFile("../testdata/vectors.json")
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVectors(t *testing.T) {
	v := readVectors(t)
	var requests []request
	for _, c := range v.Vectors {
		requests = append(requests, request{c.Method, c.Path, c.Query})
	}
	for _, k := range checkers {
		t.Run(k.name, func(t *testing.T) {
			got := k.new(t, v.Now, v.Secrets...)(t, requests)
			for i, c := range v.Vectors {
				if want := (verdict{c.Answer, c.Canonical}); got[i] != want {
					t.Errorf("%s: %s %s?%s\n got %q\nwant %q", c.Name, c.Method, c.Path, c.Query, got[i], want)
				}
			}
		})
	}
}

const secret = "MDI2ZDhhYmMxYthiMjVmMTBlODM4OWNmZWZiZmI2NWI"

// signed is a path and a query that are good now.
func signed(t testing.TB, secret, key string) (path, query string) {
	t.Helper()
	keys, err := edge.NewKeys(secret)
	if err != nil {
		t.Fatal(err)
	}
	s := edge.Signer{Keys: keys}
	path, query, _ = strings.Cut(s.URL(key, 1), "?")
	return path, query
}

type header struct {
	Key   string `json:"key,omitempty"`
	Value string `json:"value"`
}

// ViewerRequest is a request in an event.
type ViewerRequest struct {
	ClientIP string              `json:"clientIp"`
	Method   string              `json:"method"`
	URI      string              `json:"uri"`
	Query    string              `json:"querystring"`
	Headers  map[string][]header `json:"headers"`
}

// response is either a request that passes or an answer.
type response struct {
	ViewerRequest
	Status   string `json:"status"`
	Title    string `json:"statusDescription"`
	Body     string `json:"body"`
	Encoding string `json:"bodyEncoding"`
}

func event(t testing.TB, r ViewerRequest) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"Records": []any{map[string]any{"cf": map[string]any{
		"config":  map[string]string{"distributionDomainName": "d1.cloudfront.net", "distributionId": "E1", "eventType": "viewer-request", "requestId": "x"},
		"request": r,
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func invoke(t testing.TB, f *edgetest.Function, event []byte) response {
	t.Helper()
	text, err := f.Invoke(context.Background(), event)
	if err != nil {
		t.Fatal(err)
	}
	var r response
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return r
}

func startLambda(t testing.TB, c function.Config) *edgetest.Function {
	t.Helper()
	pack, err := function.Zip(c)
	if err != nil {
		t.Fatal(err)
	}
	f, err := edgetest.Start(t, pack)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// The real package on the real runtime: what passes keeps everything but its
// query and credentials, and the secrets are decrypted once.
func TestLambda(t *testing.T) {
	kms := edgetest.NewKMS(t)
	f := startLambda(t, kms.Config(secret, strings.Repeat("old", 20)))

	path, query := signed(t, secret, "packages/00/a+b.deb")
	r := ViewerRequest{
		ClientIP: "192.0.2.1", Method: "GET", URI: strings.Replace(path, "%2B", "+", 1), Query: "x=1&" + query,
		Headers: map[string][]header{
			"host": {{"Host", "d1.cloudfront.net"}}, "range": {{"Range", "bytes=5-"}}, "if-range": {{"If-Range", `"x"`}},
			"if-none-match": {{"If-None-Match", `"x"`}}, "user-agent": {{"User-Agent", "apt"}},
			"authorization": {{"Authorization", "Basic eDp5"}}, "cookie": {{"Cookie", "a=b"}, {"Cookie", "c=d"}},
		},
	}
	want := response{ViewerRequest: r}
	want.URI, want.Query = path, ""
	want.Headers = map[string][]header{}
	for name, value := range r.Headers {
		if name != "authorization" && name != "cookie" {
			want.Headers[name] = value
		}
	}
	start := time.Now()
	got := invoke(t, f, event(t, r))
	cold := time.Since(start)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a good link (-want +got):\n%s", diff)
	}
	for range 100 {
		invoke(t, f, event(t, r))
	}
	old, oldQuery := signed(t, strings.Repeat("old", 20), "indexes/00/Packages")
	if got := invoke(t, f, event(t, ViewerRequest{Method: "HEAD", URI: old, Query: oldQuery, Headers: map[string][]header{}})); got.Status != "" || got.URI != old {
		t.Errorf("a link of the second secret: %+v", got)
	}
	if n := kms.Calls(); n != 1 {
		t.Errorf("KMS is asked %d times", n)
	}
	t.Logf("start %s, first request %s", f.Init.Round(time.Millisecond), cold.Round(100*time.Microsecond))
	if strings.Contains(f.Log(), secret) {
		t.Errorf("the log has the secret:\n%s", f.Log())
	}
}

func TestLambdaRefuses(t *testing.T) {
	kms := edgetest.NewKMS(t)
	f := startLambda(t, kms.Config(secret))
	path, query := signed(t, secret, "packages/00/a.deb")
	answer := func(status, title, body string, more ...string) response {
		r := response{Status: status, Title: title, Body: body, Encoding: "text"}
		r.Headers = map[string][]header{"cache-control": {{"Cache-Control", "no-store"}}, "content-type": {{"Content-Type", "text/plain; charset=utf-8"}}}
		for i := 0; i < len(more); i += 2 {
			r.Headers[strings.ToLower(more[i])] = []header{{more[i], more[i+1]}}
		}
		return r
	}
	forbidden := answer("403", "Forbidden", "This link was not made by the package server.\n")
	method := answer("405", "Method Not Allowed", "Only GET and HEAD are answered.\n", "Allow", "GET, HEAD")
	other, otherQuery := signed(t, strings.Repeat("x", 40), "packages/00/a.deb")
	keys, err := edge.NewKeys(secret)
	if err != nil {
		t.Fatal(err)
	}
	late, lateQuery, _ := strings.Cut((&edge.Signer{Keys: keys}).Until("packages/00/a.deb", time.Now().Add(-2*time.Minute)), "?")

	for _, c := range []struct {
		name  string
		event []byte
		want  response
		asks  int // how many requests to KMS there were by then
	}{
		{"no link", event(t, ViewerRequest{Method: "GET", URI: path}), forbidden, 0},
		{"an unknown key", event(t, ViewerRequest{Method: "GET", URI: other, Query: otherQuery}), forbidden, 0},
		{"a method", event(t, ViewerRequest{Method: "PUT", URI: path, Query: query}), method, 0},
		{"an empty object", []byte(`{}`), forbidden, 0},
		{"null", []byte(`null`), forbidden, 0},
		{"no records", []byte(`{"Records":[]}`), forbidden, 0},
		{"no request", []byte(`{"Records":[{"cf":{}}]}`), forbidden, 0},
		{"no path", []byte(`{"Records":[{"cf":{"request":{"method":"GET","querystring":"t=1","headers":{}}}}]}`), forbidden, 0},
		{"no query", []byte(`{"Records":[{"cf":{"request":{"method":"GET","uri":"/a","headers":{}}}}]}`), forbidden, 0},
		{"another object", event(t, ViewerRequest{Method: "GET", URI: path + "x", Query: query}), forbidden, 1},
		{"an expired link", event(t, ViewerRequest{Method: "GET", URI: late, Query: lateQuery}), answer("403", "Forbidden", "This link has expired. Ask the package server for a new one.\n"), 1},
	} {
		if diff := cmp.Diff(c.want, invoke(t, f, c.event)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if n := kms.Calls(); n != c.asks {
			t.Errorf("%s: KMS has been asked %d times, want %d", c.name, n, c.asks)
		}
	}
}

// While the secrets cannot be had the answer is 503, in good time; and they are
// asked for again.
func TestLambdaWithoutKMS(t *testing.T) {
	path, query := signed(t, secret, "packages/00/a.deb")
	good := event(t, ViewerRequest{Method: "GET", URI: path, Query: query, Headers: map[string][]header{}})
	fail := func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, `{"__type":"AccessDeniedException","message":"`+secret+`"}`, http.StatusBadRequest)
		return true
	}
	cut := func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }
	hang := func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	half := func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("{"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	}
	nonsense := func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte("{}")); return true }
	for _, c := range []struct {
		name   string
		before func(http.ResponseWriter, *http.Request) bool
		times  int // that it happens, of two that are tried for a request
		first  string
	}{
		{"refused", fail, 2, "503"}, {"refused once", fail, 1, ""}, {"cut", cut, 2, "503"}, {"cut once", cut, 1, ""},
		{"hanging", hang, 2, "503"}, {"hanging once", hang, 1, ""}, {"half an answer", half, 2, "503"}, {"an answer without plaintext", nonsense, 2, "503"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			kms := edgetest.NewKMS(t)
			var mu sync.Mutex
			left := c.times
			kms.Before = func(w http.ResponseWriter, r *http.Request) bool {
				mu.Lock()
				now := left > 0
				left--
				mu.Unlock()
				return now && c.before(w, r)
			}
			f := startLambda(t, kms.Config(secret))
			start := time.Now()
			got := invoke(t, f, good)
			// CloudFront gives up after 5 seconds; two attempts take 3.7.
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("the first answer took %s", took)
			}
			if got.Status != c.first {
				t.Errorf("the first answer is %q, want %q: %+v", got.Status, c.first, got)
			}
			if c.first == "503" {
				if got.Headers["retry-after"][0].Value != "5" || got.Headers["cache-control"][0].Value != "no-store" {
					t.Errorf("the headers are %v", got.Headers)
				}
				// The log comes by another way than the answer.
				for end := time.Now().Add(5 * time.Second); f.Log() == "" && time.Now().Before(end); {
					time.Sleep(time.Millisecond)
				}
				if log := f.Log(); !strings.Contains(log, "decrypt the secrets") || strings.Contains(log, secret) {
					t.Errorf("the log is %q", log)
				}
			}
			if got := invoke(t, f, good); got.Status != "" || got.URI != path {
				t.Errorf("the second answer is %+v", got)
			}
		})
	}
	t.Run("other secrets than those named", func(t *testing.T) {
		kms := edgetest.NewKMS(t)
		c := kms.Config(secret)
		c.Ciphertext = kms.Encrypt(function.Plaintext(strings.Repeat("y", 40)), c.Context)
		if got := invoke(t, startLambda(t, c), good); got.Status != "503" {
			t.Errorf("the answer is %+v", got)
		}
	})
	t.Run("another context", func(t *testing.T) {
		kms := edgetest.NewKMS(t)
		c := kms.Config(secret)
		c.Context = function.Context("another")
		if got := invoke(t, startLambda(t, c), good); got.Status != "503" {
			t.Errorf("the answer is %+v", got)
		}
	})
}

func config() function.Config {
	return function.NewConfig("packagecloud_cloudfront_auth", edgetest.KeyARN, []byte("ciphertext"), secret)
}

func TestZip(t *testing.T) {
	first, err := function.Zip(config())
	if err != nil {
		t.Fatal(err)
	}
	again, err := function.Zip(config())
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("the same configuration makes other bytes (%v)", err)
	}
	if len(first) > 20<<10 {
		t.Errorf("the package has %d bytes", len(first))
	}
	got, err := function.ReadConfig(first)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config(), got); diff != "" {
		t.Errorf("the configuration read back (-want +got):\n%s", diff)
	}
	if bytes.Contains(first, []byte(secret)) {
		t.Error("the package has the secret")
	}
	if got := function.CodeSHA256([]byte("x")); got != "LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=" { // printf x | openssl dgst -sha256 -binary | base64
		t.Errorf("CodeSHA256 = %s", got)
	}

	for name, change := range map[string]func(*function.Config){
		"name":         func(c *function.Config) { c.Function = "a b" },
		"region":       func(c *function.Config) { c.KeyARN = strings.Replace(c.KeyARN, "us-east-1", "eu-west-1", 1) },
		"ciphertext":   func(c *function.Config) { c.Ciphertext = nil },
		"no key":       func(c *function.Config) { c.KeyIDs = nil },
		"key":          func(c *function.Config) { c.KeyIDs = []string{secret} },
		"endpoint":     func(c *function.Config) { c.Endpoint = "https://example.com" },
		"endpoint 2":   func(c *function.Config) { c.Endpoint = "http://127.0.0.1:80@example.com" },
		"endpoint, \n": func(c *function.Config) { c.Endpoint = "http://127.0.0.1:80\n" },
	} {
		c := config()
		change(&c)
		if _, err := function.Zip(c); err == nil {
			t.Errorf("%s: a wrong configuration is packed", name)
		}
	}
	for name, pack := range map[string][]byte{"none": nil, "text": []byte("text"), "cut": first[:len(first)/2]} {
		if _, err := function.ReadConfig(pack); err == nil {
			t.Errorf("%s: read from what is no package", name)
		}
	}
}

func TestCloudFrontSize(t *testing.T) {
	if n := len(function.CloudFront()); n > function.MaxCloudFront {
		t.Errorf("the CloudFront function has %d bytes, more than %d", n, function.MaxCloudFront)
	}
}

// A package that cannot be loaded is an *edgetest.Error, as it is for Lambda.
func TestInitError(t *testing.T) {
	for kind, code := range map[string]string{
		"Runtime.HandlerNotFound":           "exports.handlex = async () => {};",
		"Runtime.UserCodeSyntaxError":       "exports.handler = async () => {",
		"Runtime.CallbackHandlerDeprecated": "exports.handler = (event, context, callback) => {};",
	} {
		var pack bytes.Buffer
		z := zip.NewWriter(&pack)
		w, err := z.Create("index.js")
		if err == nil {
			_, err = w.Write([]byte(code))
		}
		if err := errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
		_, err = edgetest.Start(t, pack.Bytes())
		var failed *edgetest.Error
		if !errors.As(err, &failed) || failed.Type != kind {
			t.Errorf("the error is %v, want %s", err, kind)
		}
	}
}
