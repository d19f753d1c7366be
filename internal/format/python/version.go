package python

import (
	"regexp"
	"strings"
)

// pep440 is the pattern of PEP 440, appendix B, for lower case.
var pep440 = regexp.MustCompile(`^v?(?:(?P<epoch>[0-9]+)!)?(?P<release>[0-9]+(?:\.[0-9]+)*)` +
	`(?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<prenumber>[0-9]*))?` +
	`(?P<post>-(?P<bare>[0-9]+)|[-_.]?(?:post|rev|r)[-_.]?(?P<postnumber>[0-9]*))?` +
	`(?P<dev>[-_.]?dev[-_.]?(?P<devnumber>[0-9]*))?` +
	`(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`)

// preWords are the spellings of the phases before a release.
var preWords = map[string]string{"a": "a", "alpha": "a", "b": "b", "beta": "b", "c": "rc", "rc": "rc", "pre": "rc", "preview": "rc"}

// maxVersion bounds a version, in bytes.
const maxVersion = 200

// isVersion reports whether a text is a version of PEP 440 that all installers
// read: pip since 24.1 and uv know no other, and uv no number above 64 bits.
func isVersion(v string) bool {
	_, _, ok := splitVersion(v)
	return ok && len(v) <= maxVersion && !hasLongNumber(v)
}

// normalVersion is a version as PEP 440 writes it.
func normalVersion(v string) string {
	release, rest, _ := splitVersion(v)
	return strings.Join(release, ".") + rest
}

// canonicalVersion is a version in the form that all its spellings share, 1.0 and
// 1.0.0 too. One that is no version of PEP 440 is itself, in lower case.
func canonicalVersion(v string) string {
	release, rest, ok := splitVersion(v)
	if !ok {
		return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(v)), "-", "_")
	}
	for len(release) > 1 && strings.TrimRight(release[len(release)-1], "0") == "" {
		release = release[:len(release)-1]
	}
	return strings.Join(release, ".") + rest
}

// splitVersion takes a version apart: the numbers of the release, the first of
// them with the epoch before it, and what comes after them, all of it normalised.
func splitVersion(v string) (release []string, rest string, ok bool) {
	m := pep440.FindStringSubmatch(lower(strings.TrimSpace(v)))
	if m == nil {
		return nil, "", false
	}
	part := func(name string) string { return m[pep440.SubexpIndex(name)] }
	release = strings.Split(part("release"), ".")
	for i := range release {
		release[i] = number(release[i])
	}
	if e := number(part("epoch")); e != "0" {
		release[0] = e + "!" + release[0]
	}
	var b strings.Builder
	if word := part("pre"); word != "" {
		b.WriteString(preWords[word] + number(part("prenumber")))
	}
	if part("post") != "" {
		b.WriteString(".post" + number(part("bare")+part("postnumber"))) // one of them is empty
	}
	if part("dev") != "" {
		b.WriteString(".dev" + number(part("devnumber")))
	}
	if local := part("local"); local != "" {
		words := separators.Split(local, -1)
		for i, w := range words {
			if strings.Trim(w, "0123456789") == "" {
				words[i] = number(w)
			}
		}
		b.WriteString("+" + strings.Join(words, "."))
	}
	return release, b.String(), true
}

// lower makes the capitals of ASCII small. Unicode has other letters whose small
// ones are of ASCII, the sign of Kelvin say, and those are none in a version.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// number is a decimal number without zeros in front; nothing is 0.
func number(s string) string {
	if s = strings.TrimLeft(s, "0"); s == "" {
		return "0"
	}
	return s
}

// hasLongNumber reports whether a text has a number above 64 bits.
func hasLongNumber(s string) bool {
	const most = "18446744073709551615"
	for digits := range strings.FieldsFuncSeq(s, func(r rune) bool { return r < '0' || r > '9' }) {
		if n := number(digits); len(n) > len(most) || len(n) == len(most) && n > most {
			return true
		}
	}
	return false
}
