package serve_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/serve/servetest"
	"packagecloud/internal/tooltest"
)

const el9 = "240"

// pushOdd pushes packages that builders make and that clients must find and
// install. Each installs a program with its name.
func pushOdd(s *servetest.Server) {
	program := func(name, architecture, version string) rpmtest.Package {
		return rpmtest.Package{Name: name, Version: version, Architecture: architecture, Files: map[string][]byte{"/usr/bin/" + name: []byte("#!/bin/sh\necho " + version + " " + architecture + "\n")}}
	}
	push := func(body []byte) { s.Push("alice/public", el9, "a.rpm", body, nil).Is(http.StatusCreated) }

	latin := program("latin", "noarch", "1.0").Raw()
	latin.Set(rpmtest.Text(1004, "caf\xe9"), rpmtest.Text(1011, "J\xf6rg"), rpmtest.Strings(1081, "J\xf6rg"), rpmtest.Strings(1082, "- \xe4"), rpmtest.Numbers(1080, rpmtest.Int32, 1_600_000_000))
	push(latin.Build())
	push(rpmtest.Package{Name: "latin-file", Files: map[string][]byte{"/usr/share/caf\xe9/d\xfcnn": []byte("x")}}.Build())

	unsourced := program("unsourced", "x86_64", "1.0").Raw() // as rpm-builder and cargo-generate-rpm make them
	unsourced.Remove(1044)
	push(unsourced.Build())

	push(program("multi", "x86_64", "1.0").Build())
	push(program("multi", "i686", "1.0").Build())
	push(program("old", "i686", "1.0").Build())
	push(program("level", "x86_64", "1.0").Build())
	push(program("level", "x86_64_v4", "2.0").Build())

	push(rpmtest.Package{Name: "glibc"}.Build()) // that every system has one is what zypper of today insists upon
}

// installs is what a machine of x86_64 does. $client installs packages.
const installs = `
set -eu
mkdir -p /etc/yum.repos.d
rm -f /etc/yum.repos.d/*
curl -fsS "$URL/install/repositories/alice/public/config_file.repo?os=el&dist=9&source=script" > /etc/yum.repos.d/a.repo
is() { if [ "$1" != "$2" ]; then echo "is <$1>, not <$2>" >&2; exit 1; fi; }
$client latin latin-file unsourced multi old level
is "$(latin)" '1.0 noarch'
is "$(cat /usr/share/caf*/d*nn)" x
is "$(unsourced)" '1.0 x86_64'
is "$(multi)" '1.0 x86_64'
is "$(old)" '1.0 i686'
level > /dev/null # that of x86_64_v4 is newer, for clients and processors that know it
`

// TestRPMClients lets three releases of dnf and two of zypper install packages
// that are odd, and those of i686 on x86_64.
func TestRPMClients(t *testing.T) {
	tooltest.Need(t, "root, for scripts/sandbox", os.Getuid() == 0)
	s := servetest.Start(t, nil)
	pushOdd(s)
	const (
		dnf    = "dnf -q -y --releasever=9 --forcearch=x86_64 install"
		zypper = "zypper --non-interactive --gpg-auto-import-keys install --allow-unsigned-rpm"
	)
	for _, c := range []struct{ name, root, client string }{
		{"dnf 4.14", "", dnf},
		{"dnf 4.23", "trixie", dnf},
		{"dnf 5", "sid", "dnf5 -q -y --releasever=9 --forcearch=x86_64 install"},
		{"zypper 1.14.42", "", "mkdir -p /etc/zypp/repos.d; cp /etc/yum.repos.d/a.repo /etc/zypp/repos.d; " + zypper},
		{"zypper of sid", "sid", "mkdir -p /etc/zypp/repos.d; cp /etc/yum.repos.d/a.repo /etc/zypp/repos.d; " + zypper},
	} {
		t.Run(c.name, func(t *testing.T) {
			sandbox, err := filepath.Abs("../../scripts/sandbox")
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), sandbox, "bash", "-c", strings.Replace(installs, "$client", c.client, 1))
			cmd.Env = append(os.Environ(), "URL="+s.URL, "LC_ALL=C.UTF-8")
			if c.root != "" {
				cmd.Env = append(cmd.Env, "SANDBOX_BASE="+tooltest.Output(t, "debian-root", c.root))
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
