package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPool pushes packages and sources of Debian itself with package_cloud.
// The indexes must agree with those that apt-ftparchive makes of the same
// files, and apt must get every one of them back.
func TestPool(t *testing.T) {
	needTools(t, "apt-get", "apt-ftparchive", "dpkg-deb")
	pool := t.TempDir()
	if err := os.Chmod(pool, 0o755); err != nil {
		t.Fatal(err)
	}
	s := start(t)
	s.createRepository(t, "demo")
	share := "SANDBOX_SHARE=" + pool + ":" + bin + ":" + s.testdata(t)
	s.script(t.Context(), t, "pool-download.sh", "PRIVATE=0", "POOL="+pool, share)
	debs, _ := filepath.Glob(filepath.Join(pool, "*.deb"))
	sources, _ := filepath.Glob(filepath.Join(pool, "*.dsc"))
	if t.Failed() || len(debs) < 36 || len(sources) < 4 {
		t.Fatalf("%d packages and %d sources of Debian", len(debs), len(sources))
	}
	for _, files := range [][]string{debs, sources} {
		c := exec.Command(filepath.Join(bin, "package_cloud"), append([]string{"push", "--wait", "admin/demo/debian/bookworm"}, files...)...)
		c.Env = append(os.Environ(), "PACKAGECLOUD_URL="+s.URL, "PACKAGECLOUD_TOKEN="+s.Token)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("push: %v\n%s", err, out)
		}
	}
	var ours []map[string]string
	for _, architecture := range []string{"all", "amd64"} {
		_, text, _, err := s.get(t.Context(), "/admin/demo/debian/dists/bookworm/main/binary-"+architecture+"/Packages")
		if err != nil {
			t.Fatal(err)
		}
		ours = append(ours, stanzas(string(text))...)
	}
	compare(t, pool, "packages", ours, []string{"Filename"}, nil)
	_, text, _, err := s.get(t.Context(), "/admin/demo/debian/dists/bookworm/main/source/Sources")
	if err != nil {
		t.Fatal(err)
	}
	// apt-ftparchive makes up Priority and Section of sources.
	compare(t, pool, "sources", stanzas(string(text)), []string{"Directory", "Priority", "Section", "Checksums-Sha512"}, []string{"Files", "Checksums-Sha1", "Checksums-Sha256"})
	s.script(t.Context(), t, "pool-install.sh", "PRIVATE=0", "POOL="+pool, share)
	s.verify(t)
}

// compare compares stanzas with those of apt-ftparchive, but for some fields,
// and for the order of lines in others.
func compare(t *testing.T, dir, command string, ours []map[string]string, except, unordered []string) {
	t.Helper()
	c := exec.Command("apt-ftparchive", "-o", "APT::FTPArchive::SHA512=true", command, ".")
	c.Dir = dir
	out, err := c.Output()
	if err != nil {
		t.Fatalf("apt-ftparchive: %v", err)
	}
	index := func(list []map[string]string) map[string]map[string]string {
		all := make(map[string]map[string]string)
		for _, s := range list {
			for _, f := range except {
				delete(s, f)
			}
			for _, f := range unordered {
				lines := strings.Split(s[f], "\n")
				slices.Sort(lines)
				s[f] = strings.Join(lines, "\n")
			}
			all[fmt.Sprint(s["Package"], " ", s["Version"], " ", s["Architecture"])] = s
		}
		return all
	}
	if diff := cmp.Diff(index(stanzas(string(out))), index(ours)); diff != "" {
		t.Errorf("%s (-apt-ftparchive +ours):\n%s", command, diff)
	}
}

// stanzas reads deb822 text.
func stanzas(text string) (all []map[string]string) {
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		s, last := map[string]string{}, ""
		for line := range strings.SplitSeq(part, "\n") {
			if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
				s[last] += "\n" + strings.TrimRight(line, " ")
				continue
			}
			name, value, _ := strings.Cut(line, ":")
			last = name
			s[name] = strings.TrimSpace(value)
		}
		all = append(all, s)
	}
	return all
}
