package deb_test

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"packagecloud/internal/format/deb/debtest"
)

// generator makes control files: those of real packages, changed, and fields
// from grammars that are right most of the time. The same seed gives the same.
type generator struct {
	*rand.Rand
	real []string // control files
}

// control makes a control file. Its package is called p<n>, unless that is what
// is odd about it.
func (g *generator) control(n int) string {
	name := fmt.Sprintf("p%d", n)
	var lines []string
	if g.IntN(3) == 0 {
		lines = g.changed(name)
	} else {
		lines = g.made(name)
	}
	for g.IntN(8) == 0 {
		lines = g.disorder(lines)
	}
	return strings.Join(lines, "\n") + g.mostly("\n", func() string { return g.pick("\n\n", "", " \n", "\r\n") })
}

// changed is a real control file with other relations or a few other bytes.
func (g *generator) changed(name string) []string {
	lines := strings.Split(g.pick(g.real...), "\n")
	for i, l := range lines {
		field, _, _ := strings.Cut(l, ":")
		switch {
		case field == "Package":
			lines[i] = "Package: " + name
		case field == "Architecture":
			lines[i] = "Architecture: amd64"
		case g.IntN(30) == 0:
			lines[i] = g.bytes(l)
		}
	}
	return lines
}

// made is a control file from grammars.
func (g *generator) made(name string) []string {
	lines := []string{"Package: " + g.mostly(name, g.name), "Version: " + g.version(), "Architecture: " + g.mostly("amd64", g.architecture), "Maintainer: " + g.words()}
	for range g.IntN(4) {
		lines = append(lines, g.pick(relationNames...)+": "+g.relations())
	}
	for range g.IntN(3) {
		lines = append(lines, g.field())
	}
	lines = append(lines, "Description: "+g.words())
	for range g.IntN(4) {
		lines = append(lines, " "+g.pick(g.words(), ".", " indented", "trailing  ", "\ttab"))
	}
	return lines
}

// disorder does to lines what editors and bad tools do.
func (g *generator) disorder(lines []string) []string {
	i := g.IntN(len(lines))
	out := append([]string{}, lines[:i]...)
	switch g.IntN(7) {
	case 0:
		return append(append(out, lines[i], lines[i]), lines[i+1:]...)
	case 1:
		return append(append(out, g.pick("", " ", ".", "X", ":", "#x", "Xy:", "-Xy: z")), lines[i:]...)
	case 2:
		return append(out, lines[i+1:]...)
	case 3:
		return append(append(out, " "+lines[i]), lines[i+1:]...)
	case 4:
		return append(append(out, g.bytes(lines[i])), lines[i+1:]...)
	case 5:
		return append(append(out, lines[i]+g.pick(" ", "\r", "\t ")), lines[i+1:]...)
	default:
		return append(append(out, strings.Replace(lines[i], ":", g.pick(" :", ":\t", ":", ""), 1)), lines[i+1:]...)
	}
}

// relationNames are the fields of relations, and a few that only look so.
var relationNames = []string{
	"Depends", "Pre-Depends", "Recommends", "Suggests", "Enhances", "Conflicts", "Breaks", "Replaces", "Provides", "Built-Using",
	"Static-Built-Using", "Optional", "depends", "Build-Depends",
}

func (g *generator) relations() string {
	var b strings.Builder
	for i := range 1 + g.IntN(4) {
		if i > 0 {
			b.WriteString(g.mostly(", ", func() string { return g.pick(",", " | ", "|", ",\n ", ",  ", ",,", ";", " ") }))
		}
		b.WriteString(g.relation())
	}
	b.WriteString(g.mostly("", func() string { return g.pick(",", " ", "|") }))
	return b.String()
}

func (g *generator) relation() string {
	name := g.mostly(g.pick("libc6", "foo", "a", "g++", "x.y-z"), g.name)
	if g.IntN(12) == 0 {
		name += g.pick(":any", ":any", ":amd64", ":native", ":", ":a_b", ":any:any", "[amd64]", " [amd64]", " <!nocheck>", ">=1.0")
	}
	if g.IntN(2) == 0 {
		return name
	}
	return name + g.mostly(" (", func() string { return g.pick("(", " ( ", " [", " ") }) +
		g.mostly(g.pick(">= ", "= ", "<< ", ">=", "="), func() string { return g.pick("<", "", "=> ", "!= ", "== ", "~ ", "> ") }) +
		g.version() + g.mostly(")", func() string { return g.pick(" )", "", "))", ") x") })
}

func (g *generator) version() string {
	return g.mostly(g.pick("1", "1.0", "2:1.0-1", "1.0~rc1+b2", "0.0.1-1ubuntu2", "20240101", "1-2-3", "1:2:3"), func() string {
		return g.bytes(g.pick("1.0", "a1", "1.0-", "-1", ":1", "1:", "1_2", "", "1.0-1", "2147483648:1", "1 2", "${binary:Version}", "v1.0", "1.0/2"))
	})
}

func (g *generator) name() string {
	return g.pick("Foo", "foo_bar", "1", "+a", "-a", ".a", "a b", "a/b", "", "é", "a,b", "a(b", "a@b", "${misc:Depends}", "python3:any")
}

func (g *generator) architecture() string {
	return g.pick("all", "any", "source", "i386", "amd64 i386", "a_b", "", "linux-any", "all-foo", "musl-linux-amd64", "AMD64", "amd64v3")
}

func (g *generator) field() string {
	return g.pick("Essential", "Protected", "Important", "Multi-Arch", "Priority", "Section", "Source", "Installed-Size", "Status", "Conffiles", "Revision", "Tag",
		"Filename", "Size", "X", "Xb-Foo", "Origin", "Phased-Update-Percentage", "Description-md5", "SHA256", "Homepage", "Package-Type", "Auto-Built-Package", "Task") +
		g.pick(": ", ": ", ":", " : ") +
		g.pick("yes", "no", "YES", "maybe", "same", "foreign", "allowed", "optional", "optional x", "foo", "libs", "foo (1.0)", "foo (1.0", "-1", "1e3", "", "99999999999999999999999", "deb", "50", "101", "\n /etc/x 0123456789abcdef0123456789abcdef")
}

func (g *generator) words() string {
	return g.pick("a test package", "Jörg <j@example.com>", "J\xf6rg <j@example.com>", "x: y", "a\tb", "a  b", "", "日本語", "\"quoted\" & <tagged>", "$(id)", "a\\b", "#a")
}

// odd are the bytes that parsers stumble over.
const odd = " \t\r\v\f\x00\x1a\x1b\x7f\x80\xff,|()[]<>=:;~+-_.0aZ/#$%\"'\\\n"

// bytes changes a few bytes of a text.
func (g *generator) bytes(text string) string {
	b := []byte(text)
	for range 1 + g.IntN(2) {
		i := g.IntN(len(b) + 1)
		c := odd[g.IntN(len(odd))]
		switch {
		case i == len(b) || g.IntN(3) == 0:
			b = append(b[:i], append([]byte{c}, b[i:]...)...)
		case g.IntN(2) == 0:
			b[i] = c
		default:
			b = append(b[:i], b[i+1:]...)
		}
	}
	return string(b)
}

func (g *generator) pick(from ...string) string { return from[g.IntN(len(from))] }

// mostly is usual, and something else in one case of sixteen.
func (g *generator) mostly(usual string, other func() string) string {
	if g.IntN(16) == 0 {
		return other()
	}
	return usual
}

// shape is an archive of its own with a control file. Most are as debtest makes
// them.
func (g *generator) shape(control string) []byte {
	p := debtest.Package{Control: []byte(control)}
	if g.IntN(8) > 0 {
		return p.Build()
	}
	p.ControlCompression, p.DataCompression = g.pick("gz", "xz", "none"), g.pick("gz", "xz", "none")
	body := p.Build()
	switch g.IntN(6) {
	case 0: // the sizes of members, aligned to the right
		for at := 8; at+60 < len(body); {
			size := strings.TrimSpace(string(body[at+48 : at+58]))
			copy(body[at+48:at+58], fmt.Sprintf("%10s", size))
			var n int
			_, _ = fmt.Sscan(size, &n)
			at += 60 + n + n%2
		}
	case 1: // names with a slash
		body = []byte(strings.Replace(string(body), "debian-binary   ", "debian-binary/  ", 1))
	case 2:
		body = []byte(strings.Replace(string(body), "2.0\n", g.pick("2.1\n", "2.0 ", "3.0\n", "2.x\n", "02.0"), 1))
	case 3: // cut off
		body = body[:len(body)-g.IntN(len(body)/2)]
	case 4:
		i := 8 + g.IntN(len(body)-8)
		body[i] ^= 1 << g.IntN(8)
	}
	return body
}
