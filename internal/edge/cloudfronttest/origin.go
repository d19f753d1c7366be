package cloudfronttest

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// Bucket is the S3 server that has the buckets of all origins, by path-style
// addresses. It is asked with its own credentials, once the policy of the
// bucket, as the configuration has it, was found to let the edge in.
type Bucket struct {
	Endpoint             string // http://127.0.0.1:7070
	AccessKey, SecretKey string
	Region               string
}

// bucketDomain is the domain of an S3 origin; website endpoints are none.
var bucketDomain = regexp.MustCompile(`^(.+)\.s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com$`)

// emptyBody is the SHA-256 of nothing.
const emptyBody = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// bucketTime bounds a request to the bucket.
const bucketTime = 30 * time.Second

// transport leaves encodings alone.
var transport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}

// fetch asks the bucket for a span of an object, or whether it is still the one
// that is cached.
func (x *exchange) fetch(k keyed, want span, cached *object) (*object, error) {
	origin, err := x.origin()
	if err != nil {
		return nil, err
	}
	if answer, err := x.originRequest(&k); answer != nil || err != nil {
		return answer, err
	}
	raw := aws.ToString(origin.OriginPath) + x.request.URI
	path, ok := s3Path(raw)
	if !ok {
		return x.deny(http.StatusBadRequest, "InvalidURI"), nil
	}
	bucket := bucketDomain.FindStringSubmatch(aws.ToString(origin.DomainName))[1]
	who, err := x.principal(origin)
	if err != nil {
		return nil, err
	}
	may, err := x.config.allows(who, bucket, "s3:GetObject", path)
	if err != nil {
		return nil, err
	}
	if !may {
		x.entry.Origin = http.StatusForbidden
		return x.deny(http.StatusForbidden, "AccessDenied"), nil
	}
	o, err := x.ask(k, bucket+path, want, cached)
	if err != nil {
		return nil, &refusal{http.StatusBadGateway, Error, "the origin does not answer: " + err.Error()}
	}
	if o.status == http.StatusNotFound {
		// Who may not list a bucket is not told what is not in it.
		if may, err := x.config.allows(who, bucket, "s3:ListBucket", ""); err != nil || !may {
			x.entry.Origin = http.StatusForbidden
			return x.deny(http.StatusForbidden, "AccessDenied"), err
		}
	}
	return o, nil
}

// origin is the one that the behavior names.
func (x *exchange) origin() (types.Origin, error) {
	for _, o := range x.dist.Config.Origins.Items {
		if aws.ToString(o.Id) != x.behavior.TargetOriginID {
			continue
		}
		switch {
		case o.S3OriginConfig == nil || o.CustomOriginConfig != nil || !bucketDomain.MatchString(aws.ToString(o.DomainName)):
			return o, unknown("an origin that is no bucket: %s", aws.ToString(o.DomainName))
		case o.CustomHeaders != nil && len(o.CustomHeaders.Items) > 0:
			return o, unknown("custom headers for the origin")
		}
		return o, nil
	}
	return types.Origin{}, unknown("the origin %q", x.behavior.TargetOriginID)
}

// ask sends the request. Of what the viewer sent, the bucket gets what the
// cache policy names; Authorization is dropped.
func (x *exchange) ask(k keyed, path string, want span, cached *object) (*object, error) {
	bucket := x.edge.Bucket
	// Not that of the viewer: what it began, others may want.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), bucketTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, x.r.Method, bucket.Endpoint, nil)
	if err != nil {
		return nil, err
	}
	r.URL.Path, r.URL.RawPath, r.URL.RawQuery = "/"+path, "/"+s3Escape(path), k.query
	for name, value := range k.headers {
		if value != "" && name != "authorization" && name != "host" {
			r.Header.Set(name, value)
		}
	}
	r.Header.Set("User-Agent", "Amazon CloudFront")
	r.Header.Set("X-Amz-Content-Sha256", emptyBody)
	if ranges := want.header(); ranges != "" {
		r.Header.Set("Range", ranges)
	}
	if cached != nil {
		r.Header.Set("If-None-Match", cached.header.Get("Etag"))
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	keys := aws.Credentials{AccessKeyID: bucket.AccessKey, SecretAccessKey: bucket.SecretKey}
	if err := signer.SignHTTP(ctx, keys, r, emptyBody, "s3", bucket.Region, time.Now()); err != nil {
		return nil, err
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	x.entry.Origin = answer.StatusCode
	return x.received(answer, body)
}

// received makes an object of an answer of the bucket.
func (x *exchange) received(answer *http.Response, body []byte) (*object, error) {
	o := &object{status: answer.StatusCode, header: answer.Header.Clone(), size: int64(len(body)), parts: []part{{body: body}}, stored: x.edge.now()}
	for _, name := range []string{"Content-Length", "Content-Range", "Connection", "Keep-Alive", "Transfer-Encoding", "Trailer", "Date", "Via"} {
		o.header.Del(name)
	}
	if o.header.Get("Server") == "" {
		o.header.Set("Server", "AmazonS3")
	}
	switch {
	case answer.StatusCode >= 400:
		o.expires = o.stored.Add(errorLife(x.dist.Config, o.status, o.header))
		return o, nil
	case answer.StatusCode == http.StatusPartialContent:
		var from, to int64
		if _, err := fmt.Sscanf(answer.Header.Get("Content-Range"), "bytes %d-%d/%d", &from, &to, &o.size); err != nil {
			return nil, fmt.Errorf("content range %q: %w", answer.Header.Get("Content-Range"), err)
		}
		o.status, o.parts[0].from = http.StatusOK, from
	case x.r.Method == http.MethodHead:
		o.parts = nil
		o.size, _ = strconv.ParseInt(answer.Header.Get("Content-Length"), 10, 64)
	}
	o.expires = o.stored.Add(life(x.behavior.CachePolicy, o.header, o.stored))
	return o, nil
}

// deny is an error as S3 says it.
func (x *exchange) deny(status int, code string) *object {
	text, _ := xml.Marshal(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
	}{Code: code})
	now := x.edge.now()
	return &object{status: status, header: http.Header{"Content-Type": {"application/xml"}, "Server": {"AmazonS3"}}, parts: []part{{body: text}}, stored: now, expires: now.Add(errorLife(x.dist.Config, status, nil))}
}

// s3Path is the path that S3 reads from a raw one: it takes a plus sign for a
// space.
func s3Path(raw string) (string, bool) {
	path, err := url.PathUnescape(strings.ReplaceAll(raw, "+", "%20"))
	return path, err == nil
}

// s3Escape encodes a path as SigV4 wants it, all but unreserved characters.
func s3Escape(path string) string {
	var b strings.Builder
	for i := range len(path) {
		switch c := path[i]; {
		case 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~/", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
