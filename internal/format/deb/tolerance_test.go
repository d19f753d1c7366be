package deb_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"packagecloud/internal/tooltest"
)

const plainControl = "Package: a\nVersion: 1\nArchitecture: all\nDescription: d\n"

// TestXZFilters reads what xz makes with a filter for machine code.
func TestXZFilters(t *testing.T) {
	_, err := exec.LookPath("xz")
	tooltest.Need(t, "xz", err == nil)
	for _, filter := range []string{"--x86", "--delta=dist=4"} {
		c := exec.Command("xz", filter, "--lzma2=preset=9")
		c.Stdin = bytes.NewReader(tarball("./control", []byte(plainControl)))
		packed, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := admit(t, archive("control.tar.xz", packed)); err != nil {
			t.Errorf("%s: %v", filter, err)
		}
	}
}

// TestLargeControlMember has 65 MB of checksums before the control file. They are
// read as a stream.
func TestLargeControlMember(t *testing.T) {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	w := tar.NewWriter(z)
	sums := []byte(strings.Repeat("0123456789abcdef0123456789abcdef  usr/share/doc/file\n", 65<<20/53))
	_ = w.WriteHeader(&tar.Header{Name: "./md5sums", Typeflag: tar.TypeReg, Size: int64(len(sums)), Mode: 0o644})
	_, _ = w.Write(sums)
	_ = w.WriteHeader(&tar.Header{Name: "./control", Typeflag: tar.TypeReg, Size: int64(len(plainControl)), Mode: 0o644})
	_, _ = w.Write([]byte(plainControl))
	_ = w.Close()
	_ = z.Close()
	body := archive("control.tar.gz", b.Bytes())

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, _, err := admit(t, body); err != nil {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
		t.Errorf("it takes %d bytes of memory", took)
	}
}

// TestTwoControls refuses an archive of which dpkg would take the second control
// file.
func TestTwoControls(t *testing.T) {
	first := tarball("control", []byte(plainControl))
	second := tarball("./control", []byte(strings.Replace(plainControl, "n: 1", "n: 2", 1)))
	_, _, err := admit(t, archive("control.tar", append(first[:1024], second...)))
	if err == nil || !strings.Contains(err.Error(), "two files control") {
		t.Error(err)
	}
}

// TestDescription keeps its lines byte for byte: apt tells descriptions apart by
// a digest of them.
func TestDescription(t *testing.T) {
	const description = "Description: d  \n trailing  \n \ttab\t\n .\n  two \n end"
	control := strings.Replace(plainControl, "Description: d", description+" \t ", 1)
	text, _, err := admit(t, archive("control.tar", tarball("control", []byte(control))))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(text), "\n"+description+"\n\n") {
		t.Errorf("%q", text)
	}
}
