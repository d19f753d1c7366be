package edge

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/vectors.json")

// vectors is the file that every checker is tested with.
type vectors struct {
	Secrets []string // that are valid; the first one signs
	Now     int64    // Unix time
	Vectors []vector
}

type vector struct {
	Name   string
	Method string
	Path   string // as sent
	Query  string // as sent, without "?"
	// Answer is "pass", "forbidden", "expired" or "method".
	Answer string
	// Canonical is the path that is passed on.
	Canonical string `json:",omitempty"`
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	var v vectors
	text, err := os.ReadFile("testdata/vectors.json")
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const (
	sampleSecret = "MDI2ZDhhYmMxYthiMjVmMTBlODM4OWNmZWZiZmI2NWI" // of the set-up page
	oldSecret    = "q2fXb8cVnR5tYw1zKdP0sLgHj3mA7uEo9iBv6xNrTkQ"
	otherSecret  = "0000000000000000000000000000000000000000000"
	vectorTime   = 1_795_600_000
)

// answer is what a checker made of a request, in the words of the vectors.
func answer(err error) string {
	switch {
	case err == nil:
		return "pass"
	case errors.Is(err, ErrExpired):
		return "expired"
	case errors.Is(err, ErrMethod):
		return "method"
	case errors.Is(err, ErrForbidden):
		return "forbidden"
	}
	return err.Error()
}

func TestVectors(t *testing.T) {
	v := makeVectors(t)
	if *update {
		writeVectors(t, v)
	}
	file := readVectors(t)
	keys, err := NewKeys(file.Secrets...)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, v := range file.Vectors {
		path, err := keys.Check(v.Method, v.Path, v.Query, time.Unix(file.Now, 0))
		if got := answer(err); got != v.Answer || path != v.Canonical {
			t.Errorf("%s: %s %s?%s\n got %s %q\nwant %s %q", v.Name, v.Method, v.Path, v.Query, got, path, v.Answer, v.Canonical)
		}
		count[v.Answer]++
	}
	if count["pass"] < 20 || count["forbidden"] < 50 || count["expired"] < 3 || count["method"] < 3 {
		t.Errorf("the file is too small: %v", count)
	}
	want, _ := json.Marshal(v)
	got, _ := json.Marshal(file)
	if !bytes.Equal(want, got) {
		t.Error("testdata/vectors.json is not what makeVectors makes: run go test ./internal/edge -run TestVectors -update")
	}
}

// writeVectors writes the file, one vector a line.
func writeVectors(t *testing.T, v vectors) {
	t.Helper()
	var b bytes.Buffer
	encode := func(v any) {
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
		b.Truncate(b.Len() - 1)
	}
	b.WriteString(`{"Secrets": `)
	encode(v.Secrets)
	b.WriteString(`, "Now": `)
	encode(v.Now)
	b.WriteString(`, "Vectors": [`)
	for i, v := range v.Vectors {
		b.WriteString(strings.Repeat(",", min(i, 1)) + "\n")
		encode(v)
	}
	b.WriteString("\n]}\n")
	if err := os.WriteFile("testdata/vectors.json", b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func makeVectors(t testing.TB) vectors {
	t.Helper()
	sign := func(secret, key string, end int64) (path, query string) {
		t.Helper()
		keys, err := NewKeys(secret)
		if err != nil {
			t.Fatal(err)
		}
		s := Signer{Keys: keys}
		path, query, _ = strings.Cut(s.Until(key, time.Unix(end, 0)), "?")
		return path, query
	}
	const (
		now = vectorTime
		end = now + 3600
		key = "packages/5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03/libstdc_-6-dev_14.2.0-19_amd64.deb"
	)
	v := vectors{Secrets: []string{sampleSecret, oldSecret}, Now: now}
	add := func(answer, name, method, path, query, canonical string) {
		v.Vectors = append(v.Vectors, vector{name, method, path, query, answer, canonical})
	}
	path, query := sign(sampleSecret, key, end)
	pass := func(name, path, query, canonical string) { add("pass", name, "GET", path, query, canonical) }
	refuse := func(name, path, query string) { add("forbidden", name, "GET", path, query, "") }

	// As made.
	pass("a package", path, query, path)
	add("pass", "a package by HEAD", "HEAD", path, query, path)
	second, secondQuery := sign(oldSecret, key, end)
	pass("the second secret", second, secondQuery, path)
	index, indexQuery := sign(sampleSecret, "indexes/"+strings.Repeat("0a", 32)+"/Packages.gz", end)
	pass("an index", index, indexQuery, index)
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "", "GET "} {
		add("method", "method "+method, method, path, query, "")
	}

	// Time.
	for _, c := range []struct {
		name, answer string
		end          int64
	}{
		{"the last second", "pass", now},
		{"a clock within the tolerance", "pass", now - 60},
		{"a clock beyond the tolerance", "expired", now - 61},
		{"expired yesterday", "expired", now - 86400},
		{"expired in 2001", "expired", 1_000_000_000},
		{"good until 2286", "pass", 9_999_999_999},
		{"eleven digits", "forbidden", 10_000_000_000},
		{"nine digits", "forbidden", 999_999_999},
		{"zero", "forbidden", 0},
		{"before 1970", "forbidden", -1_000_000_000},
	} {
		path, query := sign(sampleSecret, key, c.end)
		canonical := ""
		if c.answer == "pass" {
			canonical = path
		}
		add(c.answer, c.name, "GET", path, query, canonical)
	}
	expired, expiredQuery := sign(otherSecret, key, now-86400)
	refuse("expired, of an unknown secret: not said to be expired", expired, expiredQuery)

	// Keys.
	unknown, unknownQuery := sign(otherSecret, key, end)
	refuse("an unknown secret", unknown, unknownQuery)
	refuse("an unknown secret under a known key id", path, strings.Replace(unknownQuery, KeyID(otherSecret), KeyID(sampleSecret), 1))
	refuse("the first secret under the id of the second", path, strings.Replace(query, KeyID(sampleSecret), KeyID(oldSecret), 1))
	refuse("a key id in capitals", path, strings.Replace(query, KeyID(sampleSecret), strings.ToUpper(KeyID(sampleSecret)), 1))
	refuse("no key id", path, strings.Replace(query, KeyID(sampleSecret), "", 1))
	refuse("the signature of another object", index, query)
	refuse("the expiry of another URL", path, query[:2]+secondExpiry(query)+query[12:])

	// The token: each character, and its shape.
	for i := range query {
		changed := []byte(query)
		switch changed[i] {
		case 'Z', 'z':
			changed[i]--
		case '9':
			changed[i] = '8'
		case '_', '-', '=':
			changed[i] = 'x'
		default:
			changed[i]++
		}
		refuse("changed at "+query[:i]+"…", path, string(changed))
	}
	for _, c := range []struct{ name, query string }{
		{"no query", ""},
		{"an empty token", "t="},
		{"a name without a value", "t"},
		{"another name", "T" + query[1:]},
		{"a name in escapes", "%74" + query[1:]},
		{"only an expiry", query[:12]},
		{"no signature", query[:22]},
		{"a signature cut by one", query[:len(query)-1]},
		{"a signature longer by one", query + "A"},
		{"padded", query + "="},
		{"padded in escapes", query + "%3D"},
		{"a line feed behind", query + "%0A"},
		{"a line feed behind, unescaped", query + "\n"},
		{"a space behind", query + " "},
		{"a plus in front", "t=+" + query[2:]},
		{"a zero in front", "t=0" + query[2:]},
		{"a signature of standard base64", strings.NewReplacer("-", "+", "_", "/").Replace(query[:22]) + strings.NewReplacer("-", "+", "_", "/").Replace(query[22:]) + "="},
		{"dots between the parts", strings.Replace(query, "_", ".", 2)},
		{"escapes in the token", strings.Replace(query, "_", "%5F", 1)},
		{"the empty signature", query[:22] + strings.Repeat("A", 43)},
		{"twice", query + "&" + query},
		{"twice, the second wrong", query + "&t=x"},
		{"twice, the first wrong", "t=x&" + query},
		{"twice, one without a value", query + "&t"},
		{"twice, one empty", "t=&" + query},
		{"as a part of another parameter", "x=" + query},
		{"as another parameter", "tt=" + query[2:]},
		{"behind a semicolon", "x=1;" + query},
		{"the question mark in it", "?" + query},
		{"overlong", query + strings.Repeat("A", 3000)},
	} {
		refuse("token: "+c.name, path, c.query)
	}
	for _, c := range []struct{ name, query string }{
		{"a parameter behind", query + "&x=1"},
		{"a parameter before", "x=1&" + query},
		{"parameters around", "response-content-type=text/html&" + query + "&versionId=1"},
		{"a parameter without a value", "x&" + query},
		{"a parameter with an equals sign in its value", "x=a=b&" + query},
	} {
		pass("token: "+c.name, path, c.query, path)
	}

	// What clients make of a path. The key has everything that one has ever
	// rewritten.
	odd := "pool/libstdc++_1~rc1:a@b (c)!$&'*,;=é%2B.deb"
	oddPath, oddQuery := sign(sampleSecret, odd, end)
	const oddCanonical = "/pool/libstdc%2B%2B_1~rc1%3Aa%40b%20%28c%29%21%24%26%27%2A%2C%3B%3D%C3%A9%252B.deb"
	pass("escapes: as made", oddPath, oddQuery, oddCanonical)
	for _, c := range []struct{ name, from, to string }{
		{"a plain plus", "%2B%2B", "++"},
		{"one plus plain, one escaped", "%2B%2B", "+%2b"},
		{"%2b in small letters (apt, dnf)", "%2B%2B", "%2b%2b"},
		{"%7e for ~ (apt before 2.1.15)", "~", "%7e"},
		{"%7E for ~", "~", "%7E"},
		{"plain sub-delimiters", "%28c%29%21%24%26%27%2A%2C%3B%3D", "(c)!$&'*,;="},
		{"a plain colon and at", "%3Aa%40", ":a@"},
		{"small hexadecimal digits", "%C3%A9", "%c3%a9"},
		{"a letter in an escape", "pool", "po%6Fl"},
		{"a slash in an escape, decoded by no one", "/pool/", "/pool%2F"},
	} {
		if !strings.Contains(oddPath, c.from) {
			t.Fatalf("%s is not in %s", c.from, oddPath)
		}
		pass("escapes: "+c.name, strings.Replace(oddPath, c.from, c.to, 1), oddQuery, oddCanonical)
	}
	for _, c := range []struct{ name, from, to string }{
		{"a space for a plus", "%2B%2B", "%20%20"},
		{"one plus less", "%2B%2B", "%2B"},
		{"a plus for a space", "%20", "+"},
		{"a plain space", "%20", " "},
		{"decoded twice", "%252B", "%2B"},
		{"encoded twice", "%252B", "%25252B"},
		{"encoded twice as a whole", "%", "%25"},
		{"another letter", "pool", "poo1"},
		{"another case", "pool", "Pool"},
		{"UTF-8 unescaped", "%C3%A9", "é"},
		{"Latin-1", "%C3%A9", "%E9"},
		{"decomposed", "%C3%A9", "e%CC%81"},
		{"an escape of one digit", "%20", "%2"},
		{"an escape of no hexadecimal digits", "%20", "%2G"},
		{"an escape with a sign", "%20", "%+2"},
		{"an escape of UTF-16", "%20", "%u0020"},
		{"a bare percent sign", "%20", "%"},
		{"a backslash in an escape", "/pool/", "/pool%5C"},
	} {
		refuse("escapes: "+c.name, strings.Replace(oddPath, c.from, c.to, 1), oddQuery)
	}
	// apt before 2.1.15 takes the whole URL apart and puts it together again.
	apt, aptQuery := sign(sampleSecret, "ab+cd/x~1", end)
	pass("apt before 2.1.15: all at once", strings.NewReplacer("%2B", "%2b", "~", "%7e").Replace(apt), aptQuery, "/ab%2Bcd/x~1")

	// Paths that must be refused though they are signed well.
	for _, c := range []struct{ name, key string }{
		{"an empty path", ""},
		{"an empty step", "a//b"},
		{"an empty first step", "/a"},
		{"an empty last step", "a/"},
		{"a dot", "a/./b"},
		{"two dots", "a/../b"},
		{"two dots at the start", "../a"},
		{"two dots at the end", "a/.."},
		{"a dot at the end", "a/."},
		{"NUL", "a\x00b"},
		{"a line feed", "a\nb"},
		{"a carriage return", "a\rb"},
		{"DEL", "a\x7fb"},
		{"a backslash", `a\b`},
		{"overlong", strings.Repeat("a", 3073)},
		{"overlong by its escapes", strings.Repeat("+", 1025)},
	} {
		path, query := sign(sampleSecret, c.key, end)
		refuse("signed but: "+c.name, path, query)
	}
	dots, dotsQuery := sign(sampleSecret, "a/../b", end)
	for _, form := range []string{"/a/%2e%2e/b", "/a/.%2E/b", "/a%2f..%2fb", "/a%2F%2e%2e/b", "/b"} {
		refuse("signed but: two dots as "+form, form, dotsQuery)
	}
	refuse("signed but: two dots resolved by the client", strings.Replace(dots, "/a/..", "", 1), dotsQuery)
	ab, abQuery := sign(sampleSecret, "a/b", end)
	for _, form := range []string{"", "a/b", "//a/b", "/a//b", "/a/b/", "/a/./b", "/x/../a/b", "/a/%2e/b", "/a%2F%2Fb", `/a\b`, "/a%5cb",
		"/a/b%00", "/a/b?", "/a/b#", "/a/b%3F", "/a/b%23", "/a/b%20", "/a/b.", "http://x/a/b", "/%61/%62/", "/a/b;x", "/A/b"} {
		refuse("another form of /a/b: "+form, form, abQuery)
	}
	pass("all letters in escapes", "/%61/%62", abQuery, ab)
	for _, c := range []struct{ name, key string }{
		{"three dots", "a/.../b"},
		{"a step that begins with dots", "a/..b/.c"},
		{"the greatest length", strings.Repeat("a", 3072)},
		{"the greatest length in escapes", strings.Repeat("+", 1024)},
		{"a question mark and a hash", "a?b#c"},
		{"Japanese", "パッケージ.deb"},
		{"beyond the basic plane", "📦.deb"},
		{"bytes that are no UTF-8", "a\xff\xfe"},
		{"quotes and brackets", `a"<>[]^{|}` + "`"},
	} {
		path, query := sign(sampleSecret, c.key, end)
		pass("signed: "+c.name, path, query, path)
	}
	brackets, bracketsQuery := sign(sampleSecret, `a"<>[]^{|}`+"`", end)
	pass("signed: quotes and brackets unescaped", `/a"<>[]^{|}`+"`", bracketsQuery, brackets)
	return v
}

// secondExpiry is the expiry of a token, one second later.
func secondExpiry(query string) string {
	expiry := []byte(query[2:12])
	expiry[9]++
	return string(expiry)
}
