package npm

import (
	"regexp"
	"strings"

	"packagecloud/internal/format"
)

const (
	root = "npm/"
	// separator parts the name of a package from what the registry adds.
	separator = "-"
)

var revision = regexp.MustCompile(`^r[0-9a-f]{16}$`)

// Resolve implements format.Format.
//
//	npm/<name>                   the packument
//	npm/<name>/-/<file>.tgz      a tarball
//	npm/-/ping
//
// A scope is a step of the path, however its slash was escaped.
func (Format) Resolve(q format.Query) (r format.Request, ok bool) {
	path, ok := strings.CutPrefix(q.Path, root)
	if !ok {
		return r, false
	}
	if path == "-/ping" {
		return format.Request{Kind: format.Constant, Body: []byte("{}"), ContentType: typeFull}, true
	}
	name, rest, ok := cutName(path)
	if !ok {
		return r, false
	}
	if rest != "" {
		file, ok := tarballPath(name, rest)
		return format.Request{Kind: format.PackageFile, OS: scopeOS, Version: scopeVersion, Paths: []string{file}}, ok
	}
	r = format.Request{
		Kind: format.LiveFile, OS: scopeOS, Version: scopeVersion, Paths: []string{documentName(name, kindFull)},
		ContentType: typeFull, Negotiated: true, Encoded: true,
	}
	if format.Accepts(q.Accept, typeFull, typeAbbreviated) == typeAbbreviated {
		r.Paths, r.ContentType = []string{documentName(name, kindAbbreviated)}, typeAbbreviated
	}
	return r, true
}

// cutName takes the name of a package, with its scope, off a path.
func cutName(path string) (name, rest string, ok bool) {
	name, rest, _ = strings.Cut(path, "/")
	if strings.HasPrefix(name, "@") {
		var base string
		base, rest, _ = strings.Cut(rest, "/")
		name += "/" + base
	}
	return name, rest, validName(name) == nil
}

// tarballPath is the canonical path of a tarball, as Format.Path makes it.
// npm itself makes URLs with the scope in the file's name too.
func tarballPath(name, rest string) (string, bool) {
	step := strings.Split(rest, "/")
	if len(step) < 2 || step[0] != separator {
		return "", false
	}
	file, between := step[len(step)-1], step[1:len(step)-1]
	scope, base := splitName(name)
	switch {
	case !strings.HasPrefix(file, base+"-") || !strings.HasSuffix(file, ".tgz"):
		return "", false
	case len(between) == 0, len(between) == 1 && scope != "" && between[0] == scope:
		return root + name + "/" + separator + "/" + file, true
	case len(between) == 1 && revision.MatchString(between[0]):
		return root + name + "/" + separator + "/" + between[0] + "/" + file, true
	}
	return "", false
}
