package install

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"packagecloud/internal/db"
	"packagecloud/internal/repo"
	"packagecloud/internal/tooltest"
)

// clear is a Sealer that hides nothing.
type clear struct{}

func (clear) Seal(_ string, plaintext []byte) ([]byte, error) { return plaintext, nil }
func (clear) Unseal(_ string, sealed []byte) ([]byte, error)  { return sealed, nil }

// render writes a script for a private repository.
func render(name, host string, r repo.Repository, token string) (string, error) {
	r.Private = true
	c := &call{Handler: &Handler{URL: &url.URL{Scheme: "https", Host: host}, Sealer: clear{}}, repository: r, master: &db.Token{Sealed: []byte(token)}}
	return c.script(name)
}

var (
	token = strings.Repeat("0f", repo.TokenLength/2)
	tools = repo.Repository{Owner: "acme", Name: "tools_2.0-x"}
	names = []string{"deb.sh", "rpm.sh", "node.sh", "python.sh"}
)

// TestScriptRefuses gives scripts values that would run as commands, or write
// where they should not.
func TestScriptRefuses(t *testing.T) {
	for _, h := range []string{"'", "\n", "\r", "\t", "\x00", "\x1b[2J", "$(id)", "`id`", `"`, `\`, ";", "&", "|", "{{.}}", "ü", "\u202e", " ", "*", "<", "#"} {
		for _, name := range names {
			for what, run := range map[string]func() (string, error){
				"owner":      func() (string, error) { return render(name, "h", repo.Repository{Owner: "a" + h, Name: "b"}, token) },
				"repository": func() (string, error) { return render(name, "h", repo.Repository{Owner: "a", Name: "b" + h}, token) },
				"token":      func() (string, error) { return render(name, "h", tools, token+h) },
				"host":       func() (string, error) { return render(name, "h"+h, tools, token) },
			} {
				if text, err := run(); err == nil {
					t.Errorf("%s takes %q in its %s: %s", name, h, what, text)
				}
			}
		}
	}
}

// TestScriptsAreWhole gives a shell every beginning of a script that ends with a
// line: it must refuse it before it has run any of it.
func TestScriptsAreWhole(t *testing.T) {
	for _, name := range names {
		text, err := render(name, "packages.example.com:8443", tools, token)
		if err != nil {
			t.Fatal(err)
		}
		for _, shell := range []string{"sh", "bash"} {
			if out, err := parse(shell, text); err != nil {
				t.Errorf("%s does not read %s: %v\n%s", shell, name, err, out)
			}
		}
		_, rest, _ := strings.Cut(text, "\n")
		for at := len(text) - len(rest) + 1; at < len(text)-2; at++ {
			if text[at] != '\n' && at%101 != 0 {
				continue
			}
			if _, err := parse("sh", text[:at]); err == nil {
				t.Errorf("a shell runs the first %d bytes of %s, which end with %q", at, name, text[at-20:at])
				break
			}
		}
	}
}

func parse(shell, text string) ([]byte, error) {
	c := exec.Command(shell, "-n")
	c.Stdin = strings.NewReader(text)
	return c.CombinedOutput()
}

// TestShellcheck lets shellcheck read the scripts as a POSIX shell does.
func TestShellcheck(t *testing.T) {
	_, err := exec.LookPath("shellcheck")
	tooltest.Need(t, "shellcheck", err == nil)
	for _, name := range names {
		text, err := render(name, "packages.example.com", tools, token)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		// SC2012: there is no stat everywhere. SC2015: A && B || die is meant. SC2030, SC2031: a subshell changes a
		// variable, and that is its purpose. SC2317: trap runs it.
		if out, err := exec.Command("shellcheck", "--shell=sh", "--exclude=SC2012,SC2015,SC2030,SC2031,SC2317", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestSummarize(t *testing.T) {
	jammy := repo.DistroVersion{ID: 237, OS: "ubuntu", Version: "jammy", Format: "deb"}
	bookworm := repo.DistroVersion{ID: 1, OS: "debian", Version: "bookworm", Format: "deb"}
	el := repo.DistroVersion{ID: 240, OS: "el", Version: "9", Format: "rpm"}
	for _, tt := range []struct {
		filled []repo.DistroVersion
		want   string
	}{
		{[]repo.DistroVersion{el, jammy}, "Packages of acme/tools for ubuntu/jammy can be installed.\n"},
		{nil, "acme/tools has no package for ubuntu/jammy yet. What is pushed for ubuntu/jammy can be installed from then on.\n"},
		{[]repo.DistroVersion{el, bookworm}, "acme/tools has no package for ubuntu/jammy yet. It has some for debian/bookworm. What is pushed for ubuntu/jammy can be installed from then on.\n"},
	} {
		if got := summarize(repo.Repository{Owner: "acme", Name: "tools"}, jammy, tt.filled); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
