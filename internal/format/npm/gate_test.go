package npm_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/format"
	"packagecloud/internal/format/npm"
	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/repo"
)

// TestGate withholds what an older program recorded and would make a packument
// unreadable.
func TestGate(t *testing.T) {
	good := push(t, npmtest.Package{Fields: `"dependencies":{"a":"1"}`}.Build(), time.Unix(0, 0))
	n := npm.New()
	if err := n.Check(good.Package, good.entries); err != nil {
		t.Fatal(err)
	}
	amended, err := n.Amend(good.entries, map[string]string{npm.Deprecated: `"old"`})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Check(good.Package, amended); err != nil {
		t.Errorf("deprecated: %v", err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"no JSON", `"version":"1.0.0"`, `"version":"1.0.0`, "package.json"},
		{"no UTF-8", `"a":"1"`, "\"a\":\"\xff\"", "package.json"},
		{"two members", `"1.0.0":{"dist"`, `"0.9.0":{},"1.0.0":{"dist"`, "package.json"},
		{"another key", `"1.0.0":{"dist"`, `"1.0.1":{"dist"`, "version"},
		{"another name", `"name":"hello"`, `"name":"other"`, "name"},
		{"another version", `"version":"1.0.0"`, `"version":"1.0.0+b"`, "version"},
		{"no tarball", `"tarball"`, `"x"`, "dist.tarball"},
		{"dependencies of numbers", `"a":"1"`, `"a":1`, "dependencies"},
		{"dependencies in a list", `{"a":"1"}`, `["a"]`, "dependencies"},
	} {
		var entries []format.Entry
		for _, e := range good.entries {
			entries = append(entries, format.Entry{Kind: e.Kind, Text: bytes.Replace(e.Text, []byte(c.old), []byte(c.new), 1)})
		}
		err := n.Check(good.Package, entries)
		var invalid *repo.InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), "its "+c.want+" cannot be listed") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	p := *good.Package
	p.Version = "v1.0.0"
	if n.Check(&p, good.entries) == nil {
		t.Error("a version with a v is borne")
	}
}

// TestPortable writes what JSON allows and not every client reads.
func TestPortable(t *testing.T) {
	l := push(t, npmtest.Package{Fields: `"funding":"\ud800","x":["\udc00x","\ud83d\ude00","\\ud800",1e400,-1E-400,1e5,12345678901234567890],"\ud800":1,"dependencies":{"a":"\ud800\u0041"}`}.Build(), time.Unix(0, 0))
	text := packument("full", "hello", []listed{l}, map[string]string{"latest": "1.0.0"})
	for _, want := range []string{
		`"funding":"\ufffd"`, `"x":["\ufffdx","\ud83d\ude00","\\ud800",null,-1E-400,1e5,12345678901234567890]`, `"�":1`, `{"a":"\ufffd\u0041"}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	if !json.Valid([]byte(text)) {
		t.Errorf("%s", text)
	}
}

// TestManyDependencies keeps them all, in time and memory in proportion.
func TestManyDependencies(t *testing.T) {
	var b strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&b, `"k%d":"1",`, i)
	}
	l := push(t, npmtest.Package{Fields: `"dependencies":{` + strings.TrimSuffix(b.String(), ",") + `}`}.Build(), time.Unix(0, 0))
	var document struct {
		Versions map[string]struct{ Dependencies map[string]string }
	}
	if err := json.Unmarshal([]byte(packument("abbreviated", "hello", []listed{l}, nil)), &document); err != nil || len(document.Versions["1.0.0"].Dependencies) != 100_000 {
		t.Errorf("%d dependencies, %v", len(document.Versions["1.0.0"].Dependencies), err)
	}
}

func TestAudit(t *testing.T) {
	n := npm.New()
	audit := func(kind, text string) (found []string) {
		d := format.Document{Name: "hello/-/" + kind, Kind: kind, Lists: [3]string{"hello", ""}}
		if err := n.Audit(d, strings.NewReader(text), func(f format.Finding) { found = append(found, f.String()) }); err != nil {
			t.Fatal(err)
		}
		return found
	}
	one := push(t, npmtest.Package{}.Build(), time.Unix(0, 0))
	two := push(t, npmtest.Package{Version: "2.0.0"}.Build(), time.Unix(1, 0))
	for _, kind := range []string{"full", "abbreviated"} {
		good := packument(kind, "hello", []listed{one, two}, map[string]string{"latest": "2.0.0"})
		if found := audit(kind, good); found != nil {
			t.Errorf("%s: %s", kind, found)
		}
		for _, c := range []struct{ old, new, want string }{
			{`"dist-tags":{"latest":"2.0.0"}`, `"dist-tags":{}`, "none is the latest version"},
			{`"latest":"2.0.0"`, `"latest":"3.0.0"`, "which is not there"},
			{`"name":"hello"`, `"name":"other"`, `the packument is that of "other"`},
			{`"name":"hello","version":"2.0.0"`, `"name":"hello","version":"3.0.0"`, `hello@2.0.0: its version: it is "3.0.0"`},
			{`"2.0.0":{"dist"`, `"v2.0.0":{"dist"`, "clients ask for another version"},
			{`,"2.0.0":{`, `"2.0.0":{`, "the packument cannot be read"},
			{`https://packages.example.com/alice/demo/npm/hello/-/hello-2`, `/hello-2`, "is no URL"},
		} {
			if found := audit(kind, strings.Replace(good, c.old, c.new, 1)); len(found) == 0 || !strings.Contains(strings.Join(found, "\n"), c.want) {
				t.Errorf("%s: %s: %s", kind, c.new, found)
			}
		}
		if found := audit(kind, good[:len(good)/2]); len(found) != 1 {
			t.Errorf("%s, cut off: %s", kind, found)
		}
	}
}
