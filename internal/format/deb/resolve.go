package deb

import (
	"regexp"
	"strings"

	"packagecloud/internal/format"
)

var (
	indexPath  = regexp.MustCompile(`^main/((?:debian-installer/)?binary-[a-z0-9-]+/Packages|source/Sources|Contents-[a-z0-9-]+)(\.gz|\.zst)?$`)
	byHashPath = regexp.MustCompile(`^main/(?:(?:(?:debian-installer/)?binary-[a-z0-9-]+|source)/)?by-hash/SHA256/([0-9a-f]{64})$`)
)

// Resolve implements format.Format:
//
//	<os>/dists/<version>/...
//	<os>/pool/<version>/main/...
func (Format) Resolve(q format.Query) (r format.Request, ok bool) {
	path := q.Path
	step := strings.SplitN(path, "/", 4)
	if len(step) != 4 || step[0] == "" || step[2] == "" || step[3] == "" {
		return r, false
	}
	r.OS, r.Version = step[0], step[2]
	switch step[1] {
	case "pool":
		r.Kind, r.Paths = format.PackageFile, []string{path}
		return r, true
	case "dists":
		return resolveIndex(r, step[3])
	}
	return r, false
}

func resolveIndex(r format.Request, file string) (format.Request, bool) {
	r.Kind, r.Paths = format.LiveFile, []string{file}
	switch file {
	case "InRelease", "Release":
		r.ContentType = plainText
		return r, true
	case "Release.gpg":
		r.ContentType = "application/pgp-signature"
		return r, true
	}
	if m := byHashPath.FindStringSubmatch(file); m != nil {
		r.Kind, r.Paths, r.SHA256 = format.DigestFile, nil, m[1]
		return r, true
	}
	m := indexPath.FindStringSubmatch(file)
	if m == nil {
		return r, false
	}
	r.ContentType = map[string]string{"": plainText, ".gz": "application/gzip", ".zst": "application/zstd"}[m[2]]
	if !strings.HasSuffix(m[1], "/Packages") {
		return r, true
	}
	all := binaryName(listAll)
	if strings.HasPrefix(m[1], listInstaller) {
		all = binaryName(listInstaller + listAll)
	}
	if all += m[2]; all != file {
		r.Paths = append(r.Paths, all)
	}
	return r, true
}
