package cloudfronttest

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// S3 stands before an S3 server and does what AWS does and no such server: it
// refuses credentials in both places, and takes a plus sign in a path for a
// space. Everything else, the signatures too, the server checks itself.
type S3 struct {
	Endpoint *url.URL // of the server
	*Faults
	*Log
}

// ServeHTTP answers as the server does.
func (s *S3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	entry := &Entry{Time: time.Now(), Host: r.Host, Method: r.Method, URL: r.RequestURI, Range: r.Header.Get("Range"), Authorization: r.Header.Get("Authorization") != ""}
	body := s.tamper(w, r, entry)
	defer func() {
		entry.Status, entry.Bytes = body.status, body.sent
		s.add(*entry)
	}()
	query := r.URL.Query()
	if entry.Authorization && (query.Has("X-Amz-Algorithm") || query.Has("Signature")) {
		body.Header().Set("Content-Type", "application/xml")
		body.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(body, `<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified</Message></Error>`)
		return
	}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = s.Endpoint.Scheme, s.Endpoint.Host
			p.Out.Host = p.In.Host // it is signed
			raw, _, _ := strings.Cut(p.In.RequestURI, "?")
			p.Out.URL.RawPath = strings.ReplaceAll(raw, "+", "%20")
			p.Out.URL.Path, _ = url.PathUnescape(p.Out.URL.RawPath)
			p.Out.URL.RawQuery = p.In.URL.RawQuery
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
	proxy.ServeHTTP(body, r)
	entry.Origin = body.status
}
