package rpm

import (
	"regexp"
	"strings"

	"packagecloud/internal/format"
)

var (
	documentPath = regexp.MustCompile(`^repodata/([0-9a-f]{64})-(?:primary|filelists|other)\.xml\.gz$`)
	packagePath  = regexp.MustCompile(`^(?:r[0-9a-f]{16}/)?[^/]+\.rpm$`)
)

// Resolve implements format.Format. Machines that ask by their own architecture
// (AlmaLinux for x86_64_v2 does) get the repository of its base:
//
//	<os>/<version>/<list>/repodata/repomd.xml, .asc, .key
//	<os>/<version>/<list>/repodata/<digest>-<kind>.xml.gz
//	<os>/<version>/<list>/<file>
func (Format) Resolve(q format.Query) (r format.Request, ok bool) {
	path := q.Path
	step := strings.SplitN(path, "/", 4)
	if len(step) != 4 || step[0] == "" || step[1] == "" || step[2] == "" {
		return r, false
	}
	list, file := step[2], step[3]
	r.OS, r.Version = step[0], step[1]
	if m := documentPath.FindStringSubmatch(file); m != nil {
		r.Kind, r.SHA256, r.ContentType = format.DigestFile, m[1], "application/gzip"
		return r, true
	}
	switch file {
	case "repodata/repomd.xml", "repodata/repomd.xml.asc", "repodata/repomd.xml.key":
		r.Kind, r.Paths = format.LiveFile, []string{list + "/" + file}
		if base, ok := baseArchitectures[list]; ok && base != list {
			r.Paths = append(r.Paths, base+"/"+file)
		}
		if list != listNoarch && list != listSource {
			r.Paths = append(r.Paths, listNoarch+"/"+file)
		}
		return r, true
	}
	if packagePath.MatchString(file) {
		r.Kind, r.Paths = format.PackageFile, []string{r.OS + "/" + r.Version + "/" + file}
		return r, true
	}
	return r, false
}
