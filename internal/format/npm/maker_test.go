package npm_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"

	"packagecloud/internal/format/npm/npmtest"
)

// odd is a package that npm is asked about.
type odd struct {
	Key      string `json:"key"`
	Name     string `json:"name"`
	Version  string `json:"version"`
	Tarball  string `json:"tarball"` // its path
	shape    string
	manifest []byte
	body     []byte
	refusal  error
}

// maker makes odd packages: a package.json of fields that are as people write them,
// or not, in an archive of some shape.
type maker struct{ *rand.Rand }

func (m *maker) one(of []string) string { return of[m.IntN(len(of))] }

// often is one of a few plain texts, and sometimes an odd one.
func (m *maker) often(plain string, odd []string) string {
	if m.IntN(4) > 0 {
		return plain
	}
	return m.one(odd)
}

var (
	// oddNames have a number put into them, so that they differ.
	oddNames = []string{"@scope/odd%d", "Odd%d", "odd.%d", "odd~%d", "odd-%d-", "_odd%d", ".odd%d", "odd %d", " odd%d ", "odd%d!", "odd'%d", "odd(%d)", "odd*%d", "ödd%d", "odd%%2f%d",
		"odd/%d", "@scope/x/odd%d", "@/odd%d", "@scope/", "@Scope/Odd%d", "@scope/.odd%d", "@scope/_odd%d", "@.scope/odd%d", "@_scope/odd%d", "@~/odd%d", "@scope/-odd%d", "-odd%d", "~odd%d", "odd%d.js", "odd%d.tgz",
		"odd\t%d", "odd%d\n", "odd+%d", "odd@%d", "odd:%d", `odd\%d`, "../odd%d", "node_modules%d", "%d", "0x%d", "odd%d\u200b", "constructor%d", "@scope%%2fodd%d", "odd%d=", "odd,%d", "odd$%d", "odd&%d"}
	oddVersionTexts = []string{"v1.2.3", "=1.2.3", " 1.2.3 ", "= v1.2.3", "1.2.3+build.5", "1.2.3-alpha.1", "1.2.3-0", "1.2.3-01", "1.2.3--", "1.2.3-a.-", "1.2.3-beta+exp.sha.5114f85", "1.2", "1", "01.2.3", "1.2.3.4",
		"1.2.3-", "1.2.3+", "1.2.3alpha", "latest", "", "*", "1.x", "1.2.3 - 2.0.0", "9007199254740991.0.0", "9007199254740992.0.0", "1.2.3-9007199254740993", "１.2.3", "1.2.3\\n", "-1.2.3", "V1.2.3", "vv1.2.3",
		"1.2.3-é", "1.2.3-1.2.3.4.5.6.7.8", "0.0.0", "1.2.3+a+b", "==1.2.3", "1.2.3-a_b", "1.2.3-rc.1.", "1.2.3\\u0000"}
	specs = []string{"1", "^1.2.3", "~0.1", "*", "", "x", ">=1 <2", "1 || 2", "1 - 2", "latest", "next", " 1.x ", "=v1.0.0", "npm:b@1", "npm:@s/b@^1", "npm:b", "file:../a", "file:a.tgz", "link:../a", "workspace:*", "workspace:^",
		"portal:../a", "patch:a@1", "catalog:", "catalog:x", "jsr:@a/b@1", "git+https://h.example/a.git", "git+ssh://git@h.example:a/b.git#semver:^1", "git://h.example/a#v1", "github:a/b", "a/b", "a/b#c", "gist:123", "bitbucket:a/b",
		"gitlab:a/b", "https://h.example/a.tgz", "http://h.example/a.tgz?x=y", "git@github.com:a/b.git", "./a", "/a", "~/a", "||", ">", "not a range", "http://", "npm:", "git+", "1.2.3.4", "é", "\\ud800", "\\u0000", "a\\nb"}
	dependencyNames = []string{"a", "b", "c", "@s/d", "A", "a.b", "_a", " a ", "", "../a", "a/b", "__proto__", "constructor", "node_modules", "é", "a@1", "@s", "@s/", "x y", "0", "\\u0061", "toString", "."}
	values          = []string{`null`, `true`, `false`, `0`, `1e400`, `-0`, `1.50`, `12345678901234567890`, `""`, `"x"`, `" x "`, `"../../x"`, `"./x.js"`, `"/x"`, `"x/"`, `[]`, `{}`, `["x"]`, `["x","x"]`, `[null]`, `[{}]`, `["!x"]`, `{"a":null}`,
		`{"a":1}`, `{"a":"x"}`, `{"a":"./x"}`, `{"../a":"../x"}`, `{"a":["x"]}`, `{"a":{"b":"c"}}`, `{"a":{"optional":true}}`, `{"__proto__":"1"}`, `{"":"x"}`, `{"a":""}`, `"\ud800"`, `"\u0000"`, `"é 日本 😀"`, `{"a":"1","a":"2"}`,
		`{"node":">=99"}`, `{"node":"x y"}`, `["node >= 1"]`, `"a b"`, `"a, b"`, `{"a":" x "}`, `{"@s/a":"x"}`, `{"a/b":"x"}`, `{"a\\b":"x\\y"}`, `{".":"x"}`, `{"..":"x"}`, `{"a":".."}`, `{"C:a":"C:\\x"}`}
	fieldNames = strings.Fields(`dependencies devDependencies optionalDependencies peerDependencies peerDependenciesMeta bundleDependencies bundledDependencies bin
		engines os cpu libc funding scripts deprecated license licenses author contributors maintainers repository bugs homepage keywords description man files main exports
		type publishConfig config overrides workspaces devEngines gypfile private dist _id _x readme readmeFilename directories hasInstallScript name version __proto__`)
	dependencyFields = []string{"dependencies", "devDependencies", "optionalDependencies", "peerDependencies"}
)

// quote writes a JSON string of a text that may have escapes already.
func quote(text string) string { return `"` + text + `"` }

// dependencies is a map of names to specs.
func (m *maker) dependencies() string {
	var all []string
	for range m.IntN(4) {
		all = append(all, quote(m.often("a", dependencyNames))+":"+quote(m.one(specs)))
	}
	return "{" + strings.Join(all, ",") + "}"
}

// manifest is a package.json, and what it says it is called.
func (m *maker) text(i int) []byte {
	name := strings.NewReplacer("\t", `\t`, "\n", `\n`, `\`, `\\`).Replace(fmt.Sprintf(m.often("odd%d", oddNames), i))
	members := []string{`"name":` + quote(name), `"version":` + quote(m.often("1.2.3", oddVersionTexts))}
	for range m.IntN(5) {
		switch m.IntN(3) {
		case 0:
			members = append(members, quote(m.one(dependencyFields))+":"+m.dependencies())
		case 1:
			members = append(members, quote(m.one([]string{"bundleDependencies", "bundledDependencies"}))+":"+m.one([]string{`["a"]`, `true`, `false`, `{"a":"1"}`, `["a","a"]`, `"a"`, `[1]`, `["@s/d","b"]`}))
		default:
			field := m.one(fieldNames)
			if (field == "name" || field == "version") && m.IntN(4) > 0 {
				continue
			}
			members = append(members, quote(field)+":"+m.one(values))
		}
	}
	m.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return m.encode(members)
}

// encode writes the members in one of the ways that files are written in.
func (m *maker) encode(members []string) []byte {
	text := "{" + strings.Join(members, ",") + "}"
	switch m.IntN(24) {
	case 0:
		text = "\ufeff" + text
	case 1:
		text = "{\r\n\t" + strings.Join(members, ",\r\n\t") + "\r\n}\r\n"
	case 2:
		text = " \n\t" + text + "\n\n "
	case 3:
		text = strings.Replace(text, "{", `{"description":"caf`+"\xe9"+`",`, 1) // Latin-1
	case 4:
		text = strings.Replace(text, "{", `{"description":"a`+string(rune(m.IntN(32)))+`b",`, 1)
	case 5:
		text += m.one([]string{"\x00", ",", "{}", "// end", "\ufeff", "\f", "\u00a0", "\x1a"})
	case 6:
		text = strings.Replace(text, "}", ",}", 1)
	case 7:
		var wide bytes.Buffer
		wide.WriteString("\xff\xfe")
		for _, b := range []byte(text) {
			wide.Write([]byte{b, 0})
		}
		text = wide.String()
	case 8:
		text = strings.ReplaceAll(text, "e", `\u0065`)
	case 9:
		text = "/* a comment */" + text
	case 10:
		text = strings.ReplaceAll(text, `"`, `'`)
	}
	return []byte(text)
}

// shapes are archives that a package.json lies in. Each has a name for messages.
var shapes = []struct {
	name string
	make func(m *maker, manifest []byte) []byte
}{
	{"another folder", func(m *maker, text []byte) []byte {
		root := m.one([]string{"x", "./package", "a b", "p@1.0.0", "package.json", "é", ".", "..x", "PACKAGE", ".package", "-", "node_modules", "package ", "a/", "./."})
		return npmtest.Gzip(file(root+"/package.json", text), file(root+"/x.js", nil), end)
	}},
	{"no folder", func(_ *maker, text []byte) []byte { return npmtest.Gzip(file("package.json", text), end) }},
	{"no folder but a dot", func(_ *maker, text []byte) []byte { return npmtest.Gzip(file("./package.json", text), end) }},
	{"folders with entries", func(_ *maker, text []byte) []byte {
		return npmtest.Gzip(npmtest.RawEntry('5', "package/", nil), npmtest.RawEntry('5', "package/lib/", nil), file("package/package.json", text), end)
	}},
	{"package.json last", func(_ *maker, text []byte) []byte {
		return npmtest.Gzip(file("package/a.js", []byte("x")), file("package/package.json", text), end)
	}},
	{"files in two folders", func(_ *maker, text []byte) []byte {
		return npmtest.Gzip(file("a/a.js", []byte("x")), file("b/package.json", text), end)
	}},
	{"a link", func(m *maker, text []byte) []byte {
		target := m.one([]string{"x", "../x", "../../x", "/etc/passwd", "package.json", ".", "", "package/x"})
		return npmtest.Gzip(file("package/package.json", text), link(m.one([]string{"1", "2"})[0], m.one([]string{"package/l", "l", "package", "package/../l"}), target), end)
	}},
	{"package.json is a link", func(_ *maker, text []byte) []byte {
		return npmtest.Gzip(file("package/x.json", text), link('2', "package/package.json", "x.json"), end)
	}},
	{"a path", func(m *maker, text []byte) []byte {
		path := m.one([]string{"/abs", "package/../x", "../x", "package/./x", "package//x", `package\x`, "C:/x", "package/x/../../../y", "package/a:b", "package/a|b", "package/é", "package/\xff", "package/ x ", "package/...", "x", "",
			"package/.npmrc", "package/node_modules/a/package.json", "package/CON", "package/a\nb", "package/package.json/x", "package/Package.json", "./x", "//x", "package", "package/", "package/x/"})
		return npmtest.Gzip(file("package/package.json", text), file(path, []byte("x")), end)
	}},
	{"two package.json", func(m *maker, text []byte) []byte {
		other := m.one([]string{"package/package.json", "other/package.json", "./package/package.json", "package//package.json", "package/./package.json"})
		return npmtest.Gzip(file("package/package.json", text), file(other, text), end)
	}},
	{"another file twice", func(_ *maker, text []byte) []byte {
		return npmtest.Gzip(file("package/x", []byte("1")), file("package/package.json", text), file("package/x", []byte("2")), end)
	}},
	{"a file where a folder is", func(m *maker, text []byte) []byte {
		parts := [][]byte{file("package/x", []byte("1")), file("package/x/y", []byte("2")), file("package/package.json", text)}
		m.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		return npmtest.Gzip(append(parts, end)...)
	}},
	{"package.json of a kind", func(m *maker, text []byte) []byte {
		return npmtest.Gzip(npmtest.RawEntry(m.one([]string{"0", "\x00", "7", "S", "5", "3", "6", "D", "V", "Z", "1", "9"})[0], "package/package.json", text), end)
	}},
	{"a file of a kind", func(m *maker, text []byte) []byte {
		return npmtest.Gzip(npmtest.RawEntry(m.one([]string{"7", "S", "3", "4", "6", "D", "M", "N", "V", "Z", "9"})[0], "package/x", []byte("x")), file("package/package.json", text), end)
	}},
	{"a long name", func(m *maker, text []byte) []byte {
		name := "package/" + strings.Repeat(m.one([]string{"x", "x/", "é"}), []int{90, 120, 127, 128, 250, 256, 2000}[m.IntN(7)]) + "x"
		return npmtest.Gzip(npmtest.RawEntry('L', "././@LongLink", []byte(name+"\x00")), file("x", []byte("x")), file("package/package.json", text), end)
	}},
	{"a PAX header", func(m *maker, text []byte) []byte {
		record := m.one([]string{"path=package/package.json", "size=5", "path=package/x", "mtime=-1", "mtime=1e400", "uid=99999999999999999999", "comment=x", "linkpath=/etc/passwd", "path=", "path=/abs", "hdrcharset=BINARY", "x", "SCHILY.xattr.user.x=y"})
		return npmtest.Gzip(npmtest.RawEntry(m.one([]string{"x", "g"})[0], "h", pax(record)), file("package/package.json", text), end)
	}},
	{"gzip that is cut off", func(m *maker, text []byte) []byte {
		all := npmtest.Gzip(file("package/package.json", text), end)
		return all[:len(all)-1-m.IntN(30)]
	}},
	{"a tar archive that is cut off", func(m *maker, text []byte) []byte {
		all := append(file("package/package.json", text), file("package/x", make([]byte, 2000))...)
		return npmtest.Gzip(all[:len(all)-m.IntN(1500)])
	}},
	{"no end", func(_ *maker, text []byte) []byte { return npmtest.Gzip(file("package/package.json", text)) }},
	{"half an end", func(_ *maker, text []byte) []byte {
		return npmtest.Gzip(file("package/package.json", text), end[:512])
	}},
	{"several gzip members", func(_ *maker, text []byte) []byte {
		all := append(file("package/package.json", text), end...)
		return append(npmtest.Gzip(all[:300]), npmtest.Gzip(all[300:])...)
	}},
	{"something behind", func(m *maker, text []byte) []byte {
		return append(npmtest.Gzip(file("package/package.json", text), end), m.one([]string{"\x00", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "rubbish", "\x1f\x8b", "\n"})...)
	}},
	{"something behind the end of the archive", func(_ *maker, text []byte) []byte {
		return npmtest.Gzip(file("package/package.json", text), end, []byte("rubbish"), file("package/y", nil))
	}},
	{"a plain tar archive", func(_ *maker, text []byte) []byte { return append(file("package/package.json", text), end...) }},
	{"another checksum", func(_ *maker, text []byte) []byte {
		all := npmtest.Gzip(file("package/package.json", text), end)
		all[len(all)-6]++
		return all
	}},
	{"a header with another checksum", func(_ *maker, text []byte) []byte {
		bad := file("package/x", nil)
		bad[150]++
		return npmtest.Gzip(file("package/package.json", text), bad, end)
	}},
	{"gyp", func(m *maker, text []byte) []byte {
		return npmtest.Gzip(file("package/package.json", text), file("package/"+m.one([]string{"binding.gyp", "x.gyp", "lib/binding.gyp", ".gyp"}), []byte("{}")), end)
	}},
	{"bundled", func(_ *maker, text []byte) []byte {
		return npmtest.Gzip(file("package/package.json", text), file("package/node_modules/a/package.json", []byte(`{"name":"a","version":"1.0.0"}`)), end)
	}},
	{"programs", func(_ *maker, text []byte) []byte {
		return npmtest.Gzip(file("package/package.json", text), file("package/x", nil), file("package/x/.hidden", nil), end)
	}},
	{"shrinkwrap and server.js", func(_ *maker, text []byte) []byte {
		return npmtest.Gzip(file("package/package.json", text), file("package/npm-shrinkwrap.json", []byte("{}")), file("package/server.js", nil), file("package/README.md", []byte("# x")), file("package/AUTHORS", []byte("A <a@b.c>")), end)
	}},
}

var end = make([]byte, 1024)

func file(name string, body []byte) []byte { return npmtest.RawEntry('0', name, body) }

// link is an entry with a target.
func link(kind byte, name, target string) []byte { return npmtest.RawLink(kind, name, target) }

// pax is the body of a PAX header with one record.
func pax(record string) []byte {
	for n := len(record) + 3; ; n++ {
		if text := fmt.Sprintf("%d %s\n", n, record); len(text) == n {
			return []byte(text)
		}
	}
}

// odd makes the package of a number.
func (m *maker) odd(i int) odd {
	o := odd{Key: fmt.Sprintf("odd%d", i), shape: "plain", manifest: []byte(fmt.Sprintf(`{"name":"odd%d","version":"1.2.3"}`, i))}
	// Mostly one of the two is odd, so that what is wrong can be told.
	if m.IntN(5) > 1 {
		o.manifest = m.text(i)
	}
	o.body = npmtest.Package{Manifest: o.manifest}.Build()
	if m.IntN(5) < 2 {
		s := shapes[m.IntN(len(shapes))]
		o.shape, o.body = s.name, s.make(m, o.manifest)
	}
	return o
}
