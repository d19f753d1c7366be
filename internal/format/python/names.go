package python

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"packagecloud/internal/repo"
)

var (
	projectName = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9])?$`)
	separators  = regexp.MustCompile(`[-_.]+`)
)

// normalize is the name of a project as indexes write it (PEP 503).
func normalize(name string) string { return strings.ToLower(separators.ReplaceAllString(name, "-")) }

var (
	// wheelName has the parts of a wheel's name as pip since 26.3 takes them.
	wheelName = regexp.MustCompile(`^([A-Za-z0-9._]+)-([A-Za-z0-9._+!]+)(?:-[0-9][A-Za-z0-9_.]*)?` +
		`-[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*-[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*-[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*\.whl$`)
	eggName   = regexp.MustCompile(`^([A-Za-z0-9._+!-]+?)-([A-Za-z0-9._+!]+)(?:-py[0-9.]+)?(?:-[A-Za-z0-9_.-]+)?\.(?:egg|egg-info)$`)
	plainFile = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+!-]{0,239}$`)
)

// suffixes are the ends of the names of what is no wheel and no egg. PyPI takes
// .tar.gz and .zip alone; the others are packagecloud's, as far as pip and uv
// unpack them.
var suffixes = []string{".tar.gz", ".tgz", ".tar.bz2", ".tar", ".zip"}

// pushThese says so.
const pushThese = "push a wheel (.whl), an egg (.egg, .egg-info), or a source distribution as .tar.gz, .tgz, .tar.bz2, .tar or .zip"

// describes reports whether a folder is the NAME-VERSION.dist-info of a project's
// version. pip takes it apart at the first dash, and fails where no version follows.
func describes(folder, project, version string) bool {
	stem, ok := strings.CutSuffix(folder, ".dist-info")
	p, v, _ := strings.Cut(stem, "-")
	return ok && isVersion(v) && same(p, v, project, version)
}

// isStem reports whether a text is a project and a version with a dash between
// them, in any spelling.
func isStem(stem, project, version string) bool {
	for i, c := range stem {
		if c == '-' && same(stem[:i], stem[i+1:], project, version) {
			return true
		}
	}
	return false
}

// same compares a project and a version with others, in any spelling.
func same(p, v, project, version string) bool {
	return normalize(p) == normalize(project) && canonicalVersion(v) == canonicalVersion(version)
}

// names reports whether installers find a version of a project by a file name: it
// is all they go by.
func names(filename, project, version string) bool {
	if !plainFile.MatchString(filename) {
		return false
	}
	if m := wheelName.FindStringSubmatch(filename); m != nil {
		return !strings.Contains(m[1], "__") && isVersion(m[2]) && same(m[1], m[2], project, version)
	}
	if m := eggName.FindStringSubmatch(filename); m != nil {
		// In these a dash in a version is written as an underscore.
		return same(m[1], m[2], project, version) || same(m[1], strings.ReplaceAll(m[2], "_", "-"), project, version)
	}
	for _, s := range suffixes {
		if stem, ok := strings.CutSuffix(filename, s); ok {
			return isStem(stem, project, version)
		}
	}
	return false
}

// fileName is the name that a wheel or a source distribution has by its metadata
// (PEP 427, PEP 625), for one that came under a name that says something else, or
// nothing.
func fileName(k kind, m *metadata, wheel *wheel) (string, error) {
	stem := strings.ReplaceAll(normalize(m.Name), "-", "_") + "-" + normalVersion(m.Version)
	switch {
	case k.suffix == ".whl":
		tags, err := wheel.tags()
		if err != nil {
			return "", err
		}
		stem += tags
	case !slices.Contains(suffixes, k.suffix):
		return "", repo.Invalid("filename", fmt.Sprintf("must be that of an egg of %s %s: its metadata does not tell all of it", m.Name, m.Version))
	}
	if name := stem + k.suffix; names(name, m.Name, m.Version) {
		return name, nil
	}
	return "", repo.Invalid("filename", fmt.Sprintf("must be that of %s %s, and the metadata makes none that installers read", m.Name, clip(m.Version, 100)))
}

// compress makes the three parts of a wheel's name from its tags, which WHEEL has
// one by one: those of py2-none-any and py3-none-any are py2.py3-none-any.
func compress(tags []string) (string, bool) {
	var sets [3]map[string]bool
	for i := range sets {
		sets[i] = make(map[string]bool)
	}
	distinct := make(map[string]bool)
	for _, t := range tags {
		parts := strings.Split(t, "-")
		if len(parts) != len(sets) {
			return "", false
		}
		for i, p := range parts {
			sets[i][p] = true
		}
		distinct[t] = true
	}
	all, name := 1, ""
	for _, s := range sets {
		all *= len(s)
		name += "-" + strings.Join(slices.Sorted(maps.Keys(s)), ".")
	}
	return name, all == len(distinct)
}
