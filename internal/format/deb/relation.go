package deb

import (
	"errors"
	"fmt"
	"strings"
)

// relationField is a field that lists other packages.
type relationField struct {
	name string
	// dpkg says that dpkg reads the field, and apt too. Others are checked as
	// apt_pkg.parse_depends does.
	dpkg bool
	// alternatives says that dpkg lets "|" stand between packages.
	alternatives bool
	// exact says that versions may be those of "=" alone.
	exact bool
}

// binaryRelations are the fields of binary packages (deb-control(5)). Optional
// and Recommended are old names of Suggests and Recommends, which dpkg knows.
var binaryRelations = []relationField{
	{name: "Pre-Depends", dpkg: true, alternatives: true},
	{name: "Depends", dpkg: true, alternatives: true},
	{name: "Recommends", dpkg: true, alternatives: true},
	{name: "Suggests", dpkg: true, alternatives: true},
	{name: "Enhances", dpkg: true, alternatives: true},
	{name: "Recommended", dpkg: true, alternatives: true},
	{name: "Optional", dpkg: true, alternatives: true},
	{name: "Conflicts", dpkg: true},
	{name: "Breaks", dpkg: true},
	{name: "Replaces", dpkg: true},
	{name: "Provides", dpkg: true, exact: true},
	{name: "Built-Using"},
	{name: "Static-Built-Using"},
}

// sourceRelations are those of source packages that apt reads (dsc(5)).
var sourceRelations = []string{
	"Build-Depends", "Build-Depends-Indep", "Build-Depends-Arch", "Build-Conflicts", "Build-Conflicts-Indep", "Build-Conflicts-Arch",
}

// The white space of dpkg and apt, and what ends the name of a package for apt.
const (
	blanks  = " \t\n\v\f\r"
	nameEnd = blanks + "(),|[]<>"
)

// checkRelations refuses a value that a client refuses. It reads from left to
// right, once. It counts how often each package is named.
func checkRelations(f relationField, value string, named map[string]int) error {
	for rest := value; rest != ""; {
		r, after, err := cutRelation(rest)
		if err == nil {
			err = r.check(f)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", excerpt(rest), err)
		}
		if err := r.count(named); f.dpkg && err != nil {
			return err
		}
		if rest = after; rest == "" && r.end != 0 && f.dpkg {
			return fmt.Errorf("it ends in %q", r.end)
		}
	}
	return nil
}

// relation is one package of a relation field. What is in brackets behind it is
// allowed in source packages alone, and checked where it is cut.
type relation struct {
	name, operator, version string
	versioned               bool
	restricted              bool // by architectures or build profiles
	end                     byte // "," or "|", 0 at the end of the field
}

// cutRelation takes the first relation off a field, as apt does.
func cutRelation(text string) (r relation, rest string, err error) {
	rest = strings.TrimLeft(text, blanks)
	r.name, rest = cutAny(rest, nameEnd)
	if r.name == "" {
		return r, "", errors.New("a package name is missing")
	}
	if rest = strings.TrimLeft(rest, blanks); strings.HasPrefix(rest, "(") {
		if rest, err = r.cutVersion(rest[1:]); err != nil {
			return r, "", err
		}
	}
	if rest, err = r.cutRestrictions(rest); err != nil {
		return r, "", err
	}
	if rest != "" {
		if r.end = rest[0]; r.end != ',' && r.end != '|' {
			return r, "", errors.New("neither a comma nor | stands behind the first package (a version stands in parentheses, as in foo (>= 1.0))")
		}
		rest = strings.TrimLeft(rest[1:], blanks)
	}
	return r, rest, nil
}

// aptMinimum is how many bytes must follow a parenthesis: apt before 3.0 wants
// four, "(=1)" at the end of a field has three.
const aptMinimum = 4

// cutVersion takes an operator, a version and the closing parenthesis off.
func (r *relation) cutVersion(text string) (rest string, err error) {
	text = strings.TrimLeft(text, blanks)
	if len(text) < aptMinimum {
		return "", errors.New("what is in parentheses is too short for apt: put a blank before the version")
	}
	r.versioned = true
	for _, o := range []string{"<=", "<<", ">=", ">>", "<", ">", "="} {
		if strings.HasPrefix(text, o) {
			r.operator = o
			break
		}
	}
	inside, rest, ok := strings.Cut(text[len(r.operator):], ")")
	if !ok {
		return "", errors.New("a parenthesis is not closed")
	}
	if r.version = strings.Trim(inside, blanks); r.version == "" {
		return "", errors.New("a version is missing")
	}
	return strings.TrimLeft(rest, blanks), nil
}

// cutRestrictions takes "[amd64 i386]" and "<!nocheck> <cross>" off.
func (r *relation) cutRestrictions(text string) (rest string, err error) {
	for _, brackets := range []string{"[]", "<>"} {
		for strings.HasPrefix(text, brackets[:1]) {
			words, rest, ok := strings.Cut(text[1:], brackets[1:])
			if !ok {
				return "", fmt.Errorf("a %q is not closed", brackets[:1])
			}
			if strings.Trim(words, blanks) == "" {
				return "", fmt.Errorf("nothing stands in %q", brackets)
			}
			r.restricted = true
			text = strings.TrimLeft(rest, blanks)
		}
	}
	return text, nil
}

// check refuses what the readers of a field refuse.
func (r *relation) check(f relationField) error {
	if len(r.name) > maxWord || len(r.version) > maxWord {
		return fmt.Errorf("apt can hold no word of more than %d bytes", maxWord)
	}
	switch {
	case r.restricted:
		return errors.New("restrictions in brackets belong into source packages")
	case !f.dpkg:
		return nil
	case r.end == '|' && !f.alternatives:
		return errors.New("the field can have no alternatives")
	}
	name, architecture, qualified := strings.Cut(r.name, ":")
	switch {
	case !packageName.MatchString(name):
		return fmt.Errorf("%q is no package name", excerpt(name))
	case qualified && !architectureName.MatchString(architecture):
		return fmt.Errorf("%q is no architecture", excerpt(architecture))
	case !r.versioned:
		return nil
	case f.exact && r.operator != "=" && r.operator != "":
		return errors.New("only the relation = is allowed here")
	}
	if err := checkVersion(r.version); err != nil {
		return fmt.Errorf("the version %q is not valid: %w", excerpt(r.version), err)
	}
	return nil
}

// count refuses a package that is named too often, for whatever architecture.
func (r *relation) count(named map[string]int) error {
	name, _, _ := strings.Cut(r.name, ":")
	if named[name]++; named[name] > maxRepeats {
		return fmt.Errorf("the package %q is named more than %d times in all relations together, which takes apt minutes", excerpt(name), maxRepeats)
	}
	return nil
}

// checkBuildRelations refuses what apt cannot read of a source package. It
// passes over commas without a package between them, and takes anything for a
// name and a version.
func checkBuildRelations(value string) error {
	for rest := strings.TrimLeft(value, blanks+","); rest != ""; {
		_, after, err := cutRelation(rest)
		if err != nil {
			return fmt.Errorf("%q: %w", excerpt(rest), err)
		}
		rest = strings.TrimLeft(after, blanks+",")
	}
	return nil
}

// cutAny cuts before the first of some bytes.
func cutAny(text, any string) (before, after string) {
	if i := strings.IndexAny(text, any); i >= 0 {
		return text[:i], text[i:]
	}
	return text, ""
}

// excerpt is the beginning of a text, for a message.
func excerpt(text string) string {
	const longest = 60
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + "…"
}
