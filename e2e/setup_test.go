package e2e

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"packagecloud/internal/edge"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/format/python/pytest"
	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/provision"
	"packagecloud/internal/provision/awsfake"
	"packagecloud/internal/tooltest"
)

// TestSetupPage does what the set-up page says, on a machine of its own.
func TestSetupPage(t *testing.T) {
	c := newCloud(t)
	setupPage(t, c, "arn:aws:lambda:us-east-1:"+awsfake.Account+":function:"+provision.Name(c.bucket.Name)+":1")
}

// TestSetupPageFunction does the same with a CloudFront function for the check.
func TestSetupPageFunction(t *testing.T) {
	c := newCloud(t)
	c.withFunctions(t)
	setupPage(t, c, "arn:aws:cloudfront::"+awsfake.Account+":function/"+provision.Name(c.bucket.Name), "packagecloud_rails['cloudfront_check'] = 'cloudfront-function'")
}

// setupPage sets a cloud up. The check has an ARN, and there is more in the
// configuration.
func setupPage(t *testing.T, c *cloud, arn string, more ...string) {
	needTools(t, "apt-get", "dnf", "dpkg-deb", "rpmbuild", "curl")
	c.startEdges(t)
	s := &instance{URL: "http://" + freeAddress(t)}
	configuration := []string{"external_url '" + s.URL + "'"}
	for key, value := range map[string]string{
		"listen_address": strings.TrimPrefix(s.URL, "http://"), "direct_metadata_size": "0",
		"aws_access_key": c.bucket.AccessKey, "aws_secret_key": c.bucket.SecretKey,
		"s3_bucket": c.bucket.Name, "s3_region": c.bucket.Region, "s3_endpoint": c.inside, "s3_public_endpoint": c.front,
	} {
		configuration = append(configuration, "packagecloud_rails['"+key+"'] = '"+value+"'")
	}
	configuration = append(append(configuration, "packagecloud_rails['s3_path_style'] = true"), more...)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(c.awsURL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	s.script(t.Context(), t, "setup-page.sh", append(c.environment(), "PRIVATE=0", "CONFIGURATION="+strings.Join(configuration, "\n"),
		"AWS_ENDPOINT_URL="+c.awsURL, "AWS_EC2_METADATA_DISABLED=true", "FUNCTION="+arn,
		"AWS_ENDPOINT_URL_CLOUDFRONT_KEYVALUESTORE=http://kvs.test:"+port, "KEYVALUES="+awsfake.Account+".kvs.test", "FRONT="+strings.TrimPrefix(c.front, "http://"))...)
	if t.Failed() {
		t.Logf("the log:\n%s", c.Entries())
	}
}

// TestDoctor lets packagecloud-ctl examine a distribution whose function is the
// real one, and runs.
func TestDoctor(t *testing.T) {
	needTools(t)
	c := newCloud(t)
	c.startEdges(t)
	c.edges[1] = c.edges[0] // two would not share what they have cached
	c.deploy(t, provision.LambdaEdge, "")
	new(instance).script(t.Context(), t, "doctor.sh", slices.Concat(c.environment(), c.serverEnvironment(), []string{"ANOTHER=" + edge.GenerateSecret()})...)
	if t.Failed() {
		t.Logf("the log:\n%s", c.Entries())
	}
}

// TestChangesWhileInstalling changes what stands between machines that install
// all the time and the bucket: how CloudFront reads it, and the secret of the
// links, and what checks them. No download may fail, and nothing may be refused.
func TestChangesWhileInstalling(t *testing.T) {
	needTools(t, "apt-get", "dnf", "python3", "node", "npm", "curl")
	for _, script := range []string{"python-clients", "npm-clients"} {
		tooltest.Output(t, script) // now, and not while the machines install
	}
	c := newCloud(t)
	c.withFunctions(t)
	c.startEdges(t)
	c.aws.DeployPolls, c.aws.PrincipalDelay = 2, 1
	c.deploy(t, provision.LambdaEdge, provision.AccessIdentity)
	var s *instance
	balancer := patientBalancer(t, func() string { return strings.TrimPrefix(s.URL, "http://") })
	s = start(t, append(c.serverEnvironment(), "PACKAGECLOUD_EXTERNAL_URL="+balancer)...)
	s.createPrivateRepository(t, "demo")
	for _, p := range []struct {
		distro int
		file   string
		body   []byte
	}{
		{jammy, "hello.deb", debtest.Package{Name: "hello"}.Build()},
		{el9, "hello.rpm", rpmtest.Package{Name: "hello"}.Build()},
		{python, "hello-1.0-py3-none-any.whl", pytest.Wheel("hello", "1.0", "")},
		{node1, "hello-1.0.0.tgz", npmtest.Package{Name: "hello"}.Build()},
	} {
		if _, err := s.push(t.Context(), "admin/demo", p.distro, p.file, p.body, "?wait=indexed"); err != nil {
			t.Fatal(err)
		}
	}

	c.going.Store(true)
	var machines sync.WaitGroup
	for _, name := range []string{"loop-apt.sh", "loop-dnf.sh", "loop-pip.sh", "loop-npm.sh"} {
		machines.Go(func() { s.script(t.Context(), t, name, append(c.environment(), "PRIVATE=1", "URL="+balancer)...) })
	}
	// Nothing stays cached, so that every download needs the bucket.
	machines.Go(func() {
		for c.going.Load() {
			for _, e := range c.edges {
				e.Invalidate()
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	first, second := c.secret, edge.GenerateSecret()
	steps := []struct {
		name    string
		change  func(*provision.Settings)
		restart bool // the server then signs with the second secret
	}{
		{"to OAC", func(s *provision.Settings) { s.Access, s.Migrate = provision.AccessControl, true }, false},
		{"without the OAI", func(s *provision.Settings) { s.Access, s.Migrate, s.RemoveOld = provision.AccessControl, true, true }, false},
		{"a second secret", func(s *provision.Settings) { s.Secrets = []string{first, second} }, true},
		{"a CloudFront function", func(s *provision.Settings) {
			s.Check, s.Secrets = provision.CloudFrontFunction, []string{first, second}
		}, false},
		{"the second secret alone", func(s *provision.Settings) { s.Check, s.Secrets = provision.CloudFrontFunction, []string{second} }, false},
		{"Lambda@Edge again", func(s *provision.Settings) { s.Secrets = []string{second} }, false},
	}
	for _, step := range steps {
		r := c.runner(first)
		step.change(&r.Settings)
		// The edges differ while a change is in progress.
		r.Sleep = func(context.Context, time.Duration) error { time.Sleep(2 * time.Second); return nil }
		if _, err := r.Run(t.Context(), provision.Everything); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if step.restart {
			s.stop(t)
			s.environment = append(s.environment, "PACKAGECLOUD_CLOUDFRONT_SECRET="+second)
			s.run(t)
		}
		// Longer than any link of these machines is used.
		time.Sleep(4 * time.Second)
	}
	c.going.Store(false)
	machines.Wait()
	c.check(t)
}

// patientBalancer stands before a server and waits while it is restarted, as a
// balancer with several nodes need not.
func patientBalancer(t testing.TB, server func() string) (url string) {
	dial := func(ctx context.Context, network, _ string) (c net.Conn, err error) {
		for range 200 {
			if c, err = new(net.Dialer).DialContext(ctx, network, server()); err == nil {
				return c, nil
			}
			time.Sleep(50 * time.Millisecond)
		}
		return nil, err
	}
	return "http://" + listen(t, &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "server", r.In.Host
		},
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true, DisableCompression: true},
		ErrorLog:  log.New(io.Discard, "", 0),
	}, "127.0.0.1:0")
}
