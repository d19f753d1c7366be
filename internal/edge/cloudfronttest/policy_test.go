package cloudfronttest

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// TestOriginAccess: the bucket lets in whom its policy names.
func TestOriginAccess(t *testing.T) {
	const (
		anybody  = `"Principal":"*"`
		user     = `"Principal":{"CanonicalUser":"canonical"}`
		identity = `"Principal":{"AWS":["arn:aws:iam::111122223333:root","arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity EOAI"]}`
		service  = `"Principal":{"Service":"cloudfront.amazonaws.com"}`
		source   = `,"Condition":{"StringEquals":{"AWS:SourceArn":"` + distARN + `"}}`
		other    = `,"Condition":{"StringEquals":{"AWS:SourceArn":"arn:aws:cloudfront::111122223333:distribution/E2"}}`
		object   = `,"Action":"s3:GetObject","Resource":"arn:aws:s3:::packages/*"`
		list     = `,"Action":["s3:List*","s3:GetObject"],"Resource":["arn:aws:s3:::packages","arn:aws:s3:::packages/*"]`
	)
	oai := func(*types.Origin) {}
	oac := func(o *types.Origin) {
		o.OriginAccessControlId, o.S3OriginConfig.OriginAccessIdentity = aws.String("EOAC"), aws.String("")
	}
	none := func(o *types.Origin) { o.S3OriginConfig.OriginAccessIdentity = aws.String("") }
	tests := []struct {
		name   string
		access func(*types.Origin)
		policy string // of one statement
		path   string
		status int
	}{
		{"OAI by canonical user", oai, user + object, "/a", 200},
		{"OAI by ARN", oai, identity + object, "/a", 200},
		{"OAI, policy for the OAC", oai, service + object + source, "/a", 403},
		{"OAI, policy for any distribution", oai, service + object, "/a", 403},
		{"OAC", oac, service + object + source, "/a", 200},
		{"OAC of another distribution", oac, service + object + other, "/a", 403},
		{"OAC, policy for the OAI", oac, user + object, "/a", 403},
		{"nobody", none, user + object, "/a", 403},
		{"anybody", none, anybody + object, "/a", 200},
		{"another bucket", oai, user + `,"Action":"s3:*","Resource":"arn:aws:s3:::other/*"`, "/a", 403},
		{"another action", oai, user + `,"Action":"s3:PutObject","Resource":"arn:aws:s3:::packages/*"`, "/a", 403},
		{"another prefix", oai, user + `,"Action":"s3:GetObject","Resource":"arn:aws:s3:::packages/b/*"`, "/a", 403},
		{"missing key", oai, user + object, "/b", 403},
		{"missing key, may list", oai, user + list, "/b", 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStand(t, pass)
			s.bucket.set("/packages/a", stored{"package", forever})
			tt.access(&s.config.Distributions[0].Config.Origins.Items[0])
			s.config.BucketPolicies["packages"] = fmt.Sprintf(`{"Statement":{"Effect":"Allow",%s}}`, tt.policy)
			result := Error
			if tt.status == 200 {
				result = Miss
			}
			s.run(t, step{target: tt.path, status: tt.status, result: result, origin: tt.status})
		})
	}
	t.Run("no policy", func(t *testing.T) {
		s := newStand(t, pass)
		s.bucket.set("/packages/a", stored{"package", forever})
		s.config.BucketPolicies = nil
		s.run(t, step{target: "/a", status: 403, result: Error, origin: 403})
	})
	t.Run("denied", func(t *testing.T) {
		s := newStand(t, pass)
		s.bucket.set("/packages/a", stored{"package", forever})
		s.config.BucketPolicies["packages"] = `{"Statement":[{"Effect":"Allow",` + user + object + `},{"Effect":"Deny",` + anybody + object + `}]}`
		s.run(t, step{target: "/a", status: 403, result: Error, origin: 403})
	})
}

// TestUnknown: what the stand-in does not know is no success.
func TestUnknown(t *testing.T) {
	tests := map[string]func(*Configuration, *types.DistributionConfig){
		"cache policy": func(_ *Configuration, d *types.DistributionConfig) {
			d.DefaultCacheBehavior.CachePolicyId = aws.String("other")
		},
		"no cache policy": func(_ *Configuration, d *types.DistributionConfig) { d.DefaultCacheBehavior.CachePolicyId = nil },
		"alias": func(_ *Configuration, d *types.DistributionConfig) {
			d.DefaultCacheBehavior.LambdaFunctionAssociations.Items[0].LambdaFunctionARN = aws.String("arn:aws:lambda:us-east-1:111122223333:function:check:$LATEST")
		},
		"another region": func(_ *Configuration, d *types.DistributionConfig) {
			d.DefaultCacheBehavior.LambdaFunctionAssociations.Items[0].LambdaFunctionARN = aws.String("arn:aws:lambda:eu-west-1:111122223333:function:check:1")
		},
		"another event": func(_ *Configuration, d *types.DistributionConfig) {
			d.DefaultCacheBehavior.LambdaFunctionAssociations.Items[0].EventType = types.EventTypeOriginResponse
		},
		"unknown OAI": func(c *Configuration, _ *types.DistributionConfig) { c.OriginAccessIdentities = nil },
		"unknown OAC": func(_ *Configuration, d *types.DistributionConfig) {
			d.Origins.Items[0].OriginAccessControlId, d.Origins.Items[0].S3OriginConfig.OriginAccessIdentity = aws.String("EX"), nil
		},
		"both": func(_ *Configuration, d *types.DistributionConfig) {
			d.Origins.Items[0].OriginAccessControlId = aws.String("EOAC")
		},
		"no such origin": func(_ *Configuration, d *types.DistributionConfig) {
			d.DefaultCacheBehavior.TargetOriginId = aws.String("x")
		},
		"website": func(_ *Configuration, d *types.DistributionConfig) {
			d.Origins.Items[0].DomainName = aws.String("packages.s3-website.example.com")
		},
		"condition": func(c *Configuration, _ *types.DistributionConfig) {
			c.BucketPolicies["packages"] = `{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}}`
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStand(t, pass)
			s.bucket.set("/packages/a", stored{"package", forever})
			change(s.config, s.config.Distributions[0].Config)
			s.run(t, step{target: "/a", status: 500, result: Fault})
		})
	}
}

// TestBehaviors: dots and encoding are resolved to choose one.
func TestBehaviors(t *testing.T) {
	s := newStand(t, pass)
	s.bucket.set("/packages/open/a", stored{"package", forever})
	s.bucket.set("/packages/x/../open/a", stored{"dots", forever})
	d := s.config.Distributions[0].Config
	d.CacheBehaviors = &types.CacheBehaviors{Items: []types.CacheBehavior{{PathPattern: aws.String("open/*"), TargetOriginId: aws.String("bucket"),
		ViewerProtocolPolicy: types.ViewerProtocolPolicyAllowAll, CachePolicyId: aws.String("ours")}}}
	for target, function := range map[string]bool{"/open/a": false, "/x/%2e%2e/open/a": false, "/other": true} {
		s.Reset()
		s.ask(t, http.MethodGet, target)
		if e := s.last(t); e.Function != function {
			t.Errorf("%s: the function ran: %v", target, e.Function)
		}
	}
}

// TestLife is the table of the guide.
func TestLife(t *testing.T) {
	now := time.Unix(1700000000, 0)
	tests := []struct {
		least, usual, most int64
		cacheControl       string
		expires            time.Duration
		want               time.Duration
	}{
		{0, 86400, 31536000, "", 0, 24 * time.Hour},
		{0, 86400, 31536000, "max-age=60", 0, time.Minute},
		{0, 86400, 31536000, "public, MAX-AGE=31536000, immutable", 0, 365 * 24 * time.Hour},
		{0, 86400, 3600, "max-age=31536000", 0, time.Hour},
		{0, 86400, 31536000, "max-age=60, s-maxage=120", 0, 2 * time.Minute},
		{0, 86400, 31536000, "", time.Minute, time.Minute},
		{0, 86400, 31536000, "max-age=0", 0, 0},
		{0, 86400, 31536000, "no-cache", 0, 0},
		{0, 86400, 31536000, "no-store", 0, 0},
		{0, 86400, 31536000, "private, max-age=60", 0, 0},
		{0, 86400, 31536000, never, 0, 0},
		{1, 86400, 31536000, never, 0, time.Second},
		{3600, 86400, 31536000, "private", 0, time.Hour},
		{3600, 86400, 31536000, "max-age=60", 0, time.Hour},
		{3600, 60, 31536000, "", 0, time.Hour},
		{0, 0, 0, "max-age=60", 0, 0},
	}
	for _, tt := range tests {
		header := http.Header{}
		if tt.cacheControl != "" {
			header.Set("Cache-Control", tt.cacheControl)
		}
		if tt.expires != 0 {
			header.Set("Expires", now.Add(tt.expires).UTC().Format(http.TimeFormat))
		}
		if got := life(managedPolicy(tt.least, tt.usual, tt.most, false), header, now); got != tt.want {
			t.Errorf("TTLs %d %d %d, %q, expires in %s: %s, want %s", tt.least, tt.usual, tt.most, tt.cacheControl, tt.expires, got, tt.want)
		}
	}
}

// TestMinTTL: with it, what must not be cached is.
func TestMinTTL(t *testing.T) {
	s := newStand(t, pass)
	s.config.Distributions[0].Config.DefaultCacheBehavior.CachePolicyId = aws.String("658327ea-f89d-4fab-a63d-7e88639e58f6")
	s.bucket.set("/packages/index", stored{"old", never})
	s.run(t, step{target: "/index", status: 200, result: Miss, body: "old", origin: 200})
	s.bucket.set("/packages/index", stored{"new", never})
	s.run(t, step{target: "/index", status: 200, result: Hit, body: "old"})
	s.now = s.now.Add(time.Second)
	s.run(t, step{target: "/index", status: 200, result: Miss, body: "new", origin: 200})
}

// TestCacheKey: what the policy names distinguishes objects.
func TestCacheKey(t *testing.T) {
	s := newStand(t, func(event []byte) ([]byte, error) { return edit(event, nil) })
	s.bucket.set("/packages/a", stored{"package", forever})
	queries := s.config.CachePolicies["ours"].ParametersInCacheKeyAndForwardedToOrigin.QueryStringsConfig
	queries.QueryStringBehavior = types.CachePolicyQueryStringBehaviorWhitelist
	queries.QueryStrings = &types.QueryStringNames{Items: []string{"v"}}
	s.run(t,
		step{target: "/a?v=1&t=1", status: 200, result: Miss, origin: 200},
		step{target: "/a?v=1&t=2", status: 200, result: Hit},
		step{target: "/a?v=2", status: 200, result: Miss, origin: 200},
	)
	if got := s.bucket.requests[len(s.bucket.requests)-1].URL.RawQuery; got != "v=2" {
		t.Errorf("the bucket gets the query %q", got)
	}
	queries.QueryStringBehavior = types.CachePolicyQueryStringBehaviorAllExcept
	s.run(t, step{target: "/a?v=1&t=3", status: 200, result: Miss, origin: 200})
	if got := s.bucket.requests[len(s.bucket.requests)-1].URL.RawQuery; got != "t=3" {
		t.Errorf("the bucket gets the query %q", got)
	}
}
