package install_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/serve/servetest"
)

// master is the master token of alice/private.
func master(t testing.TB, s *servetest.Server) string {
	t.Helper()
	a := s.Do(servetest.Request{Path: "/api/v1/repos/alice/private.json", User: s.Token}).Is(200)
	m := regexp.MustCompile(`//([0-9a-f]{48}):`).FindStringSubmatch(a.Body)
	if m == nil {
		t.Fatalf("no master token in %s", a.Body)
	}
	return m[1]
}

var noPassword = regexp.MustCompile(`[A-Za-z0-9_]:@`)

// TestPassword looks for credentials without a password, which zypper does not
// send, in all that the server gives out.
func TestPassword(t *testing.T) {
	s := servetest.Start(t, nil)
	s.Push("alice/private", "237", "hello.deb", debtest.Package{Name: "hello"}.Build(), nil).Is(201)
	base := "/install/repositories/alice/private/"
	for path, user := range map[string]string{
		base + "script.deb.sh":    "",
		base + "script.rpm.sh":    "",
		base + "script.node.sh":   "",
		base + "script.python.sh": "",
		base + "config_file.list?os=ubuntu&dist=jammy&apt_version=1.0.1":            "",
		base + "config_file.list?os=ubuntu&dist=jammy":                              "",
		base + "apt_auth_conf":                                                      "",
		base + "config_file.repo?os=el&dist=9":                                      "",
		base + "gpg_key_url.list":                                                   "",
		base + "gpg_key_url.repo":                                                   "",
		base + "rpm_base_url":                                                       "",
		base + "rpm_base_url?os=el&dist=9":                                          "",
		base + "config_file.npmrc":                                                  "",
		"/api/v1/repos/alice/private.json":                                          s.Token,
		"/api/v1/repos/alice/private/packages.json":                                 s.Token,
		"/api/v1/repos/alice/private/gpg_keys.json":                                 s.Token,
		"/api/v1/repos/alice/private/master_tokens":                                 s.Token,
		"/api/v1/repos/alice/private/package/deb/ubuntu/jammy/hello/amd64/1.0.json": s.Token,
	} {
		if user == "" {
			user = master(t, s)
		}
		a := s.Do(servetest.Request{Path: path, User: user})
		if a.Status != 200 && !strings.HasPrefix(path, "/api/") {
			t.Errorf("%s answers %d", path, a.Status)
		}
		if found := noPassword.FindString(a.Body); found != "" {
			t.Errorf("%s has credentials without a password: %s", path, a.Body)
		}
	}
}

// TestPasswordInDocuments looks for the same in what users copy.
func TestPasswordInDocuments(t *testing.T) {
	documents, err := filepath.Glob("../../../*.md")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir("../../../docs", func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			documents = append(documents, path)
		}
		return err
	})
	if err != nil || len(documents) < 5 {
		t.Fatalf("documents: %q, %v", documents, err)
	}
	for _, path := range documents {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			if noPassword.MatchString(line) {
				t.Errorf("%s: credentials without a password: %s", path, line)
			}
		}
	}
}
