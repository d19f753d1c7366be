package serve_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/serve/servetest"
	"packagecloud/internal/tooltest"
)

// resumes are what machines fetch files with: a command that makes the file "got" of
// $url, and one that goes on with what there is of it after the first one failed.
// Those without go on by themselves. Certificates are those of the test.
var resumes = []struct {
	name, program, first, next string
	joins                      bool // it may put whatever it gets behind what it has
}{
	{"curl -C -", "curl", "curl -sSfLk -o got $url", "curl -sSfLk -C - -o got $url", false},
	{"curl --retry", "curl", "curl -sSfLk --retry 2 --retry-delay 1 --retry-all-errors -o got $url", "", false},
	{"wget", "wget", "wget -q --no-check-certificate --tries=3 --waitretry=0 -O got $url", "", true},
	{"wget -c", "wget", "wget -q --no-check-certificate --tries=1 -O got $url", "wget -q --no-check-certificate -c -O got $url", true},
	{"aria2c", "aria2c", "aria2c -q --check-certificate=false --no-conf --max-tries=3 --retry-wait=0 -o got $url", "", false},
	{"aria2c -c", "aria2c", "aria2c -q --check-certificate=false --no-conf --max-tries=1 -o got $url", "aria2c -q --check-certificate=false --no-conf -c -o got $url", true},
	{"aria2c -s 3", "aria2c", "aria2c -q --check-certificate=false --no-conf -s 3 -k 1M -x 3 --max-tries=3 --retry-wait=0 -o got $url", "", false},
	{"apt", "apt-get", apt + " -o Acquire::Retries=2 download-file $url got", "", false},
	{"apt, begun again", "apt-get", apt + " -o Acquire::Retries=0 download-file $url got", apt + " -o Acquire::Retries=0 download-file $url got", false},
}

const apt = "/usr/lib/apt/apt-helper -qq -o Acquire::https::Verify-Peer=false -o Acquire::https::Verify-Host=false -o APT::Sandbox::User=root"

// largeSize makes aria2c ask for parts.
const largeSize = 3 << 20

// TestResume lets clients go on after their connection broke off in the middle. The
// file is whole and right in the end.
func TestResume(t *testing.T) {
	large := debtest.Package{Name: "large", Version: "1.0", Architecture: "all", DataCompression: "none", Files: map[string][]byte{"/usr/share/noise": noise(largeSize)}}.Build()
	eachResume(t, func(t *testing.T, s *servetest.Server, base string, cut *cutter) {
		s.Push("alice/public", "ubuntu/jammy", "x.deb", large, nil).Is(201)
		for _, c := range resumes {
			cut.cut(1<<20, 1, nil)
			got, err := resume(t, c.first, c.next, base+"/alice/public/ubuntu/pool/jammy/main/l/large/large_1.0_all.deb")
			if err != nil || !bytes.Equal(got, large) {
				t.Errorf("%s: %d bytes of %d with the SHA-256 %s, %v", c.name, len(got), len(large), sum(got), err)
			}
			if cut.left() > 0 {
				t.Errorf("%s: the connection did not break off", c.name)
			}
		}
	})
}

// TestResumeChanged does the same with a file whose name stands for other bytes when
// the connection breaks off, of the same size. Whoever ends well has one file or the
// other. Two are left out that nothing can keep from joining them: wget takes an
// answer that begins at the first byte for a part, as its manual says, and aria2c -c,
// which looks at the size alone, asks for parts where it was sent to.
func TestResumeChanged(t *testing.T) {
	const path = "/alice/public/generic/latest.bin"
	both := [2][]byte{noise(largeSize), bytes.Repeat([]byte("other "), largeSize/6)}
	eachResume(t, func(t *testing.T, s *servetest.Server, base string, cut *cutter) {
		now := 0
		put := func() { s.Do(servetest.Request{Method: "PUT", Path: path, User: s.Token, Body: both[now]}).Is(201) }
		put()
		change := func() {
			s.Do(servetest.Request{Method: "DELETE", Path: path, User: s.Token}).Is(204)
			now = 1 - now
			put()
		}
		for _, c := range resumes {
			if c.joins {
				continue
			}
			cut.cut(1<<20, 1, change)
			got, err := resume(t, c.first, c.next, base+path)
			if err == nil && !bytes.Equal(got, both[0]) && !bytes.Equal(got, both[1]) {
				t.Errorf("%s: %d bytes with the SHA-256 %s are neither file", c.name, len(got), sum(got))
			}
			if cut.left() > 0 {
				t.Errorf("%s: the connection did not break off", c.name)
			}
		}
	})
}

// eachResume runs a test with every delivery. base is the URL of the server, in a
// folder that of the cutter before it.
func eachResume(t *testing.T, test func(t *testing.T, s *servetest.Server, base string, cut *cutter)) {
	for _, c := range resumes {
		_, err := exec.LookPath(c.program)
		tooltest.Need(t, c.program, err == nil)
	}
	for _, delivery := range deliveries {
		t.Run(delivery, func(t *testing.T) {
			t.Parallel()
			s, cut := delivered(t, delivery)
			base := s.URL
			if delivery == "folder" {
				base = "http://" + cut.address
			}
			test(t, s, base, cut)
		})
	}
}

// resume runs the commands of a client, and returns the file that they make.
func resume(t *testing.T, first, next, url string) ([]byte, error) {
	t.Helper()
	dir := t.TempDir()
	run := func(command string) error {
		c := exec.CommandContext(t.Context(), "sh", "-c", "exec "+command)
		c.Dir = dir
		c.Env = append(os.Environ(), "url="+url, "LC_ALL=C", "HOME="+dir)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Logf("%s: %v %s", command, err, strings.TrimSpace(string(out)))
		}
		return err
	}
	err := run(first)
	if err != nil && next != "" {
		err = run(next)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, "got"))
}

func sum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:4])
}
