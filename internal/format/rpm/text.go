package rpm

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxText and maxShort are the longest text, such as a description, and the longest
// path, name or version of a relation. No file system takes longer paths; clients
// read relations with conditions by recursion, and XML parsers give up on texts of
// 10 MB.
const (
	maxText  = 1 << 20
	maxShort = 4096
)

func checkShort(text string) error {
	if len(text) > maxShort {
		return fmt.Errorf("%.60q has %d bytes, more than %d", text, len(text), maxShort)
	}
	return checkText(text)
}

// checkText refuses control characters, which XML cannot say: createrepo_c does
// not list such a package either.
func checkText(text string) error {
	if len(text) > maxText {
		return fmt.Errorf("%.60q has %d bytes, more than %d", text, len(text), maxText)
	}
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return fmt.Errorf("%.60q has the control character 0x%02x", text[max(0, i-20):], c)
		}
	}
	return nil
}

// toUTF8 takes text of another encoding for Latin-1, as createrepo_c does. Bytes
// from 0x80 to 0xbf are left out: those that are not UTF-8 are mostly of
// Windows-1252.
func toUTF8(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c < utf8.RuneSelf:
			b.WriteByte(c)
		case c >= 0xc0:
			b.WriteRune(rune(c))
		}
	}
	return b.String()
}
