package python

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"packagecloud/internal/repo"
)

// Limits of what is kept of a package's metadata, in bytes and counts.
const (
	maxMetadata     = 4 << 20
	maxDependencies = 5000
	maxValue        = 4 << 10
	maxSummary      = 1 << 10
	maxDescription  = 64 << 10
	maxPythons      = 200 // of a Requires-Python
)

// metadata is what METADATA or PKG-INFO says (core metadata specification).
type metadata struct {
	Name, Version, Summary string
	License                string
	RequiresPython         string
	Description            string
	lists                  map[string][]string // by the API's name of the kind
}

// contexts are the fields that name other packages, and the API's words.
var contexts = map[string]string{
	"requires": "requires", "requires-dist": "requires-dist", "requires-external": "requires-external", "provides-extra": "requires-extra",
}

// parseMetadata reads the fields of a package.
func parseMetadata(text []byte) (*metadata, error) {
	m := &metadata{lists: make(map[string][]string)}
	if !utf8.Valid(text) {
		text = []byte(strings.ToValidUTF8(string(text), "\uFFFD")) // before metadata 2.1 it was any encoding
	}
	body, err := fields(string(text), m.set)
	if err != nil {
		return nil, err
	}
	if m.Description == "" {
		m.Description = strings.TrimSpace(body)
	}
	m.Description = clip(m.Description, maxDescription)
	switch {
	case !projectName.MatchString(m.Name):
		return nil, invalid("its metadata names the project %q, which is no name: use letters, digits, dots, dashes and underscores", clip(m.Name, 100))
	case m.Version == "" || len(m.Version) > 200 || strings.ContainsAny(m.Version, " /\\<>\"'&?#%"):
		return nil, invalid("its metadata gives the version %q, which is none", clip(m.Version, 100))
	case len(m.RequiresPython) > maxPythons:
		return nil, invalid("its Requires-Python is longer than %d bytes", maxPythons)
	}
	for context, list := range m.lists {
		if len(list) > maxDependencies {
			return nil, invalid("it has more than %d entries of the kind %s", maxDependencies, context)
		}
	}
	return m, nil
}

func (m *metadata) set(name, value string) error {
	first := func(field *string, limit int) {
		if *field == "" {
			*field = clip(value, limit)
		}
	}
	switch name {
	case "name", "version", "requires-python":
		field := map[string]*string{"name": &m.Name, "version": &m.Version, "requires-python": &m.RequiresPython}[name]
		if *field != "" && *field != value {
			return invalid("its metadata gives two values of %s", name)
		}
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return invalid("its %s has control characters", name)
		}
		*field = value
	case "summary":
		first(&m.Summary, maxSummary)
	case "license-expression":
		m.License = clip(value, maxSummary)
	case "license":
		line, _, _ := strings.Cut(value, "\n") // some put the whole text here
		if m.License == "" {
			m.License = clip(strings.TrimSpace(line), maxSummary)
		}
	case "description":
		first(&m.Description, maxDescription)
	default:
		if context, ok := contexts[name]; ok && len(m.lists[context]) <= maxDependencies {
			m.lists[context] = append(m.lists[context], clip(value, maxValue))
		}
	}
	return nil
}

// fields yields the fields in front of a message, names in lower case, and
// returns what comes after the blank line. Old tools wrote licences over
// several lines without the indent that continues a field: what is no field
// ends them, as Python's own parser has it.
func fields(text string, yield func(name, value string) error) (body string, err error) {
	var name, value string
	flush := func() error {
		if name == "" {
			return nil
		}
		return yield(strings.ToLower(name), strings.TrimSpace(value))
	}
	rest := text
	for rest != "" {
		line, after, _ := strings.Cut(rest, "\n")
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			return after, flush()
		}
		if line[0] == ' ' || line[0] == '\t' {
			if len(value) < maxDescription { // what is longer is cut all the same
				value += "\n" + strings.TrimPrefix(strings.TrimLeft(line, " \t"), "|")
			}
			rest = after
			continue
		}
		n, v, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(n, " \t") {
			return rest, flush()
		}
		if err := flush(); err != nil {
			return "", err
		}
		name, value, rest = n, v, after
	}
	return "", flush()
}

// clip cuts a text to a number of bytes, at a character.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// invalid says what is wrong with an upload.
func invalid(format string, args ...any) *repo.InvalidError {
	return repo.Invalid("package_file", fmt.Sprintf(format, args...))
}

// dependencies are the relations in the order in which the API has them.
func (m *metadata) dependencies() (all []repo.Dependencies) {
	for _, context := range []string{"requires", "requires-dist", "requires-external", "requires-extra"} {
		if list := m.lists[context]; len(list) > 0 {
			all = append(all, repo.Dependencies{Context: context, Names: list})
		}
	}
	if m.RequiresPython != "" {
		all = append(all, repo.Dependencies{Context: "requires-python", Names: []string{m.RequiresPython}})
	}
	return all
}
