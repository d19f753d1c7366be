package rubyconf

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const interpolationHint = "write the whole value; a variable of the environment stands alone: ENV['NAME']"

// quoted reads a string in single or double quotes.
func (l *lexer) quoted(t *token, k kind) {
	t.kind = k
	quote := l.peek(0)
	l.at.offset++
	var text []byte
	for {
		c := l.peek(0)
		switch {
		case c == 0 || c == '\n':
			l.problem(t.place, "the string that begins here does not end on its line", fmt.Sprintf("close it with %c", quote))
			t.kind = bad
			return
		case c == quote:
			l.at.offset++
			if !utf8.Valid(text) {
				l.problem(t.place, "the string holds bytes that are not text in UTF-8", `write characters above 127 as they are or as \u{...}`)
				t.kind = bad
			}
			t.value = string(text)
			if t.kind == str && l.peek(0) == ':' && l.peek(1) != ':' {
				l.at.offset++
				t.kind = label
			}
			return
		case c == '\\' && quote == '\'':
			text = append(text, l.singleEscape()...)
		case c == '\\':
			begin := l.at
			escaped, problem := l.escape()
			if problem != "" {
				l.problem(begin, problem, `write \\ for a backslash, or put the string in single quotes`)
				t.kind = bad
			}
			text = append(text, escaped...)
		case c == '#' && quote == '"' && (l.peek(1) == '{' || l.peek(1) == '$' || l.peek(1) == '@'):
			l.problem(l.at, "a string cannot have values inserted with #{...}", interpolationHint)
			t.kind = bad
			// What is inserted may hold quotes: where the string ends is not
			// worth finding out.
			l.skipLine()
			return
		default:
			text = append(text, c)
			l.at.offset++
		}
	}
}

// singleEscape reads an escape in single quotes, where there are but two.
func (l *lexer) singleEscape() string {
	if c := l.peek(1); c == '\\' || c == '\'' {
		l.at.offset += 2
		return string(c)
	}
	l.at.offset++
	return `\`
}

var escapes = map[byte]string{
	'a': "\a", 'b': "\b", 'e': "\x1b", 'f': "\f", 'n': "\n", 'r': "\r", 's': " ", 't': "\t", 'v': "\v",
}

// escape reads an escape in double quotes. It returns a problem if it is none
// that is known.
func (l *lexer) escape() (text []byte, problem string) {
	l.at.offset++
	c := l.peek(0)
	switch {
	case c == 0 || c == '\n' || c == '\r':
		return nil, "" // the string is not closed, which is told there
	case escapes[c] != "":
		l.at.offset++
		return []byte(escapes[c]), ""
	case c == 'u':
		return l.unicode()
	case c == 'x':
		l.at.offset++
		return l.byteEscape(2, 16)
	case c >= '0' && c <= '7':
		return l.byteEscape(3, 8)
	case c == 'c' || c == 'C' || c == 'M':
		l.at.offset++
		return nil, "control characters are not written this way"
	}
	// Any other character stands for itself.
	_, size := utf8.DecodeRune(l.rest())
	text = l.rest()[:size]
	l.at.offset += size
	return text, ""
}

// byteEscape reads up to a number of digits that stand for one byte.
func (l *lexer) byteEscape(most, base int) ([]byte, string) {
	n := 0
	for n < most && isDigit(l.peek(n), base) {
		n++
	}
	v, err := strconv.ParseUint(string(l.rest()[:n]), base, 64)
	l.at.offset += n
	if err != nil {
		return nil, `\x needs one or two hexadecimal digits`
	}
	if v == 0 {
		return nil, "a string cannot hold the character 0"
	}
	return []byte{byte(v)}, "" // Ruby, too, drops what is above one byte of octal digits
}

// unicode reads \u and four digits, or characters in \u{...}.
func (l *lexer) unicode() (text []byte, problem string) {
	const wrong = `\u needs four hexadecimal digits, or one to six in braces`
	l.at.offset++
	var codes []string
	if l.peek(0) == '{' {
		const longest = 200 // bytes, for one \u{...} with many characters
		body, _, found := bytes.Cut(l.rest()[1:min(longest, len(l.rest()))], []byte("}"))
		if !found || bytes.ContainsAny(body, "\n\"") {
			return nil, wrong
		}
		l.at.offset += len(body) + 2
		codes = strings.Fields(string(body))
	} else {
		n := 0
		for n < 4 && isDigit(l.peek(n), 16) {
			n++
		}
		if n == 4 {
			codes = []string{string(l.rest()[:n])}
		}
		l.at.offset += n
	}
	if len(codes) == 0 {
		return nil, wrong
	}
	for _, code := range codes {
		v, err := strconv.ParseUint(code, 16, 32)
		if err != nil || v == 0 || !utf8.ValidRune(rune(min(v, utf8.MaxRune+1))) || len(code) > 6 {
			return nil, wrong
		}
		text = utf8.AppendRune(text, rune(v))
	}
	return text, ""
}

func isDigit(c byte, base int) bool {
	if base == 8 {
		return c >= '0' && c <= '7'
	}
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

var closers = map[byte]byte{'[': ']', '(': ')', '{': '}', '<': '>', '|': '|', '!': '!', '/': '/'}

func isOpener(c byte) bool { return closers[c] != 0 }

// words reads %w[...], words between spaces.
func (l *lexer) words(t *token) {
	t.kind = words
	list, text := []any{}, []byte(nil)
	flush := func() {
		if len(text) > 0 {
			list = append(list, string(text))
			text = nil
		}
	}
	opener, closer := l.peek(2), closers[l.peek(2)]
	if l.peek(1) == 'W' {
		l.problem(t.place, "%W expands what it holds", "write %w and the words as they are")
		t.kind = bad
	}
	l.at.offset += 3
	for depth := 1; ; {
		switch c := l.peek(0); {
		case c == 0 || c == '\n' && l.statementFollows():
			l.problem(t.place, "the list of words that begins here has no end", fmt.Sprintf("close it with %c", closer))
			t.kind = bad
			return
		case c == '\n':
			flush()
			l.breakLine()
			continue
		case strings.IndexByte(" \t\r\f\v", c) >= 0:
			flush()
		case c == '\\' && strings.IndexByte(string([]byte{' ', '\\', opener, closer}), l.peek(1)) >= 0:
			l.at.offset++
			text = append(text, l.peek(0))
		default:
			switch c {
			case closer: // before opener, which it may equal
				depth--
			case opener:
				depth++
			}
			if depth > 0 {
				text = append(text, c)
			}
		}
		l.at.offset++
		if depth == 0 {
			flush()
			t.value = list
			return
		}
	}
}

// statementFollows reports whether the next line looks like a setting.
func (l *lexer) statementFollows() bool {
	next := *l
	next.at.offset++
	return next.atStatement()
}
