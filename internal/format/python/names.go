package python

import (
	"regexp"
	"slices"
	"strings"
)

var (
	projectName = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9])?$`)
	separators  = regexp.MustCompile(`[-_.]+`)
)

// normalize is the name of a project as indexes write it (PEP 503).
func normalize(name string) string { return strings.ToLower(separators.ReplaceAllString(name, "-")) }

// pep440 is the pattern of PEP 440, appendix B, for lower case.
var pep440 = regexp.MustCompile(`^v?(?:(?P<epoch>[0-9]+)!)?(?P<release>[0-9]+(?:\.[0-9]+)*)` +
	`(?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<prenumber>[0-9]*))?` +
	`(?P<post>-(?P<bare>[0-9]+)|[-_.]?(?:post|rev|r)[-_.]?(?P<postnumber>[0-9]*))?` +
	`(?P<dev>[-_.]?dev[-_.]?(?P<devnumber>[0-9]*))?` +
	`(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`)

// preWords are the spellings of the phases before a release.
var preWords = map[string]string{"a": "a", "alpha": "a", "b": "b", "beta": "b", "c": "rc", "rc": "rc", "pre": "rc", "preview": "rc"}

// canonicalVersion is a version in the form that all its spellings share. One
// that is no version of PEP 440 is itself, in lower case.
func canonicalVersion(version string) string {
	v := strings.ToLower(strings.TrimSpace(version))
	m := pep440.FindStringSubmatch(v)
	if m == nil {
		return strings.ReplaceAll(v, "-", "_")
	}
	part := func(name string) string { return m[pep440.SubexpIndex(name)] }
	var b strings.Builder
	if e := number(part("epoch")); e != "0" {
		b.WriteString(e + "!")
	}
	release := strings.Split(part("release"), ".")
	for i := range release {
		release[i] = number(release[i])
	}
	for len(release) > 1 && release[len(release)-1] == "0" {
		release = release[:len(release)-1]
	}
	b.WriteString(strings.Join(release, "."))
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
	return b.String()
}

// number is a decimal number without zeros in front; nothing is 0.
func number(s string) string {
	if s = strings.TrimLeft(s, "0"); s == "" {
		return "0"
	}
	return s
}

var (
	wheelName = regexp.MustCompile(`^([A-Za-z0-9._+!-]+?)-([A-Za-z0-9._+!]+)(?:-[0-9][A-Za-z0-9_.]*)?-[A-Za-z0-9_.]+-[A-Za-z0-9_.]+-[A-Za-z0-9_.]+\.whl$`)
	eggName   = regexp.MustCompile(`^([A-Za-z0-9._+!-]+?)-([A-Za-z0-9._+!]+)(?:-py[0-9.]+)?(?:-[A-Za-z0-9_.-]+)?\.(?:egg|egg-info)$`)
	plainFile = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+!-]{0,254}$`)
)

// suffixes are the ends of the names of what is no wheel and no egg. PyPI takes
// .tar.gz and .zip alone; the others are packagecloud's, as far as pip and uv
// unpack them.
var suffixes = []string{".tar.gz", ".tgz", ".tar.bz2", ".tar", ".zip"}

// endings are all that names may end in.
var endings = append([]string{".whl", ".egg", ".egg-info"}, suffixes...)

// pushThese says so.
const pushThese = "push a wheel (.whl), an egg (.egg, .egg-info), or a source distribution as .tar.gz, .tgz, .tar.bz2, .tar or .zip"

// endsIn reports whether a file name has one of the endings, whatever its case.
func endsIn(filename string, endings ...string) bool {
	lower := strings.ToLower(filename)
	return slices.ContainsFunc(endings, func(e string) bool { return strings.HasSuffix(lower, e) })
}

// describes reports whether a folder is the NAME-VERSION.dist-info of a project's
// version.
func describes(folder, project, version string) bool {
	stem, ok := strings.CutSuffix(folder, ".dist-info")
	return ok && isStem(stem, project, version)
}

// isStem reports whether a text is a project and a version with a dash between
// them, in any spelling.
func isStem(stem, project, version string) bool {
	for i, c := range stem {
		if c == '-' && (same(stem[:i], stem[i+1:], project, version) || same(stem[:i], strings.ReplaceAll(stem[i+1:], "_", "-"), project, version)) {
			return true
		}
	}
	return false
}

// same compares a project and a version with others, in any spelling.
func same(p, v, project, version string) bool {
	return normalize(p) == normalize(project) && canonicalVersion(v) == canonicalVersion(version)
}

// names reports whether a file name is one of a project's version: it is what
// pip goes by, and so must not lie about the metadata.
func names(filename, project, version string) bool {
	for _, pattern := range []*regexp.Regexp{wheelName, eggName} {
		if m := pattern.FindStringSubmatch(filename); m != nil {
			// In these a dash in a version is written as an underscore.
			return same(m[1], m[2], project, version) || same(m[1], strings.ReplaceAll(m[2], "_", "-"), project, version)
		}
	}
	stem := filename
	for _, s := range suffixes {
		if cut, ok := strings.CutSuffix(strings.ToLower(filename), s); ok {
			stem = filename[:len(cut)]
			break
		}
	}
	return isStem(stem, project, version)
}
