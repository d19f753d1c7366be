package python

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// wheel is what the file WHEEL says (PEP 427).
type wheel struct {
	version, build string
	tag            []string
}

// Limits of a WHEEL.
const (
	maxWheel = 1 << 20 // bytes
	maxTags  = 200
)

// parseWheel reads a WHEEL and refuses what pip refuses: it looks at the version
// before it unpacks anything.
func parseWheel(text []byte) (*wheel, error) {
	if !utf8.Valid(text) {
		return nil, invalid("its WHEEL is not UTF-8, and installers read nothing else")
	}
	w := new(wheel)
	_, err := fields(string(text), func(name, value string) error {
		value = strings.TrimSpace(value)
		switch {
		case name == "wheel-version" && w.version == "":
			w.version = value
		case name == "build" && w.build == "":
			w.build = value
		case name == "tag":
			if w.tag = append(w.tag, value); len(w.tag) > maxTags {
				return invalid("its WHEEL has more than %d tags", maxTags)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	major, minor, _ := strings.Cut(w.version, ".")
	if major != "1" || minor != "" && !isNumber(minor) {
		return nil, invalid("its WHEEL has the Wheel-Version %q, and installers unpack 1.0 alone", clip(w.version, 40))
	}
	return w, nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil
}

// tags is the end of the wheel's name.
func (w *wheel) tags() (string, error) {
	tags, ok := compress(w.tag)
	if len(w.tag) == 0 || !ok {
		return "", invalid("its WHEEL has tags %q that make no file name: push it under its own", clip(strings.Join(w.tag, " "), 200))
	}
	if w.build != "" {
		tags = "-" + w.build + tags
	}
	return tags, nil
}
