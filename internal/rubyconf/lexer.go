package rubyconf

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

type kind int

const (
	end      kind = iota // of the file
	newline              // or ";"
	word                 // identifier, constant or keyword
	str                  // value is a string
	symbol               // :key; value is a string
	label                // key: or "key": of a hash; value is a string
	number               // value is an int64 or float64
	words                // %w[...]; value is []any of strings
	operator             // everything else; text tells it
	bad                  // a problem that is reported already
)

type token struct {
	kind  kind
	text  string // as written, for words and operators
	value any
	place
}

// place is where something stands. The column is counted only when it is
// shown: counting it for each token is quadratic in the length of a line.
type place struct{ offset, line, lineStart int }

type lexer struct {
	*report
	src      []byte
	at       place
	heredocs []string // terminators of heredocs whose text begins on the next line
}

// newLexer checks what holds for the file as a whole. It returns nil if
// nothing in it can be read.
func newLexer(src []byte, r *report) *lexer {
	if len(src) > MaxSize {
		r.add(0, 0, fmt.Sprintf("the file is larger than %d bytes", MaxSize), "this is no configuration file")
		return nil
	}
	src = bytes.TrimPrefix(src, []byte("\uFEFF"))
	l := &lexer{report: r, src: src, at: place{line: 1}}
	for i, line := 0, 1; i < len(src); {
		c, size := utf8.DecodeRune(src[i:])
		if c == utf8.RuneError && size == 1 || c == 0 {
			r.add(line, 0, "the line holds bytes that are not text in UTF-8", "save the file as UTF-8")
			return nil
		}
		if c == '\n' {
			line++
		}
		i += size
	}
	return l
}

// problem reports what is wrong at a place.
func (l *lexer) problem(at place, message, hint string) {
	if l.muted || l.full() {
		return
	}
	l.add(at.line, utf8.RuneCount(l.src[at.lineStart:at.offset])+1, message, hint)
}

func (l *lexer) rest() []byte { return l.src[l.at.offset:] }

func (l *lexer) starts(prefix string) bool { return bytes.HasPrefix(l.rest(), []byte(prefix)) }

// peek is the byte n after the place, or 0 behind the end: the file holds no 0.
func (l *lexer) peek(n int) byte {
	if l.at.offset+n < len(l.src) {
		return l.src[l.at.offset+n]
	}
	return 0
}

// next reads a token.
func (l *lexer) next() token {
	l.blank()
	t := token{place: l.at}
	c := l.peek(0)
	switch {
	case c == 0:
		return t
	case c == '\n':
		l.endLine()
		t.kind = newline
	case c == ';':
		l.at.offset++
		t.kind = newline
	case isWordStart(c):
		l.word(&t)
	case c >= '0' && c <= '9':
		l.number(&t)
	case c == '\'' || c == '"':
		l.quoted(&t, str)
	case c == ':' && (l.peek(1) == '"' || l.peek(1) == '\''):
		l.at.offset++
		l.quoted(&t, symbol)
	case c == ':' && isWordStart(l.peek(1)):
		l.at.offset++
		l.word(&t)
		t.kind, t.value = symbol, t.text
	case c == '%' && (l.peek(1) == 'w' || l.peek(1) == 'W') && isOpener(l.peek(2)):
		l.words(&t)
	case c == '<' && l.heredoc(&t):
	default:
		l.operator(&t)
	}
	return t
}

// blank skips what stands between tokens: spaces, comments, continued lines
// and what follows __END__.
func (l *lexer) blank() {
	for {
		switch c := l.peek(0); {
		case c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v':
			l.at.offset++
		case c == '\\' && l.peek(1) == '\n':
			l.at.offset++
			l.endLine()
		case c == '\\' && l.peek(1) == '\r' && l.peek(2) == '\n':
			l.at.offset += 2
			l.endLine()
		case c == '#':
			l.skipLine()
		case l.at.offset == l.at.lineStart && l.lineIs("=begin"):
			l.comment()
		case l.at.offset == l.at.lineStart && l.lineIs("__END__"):
			l.at.offset = len(l.src)
		default:
			return
		}
	}
}

// lineIs reports whether the line begins with a word that stands alone.
func (l *lexer) lineIs(word string) bool {
	return l.starts(word) && strings.IndexByte("\x00\n\r\t ", l.peek(len(word))) >= 0
}

// comment skips =begin to =end.
func (l *lexer) comment() {
	begin := l.at
	for l.at.offset < len(l.src) {
		l.skipLine()
		l.endLine()
		if l.lineIs("=end") {
			l.skipLine()
			return
		}
	}
	l.problem(begin, "the comment that begins here has no end", "put =end at the beginning of a line")
}

// skipLine goes to the end of the line, before its line break.
func (l *lexer) skipLine() {
	if i := bytes.IndexByte(l.rest(), '\n'); i >= 0 {
		l.at.offset += i
		return
	}
	l.at.offset = len(l.src)
}

// endLine goes over a line break and the texts of the heredocs that it begins.
func (l *lexer) endLine() {
	l.breakLine()
	for _, terminator := range l.heredocs {
		for l.at.offset < len(l.src) {
			begin := l.at.offset
			l.skipLine()
			line := l.src[begin:l.at.offset]
			l.breakLine()
			if string(bytes.TrimSpace(line)) == terminator {
				break
			}
		}
	}
	l.heredocs = nil
}

func (l *lexer) breakLine() {
	if l.peek(0) == '\n' {
		l.at.offset++
		l.at.line++
		l.at.lineStart = l.at.offset
	}
}

// atStatement reports whether the text at the place, the beginning of a line,
// looks like a setting: a name followed by a subscript or a string. No line
// within an array or hash looks like it, so a bracket that was never closed
// ends before.
func (l *lexer) atStatement() bool {
	text := bytes.TrimLeft(l.rest()[:min(200, len(l.rest()))], " \t")
	n := 0
	for n < len(text) && isWordPart(text[n]) {
		n++
	}
	if n == 0 || !isWordStart(text[0]) || text[0] >= 'A' && text[0] <= 'Z' {
		return false
	}
	after := bytes.TrimLeft(text[n:], " \t")
	return len(after) > 0 && strings.IndexByte(`['"`, after[0]) >= 0
}

func isWordStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}

func isWordPart(c byte) bool { return isWordStart(c) || c >= '0' && c <= '9' }

func (l *lexer) word(t *token) {
	begin := l.at.offset
	for isWordPart(l.peek(0)) {
		l.at.offset++
	}
	if c := l.peek(0); (c == '?' || c == '!') && l.peek(1) != '=' {
		l.at.offset++
	}
	t.kind, t.text = word, string(l.src[begin:l.at.offset])
	if l.peek(0) == ':' && l.peek(1) != ':' {
		l.at.offset++
		t.kind, t.value = label, t.text
	}
}

// number reads an integer or float. A sign is an operator.
func (l *lexer) number(t *token) {
	begin := l.at.offset
	float := false
	for {
		c := l.peek(0)
		switch {
		case isWordPart(c) && c < utf8.RuneSelf:
			float = float || (c == 'e' || c == 'E') && l.src[begin] != '0'
		case c == '.' && !float && l.peek(1) >= '0' && l.peek(1) <= '9':
			float = true
		case (c == '-' || c == '+') && float && (l.peek(-1) == 'e' || l.peek(-1) == 'E'):
		default:
			l.numeral(t, string(l.src[begin:l.at.offset]), float)
			return
		}
		l.at.offset++
	}
}

func (l *lexer) numeral(t *token, text string, float bool) {
	t.kind, t.text = number, text
	digits := strings.ReplaceAll(text, "_", "")
	var err error
	switch {
	case strings.Contains(text, "__") || strings.HasSuffix(text, "_"):
		err = strconv.ErrSyntax
	case float:
		t.value, err = strconv.ParseFloat(digits, 64)
	case len(digits) > 1 && digits[0] == '0':
		t.kind = bad
		l.problem(t.place, text+" is not a decimal number", "write the number without zeros in front")
		return
	default:
		t.value, err = strconv.ParseInt(digits, 10, 64)
	}
	if err != nil {
		t.kind = bad
		l.problem(t.place, text+" is not a number that can be used", "write a number such as 4 or 1_000, and text in quotes")
	}
}

// operators are those of more than one character that are told apart, longer
// ones first.
var operators = []string{"||=", "&&=", "<<=", "**=", "...", "<=>", "===", "=>", "==", "=~", "!=", "||", "&&", "+=", "-=", "*=", "/=", "<<", ">>", "**", "::", "->", "..", "&."}

func (l *lexer) operator(t *token) {
	t.kind = operator
	for _, o := range operators {
		if l.starts(o) {
			t.text = o
			l.at.offset += len(o)
			return
		}
	}
	t.text = string(l.peek(0)) // not a letter, thus one byte
	l.at.offset++
}

// heredoc reads the opening of a heredoc, if it is one, and remembers to skip
// its text.
func (l *lexer) heredoc(t *token) bool {
	if !l.starts("<<") {
		return false
	}
	i := 2
	if c := l.peek(i); c == '~' || c == '-' {
		i++
	}
	if c := l.peek(i); c == '\'' || c == '"' {
		i++
	}
	begin := l.at.offset + i
	if !isWordStart(l.peek(i)) {
		return false
	}
	for isWordPart(l.peek(i)) {
		i++
	}
	l.heredocs = append(l.heredocs, string(l.src[begin:l.at.offset+i]))
	l.at.offset += i
	if c := l.peek(0); c == '\'' || c == '"' {
		l.at.offset++
	}
	t.kind = bad
	l.problem(t.place, "a heredoc cannot be used here", "write the text as one string in double quotes, with \\n for line breaks")
	return true
}
