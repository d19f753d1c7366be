package npm

import (
	"bytes"
	"strconv"
	"unicode/utf16"
)

// portable writes a JSON text so that every client reads the same: half a
// surrogate pair becomes U+FFFD, and a number that no float64 holds becomes
// null, as JavaScript writes it. JSON allows both, and pnpm 12 does not see a
// version that has one of them.
func portable(text []byte) []byte {
	if !bytes.Contains(text, []byte(`\u`)) && !bytes.ContainsAny(text, "0123456789") {
		return text
	}
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		n := 1
		switch c := text[0]; {
		case c == '"':
			n = quoted(text)
			out = appendString(out, text[:n])
		case c == '-', '0' <= c && c <= '9':
			n = numeral(text)
			out = appendNumber(out, text[:n])
		default:
			out = append(out, c)
		}
		text = text[n:]
	}
	return out
}

// quoted is the length of the string that a text begins with.
func quoted(text []byte) int {
	var v extent
	return v.take(text)
}

// numeral is the length of the number that a text begins with.
func numeral(text []byte) int {
	n := bytes.IndexAny(text, ",]}")
	if n < 0 {
		n = len(text)
	}
	return n
}

func appendNumber(out, number []byte) []byte {
	if _, err := strconv.ParseFloat(string(number), 64); err != nil {
		return append(out, "null"...)
	}
	return append(out, number...)
}

// replacement stands for half a surrogate pair.
const replacement = `\ufffd`

func appendString(out, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return append(out, text...)
		}
		out, text = append(out, text[:i]...), text[i:]
		r, ok := surrogate(text)
		switch {
		case !ok:
			out, text = append(out, text[:2]...), text[2:]
		case utf16.DecodeRune(r, second(text)) != '\uFFFD':
			out, text = append(out, text[:12]...), text[12:]
		default:
			out, text = append(out, replacement...), text[6:]
		}
	}
}

// second is the surrogate that follows the first escape of a text; 0 without it.
func second(text []byte) rune {
	r, _ := surrogate(text[6:])
	return r
}

// surrogate reads an escape that is one half of a pair.
func surrogate(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil && utf16.IsSurrogate(rune(n))
}
