package rubyconf

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files")

func environment(name string) (string, bool) {
	v, ok := map[string]string{"HOST": "packages.example.com", "EMPTY": ""}[name]
	return v, ok
}

func TestValues(t *testing.T) {
	tests := []struct {
		src  string
		want any
	}{
		{`'text'`, "text"},
		{`'it\'s a \\ and a \n'`, `it's a \ and a \n`},
		{`'#{not} #inserted'`, "#{not} #inserted"},
		{`"a\tb\n\s\e\"\\\#\q"`, "a\tb\n \x1b\"\\#q"},
		{`"\u00e9 \u{1F4E6 41} \xc3\xa9 \101"`, "é 📦A é A"},
		{`"# no comment"`, "# no comment"},
		{`""`, ""},
		{`"日本"`, "日本"},
		{`0`, int64(0)},
		{`1_000_000`, int64(1000000)},
		{`-5`, int64(-5)},
		{`+5`, int64(5)},
		{`1.5`, 1.5},
		{`-1_0.25e-1`, -1.025},
		{`1e3`, 1000.0},
		{`true`, true},
		{`false`, false},
		{`nil`, nil},
		{`[]`, []any{}},
		{`[1, 'a', [true]]`, []any{int64(1), "a", []any{true}}},
		{"[\n  1, # one\n  2,\n\n]", []any{int64(1), int64(2)}},
		{`{}`, map[string]any{}},
		{`{ 'a' => 1, :b => 2, c: 3, "d": 4 }`, map[string]any{"a": int64(1), "b": int64(2), "c": int64(3), "d": int64(4)}},
		{"{\n  'a' =>\n    { b: nil },\n}", map[string]any{"a": map[string]any{"b": nil}}},
		{`%w[]`, []any{}},
		{`%w[a b\ c 'd']`, []any{"a", "b c", "'d'"}},
		{"%w(\n  10.0.0.0/8\n  (x) \\)\n)", []any{"10.0.0.0/8", "(x)", ")"}},
		{`%w{a\b}`, []any{`a\b`}},
		{`%w|a\|b c|`, []any{"a|b", "c"}},
		{`ENV['HOST']`, "packages.example.com"},
		{`ENV["EMPTY"]`, ""},
		{`ENV['NOT_SET']`, nil},
		{`ENV.fetch('HOST')`, "packages.example.com"},
		{`ENV.fetch('NOT_SET', 'default')`, "default"},
		{`ENV.fetch("NOT_SET", [1])`, []any{int64(1)}},
		{`[ENV['HOST'], ENV.fetch('EMPTY', 'x')]`, []any{"packages.example.com", ""}},
		{"\n  'on the next line'", "on the next line"},
		{"\\\n  'continued'", "continued"},
	}
	for _, tt := range tests {
		got, err := Parse("test.rb", []byte("a['k'] = "+tt.src+" # comment"), environment)
		if err != nil {
			t.Errorf("%s: %v", tt.src, err)
			continue
		}
		want := []Setting{{Path: []string{"a", "k"}, Value: tt.want, Line: 1}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.src, diff)
		}
	}
}

func TestStatements(t *testing.T) {
	src := "\uFEFF" + `# packagecloud
external_url 'https://packages.example.com' # the address
external_url("https://other.example.com")
external_url ENV['HOST']
=begin
packagecloud_rails['hidden'] = 1
=end
packagecloud_rails['a'] = 1; packagecloud_rails["b"] = 2
packagecloud_rails[:c]=3
packagecloud_rails ['d'] = 4
nested['a']["b"][:c] = 5
list [1, 2]
minus -1
  indented['x'] = 'y'` + "\r\n" + `__END__
if nothing here is read
`
	want := []Setting{
		{[]string{"external_url"}, "https://packages.example.com", 2},
		{[]string{"external_url"}, "https://other.example.com", 3},
		{[]string{"external_url"}, "packages.example.com", 4},
		{[]string{"packagecloud_rails", "a"}, int64(1), 8},
		{[]string{"packagecloud_rails", "b"}, int64(2), 8},
		{[]string{"packagecloud_rails", "c"}, int64(3), 9},
		{[]string{"packagecloud_rails", "d"}, int64(4), 10},
		{[]string{"nested", "a", "b", "c"}, int64(5), 11},
		{[]string{"list"}, []any{int64(1), int64(2)}, 12},
		{[]string{"minus"}, int64(-1), 13},
		{[]string{"indented", "x"}, "y", 14},
	}
	got, err := Parse("test.rb", []byte(src), environment)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

// TestProblems reads a file in which nearly every line is wrong: each is told
// with its place, and none hides another.
func TestProblems(t *testing.T) {
	src, err := os.ReadFile(filepath.Join("testdata", "problems.rb"))
	if err != nil {
		t.Fatal(err)
	}
	// In two parts: there are more problems than are shown at once.
	lines := strings.SplitAfter(string(src), "\n")
	var text strings.Builder
	for i, part := range []string{
		strings.Join(lines[:28], ""),
		strings.Repeat("\n", 28) + strings.Join(lines[28:], ""),
	} {
		_, err := Parse("packagecloud.rb", []byte(part), environment)
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("part %d: error %v, want *Error", i, err)
		}
		text.WriteString(e.Error() + "\n")
	}
	golden := filepath.Join("testdata", "problems.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Errorf("problems (-want +got; -update writes them):\n%s", diff)
	}
}

func TestGoesOnAfterProblems(t *testing.T) {
	tests := []struct {
		src  string
		want []string // the keys that are understood
	}{
		{"a['x'] = [1, 2\nb['y'] = 3", []string{"b.y"}},
		{"a['x'] = {\n 'k' => 1,\nb['y'] = 3", []string{"b.y"}},
		{"a['x'] = [\n one,\n 'b' \n]\nb['y'] = 3", []string{"b.y"}},
		{"a['x'] = 'open\nb['y'] = 3", []string{"b.y"}},
		{"a['x'] = \"#{c}\"\nb['y'] = 3", []string{"b.y"}},
		{"a['x'] = %w[a b\nb['y'] = 3", []string{"b.y"}},
		{"a['x'] = <<E\nb['hidden'] = 1\nE\nb['y'] = 3", []string{"b.y"}},
		{"a['x'] =\nb['y'] = 3", []string{"b.y"}},
		{"a['w'] = 1\na['x'] + 1\nb['y'] = 3", []string{"a.w", "b.y"}},
	}
	for _, tt := range tests {
		settings, err := Parse("test.rb", []byte(tt.src), nil)
		var e *Error
		if !errors.As(err, &e) || len(e.Problems) != 1 {
			t.Errorf("%q: error %v, want one problem", tt.src, err)
		}
		var got []string
		for _, s := range settings {
			got = append(got, strings.Join(s.Path, "."))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.src, diff)
		}
	}
}

// TestFirstProblem has limits, and rare kinds of problems.
func TestFirstProblem(t *testing.T) {
	nested := func(n int) string { return "a['x'] = " + strings.Repeat("[", n) + strings.Repeat("]", n) }
	tests := []struct {
		name, src string
		message   string // of the first problem; "" for none
	}{
		{"size", strings.Repeat("#", MaxSize), ""},
		{"too large", strings.Repeat("#", MaxSize+1), "the file is larger than 1048576 bytes"},
		{"nesting", nested(MaxNesting), ""},
		{"too deep", nested(MaxNesting + 1), "arrays and hashes are nested more than 20 deep"},
		{"far too deep", nested(100_000), "arrays and hashes are nested more than 20 deep"},
		{"too many keys", "a" + strings.Repeat("['x']", MaxNesting+1) + " = 1", "there are more than 20 keys"},
		{"default in default", "a['x'] = " + strings.Repeat("ENV.fetch('N', ", 1000), "arrays and hashes are nested more than 20 deep"},
		{"latin-1", "a['x'] = 'caf\xe9'", "the line holds bytes that are not text in UTF-8"},
		{"zero byte", "a['x'] = 'b\x00'", "the line holds bytes that are not text in UTF-8"},
		{"open comment in the middle", "a 1\n=begin\n", "the comment that begins here has no end"},
		{"control character", `a "\C-a"`, "control characters are not written this way"},
		{"escape without digits", `a "\xg"`, `\x needs one or two hexadecimal digits`},
		{"escaped zero", `a "\0"`, "a string cannot hold the character 0"},
		{"surrogate", `a "\ud800"`, `\u needs four hexadecimal digits, or one to six in braces`},
		{"block", "a do |b|\nend", "do cannot be used as a value"},
		{"label", "a: 1", `the symbol "a" cannot be used at the beginning of a setting`},
		{"number", "4", "4 cannot be used at the beginning of a setting"},
		{"open call", "a('b'", "the ( here is not closed"},
		{"heredoc in quotes", "a <<-'END'\n\"\n  END\n", "a heredoc cannot be used here"},
		{"open comment", "=begin\na", "the comment that begins here has no end"},
	}
	for _, tt := range tests {
		_, err := Parse("test.rb", []byte(tt.src), environment)
		var e *Error
		got := ""
		if errors.As(err, &e) {
			got = e.Problems[0].Message
		}
		if got != tt.message {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.message)
		}
	}

	_, err := Parse("test.rb", []byte(strings.Repeat("a +\n", 1000)), nil)
	var e *Error
	if !errors.As(err, &e) || len(e.Problems) != maxProblems+1 {
		t.Errorf("a thousand problems are not cut off at %d: %d", maxProblems, len(e.Problems))
	}
}

// TestColumnsCountCharacters has a column behind letters of several bytes.
func TestColumnsCountCharacters(t *testing.T) {
	_, err := Parse("test.rb", []byte("\n  a['é日本'] = x"), nil)
	const want = "test.rb:2:14: x cannot be used as a value (write text in quotes: 'x')"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestStringsRoundTrip writes any text in each kind of quotes and reads it.
func TestStringsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ -~äß日\t\n]{0,20}`).Draw(t, "text")
		double := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "#", `\#`, "\n", `\n`).Replace(text)
		sources := []string{`"` + double + `"`}
		if !strings.Contains(text, "\n") {
			sources = append(sources, `'`+strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text)+`'`)
		}
		var escaped strings.Builder
		for _, r := range text {
			escaped.WriteString(`\u{` + strconv.FormatInt(int64(r), 16) + `}`)
		}
		sources = append(sources, `"`+escaped.String()+`"`)
		for _, src := range sources {
			got, err := Parse("test.rb", []byte("a "+src), nil)
			if err != nil || len(got) != 1 || got[0].Value != text {
				t.Fatalf("%s is read as %v, %v; want %q", src, got, err, text)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	problems, err := os.ReadFile(filepath.Join("testdata", "problems.rb"))
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(problems)) {
		f.Add([]byte(line))
	}
	f.Add(problems)
	f.Add([]byte("a['k'] = { b: [1, %w(x y), ENV.fetch('A', nil)], \"c\" => -1.5e3 }\n=begin\n=end\n__END__"))
	f.Fuzz(func(t *testing.T, src []byte) {
		settings, err := Parse("fuzz.rb", src, environment)
		var e *Error
		if err != nil && (!errors.As(err, &e) || len(e.Problems) == 0) {
			t.Fatalf("error %v is no list of problems", err)
		}
		lines := strings.Count(string(src), "\n") + 1
		for _, s := range settings {
			if len(s.Path) == 0 || s.Line < 1 || s.Line > lines {
				t.Errorf("setting %v is on line %d of %d", s.Path, s.Line, lines)
			}
		}
		if e != nil {
			for _, p := range e.Problems {
				if p.Message == "" || p.Line > lines || p.Column < 0 {
					t.Errorf("problem %v: line %d of %d", p, p.Line, lines)
				}
			}
		}
	})
}
