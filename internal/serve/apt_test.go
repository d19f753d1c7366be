package serve_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/db"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/serve/servetest"
	"packagecloud/internal/tooltest"
)

// TestAptAcrossOrigins updates a machine with apt while the server gets another
// external_url: nothing fails, and it sees what is new. After set-origin apt fails
// until the administrator of the machine agrees, as the command says.
func TestAptAcrossOrigins(t *testing.T) {
	s := servetest.Start(t, nil)
	update := aptMachine(t, s)
	version := 0
	push := func() {
		t.Helper()
		version++
		p := debtest.Package{Name: "origin", Version: strings.Repeat("1", version), Architecture: "amd64"}
		s.Push("alice/public", "ubuntu/jammy", "x.deb", p.Build(), nil).Is(201)
		s.Settle()
	}
	works := func(options ...string) {
		t.Helper()
		out, err := update(options...)
		if err != nil || !strings.Contains(out, "Version: "+strings.Repeat("1", version)+"\n") {
			t.Errorf("apt-get update with %v: %v\n%s", options, err, out)
		}
	}
	push()
	works()
	first := origin(t, s)

	s.Restart("PACKAGECLOUD_EXTERNAL_URL=https://packages.example.com")
	push()
	works()
	if now := origin(t, s); now != first {
		t.Errorf("the Origin is %s now, and was %s", now, first)
	}

	scopes, err := s.Node.DB.Scopes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = s.Node.DB.Update(t.Context(), func(tx *db.Tx) error { // as set-origin does
		changed, err := tx.SetOrigin(t.Context(), scopes[0].RepositoryID, "packages.example.com")
		for _, id := range changed {
			err = errors.Join(err, tx.AddChange(t.Context(), id, db.Refresh, 0, time.Now()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Settle()
	if now := origin(t, s); now != "packages.example.com/alice/public" {
		t.Errorf("the Origin is %s after set-origin", now)
	}
	if out, err := update(); err == nil || !strings.Contains(out, "changed its 'Origin' value") {
		t.Errorf("apt-get update does not see another Origin: %v\n%s", err, out)
	}
	works("--allow-releaseinfo-change")
	push()
	works()
}

func origin(t *testing.T, s *servetest.Server) string {
	t.Helper()
	for line := range strings.Lines(s.Get("/alice/public/ubuntu/dists/jammy/Release").Is(200).Body) {
		if rest, ok := strings.CutPrefix(line, "Origin: "); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatal("Release has no Origin")
	return ""
}

// aptMachine sets up apt in a folder for alice/public. The function updates it, and
// returns what apt says, and what it knows of the package origin then.
func aptMachine(t *testing.T, s *servetest.Server) (update func(options ...string) (string, error)) {
	t.Helper()
	apt, err := exec.LookPath("apt-get")
	tooltest.Need(t, "apt-get", err == nil)
	cache, err := exec.LookPath("apt-cache")
	tooltest.Need(t, "apt-cache", err == nil)
	dir := t.TempDir()
	key := filepath.Join(dir, "key.asc")
	source := "deb [arch=amd64 signed-by=" + key + "] " + s.URL + "/alice/public/ubuntu jammy main\n"
	err = errors.Join(
		os.MkdirAll(filepath.Join(dir, "lists", "partial"), 0o755), os.MkdirAll(filepath.Join(dir, "cache", "archives", "partial"), 0o755),
		os.WriteFile(key, []byte(s.Get("/alice/public/gpgkey").Is(200).Body), 0o600),
		os.WriteFile(filepath.Join(dir, "sources.list"), []byte(source), 0o600), os.WriteFile(filepath.Join(dir, "status"), nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	options := []string{"-o", "Debug::NoLocking=1", "-o", "APT::Architecture=amd64", "-o", "APT::Architectures=amd64", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none",
		"-o", "Dir::State=" + dir, "-o", "Dir::State::lists=" + filepath.Join(dir, "lists"), "-o", "Dir::State::status=" + filepath.Join(dir, "status"),
		"-o", "Dir::Cache=" + filepath.Join(dir, "cache"), "-o", "Dir::Etc::sourcelist=" + filepath.Join(dir, "sources.list"), "-o", "Dir::Etc::sourceparts=/dev/null"}
	return func(more ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), apt, append(append(options, more...), "update")...).CombinedOutput()
		known, kerr := exec.CommandContext(t.Context(), cache, append(options, "show", "origin")...).CombinedOutput()
		return string(out) + string(known), errors.Join(err, kerr)
	}
}
