package npm

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"packagecloud/internal/format"
	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/repo"
)

// read reads a request and keeps the tarball.
func read(body string) (*change, string, error) {
	var content []byte
	p, err := split(context.Background(), format.Call{Body: strings.NewReader(body), Scratch: npmtest.Scratch}, func(_ string, r io.Reader) (err error) {
		content, err = io.ReadAll(r)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	c, err := readChange(p.text())
	return c, string(content), err
}

func TestReadChange(t *testing.T) {
	data := base64.StdEncoding.EncodeToString([]byte("hello, world"))
	before := `"_attachments":{"a-1.0.0.tgz":{"content_type":"x","data":"` + data + `","length":12}},`
	versions := `"name":"a","_rev":"3-x","dist-tags":{"latest":"1.0.0","next":"1.0.0"},"versions":{"1.0.0":{"name":"a","dist":{"shasum":"ab"}},"0.9.0":{"deprecated":"old"},"0.8.0":{"deprecated":""}},"readme":"\"}"`
	for name, body := range map[string]string{
		"the tarball first": `{` + before + versions + `}`,
		"the tarball last":  `{` + versions + `,` + strings.TrimSuffix(before, ",") + ` }` + "\n",
		"slashes escaped":   `{` + strings.Replace(before, data, strings.ReplaceAll(data, "s", `\u0073`), 1) + versions + `}`,
	} {
		c, content, err := read(body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if content != "hello, world" || c.name != "a" || c.revision != "3-x" {
			t.Errorf("%s: %q, %+v", name, content, c)
		}
		if got := slices.Sorted(maps.Keys(c.versions)); strings.Join(got, " ") != "0.8.0 0.9.0 1.0.0" || c.tags["next"] != "1.0.0" {
			t.Errorf("%s: versions %v, tags %v", name, got, c.tags)
		}
		if c.versions["0.9.0"] != "old" || c.versions["0.8.0"] != "" || c.first.Dist.Shasum != "ab" {
			t.Errorf("%s: versions %+v", name, c.versions)
		}
	}
}

func TestReadChangeRefuses(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"no JSON", `hello`, "not valid JSON"},
		{"an array", `[]`, "not valid JSON"},
		{"no base64", `{"_attachments":{"a.tgz":{"data":"????"}}}`, "base64"},
		{"base64 that ends early", `{"_attachments":{"a.tgz":{"data":"aGVsbG8"}}}`, "EOF|base64"},
		{"data that is no text", `{"_attachments":{"a.tgz":{"data":12}}}`, "not valid JSON"},
		{"data twice", `{"_attachments":{"a.tgz":{"data":"","data":""}}}`, "twice"},
		{"no data", `{"_attachments":{"a.tgz":{"length":0}}}`, "no data"},
		{"a lying length", `{"_attachments":{"a.tgz":{"data":"aGVsbG8=","length":6}}}`, "says it has 6"},
		{"two tarballs", `{"_attachments":{"a.tgz":{"data":""},"b.tgz":{"data":""}}}`, "two tarballs"},
		{"an escape that is none", `{"_attachments":{"a.tgz":{"data":"\x"}}}`, "not valid JSON"},
		{"half of a pair", `{"_attachments":{"a.tgz":{"data":"\ud800"}}}`, "not belong"},
		{"a version that is no object", `{"versions":{"1.0.0":[]}}`, "not valid JSON"},
		{"versions that are none", `{"versions":[]}`, "not valid JSON"},
		{"something behind", `{} x`, "follows its end"},
		{"deep", `{"x":` + strings.Repeat("[", 1000), "nested"},
		{"no comma", `{"name":"a" "x":1}`, "not valid JSON"},
		{"no UTF-8", "{\"x\":\"\xff\"}", "UTF-8"},
	} {
		_, _, err := read(c.body)
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		if !slices.ContainsFunc(strings.Split(c.want, "|"), func(part string) bool { return strings.Contains(err.Error(), part) }) {
			t.Errorf("%s: %v", c.name, err)
		}
		if !isMalformed(err) && !strings.Contains(err.Error(), "EOF") {
			t.Errorf("%s: %v is not the client's fault", c.name, err)
		}
	}
	if _, _, err := read(`{"name":"a`); !strings.Contains(fmt.Sprint(err), "EOF") || isMalformed(err) {
		t.Errorf("a request that breaks off: %v", err)
	}
}

// TestFlat reads a request with a tarball of 48 MB in the memory of buffers.
func TestFlat(t *testing.T) {
	const size = 48 << 20
	encoded := io.MultiReader(
		strings.NewReader(`{"name":"a","_attachments":{"a-1.0.0.tgz":{"data":"`),
		io.LimitReader(repeated('A'), size/3*4),
		strings.NewReader(`"}}}`),
	)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var n int64
	_, err := split(t.Context(), format.Call{Body: encoded, Scratch: npmtest.Scratch}, func(_ string, r io.Reader) (err error) {
		n, err = io.Copy(io.Discard, r)
		return err
	})
	runtime.ReadMemStats(&after)
	if err != nil || n != size {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("it allocated %d bytes", used)
	}
}

type repeated byte

func (r repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}

// TestTooMuch bounds what is kept beside the tarball.
func TestTooMuch(t *testing.T) {
	s := newScanner(io.MultiReader(strings.NewReader(`"`), io.LimitReader(repeated('x'), 1<<20), strings.NewReader(`"`)), 1<<20)
	if _, err := s.value(1 << 20); !isMalformed(err) {
		t.Errorf("the error is %v", err)
	}
}

func TestAgrees(t *testing.T) {
	body := npmtest.Package{Name: "@a/b", Version: "1.0.0+build", Fields: `"dependencies":{"x":"^1.0.0","g":"user/repo"},"optionalDependencies":{"o":"1"},"peerDependencies":{"p":"*"},"scripts":{"install":"make","test":"t"}`}.Build()
	s1, s512 := sha1.Sum(body), sha512.Sum512(body)
	u := format.Upload{Content: bytes.NewReader(body), Size: int64(len(body)), Digests: repo.Digests{SHA1: hex.EncodeToString(s1[:]), SHA512: hex.EncodeToString(s512[:])}}
	tb, err := parse(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	rest := `"dependencies":{"x":"^1.0.0","g":"github:user/repo","o":"1"},"optionalDependencies":{"o":"1"},"peerDependencies":{"p":"*"},"scripts":{"install":"make","test":"other"}`
	for _, c := range []struct{ name, manifest, want string }{
		{"as it is", `"name":"@a/b","version":"1.0.0","dist":{"shasum":"` + u.SHA1 + `","integrity":"` + integrity(u.SHA512) + `"},` + rest, ""},
		{"version with build metadata", `"version":"1.0.0+build",` + rest, ""},
		{"another name", `"name":"b",` + rest, `says "@a/b"`},
		{"another version", `"version":"1.0.1",` + rest, `says "1.0.0"`},
		{"another shasum", `"dist":{"shasum":"00"},` + rest, "SHA-1"},
		{"another integrity", `"dist":{"integrity":"sha1-x sha512-AAAA?x"},` + rest, "integrity"},
		{"no dependencies", `"peerDependencies":{"p":"*"},"scripts":{"install":"make"}`, "dependencies differ"},
		{"a dependency more", strings.Replace(rest, `"x"`, `"evil":"*","x"`, 1), "dependencies differ"},
		{"another range", strings.Replace(rest, `^1.0.0`, `^2.0.0`, 1), "dependencies differ"},
		{"another peer", strings.Replace(rest, `"p":"*"`, `"p":"1"`, 1), "peerDependencies differ"},
		{"a hidden script", strings.Replace(rest, `"install":"make",`, ``, 1), "scripts differ"},
	} {
		var s stated
		if err := json.Unmarshal([]byte(`{`+c.manifest+`}`), &s); err != nil {
			t.Fatal(err)
		}
		err := s.agrees(tb)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func FuzzChange(f *testing.F) {
	f.Add(`{"name":"a","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":"a","deprecated":"x","dist":{}}},"_attachments":{"a-1.0.0.tgz":{"data":"aGVs\/\u0047==","length":4}}}`)
	f.Add(`{"_attachments":{"a.sigstore":{"data":"{}"},"b.tgz":{"data":""}}}`)
	f.Fuzz(func(t *testing.T, body string) {
		_, content, err := read(body)
		if err == nil && content != "" && !strings.Contains(body, "_attach") && !strings.Contains(body, `\u`) {
			t.Fatalf("%q of no attachment", content)
		}
	})
}
