package npm

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestPrecedence has the order of semver.org, 11, and what node-semver says.
func TestPrecedence(t *testing.T) {
	order := strings.Fields(`0.0.0-0 0.0.0 0.0.1 0.2.0 0.10.0 1.0.0--1 1.0.0 1.0.1-0 1.0.1-1 1.0.1-2 1.0.1-10 1.0.1-alpha 1.0.1-alpha.1 1.0.1-alpha.beta 1.0.1-beta
		1.0.1-beta.2 1.0.1-beta.11 1.0.1-rc.1 1.0.1 2.0.0-rc.1 2.0.0 10.0.0 9007199254740991.0.0`)
	for i, a := range order {
		for j, b := range order {
			got := CompareVersions(a, b)
			if want := compareNumbers(strings.Repeat("1", i+1), strings.Repeat("1", j+1)); got != want {
				t.Errorf("%s against %s: %d, not %d", a, b, got, want)
			}
		}
	}
}

func TestCleanVersion(t *testing.T) {
	for in, want := range map[string]string{
		"1.2.3": "1.2.3", "v1.2.3": "1.2.3", " =v1.2.3 ": "1.2.3", "1.2.3+build": "1.2.3", "1.2.3-rc.1+b.2": "1.2.3-rc.1", "1.2.3-0a": "1.2.3-0a", "1.2.3--": "1.2.3--",
		"01.2.3": "1.2.3", "0.00.1": "0.0.1", "1.2.3-01": "1.2.3-1", "1.2.3alpha.00": "1.2.3-alpha.0", "1.2.31a": "1.2.31-a", "1.2.3-": "1.2.3--", "1.2.3-9007199254740993": "1.2.3-9007199254740993",
		"": "", "1": "", "1.2": "", "1.2.3.4": "", "1.2.3-09007199254740993": "", "1.2.3+": "", "1.2.3-a_b": "", "1.2.3-a..b": "", "1.2.3-ä": "", "9007199254740992.0.0": "", "1.2.3\n4": "",
		"../../1.0.0": "", "1.2.3-a/b": "", "latest": "", strings.Repeat("1", 300) + ".0.0": "", "1.0.0-" + strings.Repeat("a", 256): "",
	} {
		got, err := cleanVersion(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

// TestOrder holds for every comparison.
func TestOrder(t *testing.T) {
	version := rapid.StringMatching(`(0|[1-9][0-9]?)\.(0|[1-9])\.(0|[1-9])(-(0|[1-9][0-9]?|[a-c-]{1,3})(\.(0|[1-9][0-9]?|[a-c]{1,2})){0,2})?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := version.Draw(t, "a"), version.Draw(t, "b"), version.Draw(t, "c")
		if CompareVersions(a, b) != -CompareVersions(b, a) {
			t.Fatalf("%s and %s are not opposite", a, b)
		}
		if (CompareVersions(a, b) == 0) != (a == b) {
			t.Fatalf("%s and %s are equal and differ", a, b)
		}
		all := []string{a, b, c}
		slices.SortFunc(all, CompareVersions)
		if CompareVersions(all[0], all[2]) > 0 {
			t.Fatalf("%v is no order", all)
		}
	})
}

func TestNames(t *testing.T) {
	for _, name := range []string{"a", "hello", "@a/b", "JSONStream", "lodash.merge", "a--b", "-x", "0", "@types/node", "a~b", "@a/_b", "@a/.." /* refused below */} {
		if err := validName(name); (err == nil) == strings.Contains(name, "..") {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", ".", "..", ".a", "_a", "a/b", "@a", "@a/", "@/a", "@a/b/c", "@@a/b", "a b", "a%2fb", "a\x00b", "a\nb", "ä", "a?b", "a#b", "a:b", "a@1", "@a/.b",
		"node_modules", "Node_Modules", "favicon.ico", "-", "@a/-", strings.Repeat("a", 215), "../../etc", `a\b`, "a\n",
	} {
		if validName(name) == nil {
			t.Errorf("%q is valid", name)
		}
	}
}

func TestTags(t *testing.T) {
	for _, tag := range []string{"latest", "next", "beta.1", "1-lts", "release-1.x", "v1-maintenance", "canary", "x-y", "vnext", "1.0.0.0"} {
		if err := validTag(tag); err != nil {
			t.Errorf("%q: %v", tag, err)
		}
	}
	for _, tag := range []string{"", "1", "1.0", "1.0.0", "v1", "v1.2.3", "1.x", "x", "*", "1.0.0-rc.1", "a b", "a/b", "__proto__", "..", "~1", "ä", strings.Repeat("a", 201)} {
		if validTag(tag) == nil {
			t.Errorf("%q is valid", tag)
		}
	}
}
