package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/tooltest"
)

// largeSize is the size of a large package, and largeMemory what the server may
// use at most while it takes and sends it, in bytes.
const (
	largeSize   = 5_000_000_000
	largeMemory = 100 << 20
)

// largeDeb is a valid package of about the given size, made while it is read.
func largeDeb(size int64) io.Reader {
	small := debtest.Package{Name: "large", DataCompression: "none"}.Build()
	// The data member is the last: give it another size, and fill it up.
	at := bytes.LastIndex(small, []byte("data.tar"))
	copy(small[at+48:], fmt.Sprintf("%-10d", size))
	return io.MultiReader(bytes.NewReader(small[:at+60]), io.LimitReader(zeros{}, size))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// pushStream pushes what body gives. It does not know the length before.
func (s *instance) pushStream(t *testing.T, body io.Reader) (status int, answer []byte, err error) {
	t.Helper()
	pr, pw := io.Pipe()
	w := multipart.NewWriter(pw)
	go func() {
		err := w.WriteField("package[distro_version_id]", strconv.Itoa(jammy))
		if err == nil {
			var part io.Writer
			if part, err = w.CreateFormFile("package[package_file]", "large.deb"); err == nil {
				_, err = io.Copy(part, body)
			}
		}
		if err == nil {
			err = w.Close()
		}
		_ = pw.CloseWithError(err)
	}()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/v1/repos/admin/demo/packages.json?wait=indexed", pr)
	if err != nil {
		return 0, nil, err
	}
	r.SetBasicAuth(s.Token, "")
	r.Header.Set("Content-Type", w.FormDataContentType())
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// peakMemory is the most that the server's process has had in memory, in bytes.
func (s *instance) peakMemory(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.command.Process.Pid))
	tooltest.Need(t, "/proc", err == nil)
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatal("the kernel does not tell the memory of a process")
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// stored is how many bytes the files of the storage have, without the one that
// names it.
func (s *instance) stored(t *testing.T) (n int64) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(s.Data, "storage"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "identity" {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestLargeUpload pushes 5 GB and fetches them, with flat memory; a transfer of
// the same kind that breaks off leaves nothing.
func TestLargeUpload(t *testing.T) {
	s := start(t)
	s.createRepository(t, "demo")
	if _, _, err := s.pushStream(t, io.MultiReader(io.LimitReader(largeDeb(largeSize), 300<<20), brokenReader{})); err == nil {
		t.Error("a transfer that broke off was answered")
	}
	if n := s.stored(t); n != 0 {
		t.Errorf("a transfer that broke off leaves %d bytes", n)
	}
	sum := sha256.New()
	status, answer, err := s.pushStream(t, io.TeeReader(largeDeb(largeSize), sum))
	if err != nil || status != http.StatusCreated {
		t.Fatalf("push: %d %s %v", status, answer, err)
	}
	var p struct {
		Sha256sum  string
		PackageURL string `json:"package_url"`
	}
	if err := json.Unmarshal(answer, &p); err != nil {
		t.Fatal(err)
	}
	if p.Sha256sum != hex.EncodeToString(sum.Sum(nil)) {
		t.Error("what is recorded is not what was sent")
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/admin/demo/ubuntu/pool/jammy/main/l/large/large_1.0_all.deb", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	if err != nil || n < largeSize {
		t.Errorf("fetched %d bytes: %s %v", n, response.Status, err)
	}
	if peak := s.peakMemory(t); peak > largeMemory {
		t.Errorf("the server had %d MiB in memory", peak>>20)
	} else {
		t.Logf("the server had %d MiB in memory", peak>>20)
	}
}
