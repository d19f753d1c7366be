package deb

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxControl bounds a control file, and a .dsc, in bytes.
const maxControl = 2 << 20

// maxFields bounds the fields of a stanza.
const maxFields = 500

// field is a field of a stanza. Value has no space at its ends; the lines
// after the first begin with a space or a tab.
type field struct{ name, value string }

// stanza is a paragraph of fields in their order (deb822(5)).
type stanza []field

// get is the value of a field, whatever the case of its name; "" without it.
func (s stanza) get(name string) string {
	for _, f := range s {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

var fieldName = regexp.MustCompile(`^[!"$-,.-9;-~][!-9;-~]*$`)

// parseStanza reads text that must be one stanza.
func parseStanza(text []byte) (s stanza, err error) {
	if !utf8.Valid(text) {
		return nil, errors.New("it is not UTF-8")
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, errors.New("it has a NUL byte")
	}
	seen := make(map[string]bool)
	ended := false
	for number, line := range strings.Split(string(text), "\n") {
		line = strings.TrimRight(line, " \t\r")
		switch {
		case line == "":
			ended = len(s) > 0
		case ended:
			return nil, fmt.Errorf("line %d begins a second paragraph", number+1)
		case line[0] == ' ' || line[0] == '\t':
			if len(s) == 0 {
				return nil, fmt.Errorf("line %d continues nothing", number+1)
			}
			s[len(s)-1].value += "\n" + line
		default:
			name, value, ok := strings.Cut(line, ":")
			if !ok || !fieldName.MatchString(name) {
				return nil, fmt.Errorf("line %d is no field: %.40q", number+1, line)
			}
			key := strings.ToLower(name)
			if seen[key] {
				return nil, fmt.Errorf("the field %s stands there twice", name)
			}
			seen[key] = true
			if len(s) == maxFields {
				return nil, fmt.Errorf("it has more than %d fields", maxFields)
			}
			s = append(s, field{name, strings.TrimSpace(value)})
		}
	}
	if len(s) == 0 {
		return nil, errors.New("it is empty")
	}
	return s, nil
}

// need gives the value of a field that must match a pattern.
func (s stanza) need(name string, pattern *regexp.Regexp) (string, error) {
	value := s.get(name)
	if value == "" {
		return "", fmt.Errorf("it has no field %s", name)
	}
	if !pattern.MatchString(value) {
		return "", fmt.Errorf("its %s %.60q is not valid", name, value)
	}
	return value, nil
}

var (
	packageName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+._-]{0,127}$`)
	architecture = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)
	// version is [epoch:]upstream[-revision] (deb-version(7)).
	version = regexp.MustCompile(`^(?:[0-9]{1,9}:)?[A-Za-z0-9][A-Za-z0-9.+:~-]{0,127}$`)
)

// splitVersion takes the epoch off a valid version.
func splitVersion(v string) (epoch, rest string) {
	if epoch, rest, ok := strings.Cut(v, ":"); ok {
		return epoch, rest
	}
	return "", v
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
