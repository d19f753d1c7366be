package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"packagecloud/internal/tooltest"
)

// npmPackages are the packages of testdata/npm-tree: NAME@VERSION, and the
// integrity that the public registry gives it.
func npmPackages(t testing.TB) map[string]string {
	t.Helper()
	f, err := os.Open("testdata/npm-tree/packages.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := make(map[string]string)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, integrity, _ := strings.Cut(lines.Text(), " ")
		all[name] = integrity
	}
	return all
}

// npmClient is a client with a home and a project of its own, which can reach
// nothing but a server of ours.
type npmClient struct {
	t           *testing.T
	program     string
	home        string
	environment []string
}

func newNpmClient(t *testing.T, program string, s *instance, token string) *npmClient {
	t.Helper()
	c := &npmClient{t: t, program: filepath.Join(tooltest.Output(t, "npm-clients"), program), home: memory(t)}
	registry := s.URL + "/admin/demo/npm/"
	rc := "registry=" + registry + "\n"
	if token != "" {
		rc += strings.TrimPrefix(registry, "http:") + ":_authToken=" + token + "\n"
	}
	c.write(".npmrc", rc)
	c.environment = append(os.Environ(), "HOME="+c.home, "npm_config_userconfig="+filepath.Join(c.home, ".npmrc"), "npm_config_globalconfig="+filepath.Join(c.home, "none"),
		"npm_config_audit=false", "npm_config_fund=false", "npm_config_update_notifier=false", "npm_config_ignore_scripts=true", "CI=true",
		"http_proxy=http://127.0.0.1:9", "https_proxy=http://127.0.0.1:9", "no_proxy=127.0.0.1,localhost")
	return c
}

// memory is a temporary folder in memory, where there is one with room: four
// clients write 16,000 files each, which is most of the time on a disk.
func memory(t *testing.T) string {
	t.Helper()
	const folder, room = "/dev/shm", 2 << 30
	var has syscall.Statfs_t
	if err := syscall.Statfs(folder, &has); err != nil || int64(has.Bavail)*has.Bsize < room {
		return t.TempDir()
	}
	home, err := os.MkdirTemp(folder, "packagecloud-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	return home
}

func (c *npmClient) write(name, text string) {
	c.t.Helper()
	path := filepath.Join(c.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *npmClient) command(arguments ...string) *exec.Cmd {
	command := exec.CommandContext(c.t.Context(), c.program, arguments...)
	command.Dir, command.Env = filepath.Join(c.home, "project"), c.environment
	return command
}

// run runs the client in the project.
func (c *npmClient) run(arguments ...string) (string, error) {
	c.t.Helper()
	out, err := c.command(arguments...).CombinedOutput()
	return string(out), err
}

// login logs in as people do: each answer is given when it is asked for.
func (c *npmClient) login(name, password string) (string, error) {
	c.t.Helper()
	command := c.command("login", "--auth-type=legacy")
	in, err := command.StdinPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	t := &talk{in: in, answers: []string{"Username:", name, "Password:", password}}
	command.Stdout, command.Stderr = t, t
	err = command.Run()
	return t.said.String(), err
}

// talk answers a program that asks.
type talk struct {
	mu      sync.Mutex
	said    bytes.Buffer
	seen    int
	in      io.WriteCloser
	answers []string // a question, its answer, the next question ...
}

// Write implements io.Writer: it takes what the program says.
func (t *talk) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.said.Write(p)
	for len(t.answers) > 0 {
		at := bytes.Index(t.said.Bytes()[t.seen:], []byte(t.answers[0]))
		if at < 0 {
			break
		}
		t.seen += at + len(t.answers[0])
		if _, err := io.WriteString(t.in, t.answers[1]+"\n"); err != nil {
			return 0, err
		}
		t.answers = t.answers[2:]
	}
	return len(p), nil
}

// TestNpmTree pushes fifty packages with all that they depend on, and installs
// them from nothing but that.
func TestNpmTree(t *testing.T) {
	for _, name := range []string{"node", "npm"} {
		_, err := exec.LookPath(name)
		tooltest.Need(t, name, err == nil)
	}
	folder := tooltest.Output(t, "npm-packages", "testdata/npm-tree/packages.txt")
	packages := npmPackages(t)
	manifest, err := os.ReadFile("testdata/npm-tree/package.json")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t)
	s.createRepository(t, "demo")
	files, err := filepath.Glob(filepath.Join(folder, "*.tgz"))
	if err != nil || len(files) != len(packages) {
		t.Fatalf("%d files of %d packages, %v", len(files), len(packages), err)
	}
	began := time.Now()
	var all []pushed
	for _, path := range files {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.push(t.Context(), "admin/demo", node1, filepath.Base(path), body, "")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	s.settle(t, all)
	t.Logf("%d packages were pushed and published in %v", len(all), time.Since(began).Round(time.Millisecond))

	t.Run("install", func(t *testing.T) { installTrees(t, s, string(manifest), packages) })
	s.verify(t)
}

// installTrees lets each client install a package.json, all at the same time.
func installTrees(t *testing.T, s *instance, manifest string, packages map[string]string) {
	for _, c := range []struct {
		program   string
		arguments []string
		lock      string
	}{
		{"npm9", []string{"install"}, "package-lock.json"},
		{"npm12", []string{"install"}, "package-lock.json"},
		{"yarn1", []string{"install", "--non-interactive", "--ignore-engines"}, ""},
		{"pnpm10", []string{"install", "--no-frozen-lockfile"}, ""},
		{"pnpm12", []string{"install", "--no-frozen-lockfile"}, ""},
		{"bun", []string{"install"}, ""},
	} {
		t.Run(c.program, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			client := newNpmClient(t, c.program, s, "")
			client.write("project/package.json", manifest)
			if out, err := client.run(c.arguments...); err != nil {
				t.Fatalf("%s %v: %v\n%s", c.program, c.arguments, err, out)
			}
			checkInstalled(t, filepath.Join(client.home, "project"), packages)
			if c.lock != "" {
				checkLock(t, filepath.Join(client.home, "project", c.lock), s.URL, packages)
			}
			t.Logf("installed in %v", time.Since(began).Round(time.Millisecond))
		})
	}
}

// checkInstalled expects what package.json asks for to be there.
func checkInstalled(t *testing.T, project string, packages map[string]string) {
	t.Helper()
	var wanted struct{ Dependencies map[string]string }
	readJSON(t, filepath.Join(project, "package.json"), &wanted)
	if len(wanted.Dependencies) != 50 {
		t.Fatalf("package.json asks for %d packages", len(wanted.Dependencies))
	}
	for name, version := range wanted.Dependencies {
		var got struct{ Name, Version string }
		readJSON(t, filepath.Join(project, "node_modules", name, "package.json"), &got)
		if got.Name != name || got.Version != version || packages[name+"@"+version] == "" {
			t.Errorf("%s@%s is there, not %s@%s", got.Name, got.Version, name, version)
		}
	}
}

// checkLock expects every package of a tree to come from the server, with the
// integrity that the public registry gives it.
func checkLock(t *testing.T, path, url string, packages map[string]string) {
	t.Helper()
	var lock struct {
		Packages map[string]struct{ Name, Version, Resolved, Integrity string }
	}
	readJSON(t, path, &lock)
	for place, p := range lock.Packages {
		if place == "" {
			continue
		}
		name := place[strings.LastIndex(place, "node_modules/")+len("node_modules/"):]
		if p.Name != "" {
			name = p.Name
		}
		if want := packages[name+"@"+p.Version]; p.Integrity != want || !strings.HasPrefix(p.Resolved, url+"/admin/demo/npm/"+name+"/-/") {
			t.Errorf("%s@%s is %s with %s, not %s", name, p.Version, p.Resolved, p.Integrity, want)
		}
	}
	if len(lock.Packages) < 400 {
		t.Errorf("the lock file has %d packages", len(lock.Packages))
	}
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestNpmLogin logs in as people do, and publishes with what they get.
func TestNpmLogin(t *testing.T) {
	for _, name := range []string{"node", "npm"} {
		_, err := exec.LookPath(name)
		tooltest.Need(t, name, err == nil)
	}
	s := start(t)
	s.createRepository(t, "demo")
	if out, err := s.ctl("reset-password", "admin@localhost", "secret of admin"); err != nil {
		t.Fatal(out)
	}
	for _, program := range []string{"npm9", "npm11"} {
		t.Run(program, func(t *testing.T) {
			c := newNpmClient(t, program, s, "")
			c.write("project/package.json", fmt.Sprintf(`{"name":"from-%s","version":"1.0.0"}`, program))
			if out, err := c.run("publish"); err == nil || !strings.Contains(out, "ENEEDAUTH") {
				t.Fatalf("publish without a token: %v\n%s", err, out)
			}
			if out, err := c.login("admin", "wrong"); err == nil || !strings.Contains(out, "E401") {
				t.Fatalf("login with a wrong password: %s", out)
			}
			if out, err := c.login("admin", "secret of admin"); err != nil {
				t.Fatalf("login: %v\n%s", err, out)
			}
			if out, err := c.run("publish"); err != nil {
				t.Fatalf("publish: %v\n%s", err, out)
			}
			status, body, _, err := s.get(t.Context(), "/admin/demo/npm/from-"+program)
			if err != nil || status != http.StatusOK || !bytes.Contains(body, []byte(`"1.0.0"`)) {
				t.Errorf("%d %s %v", status, body, err)
			}
			if out, err := c.run("logout"); err != nil || slices.Contains(strings.Split(out, "\n"), "error") {
				t.Errorf("logout: %v\n%s", err, out)
			}
		})
	}
}
