package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"packagecloud/internal/edge/edgetest"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/provision"
	"packagecloud/internal/tooltest"
)

// ways runs a test with the places where clients may be sent: the bucket, and
// CloudFront with each check of links.
func ways(t *testing.T, run func(t *testing.T, c *cloud, s *instance)) {
	t.Run("S3", func(t *testing.T) {
		t.Parallel()
		c := newCloud(t)
		run(t, c, start(t, c.serverEnvironment()...))
	})
	for name, check := range map[string]provision.Check{"CloudFront": provision.LambdaEdge, "CloudFrontFunction": provision.CloudFrontFunction} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			if check == provision.CloudFrontFunction {
				c.withFunctions(t)
			}
			c.startEdges(t)
			c.deploy(t, check, "")
			run(t, c, start(t, c.serverEnvironment()...))
		})
	}
}

// throughOurEdge runs a test with clients that are sent to `packagecloud edge`,
// which fetches from the bucket.
func throughOurEdge(t *testing.T, run func(t *testing.T, c *cloud, s *instance)) {
	t.Run("edge", func(t *testing.T) {
		t.Parallel()
		c := newCloud(t)
		run(t, c, start(t, append(c.serverEnvironment(), c.startOurEdge(t)...)...))
	})
}

// TestClientsRedirected tells the stories again with a server that sends its
// clients elsewhere, for every file: to the bucket, to CloudFront, and to an
// edge of our own. The repository is private, so that they carry credentials. A
// story that is about answers of the server itself says so in a line
// "# direct: why".
func TestClientsRedirected(t *testing.T) {
	eachStory(t, func(t *testing.T, name string) {
		if text, err := os.ReadFile("testdata/" + name); err != nil || bytes.Contains(text, []byte("\n# direct: ")) {
			return
		}
		run := func(t *testing.T, c *cloud, s *instance) {
			s.script(t.Context(), t, name, append(c.environment(), "PRIVATE=1")...)
			s.verify(t)
			c.check(t)
		}
		ways(t, run)
		throughOurEdge(t, run)
	})
}

// TestRedirects goes through what clients do with redirects.
func TestRedirects(t *testing.T) {
	needTools(t, "apt-get", "dnf", "dpkg-deb", "rpmbuild", "curl", "wget")
	tooltest.Need(t, "requests for /usr/bin/python3 (Debian: python3-requests)", exec.Command("/usr/bin/python3", "-c", "import requests").Run() == nil)
	ways(t, func(t *testing.T, c *cloud, s *instance) {
		way := "S3"
		if c.domain != "" {
			way = "CloudFront"
		}
		s.script(t.Context(), t, "redirects.sh", append(c.environment(), "PRIVATE=1", "WAY="+way, "NODE="+edgetest.Node(t))...)
	})
}

// TestPublishWhileUpdating pushes all the time while machines update: none of
// them may fail.
func TestPublishWhileUpdating(t *testing.T) {
	needTools(t, "apt-get", "dnf", "curl")
	const period = 15 * time.Second
	ways(t, func(t *testing.T, c *cloud, s *instance) {
		s.createRepository(t, "demo")
		end := time.Now().Add(period)
		ctx, cancel := context.WithCancel(t.Context())
		var machines, pusher sync.WaitGroup
		pushes := 0
		pusher.Go(func() {
			for ; ctx.Err() == nil && !t.Failed(); pushes++ {
				name := fmt.Sprintf("p%d", pushes)
				distro, file, body := jammy, name+".deb", debtest.Package{Name: name}.Build()
				if pushes%2 == 1 {
					distro, file, body = el9, name+".rpm", rpmtest.Package{Name: name}.Build()
				}
				if _, err := s.push(t.Context(), "admin/demo", distro, file, body, "?wait=indexed"); err != nil {
					t.Errorf("push: %v", err)
				}
			}
		})
		for _, script := range []string{"torture-apt.sh", "torture-dnf.sh"} {
			machines.Go(func() {
				s.script(t.Context(), t, script, append(c.environment(), "PRIVATE=0", "END="+strconv.FormatInt(end.Unix(), 10))...)
			})
		}
		machines.Wait()
		cancel()
		pusher.Wait()
		t.Logf("%d pushes", pushes)
		c.check(t)
	})
}
