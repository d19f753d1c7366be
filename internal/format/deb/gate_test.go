package deb_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/format"
	"packagecloud/internal/format/deb"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/repo"
)

// admit is what a push does with a package: it reads it, renders what lists it
// and asks the gate.
func admit(t testing.TB, body []byte) (text []byte, p *repo.Package, err error) {
	t.Helper()
	f := deb.New()
	parsed, err := f.Parse(t.Context(), upload("x", body))
	if err == nil {
		p = parsed.Package()
		for i := range p.Files {
			p.Files[i].Path = f.Path(p, p.Files[i].Name, jammy, "")
		}
		var entries []format.Entry
		if entries, err = parsed.Entries(format.Listing{Distro: jammy, Files: p.Files, Time: time.Unix(0, 0)}); err != nil {
			t.Fatal(err)
		}
		text, err = entries[0].Text, f.Check(p, entries)
	}
	var invalid *repo.InvalidError
	if err != nil && !errors.As(err, &invalid) {
		t.Fatalf("a refusal is %v", err)
	}
	return text, p, err
}

// fields is a package with more fields, or with others instead of its own.
func fields(text string) []byte {
	control := map[string]string{"Package": "p", "Version": "1", "Architecture": "all", "Maintainer": "J <j@example.com>", "Description": "d"}
	order := []string{"Package", "Version", "Architecture", "Maintainer"}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ": "); ok && control[name] != "" {
			control[name] = strings.TrimSuffix(value, "\n")
		} else {
			b.WriteString(line)
		}
	}
	var head strings.Builder
	for _, name := range order {
		fmt.Fprintf(&head, "%s: %s\n", name, control[name])
	}
	return debtest.Package{Control: []byte(head.String() + b.String() + "Description: " + control["Description"] + "\n")}.Build()
}

// TestGate has the decisions of dpkg 1.21, and of apt 2.2, 2.6, 3.0 and 3.3 where
// they are stricter. Those without a part of a message are accepted.
func TestGate(t *testing.T) {
	const many = 70_000
	for _, c := range []struct{ fields, want string }{
		{"Depends: a, b | c (>= 1.0), d:any, e (<< 2:1~)\n", ""},
		{"Recommends: A_b, 1\n", ""},
		{"Depends:\n", ""},
		{"Depends: a,\n\tb\n", ""},
		{"Depends: a (1.0), b (<1), c (= 1)\n", ""},
		{"Depends: foo>=1.0\n", `its Depends is refused: "foo>=1.0": neither a comma nor`},
		{"Depends: a, foo (>= 1.0\n", `"foo (>= 1.0": a parenthesis is not closed`},
		{"Depends: foo [amd64]\n", "belong into source packages"},
		{"Depends: foo <!nocheck>\n", "belong into source packages"},
		{"Pre-Depends: a,\n", "ends in ','"},
		{"Suggests: a |\n", "ends in '|'"},
		{"Enhances: a,,b\n", "a package name is missing"},
		{"Recommends: +a\n", `"+a" is no package name`},
		{"Recommends: a:\n", `"" is no architecture`},
		{"Recommends: a:b_\n", `"b_" is no architecture`},
		{"Recommends: a (=1)\n", "too short for apt"},
		{"Recommends: a (=1), b\n", ""},
		{"Recommends: a (=  )\n", "a version is missing"},
		{"Recommends: a (=> 1)\n", "does not begin with a digit"},
		{"Recommends: a (!= 1)\n", "does not begin with a digit"},
		{"Recommends: a (>= 1 x)\n", "has a character that is none"},
		{"Recommends: a (>= 1-)\n", "no revision"},
		{"Provides: a (= 1), b\n", ""},
		{"Provides: a (>= 1)\n", "only the relation ="},
		{"Provides: a | b\n", "no alternatives"},
		{"Conflicts: a | b\n", "no alternatives"},
		{"Breaks: a | b\n", "no alternatives"},
		{"Replaces: a | b\n", "no alternatives"},
		{"Built-Using: a (= 1), b (= 2)\n", ""},
		{"Built-Using: a>=1\n", "its Built-Using is refused"},
		{"Optional: a>=1\n", "its Optional is refused"},
		{"Depends: " + strings.Repeat("a", many) + "\n", "no word of more than 60000"},
		{"Provides: a (= 1" + strings.Repeat("0", many) + ")\n", "no word of more than 60000"},
		// apt-get install, of whatever package, takes minutes with tens of thousands
		{"Depends: b" + strings.Repeat(", a", 200) + "\n", ""},
		{"Depends: b" + strings.Repeat(", a", 201) + "\n", `its Depends is refused: the package "a" is named more than 200 times`},
		{"Provides: b" + strings.Repeat(", v (= 1)", 201) + "\n", `its Provides is refused: the package "v" is named`},
		{"Depends: b" + strings.Repeat(", a:amd64 | a:i386", 60) + "\nConflicts: b" + strings.Repeat(", a (<< 1)", 90) + "\n", "its Conflicts is refused"},
		{"Section: " + strings.Repeat("a", many) + "\n", "its Section has 70000 bytes"},
		{"Source: " + strings.Repeat("a", many) + "\n", "its Source has 70000 bytes"},
		{"Description: " + strings.Repeat("a", 999_000) + "\n", ""},
		{"Description: " + strings.Repeat("a", 1_100<<10) + "\n", "apt reads no more than 1000000 (its longest field is Description)"},

		{"Version: 1:1:1-1-1~\n", ""},
		{"Version: 2147483647:1\n", ""},
		{"Version: 2147483648:1\n", "no epoch"},
		{"Version: a1.0\n", `its Version "a1.0" is refused: it does not begin with a digit`},
		{"Version: 1.0-\n", "no revision"},
		{"Version: -1\n", "does not begin with a digit"},
		{"Version: 1_2\n", "has a character that is none"},
		{"Version: :1\n", "no epoch"},
		{"Version: 1:\n", "does not begin with a digit"},
		{"Version: 1-1:1\n", "no epoch"},
		{"Version: 1" + strings.Repeat("0", 141) + "\nPackage: a" + strings.Repeat("b", 80) + "\n", ""},
		{"Package: a" + strings.Repeat("b", 128) + "\n", ""},
		{"Package: a" + strings.Repeat("b", 240) + "\n", "its file name would have"},

		{"Architecture: any\n", "no architecture of a binary package"},
		{"Architecture: source\n", "no architecture of a binary package"},
		{"Architecture: all amd64\n", "it is no architecture"},
		{"Architecture: AMD64\n", "it is no architecture"},
		{"Architecture: all-foo\n", ""},
		{"Architecture: amd64\nArchitecture-Variant: amd64v3\n", ""},
		{"Architecture: amd64\nArchitecture-Variant: arm64\n", "it is no variant of amd64"},
		{"Architecture: all\nArchitecture-Variant: allv3\n", "it is no variant of all"},

		{"Essential: Yes\nProtected: no\nImportant: yes\nMulti-Arch: Foreign\nPriority: foo bar\n", ""},
		{"Essential: maybe\n", "neither yes nor no"},
		{"Protected: x\n", "neither yes nor no"},
		{"Important: x\n", "neither yes nor no"}, // apt warns, on every machine
		{"Multi-Arch: same\n", "cannot be the same"},
		{"Multi-Arch: x\n", "none of no, same"},
		{"Priority: optional x\n", "something follows the word optional"},
		{"Phased-Update-Percentage: 101\n", "no number from 0 to 100"},

		{"Status: install ok installed\n", "belongs into the status file"},
		{"Config-Version: 1\n", "belongs into the status file"},
		{"Revision: 2\n", "is obsolete"},
		{"Conffiles:\n /etc/x 0123456789abcdef0123456789abcdef\n", ""},
		{"Conffiles: x\n", "a path and a digest"},
		{"Filename: a\n", ""},
		{"Filename:\n", "as many words"},
		{"Filename: a b\nSize: 1\n", "as many words"},
		{"X: y\n", "is no field"},
		{"-Xy: y\n", "is no field"},
		{"X-Foo : y\n", ""},
		{"Xy: y\nxY: z\n", "a second time"},
		{"Xy: a\n \n b\n", "nothing but white space"},
		{"Xy: a\rb\n", `control character '\r'`},
		{"Xy: a\vb\n", `control character '\v'`},
		{"Xy: a\fb\n", `control character '\f'`},
		{"Xy: a\x1a\n", `control character '\x1a'`},
		{"Xy: a\x1b[31m\n", `control character '\x1b'`},
		{"Xy: a\r\n b\r\n", ""},
	} {
		_, _, err := admit(t, fields(c.fields))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%.80q: %v, wanted %q", c.fields, err, c.want)
		}
	}
}

// TestControlEnds as dpkg wants it.
func TestControlEnds(t *testing.T) {
	const good = "Package: p\nVersion: 1\nArchitecture: all\nDescription: d\n"
	for _, c := range []struct{ control, want string }{
		{good, ""},
		{good + "\n\n", ""},
		{"\n\n" + good, ""},
		{strings.ReplaceAll(good, "\n", "\r\n"), ""},
		{good[:len(good)-1], "does not end in a newline"},
		{good + " \n", "nothing but white space"},
		{good + "\r\n", "nothing but white space"},
		{good + "Xy:\n", "takes it for cut off"},
		{good + "Xy:\n\n", ""},
		{" " + good, "continues nothing"},
	} {
		_, _, err := admit(t, debtest.Package{Control: []byte(c.control)}.Build())
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%.80q: %v, wanted %q", c.control, err, c.want)
		}
	}
}

// TestEncoding converts what is not UTF-8, field by field, and nothing else.
func TestEncoding(t *testing.T) {
	text, p, err := admit(t, fields("Maintainer: J\xf6rg \x80\nHomepage: caf\u00e9\nDescription: na\xefve\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Maintainer: Jörg €\n", "Homepage: café\n", "Description: naïve\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if p.Summary != "naïve" {
		t.Errorf("the summary is %q", p.Summary)
	}
}

// TestAudit finds stanzas in a live document that the gate would not let in.
func TestAudit(t *testing.T) {
	good, _, err := admit(t, fields("Depends: b (>= 1)\n"))
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(good), "b (>= 1)", "b>=1", 1)
	long := strings.Replace(string(good), "Description: d", "Description: "+strings.Repeat("d", 3<<20), 1)
	audit := func(document string) (found []string) {
		err := deb.New().Audit(format.Document{Kind: "Packages"}, strings.NewReader(document), func(f format.Finding) { found = append(found, f.String()) })
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if found := audit(string(good) + string(good)); found != nil {
		t.Errorf("found %q", found)
	}
	found := audit(string(good) + bad + long + string(good) + "rubbish\n\n" + bad)
	want := []string{
		`p 1 all: its Depends: is refused: "b>=1": neither`, "Package: p: what lists it has 1000001 bytes", "rubbish: its stanza has a line that is no field", "p 1 all: its Depends",
	}
	if len(found) != len(want) {
		t.Fatalf("found %q", found)
	}
	for i := range want {
		if !strings.HasPrefix(found[i], want[i]) {
			t.Errorf("%q is not %q", found[i], want[i])
		}
	}
}

// TestGateSeesLists refuses what an older version listed in the wrong place.
func TestGateSeesLists(t *testing.T) {
	for _, text := range []string{"Package-Type: udeb\n", "Architecture: amd64\nArchitecture-Variant: amd64v3\n"} {
		body, p, err := admit(t, fields(text))
		if err != nil {
			t.Fatal(err)
		}
		p.List = "amd64"
		err = deb.New().Check(p, []format.Entry{{Kind: "Packages", Text: body}})
		if err == nil || !strings.Contains(err.Error(), "delete it and push it again") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// parse reads an upload, whatever becomes of it.
func parse(t *testing.T, u format.Upload) {
	t.Helper()
	_, err := deb.New().Parse(t.Context(), u)
	t.Log(err)
}
