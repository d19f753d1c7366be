// Package npm is the npm format: tarballs, and the registry that npm, yarn and
// pnpm read them from.
//
// All packages of a repository are in one scope, node/1, below npm/ in URLs.
// Each name is a list with two documents, the full packument and the
// abbreviated one, which clients choose between by Accept. What a packument
// says of a version is taken from the package.json in the tarball and never
// from what the client says of it, so that the two cannot differ.
//
// Specifications: https://github.com/npm/registry/blob/main/docs/REGISTRY-API.md,
// docs/responses/package-metadata.md beside it, and the package.json(5) of npm.
package npm

import (
	"net/url"
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// The scope.
const (
	scopeOS      = "node"
	scopeVersion = "1"
)

// The kinds of document.
const (
	kindFull        = "full"
	kindAbbreviated = "abbreviated"
)

// The media types of the two.
const (
	typeFull        = "application/json"
	typeAbbreviated = "application/vnd.npm.install-v1+json"
)

// Deprecated is the attribute of a package with the message that installers
// show.
const Deprecated = "deprecated"

// Format implements format.Format.
type Format struct{}

var (
	_ format.Format   = Format{}
	_ format.Named    = Format{}
	_ format.Tagger   = Format{}
	_ format.Amender  = Format{}
	_ format.Locator  = Format{}
	_ format.Receiver = Format{}
	_ format.Refuser  = Format{}
	_ format.Gate     = Format{}
	_ format.Auditor  = Format{}
)

// New returns the format.
func New() Format { return Format{} }

// Name implements format.Format. It is packagecloud's word.
func (Format) Name() string { return "node" }

// Path implements format.Format: npm/<name>/-/<file>.
func (Format) Path(p *repo.Package, file string, _ repo.DistroVersion, revision string) string {
	steps := []string{root + p.Name, separator}
	if revision != "" {
		steps = append(steps, revision)
	}
	return strings.Join(append(steps, file), "/")
}

// Documents implements format.Format.
func (Format) Documents(_ repo.DistroVersion, lists []string) (all []format.Document) {
	for _, list := range lists {
		for _, d := range []struct{ kind, contentType string }{{kindFull, typeFull}, {kindAbbreviated, typeAbbreviated}} {
			all = append(all, format.Document{
				Name: documentName(list, d.kind), Kind: d.kind, Lists: [3]string{list},
				ContentType: d.contentType, Encodings: []format.Encoding{format.Plain, format.Gzip},
				Needs: format.Needs{First: true, Versions: true, Tags: true},
			})
		}
	}
	return all
}

// documentName is the path of a packument within the scope.
func documentName(name, kind string) string { return name + "/" + separator + "/" + kind }

// NameEntry implements format.Named: there is no list of all names.
func (Format) NameEntry(string, string) []byte { return nil }

// EntryPoints implements format.Format: there are none.
func (Format) EntryPoints(format.Snapshot) ([]format.EntryPoint, error) { return nil, nil }

// escapePath escapes what stands in a path of a repository.
func escapePath(path string) string {
	return (&url.URL{Path: path}).EscapedPath()
}
