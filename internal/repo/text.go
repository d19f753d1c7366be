package repo

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// IsText reports whether a text can be kept: PostgreSQL takes neither a NUL nor
// what is no UTF-8, and on SQLite a text ends for some functions at a NUL.
func IsText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// IsPrintable reports whether a text is one line that shows what it says: it has
// no control characters, which a terminal obeys, and none that hide or reorder
// others.
func IsPrintable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// ValidateName reports why name cannot be the name of a thing that people choose
// freely, a token or a file say, or nil.
func ValidateName(field, name string) error {
	if !IsPrintable(name) {
		return Invalid(field, "holds control characters, or characters that are not seen: use printable ones")
	}
	return nil
}

// IsName reports whether a user or a repository can have a name. Nothing else
// needs to be looked for.
func IsName(s string) bool { return namePattern.MatchString(s) }

// IsToken reports whether a text has the shape of a token. Nothing else needs to
// be looked for.
func IsToken(s string) bool {
	return len(s) == TokenLength && strings.Trim(s, "0123456789abcdef") == ""
}
