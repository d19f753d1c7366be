package npm

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"packagecloud/internal/format"
	"packagecloud/internal/format/npm/npmtest"
)

// allocated is how many bytes f allocates, and in how many pieces.
func allocated(f func()) (size, pieces int64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc), int64(after.Mallocs - before.Mallocs)
}

// heldBy is how many bytes are free once what a pointer points to is let go.
func heldBy[T any](p **T) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	runtime.KeepAlive(*p)
	*p = nil
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int64(before.HeapAlloc) - int64(after.HeapAlloc)
}

// grows compares the cost of an input with that of one twice as large: it may be
// little more than twice as much.
func grows(t *testing.T, cost func(n int) (size, pieces int64)) {
	t.Helper()
	const n = 5000
	cost(n / 100) // what is made once
	size, pieces := cost(n)
	size2, pieces2 := cost(2 * n)
	if size2 > 3*size+1<<20 || pieces2 > 3*pieces+1000 {
		t.Errorf("%d bytes in %d pieces, and for twice as much %d in %d", size, pieces, size2, pieces2)
	}
}

// TestChangeLinear reads requests that say much: what that takes is reserved by
// their size (changeMemory, manifestMemory).
func TestChangeLinear(t *testing.T) {
	versions := func(n int) string { return `"versions":{` + many(n, `"1.0.%d":{}`) + `}` }
	for name, text := range map[string]func(n int) string{
		"versions":           versions,
		"one version, often": func(n int) string { return `"versions":{` + strings.Repeat(`"1.0.0":{},`, n) + `"1.0.0":{}}` },
		"messages":           func(n int) string { return `"versions":{` + many(n, `"1.0.%d":{"deprecated":"x"}`) + `}` },
		"tags":               func(n int) string { return `"dist-tags":{` + many(n, `"t%d":"1"`) + `}` },
		"dependencies":       func(n int) string { return `"versions":{"1.0.0":{"dependencies":{` + many(n, `"%d":"1"`) + `}}}` },
		"members":            func(n int) string { return many(n, `"x%d":1`) },
		"a long text":        func(n int) string { return `"readme":"` + strings.Repeat("x", 20*n) + `"` },
		"a long number":      func(n int) string { return `"readme":` + strings.Repeat("1", 20*n) },
		"deep": func(n int) string {
			return `"x":[` + many(n/10, strings.Repeat("[", 90)+"%d"+strings.Repeat("]", 90)) + `]`
		},
		"maintainers": func(n int) string { return `"maintainers":[` + many(n, `{"name":"%d"}`) + `]` },
	} {
		t.Run(name, func(t *testing.T) {
			grows(t, func(n int) (size, pieces int64) {
				body := `{"name":"a",` + text(n) + `}`
				p, err := split(t.Context(), format.Call{Body: strings.NewReader(body), Scratch: npmtest.Scratch}, nil)
				if err != nil {
					t.Fatal(err)
				}
				var c *change
				size, pieces = allocated(func() { c, err = readChange(p.text()) })
				if err != nil {
					t.Fatal(err)
				}
				if held := heldBy(&c); held > changeMemory*int64(len(body))+256<<10 {
					t.Errorf("%d bytes hold %d", len(body), held)
				}
				return size, pieces
			})
		})
	}
}

// TestLinear doubles what a package.json says.
func TestLinear(t *testing.T) {
	for name, fields := range map[string]func(n int) string{
		"dependencies":    func(n int) string { return `"dependencies":{` + many(n, `"%d":"1"`) + `}` },
		"dependency list": func(n int) string { return `"dependencies":[` + many(n, `"a%d@1"`) + `]` },
		"commands":        func(n int) string { return `"bin":{` + many(n, `"%d":"x"`) + `}` },
		"command list":    func(n int) string { return `"bin":[` + many(n, `"x/%d"`) + `]` },
		"bundled":         func(n int) string { return `"bundleDependencies":true,"dependencies":{` + many(n, `"%d":"1"`) + `}` },
		"bundled alone":   func(n int) string { return `"bundleDependencies":[` + many(n, `"%d"`) + `]` },
		"one field twice": func(n int) string { return many(n, `"x":%d`) },
		"deep": func(n int) string {
			return `"x":[` + many(n/20, strings.Repeat("[", 90)+`%d`+strings.Repeat("]", 90)) + `]`
		},
		"a long key": func(n int) string { return `"dependencies":{"` + strings.Repeat("k", 10*n) + `":"1"}` },
		"escapes":    func(n int) string { return `"x":"` + strings.Repeat(`\ud800`, n) + `"` },
		"numbers":    func(n int) string { return `"x":[` + many(n, `%de400`) + `]` },
		"a number":   func(n int) string { return `"x":` + strings.Repeat("1", 10*n) },
		"licences":   func(n int) string { return `"licenses":[` + many(n, `"%d"`) + `]` },
		"platforms":  func(n int) string { return `"os":[` + many(n, `"%d"`) + `]` },
		"scripts, engines": func(n int) string {
			return `"scripts":{` + many(n, `"%d":"x"`) + `},"engines":{` + many(n, `"%d":"x"`) + `}`
		},
	} {
		t.Run(name, func(t *testing.T) {
			grows(t, func(n int) (int64, int64) {
				text := fields(n)
				body := npmtest.Package{Fields: text}.Build()
				size, pieces := allocated(func() {
					parsed, err := New().Parse(t.Context(), format.Upload{Content: bytes.NewReader(body), Size: int64(len(body))})
					if err == nil {
						_, err = parsed.Entries(format.Listing{Files: parsed.Package().Files})
					}
					if err != nil {
						t.Fatal(err)
					}
				})
				// What was allocated in all is more than what is held at once.
				if size > 4*manifestMemory*int64(len(text))+1<<20 {
					t.Errorf("%d bytes are made of %d", size, len(text))
				}
				return size, pieces
			})
		})
	}
}

// TestAgreesLinear compares long lists of a request and of a package.json.
func TestAgreesLinear(t *testing.T) {
	grows(t, func(n int) (int64, int64) {
		lists := `"dependencies":{` + many(n, `"%d":"1"`) + `},"scripts":{` + many(n, `"%d":"x"`) + `}`
		body := npmtest.Package{Fields: lists}.Build()
		u := format.Upload{Content: bytes.NewReader(body), Size: int64(len(body)), Fields: map[string]string{fieldStated: `{` + lists + `}`}}
		size, pieces := allocated(func() {
			if _, err := parse(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		})
		if size > 2*manifestMemory*int64(2*len(lists))+1<<20 {
			t.Errorf("%d bytes are allocated for %d", size, 2*len(lists))
		}
		return size, pieces
	})
}

// TestPossibleLinear looks for each version of a request among those there are.
func TestPossibleLinear(t *testing.T) {
	const n = 30_000 // by comparing each with each it would take minutes
	c, l := &change{versions: make(map[string]string)}, format.List{}
	for i := range n {
		v := fmt.Sprintf("1.0.%d", i)
		c.versions[v] = ""
		l.Versions = append(l.Versions, format.Version{Version: v})
	}
	if err := c.possible(l, route{}); err != nil {
		t.Error(err)
	}
}

// TestTarballLinear doubles what an archive is made of. The bytes that are read of
// it are counted too.
func TestTarballLinear(t *testing.T) {
	const manifest = `{"name":"a","version":"1.0.0"}`
	header := func(kind byte, name string, size int64) tar.Header {
		return tar.Header{Typeflag: kind, Name: name, Size: size, Mode: 0o644, Format: tar.FormatPAX}
	}
	for name, entries := range map[string]func(n int) (all []tar.Header){
		"files": func(n int) (all []tar.Header) {
			for i := range n {
				all = append(all, header(tar.TypeReg, fmt.Sprint("package/", i), 0))
			}
			return all
		},
		"one file, often": func(n int) (all []tar.Header) {
			for range n {
				all = append(all, header(tar.TypeReg, "package/x", 0))
			}
			return all
		},
		"folders": func(n int) (all []tar.Header) {
			for i := range n {
				all = append(all, header(tar.TypeDir, fmt.Sprint("package/", i, "/"), 0))
			}
			return all
		},
		"links": func(n int) (all []tar.Header) {
			for i := range n {
				h := header(tar.TypeSymlink, fmt.Sprint("package/", i), 0)
				h.Linkname = "x"
				all = append(all, h)
			}
			return all
		},
		"long names": func(n int) (all []tar.Header) {
			for i := range n / 10 {
				h := header(tar.TypeReg, fmt.Sprint("package/", strings.Repeat("x/", 500), i), 0)
				h.Format = tar.FormatGNU
				all = append(all, h)
			}
			return all
		},
		"a name of many steps": func(n int) []tar.Header {
			return []tar.Header{header(tar.TypeReg, "package/"+strings.Repeat("x/", 10*n)+"y", 0)}
		},
		"records": func(n int) []tar.Header {
			h := header(tar.TypeReg, "package/x", 0)
			h.PAXRecords = make(map[string]string)
			for i := range n {
				h.PAXRecords[fmt.Sprint("PACKAGECLOUD.x", i)] = "y"
			}
			return []tar.Header{h}
		},
	} {
		t.Run(name, func(t *testing.T) {
			grows(t, func(n int) (size, pieces int64) {
				all := append(entries(n), npmtest.File("package/package.json", []byte(manifest)))
				bodies := append(make([][]byte, len(all)-1), []byte(manifest))
				return readAll(t, npmtest.Tarball(all, bodies))
			})
		})
	}
	t.Run("sparse", func(t *testing.T) {
		grows(t, func(n int) (size, pieces int64) { return readAll(t, sparse(n)) })
	})
}

// readAll reads a tarball, which must be good or refused in words.
func readAll(t *testing.T, body []byte) (size, pieces int64) {
	t.Helper()
	counted := &counter{}
	u := format.Upload{Size: int64(len(body)), Content: readerAt(func(p []byte, offset int64) (int, error) {
		counted.n += int64(len(p))
		return bytes.NewReader(body).ReadAt(p, offset)
	})}
	size, pieces = allocated(func() { _, _ = readTarball(context.Background(), u, maxUnpacked) })
	if counted.n > 2*u.Size+1<<20 {
		t.Errorf("%d bytes are read of %d", counted.n, u.Size)
	}
	return size, pieces
}

type readerAt func([]byte, int64) (int, error)

func (f readerAt) ReadAt(p []byte, offset int64) (int, error) { return f(p, offset) }

// sparse is a tarball with a file of n pieces with holes between them (PAX format
// 1.0 of GNU tar).
func sparse(n int) []byte {
	var pieces bytes.Buffer
	fmt.Fprintf(&pieces, "%d\n", n)
	for i := range n {
		fmt.Fprintf(&pieces, "%d\n0\n", i)
	}
	pieces.Write(make([]byte, -pieces.Len()&511))
	var records strings.Builder
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=package/x", fmt.Sprint("GNU.sparse.realsize=", n)} {
		fmt.Fprintf(&records, "%d %s\n", len(r)+4, r) // of two digits
	}
	return npmtest.Gzip(npmtest.RawEntry('x', "x", []byte(records.String())), npmtest.RawEntry('0', "package/x", pieces.Bytes()), make([]byte, 1024))
}

func many(n int, member string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, member, i)
	}
	return b.String()
}
