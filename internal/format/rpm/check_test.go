package rpm_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"packagecloud/internal/format"
	"packagecloud/internal/format/rpm"
	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/repo"
)

// withRelation is a package that has one relation, by its tags.
func withRelation(tags [3]uint32, name string) []byte {
	r := rpmtest.Package{}.Raw()
	r.Set(rpmtest.Strings(tags[0], name), rpmtest.Strings(tags[1], ""), rpmtest.Numbers(tags[2], rpmtest.Int32, 0))
	return r.Build()
}

func TestConditions(t *testing.T) {
	pairs := func(n int, inner, outer string) string {
		return "(" + strings.TrimSuffix(strings.Repeat("(a "+inner+" b) "+outer+" ", n), " "+outer+" ") + ")"
	}
	for text, want := range map[string]string{
		"(a)": "", "(a if b)": "", "(a if b else c)": "", "(a unless b else c)": "", "(a and b and c)": "", "((crate(x/default) >= 1.0 with crate(x/default) < 2.0~))": "",
		"(perl(Carp) or /usr/bin/x)": "", "(a or b or (c and d))": "", "(a >= 1:2-3 and b)": "", "( a  or  b )": "",
		pairs(9, "and", "or"): "", pairs(90, "or", "and"): "", "(" + strings.TrimSuffix(strings.Repeat("a or ", 300), " or ") + ")": "",
		"()": "cannot read", "(a": "cannot read", "(a b)": "cannot read", "(a and b or c)": "cannot read", "(a if b if c)": "cannot read", "(a and)": "cannot read", "(a >=)": "cannot read", "(a) b": "cannot read", "(a,b)": "cannot read",
		"(a else b)": "cannot read", "(a nor b)": "cannot read", pairs(20, "and", "or"): "more than a solver", pairs(90, "and", "or"): "more than a solver", "(x if " + pairs(20, "or", "and") + ")": "more than a solver",
		strings.Repeat("(", 2000) + "a" + strings.Repeat(")", 2000): "", strings.Repeat("(", 5000): "more than",
	} {
		j := judge(t, "a", withRelation(relationTags[1], text))
		if want == "" && j.refusal != "" || !strings.Contains(j.refusal, want) {
			t.Errorf("required: %.80s: %q does not say %q", text, j.refusal, want)
		}
		if j := judge(t, "a", withRelation(relationTags[0], text)); len(text) < 4096 && j.refusal != "" {
			t.Errorf("a provided %.80s is read as a condition: %s", text, j.refusal)
		}
	}
}

// TestConflictConditions: what conflicts is multiplied out the other way.
func TestConflictConditions(t *testing.T) {
	pairs := func(inner, outer string) string {
		return "(" + strings.TrimSuffix(strings.Repeat("(a "+inner+" b) "+outer+" ", 20), " "+outer+" ") + ")"
	}
	if j := judge(t, "a", withRelation(relationTags[2], pairs("and", "or"))); j.refusal != "" {
		t.Error(j.refusal)
	}
	if j := judge(t, "a", withRelation(relationTags[2], pairs("or", "and"))); !strings.Contains(j.refusal, "more than a solver") {
		t.Errorf("%q", j.refusal)
	}
}

// TestGate gives entries as an older program may have recorded them.
func TestGate(t *testing.T) {
	j := judge(t, "a", withRelation(relationTags[1], "foo"))
	for _, c := range []struct{ kind, old, with, want string }{
		{"primary", "", "", ""},
		{"primary", "<name>hello</name>", "<name>he\x01llo</name>", "illegal character code"},
		{"primary", "<name>hello</name>", "<name>he\xffllo</name>", "invalid UTF-8"},
		{"primary", "<name>hello</name>", "<name>hello", "ends where it has not begun"},
		{"primary", "<name>hello</name>", "<name></name>", "its name: it is empty"},
		{"primary", "</package>", "", "ends within the element package"},
		{"primary", `ver="1.0"`, `ver=""`, "its version: it is empty"},
		{"primary", `epoch="0"`, `epoch="x"`, `its epoch: "x" is no number`},
		{"primary", `<rpm:entry name="foo"/>`, `<rpm:entry name="foo" flags="EQ" epoch="a" ver="1"/>`, `its requires: "foo" has a version with the epoch "a"`},
		{"primary", `<rpm:entry name="foo"/>`, `<rpm:entry name="foo" flags="??" epoch="0" ver="1"/>`, `has the comparison "??"`},
		{"primary", `<rpm:entry name="foo"/>`, `<rpm:entry name="(foo if"/>`, `its requires: "(foo if"`},
		{"primary", "<summary>", "<summary>" + strings.Repeat("s", 9<<20), "more than 8388608"},
		{"primary", `pkgid="YES">`, `pkgid="YES">x`, "is no SHA-256"},
		{"filelists", `name="hello"`, `name=""`, "its name: it is empty"},
		{"other", "</package>\n", "</package>\n<package/>", "its name: it is empty"},
	} {
		text := strings.Replace(j.entries[c.kind], c.old, c.with, 1)
		if c.old != "" && text == j.entries[c.kind] {
			t.Fatalf("%s is not there:\n%s", c.old, text)
		}
		err := rpm.New().Check(j.pkg, []format.Entry{{Kind: c.kind, Text: []byte(text)}})
		var invalid *repo.InvalidError
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &invalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v does not say %q", c.with, err, c.want)
		}
	}
}

// TestAudit reads documents as verify does.
func TestAudit(t *testing.T) {
	f := rpm.New()
	d := f.Documents(el9, nil)[0]
	j := judge(t, "a", withRelation(relationTags[1], "foo"))
	head, tail := f.Frame(format.Framing{Kind: "primary", Entries: 2})
	whole := string(head) + j.entries["primary"] + j.entries["primary"] + string(tail)
	for _, c := range []struct{ old, with, want string }{
		{"", "", ""},
		{`<rpm:entry name="foo"/>`, `<rpm:entry name="foo" flags="EQ" epoch="a" ver="1"/>`, `hello-1.0-1.noarch: its requires: "foo" has a version with the epoch "a", which is no number`},
		{"</metadata>", "", "it ends within the element metadata"},
		{"<summary>", "<summary>\x02", "hello"},
	} {
		var found []string
		err := f.Audit(d, strings.NewReader(strings.Replace(whole, c.old, c.with, 1)), func(f format.Finding) { found = append(found, f.String()) })
		if err != nil || c.want == "" && found != nil || !strings.Contains(strings.Join(found, "\n"), c.want) {
			t.Errorf("%s: %v, %v; not %s", c.with, found, err, c.want)
		}
	}
}

// TestFolders has files in so many folders that libsolv looks for them for minutes,
// and in as many as real packages have, and more.
func TestFolders(t *testing.T) {
	j := judge(t, "a", rpmtest.Package{}.Build())
	check := func(n int, path func(i int) string) error {
		var files strings.Builder
		for i := range n {
			files.WriteString("<file>" + path(i) + "</file>\n")
		}
		text := strings.Replace(j.entries["filelists"], "</package>", files.String()+"</package>", 1)
		return rpm.New().Check(j.pkg, []format.Entry{{Kind: "filelists", Text: []byte(text)}})
	}
	for _, c := range []struct {
		what string
		n    int
		path func(i int) string
		want string
	}{
		{"beside each other", 15_000, func(i int) string { return fmt.Sprintf("/etc/%d/x", i) }, ""},
		{"beside each other", 25_000, func(i int) string { return fmt.Sprintf("/etc/%d/x", i) }, `its file: "/etc/19999/x": there are too many folders beside each other`},
		{"visited by turns", 150_000, func(i int) string { return fmt.Sprintf("/opt/%d/%d", i%3000, i) }, "too many folders beside each other"},
		{"one after the other", 100_000, func(i int) string { return fmt.Sprintf("/opt/%d/%d", i/200, i) }, ""},
		{"within each other", 400, func(int) string { return strings.Repeat("/x", 2000) }, ""},
		{"within each other", 400, func(i int) string { return fmt.Sprintf("/%d", i) + strings.Repeat("/x", 1000) }, "too many folders, each of which"},
		{"without a slash", 2, func(int) string { return "x" }, ""},
	} {
		err := check(c.n, c.path)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%d files in folders %s: %v", c.n, c.what, err)
		}
	}
}
