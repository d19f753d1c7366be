// Package deb is the Debian format: binary packages and source packages, and
// the apt repository that lists them.
//
// A scope is one suite, <os>/dists/<version>, with one component, main. Its
// pool is shared by nobody: <os>/pool/<version>/main/. Packages of the
// architecture "all" are listed in every binary-<architecture> listing, as apt
// expects it, and in binary-all.
//
// Specifications: deb(5), deb-control(5), dsc(5), and
// https://wiki.debian.org/DebianRepository/Format.
package deb

import (
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// The lists that are no architecture. Those of packages for the installer of
// Debian, udebs, are an architecture behind listInstaller.
const (
	listAll       = "all"
	listSource    = "source"
	listInstaller = "debian-installer/"
)

// The kinds of document.
const (
	kindPackages = "Packages"
	kindSources  = "Sources"
)

// Format implements format.Format.
type Format struct{}

var _ format.Format = Format{}

// New returns the format.
func New() Format { return Format{} }

// Name implements format.Format.
func (Format) Name() string { return "deb" }

// Path implements format.Format. The folder is named after the package, below
// its first letter, or the first four of a library.
func (Format) Path(p *repo.Package, file string, v repo.DistroVersion, revision string) string {
	steps := []string{v.OS, "pool", v.Version, "main", poolLetter(p.Name), p.Name}
	if revision != "" {
		steps = append(steps, revision)
	}
	return strings.Join(append(steps, file), "/")
}

func poolLetter(name string) string {
	if strings.HasPrefix(name, "lib") && len(name) > 3 {
		return name[:4]
	}
	return name[:1]
}

// served are the forms of each document. xz is not one of them: an index of
// several xz streams is refused by apt.
var served = []format.Encoding{format.Plain, format.Gzip, format.Zstd}

const plainText = "text/plain; charset=utf-8"

// Documents implements format.Format. The listings of all and of source are
// always there, so that every deb and deb-src line works from the first day.
func (Format) Documents(_ repo.DistroVersion, lists []string) []format.Document {
	documents := []format.Document{packagesOf(listAll), {
		Name: "main/source/Sources", Kind: kindSources, Lists: [3]string{listSource}, ContentType: plainText, Encodings: served,
	}}
	for _, l := range lists {
		if l != listAll && l != listSource {
			documents = append(documents, packagesOf(l))
		}
	}
	return documents
}

// packagesOf is the listing of a list, together with the packages of the
// architecture all.
func packagesOf(list string) format.Document {
	lists := [3]string{list, listAll}
	if strings.HasPrefix(list, listInstaller) {
		lists[1] = listInstaller + listAll
	}
	if lists[1] == list {
		lists[1] = ""
	}
	return format.Document{Name: binaryName(list), Kind: kindPackages, Lists: lists, ContentType: plainText, Encodings: served}
}

// binaryName is the path of the listing of a list.
func binaryName(list string) string {
	if architecture, ok := strings.CutPrefix(list, listInstaller); ok {
		return "main/debian-installer/binary-" + architecture + "/Packages"
	}
	return "main/binary-" + list + "/Packages"
}

// Frame implements format.Format: nothing stands around stanzas.
func (Format) Frame(format.Framing) (head, tail []byte) { return nil, nil }
