package e2e

import (
	"archive/zip"
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/tooltest"
)

// npmShapes are packages as people write them. Each is the fields of a
// package.json, without name and version, and what lies beside it. Clients
// rewrite some of the fields before they state them to the registry, each in
// its own way; what they state must agree with what is in their tarballs.
var npmShapes = []struct {
	name, fields string
	files        map[string]string
}{
	{"nothing", ``, nil},
	{"gyp", ``, map[string]string{"binding.gyp": "{}"}},
	{"gyp that is built otherwise", `"scripts":{"install":"true"}`, map[string]string{"binding.gyp": "{}"}},
	{"gyp that is not built", `"gypfile":false`, map[string]string{"binding.gyp": "{}"}},
	{"two gyps", ``, map[string]string{"a.gyp": "{}", "binding.gyp": "{}"}},
	{"server.js", ``, map[string]string{"server.js": ""}},
	{"install hooks", `"scripts":{"preinstall":"true","install":"true","postinstall":"true"}`, nil},
	{"publish hooks", `"scripts":{"prepublish":"true","prepare":"true","prepublishOnly":"true","prepack":"true","postpack":"true"}`, nil},
	{"scripts with a path", `"scripts":{"test":"./node_modules/.bin/x","install":"node_modules/.bin/x"}`, nil},
	{"scripts of other types", `"scripts":{"a":1,"b":null}`, nil},
	{"scripts that are a text", `"scripts":"x"`, nil},
	{"dependencies", `"dependencies":{"a":"1"},"devDependencies":{"b":"1"},"peerDependencies":{"c":"1"}`, nil},
	{"optional ones", `"optionalDependencies":{"a":"1"}`, nil},
	{"optional ones twice", `"dependencies":{"a":"1"},"optionalDependencies":{"a":"2"}`, nil},
	{"peers that are optional", `"peerDependencies":{"a":"1"},"peerDependenciesMeta":{"a":{"optional":true}}`, nil},
	{"peers that are optional alone", `"peerDependenciesMeta":{"a":{"optional":true}}`, nil},
	{"dependencies in a list", `"dependencies":["a@1","b"]`, nil},
	{"dependencies in a text", `"dependencies":"a@1 b"`, nil},
	{"no dependencies", `"dependencies":null`, nil},
	{"dependencies of other types", `"dependencies":{"a":1}`, nil},
	{"dependencies with blanks", `"dependencies":{"a":" 1.x "," b ":"1"}`, nil},
	{"dependencies from Git", `"dependencies":{"a":"x/y","b":"github:x/y#semver:^1","c":"git+https://127.0.0.1:9/x.git"}`, nil},
	{"dependencies from elsewhere", `"dependencies":{"a":"http://127.0.0.1:9/a.tgz","b":"npm:a@1","c":"file:../c"}`, nil},
	{"ranges of every kind", `"dependencies":{"a":"","b":"*","c":"latest","d":"1 || 2","e":">=1 <2","f":"~1.2","g":"1 - 2","h":"=v1.0.0"}`, nil},
	{"bundled", `"dependencies":{"a":"1"},"bundledDependencies":["a"]`, map[string]string{"node_modules/a/package.json": `{"name":"a","version":"1.0.0"}`}},
	{"all bundled", `"dependencies":{"a":"1"},"bundleDependencies":true`, map[string]string{"node_modules/a/package.json": `{"name":"a","version":"1.0.0"}`}},
	{"none bundled", `"dependencies":{"a":"1"},"bundleDependencies":false`, nil},
	{"bundled and not depended on", `"bundleDependencies":["a"]`, map[string]string{"node_modules/a/package.json": `{"name":"a","version":"1.0.0"}`}},
	{"a command", `"bin":"cli.js"`, map[string]string{"cli.js": ""}},
	{"commands", `"bin":{"a":"./cli.js","b":"bin/../cli.js"}`, map[string]string{"cli.js": ""}},
	{"commands in a list", `"bin":["cli.js"]`, map[string]string{"cli.js": ""}},
	{"a command that is not there", `"bin":"none.js"`, nil},
	{"commands outside", `"bin":{"../a":"../../cli.js"}`, nil},
	{"no commands", `"bin":{}`, nil},
	{"a folder of commands", `"directories":{"bin":"bin"}`, map[string]string{"bin/a": "", "bin/b.js": "", "bin/.hidden": "", "bin/x/c": ""}},
	{"both kinds of command", `"bin":{"a":"a.js"},"directories":{"bin":"bin"}`, map[string]string{"bin/b": "", "a.js": ""}},
	{"manuals", `"man":"man/a.1"`, map[string]string{"man/a.1": ""}},
	{"a folder of manuals", `"directories":{"man":"man"}`, map[string]string{"man/a.1": "", "man/b.2.gz": ""}},
	{"other folders", `"directories":{"lib":"lib","doc":"doc","test":"test"}`, nil},
	{"files", `"files":["lib","!lib/x.js"]`, map[string]string{"lib/a.js": "", "lib/x.js": "", "other.js": ""}},
	{"files that are not there", `"files":["none"],"main":"none.js"`, nil},
	{"ignored files", ``, map[string]string{".npmignore": "x.js\n", "x.js": "", "y.js": ""}},
	{"files of Git", ``, map[string]string{".gitignore": "x.js\n", "x.js": ""}},
	{"readme and licence", `"license":"MIT"`, map[string]string{"README.md": "# hello\n", "LICENSE": "MIT"}},
	{"readme in the fields", `"readme":"# hello","readmeFilename":"README.md"`, map[string]string{"README.md": "# other"}},
	{"shrinkwrap", `"dependencies":{"a":"1"}`, map[string]string{"npm-shrinkwrap.json": `{"name":"x","lockfileVersion":1,"dependencies":{"a":{"version":"1.0.0"}}}`}},
	{"authors", `"author":"A <a@b.c> (https://d.e)","contributors":["B <b@c.d>",{"name":"C"}],"maintainers":["D"]`, nil},
	{"AUTHORS", ``, map[string]string{"AUTHORS": "A <a@b.c>\nB\n"}},
	{"repository", `"repository":"x/y","bugs":"https://a.b/c","homepage":"https://a.b"`, nil},
	{"repository in a monorepo", `"repository":{"type":"git","url":"git+https://a.b/c.git","directory":"packages/x"}`, nil},
	{"licences of old", `"licenses":[{"type":"MIT","url":"https://a.b"}],"license":{"type":"ISC"}`, nil},
	{"funding", `"funding":["https://a.b",{"type":"x","url":"https://c.d"}]`, nil},
	{"engines", `"engines":{"node":">=4","npm":">=1"},"os":["linux","!win32"],"cpu":["x64"],"libc":"glibc"`, nil},
	{"engines in a list", `"engines":["node >= 0.4"]`, nil},
	{"keywords in a text", `"keywords":"a, b c"`, nil},
	{"exports", `"exports":{".":{"import":"./a.mjs","require":"./a.cjs"},"./x/*":null},"imports":{"#a":"./a.mjs"},"type":"module","sideEffects":["*.css"]`, nil},
	{"types", `"types":"a.d.ts","typesVersions":{"*":{"*":["x/*"]}},"module":"a.mjs","browser":{"a":false},"unpkg":"x"`, map[string]string{"a.d.ts": ""}},
	{"publishConfig", `"publishConfig":{"tag":"next","access":"public"}`, nil},
	{"publishConfig that rewrites", `"main":"a.js","publishConfig":{"main":"b.js","bin":{"x":"b.js"},"exports":"./b.js"}`, map[string]string{"a.js": "", "b.js": ""}},
	{"workspaces", `"workspaces":["packages/*"]`, map[string]string{"packages/a/package.json": `{"name":"a","version":"1.0.0"}`}},
	{"overrides", `"overrides":{"a":"2"},"resolutions":{"a":"2"},"pnpm":{"overrides":{"a":"2"}}`, nil},
	{"devEngines", `"devEngines":{"runtime":{"name":"node","onFail":"ignore"}},"config":{"port":"80"},"preferGlobal":true`, nil},
	{"our own fields", `"_id":"x@1","_from":"x","dist":{"tarball":"x"},"_hasShrinkwrap":true,"deprecated":"yes"`, nil},
	{"not deprecated", `"deprecated":false`, nil},
	{"a byte order mark", "\ufeff", nil},
	{"fields of one name", `"description":"a","description":"b","dependencies":{"a":"1"},"dependencies":{"b":"2"}`, nil},
	{"names of JavaScript", `"constructor":"x","toString":{"a":1},"dependencies":{"constructor":"1"}`, nil},
	{"half a letter", `"description":"\ud800","keywords":["\udc00"]`, nil},
	{"other letters", `"description":"é 日本 😀 \u2028","dependencies":{"a":"1"}`, map[string]string{"é/日本.js": "", "long/" + strings.Repeat("x", 120) + ".js": ""}},
	{"numbers", `"x":[1e3,1.50,12345678901234567890,1E400]`, nil},
	{"long", `"description":"` + strings.Repeat("x", 100_000) + `"`, nil},
	{"build metadata", `"version":"1.0.0+b.7"`, nil},
	{"a version with a v", `"version":"v1.0.0"`, nil},
}

// npmPublishers are clients with the arguments with which they publish.
var npmPublishers = []struct {
	program   string
	arguments []string
}{
	{"npm6", nil}, {"npm8", nil}, {"npm9", nil}, {"npm10", nil}, {"npm11", nil}, {"npm12", nil}, {"yarn1", []string{"--non-interactive"}}, {"yarn4", nil},
	{"pnpm8", []string{"--no-git-checks"}}, {"pnpm9", []string{"--no-git-checks"}}, {"pnpm10", []string{"--no-git-checks"}},
	{"pnpm11", []string{"--no-git-checks"}}, {"pnpm12", []string{"--no-git-checks"}}, {"bun", nil},
}

// recordVariable names a file that the requests of the publishers are written to, by
// client and shape. TestRecorded of the format reads them again, so that what each
// client sends is tried without the client.
const recordVariable = "PACKAGECLOUD_RECORD"

// TestNpmCorpus publishes every shape with every client: the server refuses
// none. What a client itself does not publish is its own affair. Outside of a soak
// each client publishes one: TestRecorded has the others.
func TestNpmCorpus(t *testing.T) {
	_, err := exec.LookPath("npm")
	tooltest.Need(t, "npm", err == nil)
	s := start(t)
	s.createRepository(t, "demo")
	for _, id := range []string{"a@1.0.0", "a@2.0.0", "b@1.0.0", "b@2.0.0", "c@1.0.0", "constructor@1.0.0"} { // yarn 4 installs them before it publishes
		name, version, _ := strings.Cut(id, "@")
		if _, err := s.push(t.Context(), "admin/demo", node1, "x.tgz", npmtest.Package{Name: name, Version: version}.Build(), "?wait=indexed"); err != nil {
			t.Fatal(err)
		}
	}
	r := record(t, s)
	t.Run("publish", func(t *testing.T) {
		for i, p := range npmPublishers {
			t.Run(p.program, func(t *testing.T) {
				t.Parallel()
				client := newNpmClient(t, p.program, s, s.Token)
				r.through(client)
				published := 0
				for j := range npmShapes {
					if (soaking() || j == 5*i%len(npmShapes)) && publishShape(t, client, j, p.arguments) {
						published++
					}
				}
				if published == 0 {
					t.Error("nothing was published")
				}
			})
		}
	})
	s.verify(t)
}

// requestArchive keeps what clients send to a server.
type requestArchive struct {
	*httptest.Server
	server string
	mu     sync.Mutex
	homes  []string
	bodies map[string]string // by the path of the request
}

// record sets up an archive, if its variable is set; nil if not.
func record(t *testing.T, s *instance) *requestArchive {
	file := os.Getenv(recordVariable)
	if file == "" {
		return nil
	}
	r := &requestArchive{server: s.URL, bodies: make(map[string]string)}
	to, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to) }}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		if q.Method == http.MethodPut {
			r.mu.Lock()
			r.bodies[path.Base(q.URL.Path)] = string(body)
			r.mu.Unlock()
		}
		q.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, q)
	}))
	t.Cleanup(func() {
		r.Close()
		if err := os.WriteFile(file, r.zip(t), 0o600); err != nil {
			t.Error(err)
		}
	})
	return r
}

// through lets a client send everything through the archive.
func (r *requestArchive) through(c *npmClient) {
	if r == nil {
		return
	}
	rc, err := os.ReadFile(filepath.Join(c.home, ".npmrc"))
	if err != nil {
		c.t.Fatal(err)
	}
	host := func(at string) string { return strings.TrimPrefix(at, "http://") }
	c.write(".npmrc", strings.ReplaceAll(string(rc), host(r.server), host(r.URL)))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.homes = append(r.homes, c.home)
}

// registryURL is that of the public registry, which yarn 1 states whatever it is told.
var registryURL = regexp.MustCompile(`https?://registry\.[a-z.]+`)

// zip has the requests, less where they were made.
func (r *requestArchive) zip(t *testing.T) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(r.bodies)) {
		body := registryURL.ReplaceAllString(strings.ReplaceAll(r.bodies[name], r.URL, "http://packages.example.com"), "http://packages.example.com")
		for _, home := range r.homes {
			body = strings.ReplaceAll(body, home, "/home/alice")
		}
		w, err := z.Create(name + ".json")
		if err == nil {
			_, err = io.WriteString(w, body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// publishShape publishes a shape, and reports whether the client did.
func publishShape(t *testing.T, c *npmClient, i int, arguments []string) bool {
	t.Helper()
	shape := npmShapes[i]
	if err := os.RemoveAll(filepath.Join(c.home, "project")); err != nil {
		t.Fatal(err)
	}
	fields, mark := strings.CutPrefix(shape.fields, "\ufeff")
	text := `{"name":"shape` + strconv.Itoa(i) + "-" + filepath.Base(c.program) + `"`
	if !strings.Contains(fields, `"version"`) {
		text += `,"version":"1.0.0"`
	}
	if fields != "" {
		text += "," + fields
	}
	if mark {
		text = "\ufeff" + text
	}
	c.write("project/package.json", text+"}")
	for name, body := range shape.files {
		c.write("project/"+name, body)
	}
	out, err := c.publish(arguments)
	if err != nil {
		said := strings.Contains(out, "Unprocessable") || strings.Contains(out, "package_file") || strings.Contains(out, "Internal error")
		if said {
			t.Errorf("%s: the server refuses it:\n%s", shape.name, out)
		} else {
			t.Logf("%s: the client does not publish it: %.300s", shape.name, out)
		}
	}
	return err == nil
}

// publish publishes the project.
func (c *npmClient) publish(arguments []string) (string, error) {
	if filepath.Base(c.program) != "yarn4" {
		return c.run(append([]string{"publish"}, arguments...)...)
	}
	c.write("project/.yarnrc.yml", c.yarnrc())
	c.write("project/yarn.lock", "")
	if out, err := c.run("install"); err != nil {
		return out, err
	}
	return c.run("npm", "publish")
}

// yarnrc says to yarn 4 what .npmrc says to the others.
func (c *npmClient) yarnrc() string {
	rc, err := os.ReadFile(filepath.Join(c.home, ".npmrc"))
	if err != nil {
		c.t.Fatal(err)
	}
	lines := strings.Fields(string(rc))
	_, token, _ := strings.Cut(lines[1], ":_authToken=")
	return "npmRegistryServer: \"" + strings.TrimPrefix(lines[0], "registry=") + "\"\nunsafeHttpWhitelist: [\"127.0.0.1\"]\nnodeLinker: node-modules\nnpmMinimalAgeGate: 0\n" +
		"npmAuthToken: \"" + token + "\"\nenableTelemetry: false\nenableImmutableInstalls: false\nhttpProxy: \"\"\nhttpsProxy: \"\"\n"
}
