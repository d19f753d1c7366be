package npm

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of JSON values.
const maxDepth = 200

// scanner reads a JSON text from a stream. Values are kept only where they are
// asked for: a body of hundreds of megabytes is one string in the middle.
type scanner struct {
	r *bufio.Reader
	// left is how many bytes may still be kept in memory.
	left int
}

var errTooMuch = errors.New("it says too much beside the package")

func newScanner(r io.Reader, limit int) *scanner {
	return &scanner{r: bufio.NewReaderSize(r, 64<<10), left: limit}
}

// syntaxError says that a text is no JSON. Every other error of a scanner is of
// the reader or the caller.
type syntaxError struct{ what string }

func (e *syntaxError) Error() string { return "it is not valid JSON: " + e.what }

func syntax(format string, args ...any) error { return &syntaxError{fmt.Sprintf(format, args...)} }

// next is the first byte of what comes next, which is not consumed.
func (s *scanner) next() (byte, error) {
	for {
		b, err := s.r.ReadByte()
		switch {
		case err != nil:
			return 0, s.ended(err)
		case b == ' ', b == '\t', b == '\n', b == '\r':
			continue
		}
		return b, s.r.UnreadByte()
	}
}

// ended is what the end of the stream means in the middle of a text.
func (s *scanner) ended(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// take consumes the byte that must come next.
func (s *scanner) take(want byte) error {
	b, err := s.next()
	if err != nil {
		return err
	}
	if b != want {
		return syntax("%q stands where %q should", b, want)
	}
	_, err = s.r.Discard(1)
	return err
}

// end checks that nothing follows.
func (s *scanner) end() error {
	switch b, err := s.next(); {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil
	case err != nil:
		return err
	default:
		return syntax("%q follows its end", b)
	}
}

// object reads an object. each is called with every key and must consume the
// value.
func (s *scanner) object(each func(key string) error) error {
	if err := s.take('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		b, err := s.next()
		if err != nil {
			return err
		}
		if b == '}' && first {
			_, err := s.r.Discard(1)
			return err
		}
		key, err := s.text()
		if err != nil {
			return err
		}
		if err := s.take(':'); err != nil {
			return err
		}
		if err := each(key); err != nil {
			return err
		}
		if b, err = s.next(); err != nil {
			return err
		}
		if _, err := s.r.Discard(1); err != nil {
			return err
		}
		switch b {
		case '}':
			return nil
		case ',':
		default:
			return syntax("%q stands where a member should end", b)
		}
	}
}

// maxText bounds a string that is kept as such: a key, a name, a version, in bytes.
const maxText = 64 << 10

// text reads a string.
func (s *scanner) text() (text string, err error) {
	raw, err := s.value(maxText)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", syntax("%.20q is no string", raw)
	}
	return text, nil
}

// value reads any value of so many bytes at most, valid and in UTF-8.
func (s *scanner) value(most int) (json.RawMessage, error) {
	var raw text
	if err := s.copy(&raw, most); err != nil {
		return nil, err
	}
	return checked(json.RawMessage(raw))
}

// text is one in memory, of which most are a few bytes long.
type text []byte

// Write implements io.Writer.
func (t *text) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	return len(p), nil
}

// copy writes what comes next, to the end of the value. It has so many bytes at
// most, and is a value only if it is checked.
func (s *scanner) copy(w io.Writer, most int) error {
	if _, err := s.next(); err != nil {
		return err
	}
	for v := (extent{}); !v.ended; {
		if s.r.Buffered() == 0 {
			if _, err := s.r.Peek(1); err == io.EOF && v.depth == 0 && !v.quoted {
				return nil // a number may end the text
			} else if err != nil {
				return s.ended(err)
			}
		}
		ready, err := s.r.Peek(s.r.Buffered())
		if err != nil {
			return err
		}
		n := v.take(ready)
		if v.depth > maxDepth {
			return syntax("it is nested more than %d deep", maxDepth)
		}
		most -= n
		if s.left -= n; min(s.left, most) < 0 {
			return errTooMuch
		}
		if _, err := w.Write(ready[:n]); err != nil {
			return err
		}
		if _, err := s.r.Discard(n); err != nil {
			return err
		}
	}
	return nil
}

// extent finds the end of a value: the bracket or quotation mark that closes
// it or, of a number or a word, what comes behind.
type extent struct {
	begun                  bool
	depth                  int
	quoted, escaped, ended bool
}

// take looks at what comes next and returns how much of it is the value's.
func (v *extent) take(p []byte) int {
	begun := v.begun
	v.begun = true
	for i, b := range p {
		switch {
		case v.escaped:
			v.escaped = false
		case v.quoted:
			v.escaped = b == '\\'
			v.quoted = b != '"'
			v.ended = !v.quoted && v.depth == 0
		case b == '"':
			v.quoted = true
		case b == '{' || b == '[':
			v.depth++
		case v.depth == 0 && (begun || i > 0) && bytes.IndexByte([]byte(",}]: \t\r\n"), b) >= 0:
			v.ended = true
			return i
		case b == '}' || b == ']':
			v.depth--
			v.ended = v.depth <= 0
		}
		if v.ended || v.depth > maxDepth {
			return i + 1
		}
	}
	return len(p)
}

func checked(raw []byte) (json.RawMessage, error) {
	if !json.Valid(raw) {
		return nil, syntax("%.40q is no value", raw)
	}
	if !utf8.Valid(raw) {
		return nil, syntax("it is not UTF-8")
	}
	return raw, nil
}

// stream is the text of the string that comes next, which may be of any
// length. It must be read to its end before anything else is.
func (s *scanner) stream() (io.Reader, error) {
	if err := s.take('"'); err != nil {
		return nil, err
	}
	return &stringReader{r: s.r}, nil
}

// stringReader reads the rest of a JSON string, up to and with its closing
// quotation mark.
type stringReader struct {
	r     *bufio.Reader
	saved []byte // what an escape stands for and was not asked for yet
	done  bool
}

func (t *stringReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if len(t.saved) > 0 {
			n := copy(p, t.saved)
			t.saved = t.saved[n:]
			return n, nil
		}
		if t.done {
			return 0, io.EOF
		}
		if t.r.Buffered() == 0 {
			if _, err := t.r.Peek(1); err != nil {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return 0, err
			}
		}
		ready, err := t.r.Peek(min(len(p), t.r.Buffered()))
		if err != nil {
			return 0, err
		}
		if n := plain(ready); n > 0 {
			copy(p, ready[:n])
			_, err := t.r.Discard(n)
			return n, err
		}
		if err := t.special(); err != nil {
			return 0, err
		}
	}
}

// plain is how many bytes stand for themselves.
func plain(p []byte) int {
	if i := bytes.IndexByte(p, '"'); i >= 0 {
		p = p[:i]
	}
	if i := bytes.IndexByte(p, '\\'); i >= 0 {
		p = p[:i]
	}
	return len(p)
}

// special consumes a quotation mark or an escape.
func (t *stringReader) special() error {
	b, err := t.r.ReadByte()
	if err != nil {
		return err
	}
	if b == '"' {
		t.done = true
		return nil
	}
	length := 2
	if ahead, err := t.r.Peek(1); err == nil && ahead[0] == 'u' {
		length = 6
	}
	rest, err := t.r.Peek(length - 1)
	if err != nil {
		return io.ErrUnexpectedEOF
	}
	escape := append([]byte{'\\'}, rest...)
	var text string
	if err := json.Unmarshal([]byte(`"`+string(escape)+`"`), &text); err != nil {
		return syntax("%q is no escape", escape)
	}
	if text == string(utf8.RuneError) || utf16.IsSurrogate([]rune(text)[0]) {
		return syntax("%q does not belong into a package", escape)
	}
	t.saved = []byte(text)
	_, err = t.r.Discard(length - 1)
	return err
}
