package python

import "strings"

// fields yields the fields in front of a message as Python's parser of e-mail
// reads them, names in lower case, and returns what comes after them. A blank line
// ends the fields, and so does a line that is no field: old tools wrote licences
// over several lines without the indent that continues a field.
func fields(text string, yield func(name, value string) error) (body string, err error) {
	var f field
	for first, rest := true, text; rest != ""; first = false {
		line, after := cutLine(rest)
		switch {
		case line == "":
			return after, f.flush(yield)
		case line[0] == ' ' || line[0] == '\t':
			f.fold(line)
		case strings.HasPrefix(line, "From "):
			if !first && after == "" { // Python takes it for the body
				return rest, f.flush(yield)
			}
		default:
			name, value, ok := strings.Cut(line, ":")
			if !ok || !isFieldName(name) {
				return rest, f.flush(yield)
			}
			if err := f.flush(yield); err != nil {
				return "", err
			}
			f = field{name: name, lines: []string{value}}
		}
		rest = after
	}
	return "", f.flush(yield)
}

// field is a field being read.
type field struct {
	name  string
	lines []string
	size  int // of the lines that continue it
}

// fold takes a line that continues the field. What is longer than any field that
// is kept is cut all the same.
func (f *field) fold(line string) {
	if f.name != "" && f.size < maxDescription {
		f.lines = append(f.lines, strings.TrimPrefix(strings.TrimLeft(line, " \t"), "|"))
		f.size += len(line) + 1
	}
}

func (f *field) flush(yield func(name, value string) error) error {
	if f.name == "" {
		return nil
	}
	return yield(strings.ToLower(f.name), strings.TrimLeft(strings.Join(f.lines, "\n"), " \t"))
}

// cutLine cuts off a line, which ends in LF, CR or both.
func cutLine(text string) (line, after string) {
	i := strings.IndexAny(text, "\r\n")
	if i < 0 {
		return text, ""
	}
	if strings.HasPrefix(text[i:], "\r\n") {
		return text[:i], text[i+2:]
	}
	return text[:i], text[i+1:]
}

// isFieldName reports whether a text before a colon is printable ASCII without
// blanks, or nothing.
func isFieldName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' })
}
