package e2e

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/rpm/rpmtest"
)

// clockProgram builds the server with a clock that tests can set.
var clockProgram = sync.OnceValues(func() (string, error) {
	path := filepath.Join(bin, "clocks", "packagecloud")
	out, err := exec.Command("go", "build", "-tags", "netgo,osusergo,clockoffset", "-o", path, "packagecloud/cmd/packagecloud").CombinedOutput()
	if err != nil {
		return string(out), err
	}
	return path, nil
})

// wrongClock is the clock of one server.
type wrongClock struct{ path string }

func newClock(t *testing.T, offset string) wrongClock {
	t.Helper()
	c := wrongClock{filepath.Join(t.TempDir(), "offset")}
	c.set(t, offset)
	return c
}

// set makes the clock wrong by an offset, "-7m" say. It counts a moment later.
func (c wrongClock) set(t *testing.T, offset string) {
	t.Helper()
	if err := os.WriteFile(c.path+".new", []byte(offset), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(c.path+".new", c.path); err != nil {
		t.Fatal(err)
	}
}

// startWrong starts a server with a clock.
func startWrong(t *testing.T, c wrongClock, environment ...string) *instance {
	t.Helper()
	path, err := clockProgram()
	if err != nil {
		t.Fatalf("%v: %s", err, path)
	}
	return startProgram(t, path, append(environment, "PACKAGECLOUD_CLOCK_OFFSET="+c.path)...)
}

// TestClockIsPutRight pushes while the clock of the server is a day ahead, and a
// day behind, on machines that were set up before. The script chooses the time.
func TestClockIsPutRight(t *testing.T) {
	needTools(t, "apt-get", "dpkg-deb", "dnf", "curl")
	t.Parallel()
	c := newClock(t, "0s")
	s := startWrong(t, c)
	control := "http://" + listen(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		c.set(t, r.URL.Query().Get("offset"))
	}), "127.0.0.1:0")
	s.script(t.Context(), t, "clocks.sh", "PRIVATE=1", "CONTROL="+control)
	s.verify(t)
}

// TestNodesWithClocksApart has two nodes on PostgreSQL and a bucket, whose clocks
// are further apart than links live. Packages are pushed to one and the other, and
// each has a machine that installs all the time.
func TestNodesWithClocksApart(t *testing.T) {
	needTools(t, "apt-get", "dnf", "curl")
	t.Parallel()
	cloud := newCloud(t)
	nodes := nodesApart(t, cloud, "20m", "-70m")
	ahead, behind := nodes[0], nodes[1]
	ahead.createPrivateRepository(t, "demo")
	push := func(i int, name string) {
		t.Helper()
		for distro, body := range map[int][]byte{jammy: debtest.Package{Name: name}.Build(), el9: rpmtest.Package{Name: name}.Build()} {
			file := map[int]string{jammy: name + ".deb", el9: name + ".rpm"}[distro]
			if _, err := nodes[i%2].push(t.Context(), "admin/demo", distro, file, body, "?wait=indexed"); err != nil {
				t.Fatal(err)
			}
		}
	}
	push(0, "hello")
	cloud.going.Store(true)
	var machines sync.WaitGroup
	for _, name := range []string{"loop-apt.sh", "loop-dnf.sh"} {
		machines.Go(func() {
			ahead.script(t.Context(), t, name, append(cloud.environment(), "PRIVATE=1", "URL="+publicURL(ahead))...)
		})
	}
	for i := range 8 {
		push(i, fmt.Sprintf("other%d", i))
		time.Sleep(time.Second) // for the machines to update in between
	}
	cloud.going.Store(false)
	machines.Wait()
	ahead.verify(t)
	for n, words := range map[*instance]string{ahead: "20m0s ahead of the clock of the machine with PostgreSQL", behind: "1h10m0s behind the clock of the machine with PostgreSQL"} {
		if out, err := exec.Command("curl", "-sf", n.URL+"/healthz").Output(); err != nil || !strings.Contains(string(out), words) {
			t.Errorf("healthz says %q, %v", out, err)
		}
	}
	cloud.check(t)
}

// nodesApart starts nodes that share database and bucket, each with a clock of its
// own. Behind their common URL apt gets the first one, and everybody else the last:
// a client stays with its node.
func nodesApart(t *testing.T, cloud *cloud, offsets ...string) (nodes []*instance) {
	t.Helper()
	balancer := "http://" + listen(t, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		n := nodes[len(nodes)-1]
		if strings.Contains(r.In.UserAgent(), "APT") {
			n = nodes[0]
		}
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", strings.TrimPrefix(n.URL, "http://"), r.In.Host
	}}, "127.0.0.1:0")
	environment := append(cloud.serverEnvironment(), "PACKAGECLOUD_EXTERNAL_URL="+balancer, "PACKAGECLOUD_DATABASE_URL="+dbtest.PostgresURL(t),
		"PACKAGECLOUD_MASTER_KEY_FILE="+filepath.Join(t.TempDir(), "master.key"))
	for i, offset := range offsets {
		clock := newClock(t, offset)
		if i == 0 {
			nodes = append(nodes, startWrong(t, clock, environment...))
			continue
		}
		// Its token was printed by the first start of all.
		n := &instance{URL: "http://" + freeAddress(t), Data: t.TempDir(), Token: nodes[0].Token, program: nodes[0].program}
		n.environment = append(slices.Clone(nodes[0].environment), "PACKAGECLOUD_LISTEN_ADDRESS="+strings.TrimPrefix(n.URL, "http://"),
			"PACKAGECLOUD_DATA_DIRECTORY="+n.Data, "PACKAGECLOUD_CLOCK_OFFSET="+clock.path)
		n.run(t)
		n.stopAtEnd(t)
		nodes = append(nodes, n)
	}
	return nodes
}

// publicURL is the URL by which clients know a node.
func publicURL(n *instance) string {
	for _, v := range slices.Backward(n.environment) {
		if url, ok := strings.CutPrefix(v, "PACKAGECLOUD_EXTERNAL_URL="); ok {
			return url
		}
	}
	return n.URL
}
