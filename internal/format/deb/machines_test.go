package deb_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/serve/servetest"
)

// TestMachines pushes odd packages beside usual ones. Machines of every
// architecture, with apt of four releases, must see of the usual ones what they
// saw before. Those that are set to amd64v3 see the packages for amd64v3 besides.
func TestMachines(t *testing.T) {
	s := servetest.Start(t, nil)
	push := func(p debtest.Package) servetest.Answer {
		t.Helper()
		return s.Push("alice/public", "ubuntu/jammy", "x.deb", p.Build(), nil)
	}
	for _, p := range []debtest.Package{
		{Name: "hello", Version: "1.0", Architecture: "amd64"}, {Name: "hello", Version: "1.0", Architecture: "arm64"}, {Name: "hello", Version: "1.0", Architecture: "i386"},
		{Name: "tool", Version: "2.0", Architecture: "all", Fields: "Depends: hello\n"}, {Name: "fast", Version: "1.0", Architecture: "amd64", Fields: "Depends: tool\n"},
	} {
		push(p).Is(201)
	}
	before := machines(t, s)
	for _, p := range []debtest.Package{
		{Name: "hello", Version: "9", Architecture: "amd64", Fields: "Package-Type: udeb\n"}, {Name: "tool", Version: "9", Fields: "Package-Type: udeb\n"},
		{Name: "hello", Version: "9", Architecture: "amd64v3"}, {Name: "hello", Version: "9", Architecture: "i386v7"}, {Name: "hello", Version: "9", Architecture: "all-foo"},
		{Name: "hello", Version: "9", Architecture: "musl-linux-amd64"}, {Name: "hello", Version: "9", Architecture: "none"},
		{Name: "fast", Version: "1.0", Architecture: "amd64", Fields: "Architecture-Variant: amd64v3\nDepends: tool\n"},
	} {
		push(p).Is(201)
	}
	g := generator{rand.New(rand.NewPCG(2, 0)), realControls(t)}
	accepted := 0
	for i := range 40 {
		if a := s.Push("alice/public", "ubuntu/jammy", "x.deb", g.shape(g.control(i)), nil); a.Status == 201 {
			accepted++
		} else if a.Status != 422 {
			t.Errorf("%d: %s", a.Status, a.Body)
		}
	}
	t.Logf("%d odd packages are accepted", accepted)
	s.Settle()
	s.Get("/alice/public/ubuntu/dists/jammy/main/debian-installer/binary-amd64/Packages").Is(200).Has("_amd64.udeb").Has("_all.udeb")

	after := machines(t, s)
	for release, sees := range after {
		for machine, now := range sees {
			then := before[release][machine].Versions
			if release == "sid" && machine == "amd64v3" {
				if !slices.ContainsFunc(now.Versions, func(line string) bool { return strings.Contains(line, "/fast_1.0_amd64v3.deb' fast_") }) {
					t.Errorf("amd64v3 does not get the package for it:\n%s", strings.Join(now.Versions, "\n"))
				}
				now.Versions, then = withoutFast(now.Versions), withoutFast(then)
			}
			if diff := cmp.Diff(then, now.Versions); diff != "" {
				t.Errorf("%q, machine %s (-before +after):\n%s", release, machine, diff)
			}
			if len(now.Wrong) > 0 || len(then) < 10 {
				t.Errorf("%q, machine %s: %v, %d lines", release, machine, now.Wrong, len(then))
			}
		}
	}
}

// withoutFast leaves out what is said of the package fast, for which a variant
// has been pushed, and what is said of the listing of variants.
func withoutFast(lines []string) (rest []string) {
	in := false
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, "fast:") || line == "Package: fast":
			in = true
		case strings.HasPrefix(line, "Package: ") || strings.HasSuffix(line, ":") && line[0] != ' ':
			in = false
		}
		// Its listing has the packages of all architectures too.
		if !in && !strings.Contains(line, "/fast_1.0") && !strings.HasSuffix(line, "jammy/main amd64v3 Packages") {
			rest = append(rest, line)
		}
	}
	return rest
}

// machines are what machines see, by release and machine.
func machines(t *testing.T, s *servetest.Server) map[string]map[string]verdict {
	t.Helper()
	folder := t.TempDir()
	script, err := os.ReadFile("testdata/machines.py")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "machines.py")
	if err := os.WriteFile(file, script, 0o755); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(folder, "key.asc")
	if err := os.WriteFile(key, []byte(s.Get("/alice/public/gpgkey").Is(200).Body), 0o644); err != nil {
		t.Fatal(err)
	}
	return askReleases(t, func(c *exec.Cmd, python string) {
		c.Args = append(c.Args, python, file, s.URL+"/alice/public/ubuntu", "jammy", key, "hello", "tool", "fast")
	}, folder)
}
