// Package e2e runs real package managers against the real server.
//
// Each script in testdata is a story about one client, told twice: with a
// public repository and with a private one. It runs as root in a copy of this
// system (scripts/sandbox), so that it may configure and install as a user
// would. testdata/lib.sh has the words that the scripts use.
//
// The stories are told again with a server that sends its clients elsewhere: to
// a bucket, and to CloudFront. What stands in for AWS there is a cloud.
package e2e

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "packagecloud/internal/cli" // so that a change of the programs is one of the test
	_ "packagecloud/internal/ctl"
	"packagecloud/internal/db/dbtest"
	_ "packagecloud/internal/serve"
	"packagecloud/internal/tooltest"
)

// bin is the folder with the programs, built once.
var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "packagecloud-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bin = dir
	// Without C they run on systems with an older C library than this one's.
	build := exec.Command("go", "build", "-tags", "netgo,osusergo", "-o", bin, "packagecloud/cmd/...")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the programs:", err)
		os.Exit(1)
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// instance is a running server.
type instance struct {
	URL, Token, Data string

	program     string
	environment []string
	prefix      []string // before the command line of the server, say prlimit
	command     *exec.Cmd
	output      *bytes.Buffer
}

// start starts a server in a new data folder. The environment may override
// its configuration.
func start(t testing.TB, environment ...string) *instance {
	t.Helper()
	return startProgram(t, filepath.Join(bin, "packagecloud"), environment...)
}

// startProgram starts a server of a build of its own.
func startProgram(t testing.TB, program string, environment ...string) *instance {
	t.Helper()
	s := &instance{URL: "http://" + freeAddress(t), Data: t.TempDir(), program: program}
	s.environment = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"),
		"PACKAGECLOUD_LISTEN_ADDRESS="+strings.TrimPrefix(s.URL, "http://"), "PACKAGECLOUD_EXTERNAL_URL="+s.URL, "PACKAGECLOUD_DATA_DIRECTORY="+s.Data)
	s.environment = append(s.environment, environment...)
	s.run(t)
	s.stopAtEnd(t)
	token := regexp.MustCompile(`PACKAGECLOUD_TOKEN=([0-9a-f]{48})`).FindStringSubmatch(s.output.String())
	if token == nil {
		t.Fatalf("the first start prints no token:\n%s", s.output)
	}
	s.Token = token[1]
	return s
}

func (s *instance) stopAtEnd(t testing.TB) {
	t.Cleanup(func() {
		s.stop(t)
		if t.Failed() {
			t.Logf("the server said:\n%s", s.output)
		}
	})
}

// run starts the process and waits until it answers.
func (s *instance) run(t testing.TB) {
	t.Helper()
	s.runCommand(t, "serve")
}

func (s *instance) runCommand(t testing.TB, name string) {
	t.Helper()
	s.output = new(bytes.Buffer)
	line := append(slices.Clone(s.prefix), cmp.Or(s.program, filepath.Join(bin, "packagecloud")), name)
	s.command = exec.Command(line[0], line[1:]...)
	s.command.Env = s.environment
	// Files, not pipes: a writer of ours must not keep the process waiting.
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.command.Stdout, s.command.Stderr = log, log
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		out, err := exec.Command("curl", "-sf", s.URL+"/healthz").Output()
		if err == nil && strings.HasPrefix(string(out), "ok\n") {
			break
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("the server does not answer:\n%s", text)
		}
		time.Sleep(20 * time.Millisecond)
	}
	text, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	s.output.Write(text)
}

// stop ends the process in order.
func (s *instance) stop(t testing.TB) {
	t.Helper()
	if s.command == nil {
		return
	}
	_ = s.command.Process.Signal(syscall.SIGTERM)
	if err := s.command.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	s.command = nil
}

// kill ends the process at once.
func (s *instance) kill() {
	_ = s.command.Process.Kill()
	_ = s.command.Wait()
	s.command = nil
}

// ctl runs packagecloud-ctl.
func (s *instance) ctl(arguments ...string) (string, error) {
	c := exec.Command(filepath.Join(bin, "packagecloud-ctl"), arguments...)
	c.Env = s.environment
	out, err := c.CombinedOutput()
	return string(out), err
}

// verify expects packagecloud-ctl verify to find nothing wrong.
func (s *instance) verify(t testing.TB) {
	t.Helper()
	if out, err := s.ctl("verify"); err != nil {
		t.Fatalf("packagecloud-ctl verify: %v\n%s", err, out)
	}
}

func freeAddress(t testing.TB) string { return freePort(t, "127.0.0.1") }

func freePort(t testing.TB, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// needTools needs commands, and root to run them in a sandbox.
func needTools(t testing.TB, names ...string) {
	t.Helper()
	tooltest.Need(t, "root", os.Getuid() == 0)
	for _, name := range names {
		_, err := exec.LookPath(name)
		tooltest.Need(t, name, err == nil)
	}
}

// soaking reports whether make soak runs the tests: everything is tried then, for
// as long as it takes, and a sample otherwise.
func soaking() bool { return os.Getenv("PACKAGECLOUD_SOAK") != "" }

// testdata is the folder of the scripts.
func (s *instance) testdata(t testing.TB) string {
	t.Helper()
	data, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// script runs a script of testdata in a sandbox. Further environment variables
// are given as NAME=VALUE.
func (s *instance) script(ctx context.Context, t testing.TB, name string, environment ...string) {
	t.Helper()
	data := s.testdata(t)
	sandbox, err := filepath.Abs("../scripts/sandbox")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(ctx, sandbox, "bash", "-eu", filepath.Join(data, name))
	c.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "URL="+s.URL, "TOKEN="+s.Token, "BIN="+bin, "LIB="+filepath.Join(data, "lib.sh"),
		"SANDBOX_SHARE="+data+":"+bin, "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	c.Env = append(c.Env, environment...)
	text, err := os.ReadFile(filepath.Join(data, name))
	if err != nil {
		t.Fatal(err)
	}
	if m := toolsLine.FindSubmatch(text); m != nil {
		c.Env = append(c.Env, "TOOLS="+tooltest.Output(t, string(m[1])))
	}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}

var (
	needsLine = regexp.MustCompile(`(?m)^# needs: (.*)$`)
	toolsLine = regexp.MustCompile(`(?m)^# tools: (.*)$`) // a script of ours that prints the folder TOOLS
)

// TestClients runs every story.
func TestClients(t *testing.T) {
	eachStory(t, func(t *testing.T, name string) {
		for _, private := range []string{"0", "1"} {
			t.Run(map[string]string{"0": "public", "1": "private"}[private], func(t *testing.T) {
				t.Parallel()
				s := start(t)
				s.script(t.Context(), t, name, "PRIVATE="+private)
				s.verify(t)
			})
		}
	})
}

// eachStory runs a test for the script of each client, where what it needs is
// there.
func eachStory(t *testing.T, run func(t *testing.T, name string)) {
	t.Helper()
	scripts, err := filepath.Glob("testdata/client-*.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range scripts {
		name := filepath.Base(path)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m := needsLine.FindSubmatch(text)
		if m == nil {
			t.Fatalf("%s does not say what it needs", path)
		}
		t.Run(strings.TrimSuffix(strings.TrimPrefix(name, "client-"), ".sh"), func(t *testing.T) {
			needTools(t, strings.Fields(string(m[1]))...)
			run(t, name)
		})
	}
}

// TestQuickStart pastes what the first start prints.
func TestQuickStart(t *testing.T) {
	needTools(t, "apt-get", "dnf", "curl")
	s := start(t)
	var commands []string
	for line := range strings.Lines(s.output.String()) {
		if command, ok := strings.CutPrefix(line, "  "); ok {
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	if len(commands) != 9 {
		t.Fatalf("the first start prints %d commands:\n%s", len(commands), s.output)
	}
	s.script(t.Context(), t, "quickstart.sh", "PRIVATE=0", "COMMANDS="+strings.Join(commands, "\n"))
	s.verify(t)
}

// TestPostgres runs one story with the other engine.
func TestPostgres(t *testing.T) {
	needTools(t, "apt-get", "dpkg-deb", "dpkg-source")
	s := start(t, "PACKAGECLOUD_DATABASE_URL="+dbtest.PostgresURL(t))
	s.script(t.Context(), t, "client-apt.sh", "PRIVATE=1")
	s.verify(t)
}

// TestLaterStarts prints one line.
func TestLaterStarts(t *testing.T) {
	s := start(t)
	s.stop(t)
	s.run(t)
	if got := s.output.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, s.URL) {
		t.Errorf("a later start prints\n%s", got)
	}
}
