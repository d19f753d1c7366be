package deb

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// maxControl bounds a control file, and a .dsc, in bytes.
const maxControl = 2 << 20

// maxFields bounds the fields of a stanza.
const maxFields = 500

// field is a field of a stanza. Value has no white space at its ends, and is
// otherwise as it was written: the lines after the first begin with a space or a
// tab.
type field struct{ name, value string }

// stanza is a paragraph of fields in their order (deb822(5)).
type stanza []field

// find returns a field, whatever the case of its name.
func (s stanza) find(name string) (f field, ok bool) {
	for _, f := range s {
		if strings.EqualFold(f.name, name) {
			return f, true
		}
	}
	return f, false
}

// get is the value of a field; "" without it.
func (s stanza) get(name string) string {
	f, _ := s.find(name)
	return f.value
}

// without leaves out fields, whose names are in lower case.
func (s stanza) without(names map[string]bool) (rest stanza) {
	for _, f := range s {
		if !names[strings.ToLower(f.name)] {
			rest = append(rest, f)
		}
	}
	return rest
}

// white is what dpkg and apt take off the ends of a value. They also do so with
// vertical tabs and form feeds, which parseStanza refuses.
const white = " \t\r\n"

var fieldName = regexp.MustCompile(`^[!"$-,.-9;-~][!-9;-~]+$`)

// parseStanza reads a control file, which must be one stanza, and refuses what
// dpkg refuses to read. Its work grows as the text does.
func parseStanza(text []byte) (stanza, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	p := stanzaParser{text: text, seen: make(map[string]bool)}
	for at, number := 0, 1; at < len(text); number++ {
		end := at + bytes.IndexByte(text[at:], '\n')
		if err := p.line(at, end); err != nil {
			return nil, fmt.Errorf("line %d %w", number, err)
		}
		at = end + 1
	}
	p.finish(len(text))
	switch n := len(p.stanza); {
	case n == 0:
		return nil, errors.New("it is empty")
	case !p.ended && p.stanza[n-1].value == "":
		return nil, fmt.Errorf("it ends in the field %s, which is empty: dpkg takes it for cut off", p.stanza[n-1].name)
	}
	return p.stanza, nil
}

// checkText refuses bytes that are no text. dpkg ends a value at some of them,
// and programs that split an index into lines do so at others.
func checkText(text []byte) error {
	if len(text) == 0 || text[len(text)-1] != '\n' {
		return errors.New("its last line does not end in a newline")
	}
	for i, c := range text {
		if c == '\r' && text[i+1] == '\n' {
			continue
		}
		if c < ' ' && c != '\n' && c != '\t' {
			return fmt.Errorf("it has the control character %q at byte %d", c, i)
		}
	}
	return nil
}

// stanzaParser collects fields, line by line.
type stanzaParser struct {
	text   []byte
	stanza stanza
	seen   map[string]bool // names, in lower case
	value  int             // where the value of the last field begins
	ended  bool            // an empty line has been seen after the stanza
}

// line takes the line text[at:end].
func (p *stanzaParser) line(at, end int) error {
	line := p.text[at:end]
	switch {
	case len(line) == 0:
		p.finish(at)
		p.ended = len(p.stanza) > 0
		return nil
	case p.ended:
		return errors.New("begins a second paragraph")
	case len(bytes.Trim(line, white)) == 0:
		return errors.New("has nothing but white space")
	case line[0] == ' ' || line[0] == '\t':
		if len(p.stanza) == 0 {
			return errors.New("continues nothing")
		}
		return nil
	}
	p.finish(at)
	before, _, ok := bytes.Cut(line, []byte(":"))
	name := string(bytes.TrimRight(before, white))
	if !ok || !fieldName.MatchString(name) {
		return fmt.Errorf("is no field: %.40q", line)
	}
	if key := strings.ToLower(name); p.seen[key] {
		return fmt.Errorf("has the field %s a second time", name)
	} else if p.seen[key] = true; len(p.seen) > maxFields {
		return fmt.Errorf("has one field more than the %d that are allowed", maxFields)
	}
	p.stanza = append(p.stanza, field{name: name})
	p.value = at + len(before) + 1
	return nil
}

// finish gives the last field its value, which ends at a byte.
func (p *stanzaParser) finish(end int) {
	if n := len(p.stanza); n > 0 && !p.ended {
		p.stanza[n-1].value = unicode(trimValue(p.text[p.value:end]))
	}
}

// trimValue takes white space off the ends of a value. One whose first line is
// empty keeps the newline that says so.
func trimValue(value []byte) []byte {
	return bytes.TrimLeft(bytes.TrimRight(value, white), " \t\r")
}

// unicode is text that clients may take for UTF-8. What is not is in the
// encoding of Western Windows, of which Latin-1 is a part: apt passes such bytes
// on as they are, and Python programs that read the index then fail.
func unicode(text []byte) string {
	if utf8.Valid(text) {
		return string(text)
	}
	decoded, err := charmap.Windows1252.NewDecoder().Bytes(text)
	if err != nil { // it cannot fail: every byte stands for something
		return strings.ToValidUTF8(string(text), "\uFFFD")
	}
	return string(decoded)
}

// relations are the alternatives of a dependency field, one string each.
func relations(value string) (names []string) {
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.Join(strings.Fields(part), " "); part != "" {
			names = append(names, part)
		}
	}
	return names
}

// describe splits a Description: the first line, and the text after it with
// the marks of its lines taken off.
func describe(value string) (summary, text string) {
	summary, rest, ok := strings.Cut(value, "\n")
	if !ok {
		return summary, ""
	}
	var b strings.Builder
	for line := range strings.SplitSeq(rest, "\n") {
		if line = strings.TrimPrefix(line, " "); line != "." {
			b.WriteString(line)
		}
		b.WriteByte('\n')
	}
	return summary, strings.TrimRight(b.String(), "\n")
}
