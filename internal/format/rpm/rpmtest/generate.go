package rpmtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Tags that Generate sets.
const (
	tagVersion = 1001
	tagRelease = 1002
	tagEpoch   = 1003
	tagArch    = 1022
)

// Generate makes a package with a few odd fields, each of a kind that builders have
// made, or somebody who means harm might. The same source gives the same package.
func Generate(r *rand.Rand, name string) Raw {
	raw := Package{Name: name, Architecture: pick(r, "noarch", "x86_64", "i686", "aarch64"), Files: map[string][]byte{
		"/usr/bin/" + name: []byte("#!/bin/sh\n"), "/etc/" + name + ".conf": []byte("x"), "/usr/share/" + name + "/data": []byte("y"),
	}}.Raw()
	for range 1 + r.IntN(2) {
		oddities[r.IntN(len(oddities))](r, &raw)
	}
	return raw
}

func pick[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

// oddities each make something odd of a package.
var oddities = []func(*rand.Rand, *Raw){
	oddVersion, oddEpoch, oddArchitecture, oddText, oddRelations, oddRelations, oddRichRelations, oddFiles, oddFileNames, oddChangelog, oddSource, oddNumbers, oddHeader, oddWeak,
}

func oddVersion(r *rand.Rand, raw *Raw) {
	raw.Set(Text(pick[uint32](r, tagVersion, tagRelease), pick(r, "1.0~rc1", "1^20240101git", "20240101", "1_2+b1", "0", "1..2", "v1.0", "1-2", "", "1 2", "1:2", "é", "1/2", strings.Repeat("1", 200), "1%2", "1\x01")))
}

func oddEpoch(r *rand.Rand, raw *Raw) {
	raw.Set(pick(r, Numbers(tagEpoch, Int32, 0), Numbers(tagEpoch, Int32, 7), Numbers(tagEpoch, Int32, 1<<31), Numbers(tagEpoch, Int32, 1<<32-1), Numbers(tagEpoch, Int64, 1), Text(tagEpoch, "1")))
}

func oddArchitecture(r *rand.Rand, raw *Raw) {
	raw.Set(Text(tagArch, pick(r, "i386", "i586", "x86_64_v2", "x86_64_v3", "ppc64", "s390", "armv7hl", "riscv64", "unknown", "athlon", "X86", "", "a/b", "é")))
}

// texts are values of tags that people write.
var texts = []string{
	"", "plain", "two\nlines\n", "tab\tbed", "wind\r\nows", "<b>&amp; \"quoted\" 'text'</b>", "]]>", "größer – ünïcödé 日本語 🎉", "caf\xe9", "\x93cp1252\x94 \xfcber", "cut off \xc3", "bell\x07",
	"escape\x1b[1m", "\x7f", "  spaces  ", "\ufeffmark", "\u0085\u2028", "(none)", strings.Repeat("long ", 20_000),
}

func oddText(r *rand.Rand, raw *Raw) {
	tag := pick[uint32](r, 1004, 1005, 1007, 1011, 1014, 1015, 1016, 1020)
	switch {
	case r.IntN(5) == 0:
		raw.Remove(tag)
	case tag == 1004 || tag == 1005 || tag == 1016:
		t := Strings(tag, pick(r, texts...))
		t.Type = I18NString
		raw.Set(t)
	default:
		raw.Set(Text(tag, pick(r, texts...)))
	}
}

// kinds are the tags of relations: names, versions, flags.
var kinds = [][3]uint32{{1047, 1113, 1112}, {1049, 1050, 1048}, {1054, 1055, 1053}, {1090, 1115, 1114}, {5049, 5050, 5051}, {5055, 5056, 5057}, {5046, 5047, 5048}, {5052, 5053, 5054}, {1156, 1157, 1158}, {1159, 1160, 1161}}

var (
	relationNames = []string{
		"foo", "/usr/bin/foo", "/etc/x", "libfoo.so.1()(64bit)", "rpmlib(X)", "perl(A::B)", "a b", "foo>=1.0", "foo >= 1.0", "", " ", "<&\">", "caf\xe9", "日本", "bell\x07", "new\nline", "tab\t", "%{x}", "-", ":", strings.Repeat("n", 3000),
		strings.Repeat("n", 5000), "config(foo)", "font(:lang=de)", "application()", "crate(x/default)",
	}
	relationVersions = []string{"", "1", "1.0-1", "3:1.0-1", ":1", "0:1", "1:", "-", "1-", "1-2-3", "a:1", "1.0~rc^git", "1 0", "<", "\xe9", "é", "1\x01", "4294967296:1", "-1:2", " 1:2", "1:2:3"}
)

func oddRelations(r *rand.Rand, raw *Raw) {
	tags := pick(r, kinds...)
	var names, versions []string
	var flags []uint64
	for range 1 + r.IntN(6) {
		names = append(names, pick(r, relationNames...))
		versions = append(versions, pick(r, relationVersions...))
		flags = append(flags, uint64(r.IntN(16))|pick[uint64](r, 0, 0, 1<<6, 1<<9, 1<<10, 1<<5, 1<<7, 1<<19, 1<<24, 1<<27, 1<<31))
		if r.IntN(4) == 0 { // the same again
			names, versions, flags = append(names, names[0]), append(versions, versions[0]), append(flags, flags[0])
		}
	}
	setRelations(raw, tags, names, versions, flags)
}

func setRelations(raw *Raw, tags [3]uint32, names, versions []string, flags []uint64) {
	raw.Set(Strings(tags[0], names...), Strings(tags[1], versions...), Numbers(tags[2], Int32, flags...))
}

func oddRichRelations(r *rand.Rand, raw *Raw) {
	names := []string{pick(r,
		"(a if b)", "(a or b)", "(a and b and c)", "((a >= 1 with a < 2) if (b or c))", "(a if b else c)", "(a unless b)", "(perl(X) or /bin/y)", "(a)", "(a and (b or c) and d)",
		"()", "(a", "(a b c)", "(a if)", "(a and b or c)", "(a >= )", "(a,b)", "(a if b))", strings.Repeat("(", 500)+"a"+strings.Repeat(")", 500),
	)}
	setRelations(raw, pick(r, kinds[1:8]...), names, []string{""}, []uint64{pick[uint64](r, 0, 1<<27)})
}

// oddWeak lists names without versions and flags, or too few of them.
func oddWeak(r *rand.Rand, raw *Raw) {
	tags := pick(r, kinds...)
	raw.Set(Strings(tags[0], "foo", "bar"), Strings(tags[1], "", "1"), Numbers(tags[2], Int32, 0, 8))
	switch r.IntN(3) {
	case 0:
		raw.Set(Numbers(tags[2], Int32, 8))
	case 1:
		raw.Set(Strings(tags[1], ""))
	}
}

func oddFiles(r *rand.Rand, raw *Raw) {
	all := func(tag, kind uint32, choose ...uint64) Tag {
		return Numbers(tag, kind, pick(r, choose...), pick(r, choose...), pick(r, choose...))
	}
	switch r.IntN(6) {
	case 0, 1:
		raw.Set(all(1030, Int16, 0o100644, 0o040755, 0o120777, 0o100755))
	case 2, 3:
		raw.Set(all(1037, Int32, 0, 1<<6, 1<<0, 1<<4))
	case 4:
		raw.Set(Numbers(1116, Int32, 0, 1, 9))
	case 5:
		raw.Set(Numbers(1030, Int16, 0o100644))
	}
}

func oddFileNames(r *rand.Rand, raw *Raw) {
	names := []string{"a", "b c", "<&>", "caf\xe9", "日本", "new\nline", "bell\x07", "tab\t", "", "..", "x/y", "[", "\\", "'\"", strings.Repeat("n", 255)}
	folders := []string{"/usr/bin/", "/etc/", "/usr/share/x/", "/usr/sbin/", "/opt/caf\xe9/bin/", "/日本/", "/a b/", "relative/", "/usr/bin", "/no\nline/"}
	raw.Set(Strings(1117, pick(r, names...), pick(r, names...), pick(r, names...)), Strings(1118, pick(r, folders...), pick(r, folders...), pick(r, folders...)),
		Numbers(1116, Int32, 0, 1, 2))
}

func oddChangelog(r *rand.Rand, raw *Raw) {
	var names, changes []string
	var times []uint64
	time := uint64(1_700_000_000)
	for range 1 + r.IntN(14) {
		names = append(names, pick(r, "Jo <jo@example.com> - 1-1", "J\xf6rg", "spaces  ", "", "line\nbreak", "<&\">", "日本"))
		changes = append(changes, pick(r, texts...))
		times = append(times, time)
		time -= pick[uint64](r, 0, 0, 86400)
	}
	raw.Set(Strings(1081, names...), Strings(1082, changes...), Numbers(1080, Int32, times...))
}

func oddSource(r *rand.Rand, raw *Raw) {
	switch r.IntN(4) {
	case 0:
		raw.Remove(1044)
	case 1:
		raw.Set(Numbers(1106, Int32, 1))
	case 2:
		raw.Set(Numbers(1106, Int32, 1), Numbers(1051, Int32, 0))
	case 3:
		raw.Set(Text(1044, pick(r, "", "(none)", "x", "a-1-1.src.rpm", "\xe9-1-1.src.rpm")))
	}
}

func oddNumbers(r *rand.Rand, raw *Raw) {
	raw.Set(pick(r, Numbers(1009, Int32, 0), Numbers(1009, Int32, 1<<32-1), Numbers(5009, Int64, 1<<40), Numbers(1006, Int32, 0), Numbers(1006, Int32, 1<<32-1), Numbers(1046, Int32, 12345), Numbers(1009, Int16, 1)))
}

// oddHeader damages the header itself.
func oddHeader(r *rand.Rand, raw *Raw) {
	switch i := r.IntN(len(raw.Header)); r.IntN(8) {
	case 0:
		raw.Header[i].Count += uint32(1 + r.IntN(3))
	case 1:
		raw.Header[i].Type = uint32(r.IntN(11))
	case 2:
		raw.Header[i].Tag = pick[uint32](r, 50, 99, 269, 273, 60_000, 1<<31)
	case 3:
		raw.Header[i].Count = 0
	case 4:
		raw.Header[i].Shared = i > 0
	case 5:
		raw.NoRegion = true
	case 6:
		raw.Header = append(raw.Header, Strings(60_001, "unknown"), Numbers(60_002, Int64, 1))
	case 7:
		raw.Remove(pick[uint32](r, 1000, 1001, 1002, 1022, 1004, 1005))
	}
}

// GeneratedName is the name of the package that Generate is to make as the nth.
func GeneratedName(n int) string { return fmt.Sprintf("odd%05d", n) }
