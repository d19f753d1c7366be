package rubyconf

import (
	"fmt"
	"slices"
)

type parser struct {
	*lexer
	lookupEnv func(string) (string, bool)
	tok       token
	brackets  int // open ones before tok, in the statement
	// blocks is true once a block (if ... end) was reported, so that what
	// closes it is not reported as well.
	blocks bool
}

func (p *parser) advance() {
	if p.tok.kind == operator {
		switch p.tok.text {
		case "[", "(", "{":
			p.brackets++
		case "]", ")", "}":
			p.brackets--
		}
	}
	p.tok = p.next()
}

func (p *parser) is(text string) bool { return p.tok.kind == operator && p.tok.text == text }

// file reads all statements, going on at the next one after a problem.
func (p *parser) file() []Setting {
	var settings []Setting
	p.advance()
	for p.tok.kind != end && !p.full() {
		if p.tok.kind == newline {
			p.advance()
			continue
		}
		p.brackets = 0
		s, ok := p.statement()
		if ok {
			settings = append(settings, s)
		}
		if !ok || !p.ended() {
			p.recover()
		}
	}
	return settings
}

// ended checks that nothing follows a setting on its line.
func (p *parser) ended() bool {
	if p.tok.kind == newline || p.tok.kind == end {
		return true
	}
	p.refuse("after the value")
	return false
}

// recover skips the rest of a statement: its line, and those to its last
// bracket unless a new setting comes before.
func (p *parser) recover() {
	// What is wrong with the rest of a statement mostly follows from what was
	// reported.
	p.muted = true
	defer func() { p.muted = false }()
	for p.tok.kind != end {
		if p.tok.kind == newline && (p.brackets <= 0 || p.atStatement()) {
			return
		}
		p.advance()
	}
}

// statement reads "name value", "name(value)" or "name['key'] = value".
func (p *parser) statement() (s Setting, ok bool) {
	first := p.tok
	if first.kind != word {
		p.refuse(atBeginning)
		return s, false
	}
	if p.unsupported(first) {
		return s, false
	}
	s = Setting{Path: []string{first.text}, Line: first.line}
	p.advance()
	call := p.tok.offset > first.offset+len(first.text) // a space follows, as in name [1, 2]
	switch {
	case p.is("[") && !call:
		return p.assignment(s)
	case p.is("[") && p.bracketIsKey():
		return p.assignment(s)
	case p.is("="):
		p.problem(first.place, fmt.Sprintf("%s = ... makes a variable that nothing reads", first.text),
			fmt.Sprintf("write %s 'value' or, for a group of settings, %s['key'] = 'value'", first.text, first.text))
		return s, false
	case p.is("("):
		open := p.tok
		p.advance()
		if s.Value, ok = p.value(0); !ok {
			return s, false
		}
		return s, p.closing(open, ")")
	case p.is("."):
		p.problem(p.tok.place, "methods cannot be called", fmt.Sprintf("write %s['key'] = 'value'", first.text))
		return s, false
	case p.tok.kind == newline || p.tok.kind == end:
		p.problem(first.place, first.text+" has no value", fmt.Sprintf("write %s 'value'", first.text))
		return s, false
	case p.tok.kind == operator && p.tok.text != "[" && p.tok.text != "{" && p.tok.text != "-" && p.tok.text != "+":
		p.refuse("after " + first.text)
		return s, false
	}
	s.Value, ok = p.value(0)
	return s, ok
}

// bracketIsKey reports whether the bracket that follows a name and a space
// holds a key, as in name ['key'] = 1, not a list of values. The two differ in
// what is behind the bracket.
func (p *parser) bracketIsKey() bool {
	ahead := *p.lexer
	ahead.report = &report{}
	if k := ahead.next().kind; k != str && k != symbol {
		return false
	}
	if t := ahead.next(); t.kind != operator || t.text != "]" {
		return false
	}
	t := ahead.next()
	return t.kind == operator && (t.text == "=" || t.text == "[")
}

// assignment reads "['key']... = value" behind a name.
func (p *parser) assignment(s Setting) (Setting, bool) {
	for p.is("[") {
		open := p.tok
		if len(s.Path) > MaxNesting {
			p.problem(open.place, fmt.Sprintf("there are more than %d keys", MaxNesting), "")
			return s, false
		}
		p.advance()
		if p.tok.kind != str && p.tok.kind != symbol {
			p.refuse("as a key: a key is a string such as ['key']")
			return s, false
		}
		s.Path = append(s.Path, p.tok.value.(string))
		p.advance()
		if !p.closing(open, "]") {
			return s, false
		}
	}
	if !p.is("=") {
		if p.tok.kind == newline || p.tok.kind == end {
			p.problem(p.tok.place, "the setting has no value", "write = and a value behind the key")
		} else {
			p.refuse("after the key, where = is expected")
		}
		return s, false
	}
	p.advance()
	if p.tok.kind == newline && !p.skipNewlines() {
		p.problem(p.tok.place, "the setting has no value", "write a value behind =")
		return s, false
	}
	var ok bool
	s.Value, ok = p.value(0)
	return s, ok
}

// skipNewlines skips line breaks where Ruby has them mean nothing. It returns
// false, before the line break, if a new setting or the end of the file comes
// next.
func (p *parser) skipNewlines() bool {
	for p.tok.kind == newline {
		if p.atStatement() {
			return false
		}
		p.advance()
	}
	return p.tok.kind != end
}

// closing reads the bracket that belongs to open.
func (p *parser) closing(open token, closer string) bool {
	if p.skipNewlines() && p.is(closer) {
		p.advance()
		return true
	}
	switch p.tok.kind {
	case newline, end:
		p.problem(open.place, fmt.Sprintf("the %s here is not closed", open.text), "write "+closer)
	default:
		p.refuse("where " + closer + " is expected")
	}
	return false
}

// value reads a value that is nested in depth others.
func (p *parser) value(depth int) (any, bool) {
	if depth >= MaxNesting {
		p.problem(p.tok.place, fmt.Sprintf("arrays and hashes are nested more than %d deep", MaxNesting), "")
		return nil, false
	}
	t := p.tok
	switch {
	case t.kind == str || t.kind == number || t.kind == words:
		p.advance()
		return t.value, true
	case p.is("-") || p.is("+"):
		return p.signed()
	case p.is("["):
		return p.array(depth)
	case p.is("{"):
		return p.hash(depth)
	case t.kind == word && slices.Contains([]string{"true", "false", "nil"}, t.text):
		p.advance()
		if t.text == "nil" {
			return nil, true
		}
		return t.text == "true", true
	case t.kind == word && t.text == "ENV":
		return p.env(depth)
	}
	p.refuse("as a value")
	return nil, false
}

// signed reads a sign and the number right behind it.
func (p *parser) signed() (any, bool) {
	sign := p.tok
	p.advance()
	if p.tok.kind != number || p.tok.offset != sign.offset+1 {
		p.tok = sign
		p.refuse("as a value")
		return nil, false
	}
	v := p.tok.value
	p.advance()
	if sign.text == "-" {
		switch n := v.(type) {
		case int64:
			v = -n
		case float64:
			v = -n
		}
	}
	return v, true
}

func (p *parser) array(depth int) (any, bool) {
	open := p.tok
	list := []any{}
	p.advance()
	for {
		if p.skipNewlines() && !p.is("]") {
			v, ok := p.value(depth + 1)
			if !ok {
				return nil, false
			}
			list = append(list, v)
			p.skipNewlines()
			if p.is(",") {
				p.advance()
				continue
			}
		}
		return list, p.closing(open, "]")
	}
}

func (p *parser) hash(depth int) (any, bool) {
	open := p.tok
	pairs := map[string]any{}
	p.advance()
	for {
		if p.skipNewlines() && !p.is("}") {
			if !p.pair(pairs, depth+1) {
				return nil, false
			}
			p.skipNewlines()
			if p.is(",") {
				p.advance()
				continue
			}
		}
		return pairs, p.closing(open, "}")
	}
}

// pair reads "key: value" or "'key' => value" into a hash.
func (p *parser) pair(pairs map[string]any, depth int) bool {
	key := p.tok
	switch key.kind {
	case label:
		p.advance()
	case str, symbol:
		p.advance()
		p.skipNewlines()
		if !p.is("=>") {
			p.refuse("after the key of a hash, where => is expected")
			return false
		}
		p.advance()
	default:
		p.refuse("as the key of a hash: a key is a string or symbol")
		return false
	}
	p.skipNewlines()
	v, ok := p.value(depth)
	if !ok {
		return false
	}
	name := key.value.(string)
	if _, twice := pairs[name]; twice {
		p.problem(key.place, fmt.Sprintf("the hash has the key %q twice", name), "remove one of them")
	}
	pairs[name] = v
	return true
}

// env reads ENV['NAME'], ENV.fetch('NAME') or ENV.fetch('NAME', default).
func (p *parser) env(depth int) (any, bool) {
	const usage = "write ENV['NAME'] or ENV.fetch('NAME', 'default')"
	first := p.tok
	p.advance()
	open, closer := p.tok, "]"
	if p.is(".") {
		p.advance()
		if p.tok.kind == word && p.tok.text == "fetch" {
			p.advance()
		}
		open, closer = p.tok, ")"
	}
	if open.kind != operator || open.text != map[string]string{"]": "[", ")": "("}[closer] {
		p.problem(first.place, "ENV is not used in a way that is known here", usage)
		return nil, false
	}
	p.advance()
	if p.tok.kind != str {
		p.problem(p.tok.place, "the name of a variable is missing", usage)
		return nil, false
	}
	name := p.tok.value.(string)
	p.advance()
	var (
		fallback    any
		hasFallback = closer == "]" // ENV['NAME'] is nil where there is none
	)
	if closer == ")" && p.is(",") {
		p.advance()
		p.skipNewlines()
		var ok bool
		if fallback, ok = p.value(depth + 1); !ok {
			return nil, false
		}
		hasFallback = true
	}
	if !p.closing(open, closer) {
		return nil, false
	}
	if v, ok := p.lookupEnv(name); ok {
		return v, true
	}
	if !hasFallback {
		// The setting is understood all the same.
		p.problem(first.place, fmt.Sprintf("the environment has no variable %q", name), fmt.Sprintf("set it, or write ENV.fetch(%q, 'default')", name))
	}
	return fallback, true
}
