package python

import (
	"fmt"
	"regexp"
	"strings"
)

// The parts of a version in a specifier of PEP 440.
const (
	specRelease = `v?(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*`
	specPhases  = `(?:[-_.]?(?:alpha|a|beta|b|preview|pre|c|rc)[-_.]?[0-9]*)?` +
		`(?:-[0-9]+|[-_.]?(?:post|rev|r)[-_.]?[0-9]*)?(?:[-_.]?dev[-_.]?[0-9]*)?`
	specLocal = `(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?`
	specText  = `(?i)^(?:===[ \t]*[^\s;),]*` +
		`|(?:==|!=)[ \t]*` + specRelease + `(?:\.\*|` + specPhases + specLocal + `)` +
		`|~=[ \t]*v?(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)+` + specPhases +
		`|(?:<=|>=|<|>)[ \t]*` + specRelease + specPhases + `)`
)

// The tokens of a dependency specifier (PEP 508), as the library packaging has them.
var (
	tokenBlank     = regexp.MustCompile(`^[ \t]+`)
	tokenName      = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\b`)
	tokenSpecifier = regexp.MustCompile(specText)
	tokenURL       = regexp.MustCompile(`^[!-~]+`)
	tokenString    = regexp.MustCompile(`^(?:'[^']*'|"[^"]*")`)
	tokenVariable  = regexp.MustCompile(`^(?:python_version|python_full_version|os[._]name|sys[._]platform|platform_release|platform_system` +
		`|platform[._]version|platform[._]machine|platform[._]python_implementation|python_implementation|implementation_name|implementation_version|extra)\b`)
	tokenOperator = regexp.MustCompile(`^(?:===|==|~=|!=|<=|>=|<|>|in\b|not[ \t]+in\b)`)
	tokenAnd      = regexp.MustCompile(`^and\b`)
	tokenOr       = regexp.MustCompile(`^or\b`)
)

// pythonClause is a clause of a Requires-Python: a specifier, or one that pip and uv
// read all the same, as old projects have it (>=3.6.*).
var pythonClause = regexp.MustCompile(`^(?i:` + strings.TrimPrefix(specText, "(?i)^") + `|(?:<=|>=|<|>)[ \t]*` + specRelease + `\.\*)$`)

// isPythons reports whether a text is a Requires-Python that all installers read. uv
// does not find a file with another.
func isPythons(text string) bool {
	for clause := range strings.SplitSeq(text, ",") {
		if clause = strings.TrimSpace(clause); clause != "" && !pythonClause.MatchString(clause) {
			return false
		}
	}
	return true
}

// checkRequirement says what is wrong with a dependency specifier, the value of a
// Requires-Dist: pip since 24.1 passes over a file with one that it cannot read,
// older ones end there, whichever file of the project was asked for.
func checkRequirement(text string) error {
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); i >= 0 {
		return fmt.Errorf("has a control character")
	}
	s := scanner{rest: text}
	s.blank()
	if !s.take(tokenName) {
		return s.expected("the name of a project")
	}
	s.blank()
	if err := s.extras(); err != nil {
		return err
	}
	s.blank()
	if s.literal("@") {
		return s.direct()
	}
	if err := s.versions(); err != nil {
		return err
	}
	return s.condition()
}

// scanner reads tokens from the front of a text.
type scanner struct {
	rest    string
	depth   int // of parentheses in the marker
	choices int // in the marker
}

func (s *scanner) take(token *regexp.Regexp) bool { return s.cut(token) != "" }

// cut takes a token, and tells it; "" if it is not there.
func (s *scanner) cut(token *regexp.Regexp) string {
	found := token.FindString(s.rest)
	s.rest = s.rest[len(found):]
	return found
}

func (s *scanner) literal(word string) (ok bool) {
	s.rest, ok = strings.CutPrefix(s.rest, word)
	return ok
}

func (s *scanner) blank() bool { return s.take(tokenBlank) }

func (s *scanner) expected(what string) error {
	if s.rest == "" {
		return fmt.Errorf("ends where %s is expected", what)
	}
	return fmt.Errorf("has %q where %s is expected", clip(s.rest, 40), what)
}

// extras reads [one, two].
func (s *scanner) extras() error {
	if !s.literal("[") {
		return nil
	}
	s.blank()
	for first := true; !s.literal("]"); first = false {
		if !first {
			if !s.literal(",") {
				return s.expected("a comma or the end of the extras")
			}
			s.blank()
		}
		if !s.take(tokenName) {
			return s.expected("the name of an extra")
		}
		s.blank()
	}
	return nil
}

// direct reads the URL of NAME @ URL, and what comes after it.
func (s *scanner) direct() error {
	s.blank()
	if !s.take(tokenURL) {
		return s.expected("a URL")
	}
	if s.rest == "" || s.blank() {
		return s.condition()
	}
	return s.expected("a blank after the URL")
}

// versions reads a version specifier, which may stand in parentheses or be none.
func (s *scanner) versions() error {
	inside := s.literal("(")
	s.blank()
	for more := true; more && s.take(tokenSpecifier); {
		s.blank()
		more = s.literal(",")
		s.blank()
	}
	if inside && !s.literal(")") {
		return s.expected("a version specifier or the closing parenthesis")
	}
	s.blank()
	return nil
}

// condition reads the marker behind a semicolon, if there is one, and the end.
func (s *scanner) condition() error {
	if s.rest == "" {
		return nil
	}
	if !s.literal(";") {
		return s.expected("a version specifier, a semicolon or the end")
	}
	if _, err := s.marker(); err != nil {
		return err
	}
	if s.rest != "" {
		return s.expected("and, or, or the end of the marker")
	}
	return nil
}
