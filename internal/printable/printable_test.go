package printable

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"default/web01 (ä 日本)":     "default/web01 (ä 日本)",
		"a\x1b[2Jb":                `a\x1b[2Jb`,
		"a\nforged line\r":         `a\nforged line\r`,
		"tab\tNUL\x00DEL\x7f":      `tab\tNUL\x00DEL\x7f`,
		"C1 \u009b31m":             `C1 \u009b31m`,
		"Latin-1 \xe9":             `Latin-1 \xe9`,
		"turned \u202e\u2066":      `turned \u202e\u2066`,
		"joined\u200b\u2028\ufeff": `joined\u200b\u2028\ufeff`,
	} {
		if got := Text(in); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestFprintf(t *testing.T) {
	var b strings.Builder
	Fprintf(&b, "%s\n%-6s|%5d|%q|%v|%v\n", "a\nb", "x\x1b", 7, "\x1b", errors.New("no\nway"), []string{"c\r"})
	if got, want := b.String(), "a\\nb\n"+`x\x1b    |    7|"\x1b"|no\nway|[c\r]`+"\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\x1b\xff\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		got := Text(s)
		if !utf8.ValidString(got) || strings.IndexFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
			t.Errorf("%q is shown as %q", s, got)
		}
		if got != fmt.Sprint(Sprintf("%s", s)) {
			t.Error("Sprintf shows it otherwise")
		}
	})
}

// TestError shows the lines of an error, and no secret in them.
func TestError(t *testing.T) {
	var b strings.Builder
	Error(&b, "program", errors.Join(errors.New("one\x1b[2J"), fmt.Errorf("GET /priv/%s/a", strings.Repeat("0a", 24))))
	if want := "program: one\\x1b[2J\nGET /priv/[secret]/a\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
