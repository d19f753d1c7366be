package python_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"packagecloud/internal/format"
	"packagecloud/internal/format/python"
	"packagecloud/internal/format/python/pytest"
)

// allocated are the bytes that a function allocates, those that are free again too.
func allocated(run func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestDoubled: what a parse costs at most doubles with its input, whatever there is
// more of. What is copied is counted and not the time it takes.
func TestDoubled(t *testing.T) {
	lines := func(line string) func(n int) []byte {
		return func(n int) []byte {
			return pytest.WheelOf("p-1.dist-info/", "Name: p\nVersion: 1\nLicense: x\n"+strings.Repeat(line, n)+"\n")
		}
	}
	members := func(n int) (files []string) {
		for i := range n {
			files = append(files, fmt.Sprintf("p-1/%09d", i), "")
		}
		return files
	}
	const wheel, sdist = "p-1-py3-none-any.whl", "p-1.tar.gz"
	meta := pytest.Metadata("p", "1", "")
	for what, c := range map[string]struct {
		filename string
		n        int
		input    func(n int) []byte
	}{
		"lines that continue a field": {wheel, 5_000, lines(" y\n")},
		"lines that continue nothing": {wheel, 5_000, lines("\r y\n")},
		"fields":                      {wheel, 5_000, lines("A: b\n")},
		"empty fields":                {wheel, 5_000, lines(":\n")},
		"dependencies":                {wheel, 2_000, lines("Requires-Dist: a[b, c] >=1,<2; (os_name == 'x')\n")},
		"clauses of one dependency":   {wheel, 400, func(n int) []byte { return lines("Requires-Dist: a" + strings.Repeat(">=1,", n) + "\n")(1) }},
		"parts of one marker": {wheel, 40, func(n int) []byte {
			return lines("Requires-Dist: a; " + strings.Repeat("os_name=='y' and ", n) + "os_name=='y'\n")(1)
		}},
		"a body":           {wheel, 5_000, lines("no field\n")},
		"carriage returns": {wheel, 5_000, lines("A: b\r")},
		"bytes that are not UTF-8": {sdist, 5_000, func(n int) []byte {
			return pytest.TarGz("p-1/PKG-INFO", "Name: p\nVersion: 1\nA: "+strings.Repeat("\xff", n)+"\n")
		}},
		"files in a zip file":   {wheel, 2_000, func(n int) []byte { return pytest.WheelOf("p-1.dist-info/", meta, members(n)...) }},
		"files in a tar file":   {sdist, 2_000, func(n int) []byte { return pytest.TarGz(append(members(n), "p-1/PKG-INFO", meta)...) }},
		"dashes in a file name": {"p" + strings.Repeat("-p", 100) + ".tar.gz", 1, func(int) []byte { return pytest.TarGz("p-1/PKG-INFO", meta) }},
	} {
		cost := func(n int) uint64 {
			body := c.input(n)
			return allocated(func() { _, _ = accept(t, c.filename, body, nil) })
		}
		cost(c.n) // what is made once
		one, two := cost(c.n), cost(2*c.n)
		if two > 3*one+64<<10 { // slices grow by leaps; work that is squared is four times as much
			t.Errorf("%d %s cost %d bytes, and twice as many %d", c.n, what, one, two)
		}
	}
}

// tailOf is a huge file of zeros with an end.
type tailOf struct {
	size int64
	tail []byte
}

func (f tailOf) ReadAt(p []byte, at int64) (int, error) {
	clear(p)
	if at == 0 {
		copy(p, "PK\x03\x04")
	}
	start := f.size - int64(len(f.tail))
	if from := start - at; from < int64(len(p)) {
		copy(p[max(from, 0):], f.tail[max(-from, 0):])
	}
	if at+int64(len(p)) > f.size {
		return int(f.size - at), io.EOF
	}
	return len(p), nil
}

// TestRecords: a zip file says how many files it has before it shows them, and no
// memory is spent on that word.
func TestRecords(t *testing.T) {
	const size, records = 5 << 30, 150 << 20
	end64 := append([]byte("PK\x06\x06"), make([]byte, 52)...)
	binary.LittleEndian.PutUint64(end64[4:], 44)
	binary.LittleEndian.PutUint64(end64[24:], records)
	binary.LittleEndian.PutUint64(end64[32:], records)
	binary.LittleEndian.PutUint64(end64[40:], 46)
	locator := append([]byte("PK\x06\x07"), make([]byte, 16)...)
	binary.LittleEndian.PutUint64(locator[8:], size-56-20-22)
	binary.LittleEndian.PutUint32(locator[16:], 1)
	end := append([]byte("PK\x05\x06"), make([]byte, 18)...)
	for i := 8; i < 20; i++ {
		end[i] = 0xff
	}
	tail := append(append(end64, locator...), end...)
	var err error
	cost := allocated(func() {
		_, err = python.New().Parse(t.Context(), format.Upload{Filename: "p-1-py3-none-any.whl", Content: tailOf{size, tail}, Size: size})
	})
	if err == nil || !strings.Contains(err.Error(), "files") || cost > 1<<20 {
		t.Errorf("%d bytes were allocated for a zip file of %d: %v", cost, records, err)
	}
}
