// Package tooltest finds for tests the tools that scripts of the project install.
package tooltest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// root is the folder of the project.
var root = sync.OnceValues(func() (string, error) {
	gomod, err := exec.Command("go", "env", "GOMOD").Output()
	return filepath.Dir(strings.TrimSpace(string(gomod))), err
})

// Output is what a script prints, mostly a folder of what it has installed. Where it
// cannot, the test is skipped, and fails in CI.
func Output(t testing.TB, script string, arguments ...string) string {
	t.Helper()
	c := Command(t, script, arguments...)
	out, err := c.Output()
	Need(t, "what scripts/"+script+" installs", err == nil)
	return strings.TrimSpace(string(out))
}

// Command is a script that is to be run. It is killed when the test ends.
func Command(t testing.TB, script string, arguments ...string) *exec.Cmd {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), filepath.Join(dir, "scripts", script), arguments...)
	c.Stderr = os.Stderr
	return c
}

// Need ends the test where something is missing: skipped, but failed in CI.
func Need(t testing.TB, what string, ok bool) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("CI") == "true":
		t.Fatalf("needs %s", what)
	default:
		t.Skipf("needs %s", what)
	}
}
