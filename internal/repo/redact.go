package repo

import (
	"regexp"
	"strings"
)

// tokens finds the values of tokens; digests are longer.
var tokens = regexp.MustCompile(`\b[0-9A-Fa-f]{48}\b`)

// Redact hides tokens in what is logged: those that stand in a path or in an
// error, and whatever stands in the place of one.
func Redact(text string) string {
	if rest, ok := strings.CutPrefix(text, "/priv/"); ok {
		_, rest, _ = strings.Cut(rest, "/")
		text = "/priv/[token]/" + rest
	}
	return tokens.ReplaceAllString(text, "[token]")
}
