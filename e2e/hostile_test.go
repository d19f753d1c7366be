package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/format/python/pytest"
	"packagecloud/internal/format/rpm/rpmtest"
)

// hostile are the packages that take the most memory to be read, by name, with
// the distribution that they are pushed to. Some are accepted, some are refused.
func hostile() map[string]struct {
	distro int
	body   []byte
} {
	type push = struct {
		distro int
		body   []byte
	}
	numbers := func(tag, kind uint32, n int) rpmtest.Tag { return rpmtest.Numbers(tag, kind, make([]uint64, n)...) }
	repeated := func(tag uint32, n int, s string) rpmtest.Tag {
		return rpmtest.Tag{Tag: tag, Type: rpmtest.StringArray, Count: uint32(n), Data: []byte(strings.Repeat(s+"\x00", n))}
	}
	of := func(tags ...rpmtest.Tag) []byte {
		raw := rpmtest.Package{Files: map[string][]byte{"/usr/bin/hello": []byte("x")}}.Raw()
		raw.Set(tags...)
		return raw.Build()
	}
	const files = 400_000
	shared := repeated(1049, 1_000_000, "a")
	shared.Shared = true // with the tag before it
	many := make([]string, 0, 2*100_000)
	for i := range 100_000 {
		many = append(many, fmt.Sprintf("hello/%d.py", i), "")
	}
	return map[string]push{
		"a control file of 900 KB": {jammy, debtest.Package{Fields: "Depends: " + strings.Repeat("hello (>= 1.0) | hello, ", 38_000) + "hello\n", ControlCompression: "xz"}.Build()},
		"sums of 200 MB":           {jammy, debtest.Ar([]debtest.Member{{Name: "debian-binary", Body: []byte("2.0\n")}, {Name: "control.tar.gz", Body: zipped(200 << 20)}, {Name: "data.tar", Body: make([]byte, 1024)}})},
		"files in one folder": {el9, of(repeated(1117, files, ""), repeated(1118, 1, "/"+strings.Repeat("d", 900)), numbers(1116, rpmtest.Int32, files),
			numbers(1030, rpmtest.Int16, files), numbers(1037, rpmtest.Int32, files))},
		"relations":              {el9, of(repeated(1049, 120_000, "a"), repeated(1050, 120_000, ""), numbers(1048, rpmtest.Int32, 120_000))},
		"relations that overlap": {el9, of(repeated(1047, 1_000_000, "a"), shared)},
		"metadata of 4 MB":       {python, pytest.Wheel("hostile", "1.0", strings.Repeat("Requires-Dist: hello>=1.0; python_version>'3'\n", 90_000))},
		"a wheel of many files":  {python, pytest.WheelOf("hostile-1.0.dist-info/", pytest.Metadata("hostile", "1.0", ""), many...)},
		"a package.json of 4 MB": {node1, npmtest.Package{Name: "hostile", Fields: `"dependencies":{` + strings.TrimSuffix(dependencies(100_000), ",") + `}`}.Build()},
		"a deep package.json":    {node1, npmtest.Package{Name: "deep", Fields: `"x":` + strings.Repeat("[", 2_000_000) + strings.Repeat("]", 2_000_000)}.Build()},
	}
}

// hostilePuts are the requests of npm that take the most memory to be read. The
// package that they are about is not there, which is found after they are read.
func hostilePuts() map[string][]byte {
	const size = 12 << 20 // eight times of which are reserved
	long := strings.Repeat("x", size)
	attached := base64.StdEncoding.EncodeToString(npmtest.Package{Name: "puts"}.Build())
	publish := func(fields string) []byte {
		return []byte(`{"name":"puts","versions":{"1.0.0":{` + fields + `}},"_attachments":{"puts-1.0.0.tgz":{"data":"` + attached + `"}}}`)
	}
	versions := strings.TrimSuffix(strings.ReplaceAll(dependencies(99_000), `"^1.0.0"`, `{"deprecated":"x"}`), ",")
	return map[string][]byte{
		"a packument of 100,000 versions":  []byte(`{"versions":{` + versions + `},"readme":"` + long + `"}`),
		"a message of 12 MB":               []byte(`{"versions":{"1.0.0":{"deprecated":"` + long + `"}}}`),
		"250 KB of tags":                   []byte(`{"versions":{"1.0.0":{}},"dist-tags":{` + strings.TrimSuffix(dependencies(9_500), ",") + `}}`),
		"dependencies of 12 MB, published": publish(`"dependencies":{` + strings.TrimSuffix(dependencies(size/26), ",") + `}`),
		"dependencies of 1 MB, published":  publish(`"dependencies":{` + strings.TrimSuffix(dependencies(37_000), ",") + `}`),
		"a readme of 12 MB, published":     publish(`"readme":"` + long + `"`),
	}
}

func dependencies(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"dependency-%d":"^1.0.0",`, i)
	}
	return b.String()
}

// sixteen sends a request so many times at once. Each must be answered: one that
// found no room within a minute is told to come again.
func (s *instance) sixteen(t *testing.T, name string, size int, send func(i int) (int, []byte, error)) {
	t.Helper()
	var all sync.WaitGroup
	var last atomic.Value
	for i := range 16 {
		all.Go(func() {
			code, answer, err := send(i)
			switch code {
			case http.StatusCreated, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusServiceUnavailable:
			default:
				t.Errorf("%s: %d %.200s %v", name, code, answer, err)
			}
			last.Store(fmt.Sprintf("%d %.150s", code, answer))
		})
	}
	all.Wait()
	t.Logf("%s, %d bytes: the last answer is %s", name, size, last.Load())
}

// TestHostileMemory pushes sixteen of each hostile package at once to a server
// that may not have more than 4 GiB of address space. It must stay below a
// gigabyte, answer each push, and take an ordinary package afterwards.
func TestHostileMemory(t *testing.T) {
	needTools(t, "prlimit", "curl")
	s := start(t)
	s.createRepository(t, "demo")
	s.stop(t)
	s.prefix = []string{"prlimit", "--as=" + strconv.Itoa(4<<30)}
	s.run(t)
	for name, p := range hostile() {
		s.sixteen(t, name, len(p.body), func(i int) (int, []byte, error) {
			return s.pushForm(t.Context(), "admin/demo", p.distro, fmt.Sprintf("x%d", i), p.body, "")
		})
	}
	for name, body := range hostilePuts() {
		s.sixteen(t, name, len(body), func(int) (int, []byte, error) {
			return s.call(t.Context(), http.MethodPut, "/admin/demo/npm/puts", "application/json", bytes.NewReader(body))
		})
	}
	peak := s.peakMemory(t)
	t.Logf("the server took %d MiB at most", peak>>20)
	if peak > 1<<30 {
		t.Errorf("the server took %d MiB", peak>>20)
	}
	if _, err := s.push(t.Context(), "admin/demo", jammy, "x", debtest.Package{Name: "afterwards"}.Build(), "?wait=indexed"); err != nil {
		t.Error(err)
	}
}

// zipped is that many zero bytes, compressed.
func zipped(n int64) []byte {
	var b bytes.Buffer
	c := exec.Command("sh", "-c", fmt.Sprintf("head -c %d /dev/zero | gzip -9", n))
	c.Stdout = &b
	if err := c.Run(); err != nil {
		panic(err)
	}
	return b.Bytes()
}
