package deb_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"packagecloud/internal/format/deb/debtest"
)

// TestGrowth doubles the inputs that a parser goes through. The memory that
// reading one takes, and dropping again, must not grow faster: a value that is
// copied for each of its lines takes four times as much.
func TestGrowth(t *testing.T) {
	control := func(text string) []byte {
		return debtest.Package{Control: []byte("Package: p\nVersion: 1\nArchitecture: all\n" + text)}.Build()
	}
	for name, build := range map[string]func(n int) []byte{
		"continuation lines": func(n int) []byte { return control("Description: d\n" + strings.Repeat(" x\n", n)) },
		"one long line":      func(n int) []byte { return control("Description: " + strings.Repeat("x", 3*n) + "\n") },
		"relations":          func(n int) []byte { return control("Depends: a" + strings.Repeat(",b", n) + "\nDescription: d\n") },
		"alternatives":       func(n int) []byte { return control("Depends: a" + strings.Repeat("|b", n) + "\nDescription: d\n") },
		"open parentheses":   func(n int) []byte { return control("Depends: a" + strings.Repeat(" (", n) + "\nDescription: d\n") },
		"versioned": func(n int) []byte {
			return control("Depends: a" + strings.Repeat(", b (>= 1:1.0-1)", n/8) + "\nDescription: d\n")
		},
		"bytes not in UTF-8": func(n int) []byte { return control("Description: " + strings.Repeat("\xe9", n) + "\n") },
		"blanks":             func(n int) []byte { return control("Description: d\n x" + strings.Repeat(" ", n) + "y\n") },
		"lines refused":      func(n int) []byte { return control(strings.Repeat("x\n", n)) },
		"empty lines":        func(n int) []byte { return control(strings.Repeat("\n", n)) },
		"fields": func(n int) []byte {
			var b strings.Builder
			for i := range n / 400 {
				fmt.Fprintf(&b, "X%d: y\n", i)
			}
			return control(b.String() + "Description: d\n")
		},
		"members of ar": func(n int) []byte {
			members := []debtest.Member{{Name: "debian-binary", Body: []byte("2.0\n")}}
			for range n / 2000 {
				members = append(members, debtest.Member{Name: "_x"})
			}
			return debtest.Ar(members)
		},
		"members of tar": func(n int) []byte {
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			for i := range n / 40 {
				_ = w.WriteHeader(&tar.Header{Name: fmt.Sprint(i), Typeflag: tar.TypeReg, Mode: 0o644})
			}
			_ = w.Close()
			return archive("control.tar.gz", gz(b.Bytes()))
		},
		"files of a source package": func(n int) []byte {
			var b strings.Builder
			b.WriteString("Format: 1.0\nSource: p\nVersion: 1\nArchitecture: any\nFiles:\n")
			for i := range n / 200 {
				fmt.Fprintf(&b, " %032d 1 f%d\n", i, i)
			}
			return []byte(b.String())
		},
		"build dependencies": func(n int) []byte {
			return []byte("Format: 1.0\nSource: p\nVersion: 1\nArchitecture: any\nBuild-Depends: a" + strings.Repeat(", b [x] <!y>", n/8) + "\nFiles:\n " + strings.Repeat("0", 32) + " 1 f\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			const size = 100_000
			small, large := build(size), build(2*size)
			took := func(body []byte) uint64 {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_, _, _ = admit(t, body)
				runtime.ReadMemStats(&after)
				return after.TotalAlloc - before.TotalAlloc
			}
			took(small) // what is made once
			if one, two := took(small), took(large); two > 3*one {
				t.Errorf("%d bytes take %d bytes of memory, and %d take %d", len(small), one, len(large), two)
			}
		})
	}
}

// TestLimitsOfMemory reserves what a compressed stream says that it needs.
func TestLimitsOfMemory(t *testing.T) {
	for _, c := range []struct {
		name string
		body []byte
		want int64
	}{
		{"gzip", debtest.Package{}.Build(), 0},
		{"xz", debtest.Package{ControlCompression: "xz"}.Build(), 8 << 20},
		{"a huge dictionary of xz", archive("control.tar.xz", hugeDictionary()), 64 << 20},
		{"zstd", debtest.Package{ControlCompression: "zst"}.Build(), 0},
	} {
		u := upload("x", c.body)
		reserved := int64(0)
		u.Reserve = func(n int64) error { reserved += n; return nil }
		parse(t, u)
		if reserved > c.want {
			t.Errorf("%s reserves %d bytes, more than %d", c.name, reserved, c.want)
		}
	}
}
