package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/tooltest"
)

// oddFields and oddValues make the package.json of odd versions: each value in
// each field.
var (
	oddFields = strings.Fields(`dependencies devDependencies optionalDependencies peerDependencies peerDependenciesMeta bundleDependencies bundledDependencies bin
		directories engines os cpu libc funding scripts deprecated license licenses author maintainers repository bugs keywords description man files main exports
		type publishConfig config overrides acceptDependencies workspaces devEngines packageManager gypfile private dist _id _hasShrinkwrap hasInstallScript readme
		users time dist-tags versions signatures engineStrict`)
	oddValues = strings.Fields(`null true false 0 1e400 -1 12345678901234567890 "" "x" "../../x" [] [1] ["x"] [null] [[]] [{}] ["!x"] {} {"a":null} {"a":1} {"a":true} {"a":["x"]}
		{"a":{"b":"c"}} {"a":{"optional":"x"}} {"__proto__":"1"} {"__proto__":{"a":1}} {"constructor":"1"} {"hasOwnProperty":"1"} {"":"1"} {"a":"||"} {"../x":"1"}
		{"a":"file:../../x"} {"a":"npm:"} {"a":"workspace:*"} {"a":"npm:b@npm:c@1"} {"node":">=99"} {"node":{}} {"@x":"1"} {"a":"\ud800"} "\ud800" "\u0000" {"a":"1","a":"2"}
		{"bin":1} {"bin":null} {"install":1} {"url":1} {"type":1}`)
)

// oddPackages are the packages that the fields are spread over: a client's time goes
// by those that it installs.
const oddPackages = 8

// oddVersions are versions that are valid and that some clients may not read.
var oddVersions = []string{"1.5.0-99999999999999999999999", "9007199254740991.0.0", "1.0.4294967297", "1.5.0--", "1.5.0-X", "1.5.0-x", "1.5.0-" + strings.Repeat("a.", 110) + "a"}

// TestOddVersions puts versions of every shape beside good ones: every client
// must still find the good one, and npm's own libraries must read each.
func TestOddVersions(t *testing.T) {
	_, err := exec.LookPath("npm")
	tooltest.Need(t, "npm", err == nil)
	const sample = 5 // of the values, one in so many is tried outside of a soak
	seed := uint64(11)
	if soaking() {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("the seed is %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := start(t)
	s.createRepository(t, "demo")
	manifests := map[string]string{}
	for i, field := range oddFields {
		name := fmt.Sprintf("odd%d", i%oddPackages)
		for _, version := range []string{"1.0.0", "1.9.0"} {
			manifests[name+"@"+version] = fmt.Sprintf(`{"name":%q,"version":%q}`, name, version)
		}
		for j, value := range oddValues {
			if soaking() || random.IntN(sample) == 0 {
				version := fmt.Sprintf("1.%d.%d", i/oddPackages, j+1)
				manifests[name+"@"+version] = fmt.Sprintf(`{"name":%q,"version":%q,%q:%s}`, name, version, field, value)
			}
		}
	}
	for _, version := range append([]string{"1.0.0", "1.9.0"}, oddVersions...) {
		manifests["odd@"+version] = fmt.Sprintf(`{"name":"odd","version":%q}`, version)
	}
	pushOdd(t, s, manifests)
	t.Run("clients", func(t *testing.T) {
		for _, program := range []string{"npm6", "npm12", "yarn1", "pnpm10", "pnpm12", "bun"} {
			t.Run(program, func(t *testing.T) {
				t.Parallel()
				installGood(t, s, program)
			})
		}
		t.Run("pacote", func(t *testing.T) {
			t.Parallel()
			readOdd(t, s, manifests)
		})
	})
	s.verify(t)
}

// pushOdd pushes the manifests, and waits until they are published.
func pushOdd(t *testing.T, s *instance, manifests map[string]string) {
	t.Helper()
	var pushes errgroup.Group
	pushes.SetLimit(4)
	all := make(chan pushed, len(manifests))
	for id, manifest := range manifests {
		pushes.Go(func() error {
			p, err := s.push(t.Context(), "admin/demo", node1, "x.tgz", npmtest.Package{Manifest: []byte(manifest)}.Build(), "")
			if err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
			all <- p
			return nil
		})
	}
	if err := pushes.Wait(); err != nil {
		t.Fatal(err)
	}
	close(all)
	var list []pushed
	for p := range all {
		list = append(list, p)
	}
	s.settle(t, list)
}

// installGood has a client resolve a range that only the good versions and odd
// ones satisfy.
func installGood(t *testing.T, s *instance, program string) {
	c := newNpmClient(t, program, s, "")
	wanted := map[string]string{"odd": "1.9.0"}
	for i := range oddPackages {
		wanted[fmt.Sprintf("odd%d", i)] = "~1.9.0 || 1.9.0"
	}
	text, err := json.Marshal(map[string]any{"name": "project", "version": "1.0.0", "private": true, "dependencies": wanted})
	if err != nil {
		t.Fatal(err)
	}
	c.write("project/package.json", string(text))
	if strings.HasPrefix(program, "pnpm") {
		c.write("project/pnpm-workspace.yaml", "packages: [.]\nminimumReleaseAge: 0\n")
	}
	arguments := map[string][]string{"yarn1": {"install", "--non-interactive"}, "pnpm10": {"install", "--no-frozen-lockfile"}, "pnpm12": {"install", "--no-frozen-lockfile"}}[program]
	if arguments == nil {
		arguments = []string{"install"}
	}
	if out, err := c.run(arguments...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name := range wanted {
		var got struct{ Version string }
		readJSON(t, filepath.Join(c.home, "project", "node_modules", name, "package.json"), &got)
		if got.Version != "1.9.0" {
			t.Errorf("%s@%s is installed", name, got.Version)
		}
	}
}

// readOdd has npm's library read what is said of each version, in one process.
func readOdd(t *testing.T, s *instance, manifests map[string]string) {
	clients := tooltest.Output(t, "npm-clients")
	var ids []string
	for id := range manifests {
		ids = append(ids, id)
	}
	list, err := json.Marshal(ids)
	if err != nil {
		t.Fatal(err)
	}
	c := newNpmClient(t, "node24", s, "")
	c.write("project/ids.json", string(list))
	c.write("project/judge.js", `
const [pacote, registry] = process.argv.slice(2), {manifest} = require(pacote)
const options = {registry, cache: 'cache', fullMetadata: true, preferOffline: true}
const run = async () => {
  for (const id of JSON.parse(require('fs').readFileSync('ids.json'))) {
    const m = await manifest(id, options).catch(e => ({failed: e.message}))
    if (m.failed || m.name + '@' + m.version !== id) console.log(id, m.failed || m._id)
  }
}
run()`)
	out, err := c.run("judge.js", filepath.Join(clients, "../node_modules/npm11/node_modules/pacote"), s.URL+"/admin/demo/npm/")
	if err != nil || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
	if status, _, _, err := s.get(t.Context(), "/admin/demo/npm/odd"); status != http.StatusOK {
		t.Errorf("%d %v", status, err)
	}
}
