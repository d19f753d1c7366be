// Package printable makes text fit to be shown to people. Names and messages
// come from anybody; on a terminal their control characters would move the
// cursor, recolour or hide what stands there, and a line break would forge a
// line.
package printable

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"packagecloud/internal/redact"
)

// Text is s with every character that has no shape of its own written as Go
// escapes it: control characters, line breaks, bytes that are no UTF-8, and those
// that change the direction of what follows.
func Text(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unprintable(r):
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
		s = s[n:]
	}
	return b.String()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// Error writes why a program failed, fit to be shown and without secrets: errors
// name URLs and what a server answered. It may have several lines.
func Error(w io.Writer, program string, err error) {
	for line := range strings.Lines(program + ": " + redact.Text(err.Error())) {
		_, _ = fmt.Fprintln(w, Text(strings.TrimSuffix(line, "\n")))
	}
}

// Fprintf is fmt.Fprintf, whose arguments are made fit to be shown. The format
// is ours and stays as it is.
func Fprintf(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, shown(args)...) }

// Sprintf is fmt.Sprintf, whose arguments are made fit to be shown.
func Sprintf(format string, args ...any) string { return fmt.Sprintf(format, shown(args)...) }

func shown(args []any) []any {
	all := make([]any, len(args))
	for i, a := range args {
		all[i] = argument{a}
	}
	return all
}

// argument formats a value as fmt does, and shows what came out.
type argument struct{ value any }

// Format implements fmt.Formatter.
func (a argument) Format(s fmt.State, verb rune) {
	_, _ = io.WriteString(s, Text(fmt.Sprintf(fmt.FormatString(s, verb), a.value)))
}
