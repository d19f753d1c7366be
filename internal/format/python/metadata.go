package python

import (
	"bytes"
	"fmt"
	"regexp"
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

// folds are where a field was continued on the next line.
var folds = regexp.MustCompile(`\n[ \t]*`)

// contexts are the fields that name other packages, and the API's words.
var contexts = map[string]string{
	"requires": "requires", "requires-dist": "requires-dist", "requires-external": "requires-external", "provides-extra": "requires-extra",
}

// parseMetadata reads the fields of a package.
func parseMetadata(text []byte, k kind) (*metadata, error) {
	m := &metadata{lists: make(map[string][]string)}
	switch mark := []byte("\xef\xbb\xbf"); {
	case k.wheel() && bytes.HasPrefix(text, mark):
		return nil, invalid("its METADATA begins with a byte order mark, so that installers find no name in it: write it without one")
	case k.wheel() && !utf8.Valid(text):
		return nil, invalid("its METADATA is not UTF-8, and installers read nothing else")
	default: // before metadata 2.1 it was any encoding
		text = bytes.ToValidUTF8(bytes.TrimPrefix(text, mark), []byte("\uFFFD"))
	}
	body, err := fields(string(text), m.set)
	if err != nil {
		return nil, err
	}
	if m.Description == "" {
		m.Description = strings.TrimSpace(body)
	}
	m.Description = clip(m.Description, maxDescription)
	if !k.wheel() {
		m.Name = strings.TrimSpace(m.Name)
	}
	return m, m.check()
}

// check says what is wrong with the fields that files are found by.
func (m *metadata) check() error {
	switch {
	case !projectName.MatchString(m.Name):
		return invalid("its metadata names the project %q, which is no name: use letters, digits, dots, dashes and underscores", clip(m.Name, 100))
	case !isVersion(m.Version):
		return invalid("its metadata gives the version %q, which is none of PEP 440 with numbers of 64 bits: pip and uv do not find it", clip(m.Version, 100))
	case len(m.RequiresPython) > maxPythons:
		return invalid("its Requires-Python is longer than %d bytes", maxPythons)
	}
	if !isPythons(m.RequiresPython) {
		return invalid("its Requires-Python %q is no version specifier of PEP 440: uv does not find the file", m.RequiresPython)
	}
	for context, list := range m.lists {
		if len(list) > maxDependencies {
			return invalid("it has more than %d entries of the kind %s", maxDependencies, context)
		}
	}
	return nil
}

func (m *metadata) set(name, value string) error {
	first := func(field *string, limit int) {
		if *field == "" {
			*field = clip(value, limit)
		}
	}
	if name != "name" {
		value = strings.TrimSpace(value)
	}
	switch name {
	case "name", "version", "requires-python":
		value = folds.ReplaceAllString(value, " ")
		field := map[string]*string{"name": &m.Name, "version": &m.Version, "requires-python": &m.RequiresPython}[name]
		if *field != "" && *field != value {
			return invalid("its metadata gives two values of %s", name)
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
			if len(value) > maxValue {
				return invalid("its %s is longer than %d bytes", name, maxValue)
			}
			m.lists[context] = append(m.lists[context], value)
		}
	}
	return nil
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
