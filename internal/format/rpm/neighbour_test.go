package rpm_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/tooltest"
)

// asks says what machines of some architectures see of the packages base-* in the
// folder index, and what they would install.
const asks = `set -u
cd "$1"
for machine in x86_64 i686 aarch64; do
  dnf="$2 --forcearch=$machine --releasever=9 --setopt=cachedir=$PWD/cache --setopt=reposdir=/nowhere --repofrompath=x,file://$PWD/index --repo=x"
  for what in '' --requires --list; do echo "$machine $what"; $dnf -q repoquery $what 'base-*' 2>&1 | sort; done
  $dnf --installroot=$PWD/root-$machine --assumeno --nogpgcheck install base-app 2>&1 | grep '^ base-' | sed 's/ *[0-9.]* [kKMB]*i*B* *$//' | sort
done`

// TestNeighbours puts odd packages beside plain ones of several architectures:
// nothing that we accept changes what clients see of the plain ones.
func TestNeighbours(t *testing.T) {
	tooltest.Need(t, "root, for scripts/sandbox", os.Getuid() == 0)
	var base []*judged
	for _, machine := range []string{"x86_64", "i686", "aarch64"} {
		for _, p := range []rpmtest.Package{
			{Name: "base-app", Requires: []string{"base-lib >= 1.0", "/usr/bin/base-tool"}, Files: map[string][]byte{"/usr/share/base-app": nil}},
			{Name: "base-lib"}, {Name: "base-lib", Version: "1.1"},
		} {
			p.Architecture = machine
			base = append(base, judge(t, p.Filename(), p.Build()))
		}
	}
	base = append(base, judge(t, "base-tool", rpmtest.Package{Name: "base-tool", Files: map[string][]byte{"/usr/bin/base-tool": []byte("x")}}.Build()))
	all := base
	for i := range 200 {
		name := rpmtest.GeneratedName(i)
		all = append(all, judge(t, name, rpmtest.Generate(rand.New(rand.NewPCG(7, uint64(i))), name).Build()))
	}
	for _, c := range []struct{ root, dnf string }{{"", "dnf"}, {"sid", "dnf5"}} {
		before, after := ask(t, c.root, c.dnf, base), ask(t, c.root, c.dnf, all)
		// Each of the three machines finds what to install.
		if n := strings.Count(before, "base-lib"); n < 20 || strings.Count(before, "\n base-lib") != 3 {
			t.Errorf("%s sees too little:\n%s", c.dnf, before)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s sees something else beside odd packages (-alone +beside):\n%s", c.dnf, diff)
		}
	}
}

func ask(t *testing.T, root, dnf string, packages []*judged) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "index", "repodata"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeIndex(t, filepath.Join(dir, "index", "repodata"), packages)
	sandbox, err := filepath.Abs("../../../scripts/sandbox")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), sandbox, "sh", "-c", asks, "sh", dir, dnf)
	c.Env = append(os.Environ(), "SANDBOX_SHARE="+dir, "LC_ALL=C.UTF-8")
	if root != "" {
		c.Env = append(c.Env, "SANDBOX_BASE="+tooltest.Output(t, "debian-root", root))
	}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.ReplaceAll(string(out), dir, "DIR")
}
