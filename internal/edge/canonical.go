package edge

import "strings"

// maxPath is the greatest length of a path as sent: a key of S3 has at most
// 1,024 bytes, and an escaped one takes three characters each.
const maxPath = 1 + 3*1024

// Canonical gives the one form of a path as it stands in a request: each %XX is
// decoded once, and whatever is not [A-Za-z0-9._~/-] becomes %XX with capital
// digits. It is what is signed, what names the object to a cache, and what an
// origin is asked for; S3 would read a plain + as a space.
//
// Not ok are a path that does not begin with a slash, is overlong, has an
// escape that is none, has an empty step or one of dots, also where escapes
// make it so, or holds a control character, a backslash, or, unescaped, a
// space, "#", "?" or anything but ASCII.
func Canonical(path string) (canonical string, ok bool) {
	if path == "" || path[0] != '/' || len(path) > maxPath {
		return "", false
	}
	plain := true
	for i := range len(path) {
		if !unreserved(path[i]) {
			plain = false
			break
		}
	}
	if !plain {
		if path, ok = encode(path); !ok {
			return "", false
		}
	}
	for step := range strings.SplitSeq(path[1:], "/") {
		if step == "" || step == "." || step == ".." {
			return "", false
		}
	}
	return path, true
}

func encode(path string) (string, bool) {
	out := make([]byte, 0, 3*len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c == '%':
			if i+2 >= len(path) {
				return "", false
			}
			high, low := unhex(path[i+1]), unhex(path[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			c = byte(high<<4 | low)
			i += 2
		case c <= ' ' || c == '#' || c == '?' || c > '~':
			return "", false
		}
		if c < ' ' || c == 0x7f || c == '\\' {
			return "", false
		}
		out = appendByte(out, c)
	}
	return string(out), true
}

// appendByte appends a byte of a decoded path.
func appendByte(out []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	if unreserved(c) {
		return append(out, c)
	}
	return append(out, '%', hex[c>>4], hex[c&15])
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '~' || c == '/' || c == '-'
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
