package download

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"packagecloud/internal/printable"
	"packagecloud/internal/repo"
)

// Page reports whether a path is one of those that the API gives out: the
// repository's own, of its packages, and the downloads of their files. Whoever got
// them from the API has an API token, and some clients send it there.
func (h *Handler) Page(path string) bool { return path == "" || strings.HasPrefix(path, "packages/") }

// servePage answers the paths of Page:
//
//	packages/<os>/<version>/<file>
//	packages/<os>/<version>/<file>/download, with or without an extension
//	packages/<os>/<version>/<file>/files/<name>/download, of a source package
func (h *Handler) servePage(w http.ResponseWriter, r *http.Request, rp repo.Repository, path string) error {
	if path == "" {
		return sendText(w, r, h.describeRepository(rp))
	}
	part := strings.Split(path, "/")[1:]
	missing := fmt.Errorf("%s in %s: %w", path, rp.FullName(), repo.ErrNotFound)
	if len(part) < 3 {
		return missing
	}
	p, err := h.packageOf(r, rp, part[:3])
	if err != nil {
		return err
	}
	part = part[3:]
	name := p.Filename()
	switch {
	case len(part) == 0:
		return sendText(w, r, h.describePackage(rp, &p))
	case len(part) == 1 && isDownload(part[0]):
	case len(part) == 3 && part[0] == "files" && isDownload(part[2]):
		name = part[1]
	default:
		return missing
	}
	i := slices.IndexFunc(p.Files, func(f repo.File) bool { return f.Name == name })
	if i < 0 {
		return missing
	}
	f, err := h.storedFile(r.Context(), rp, p.Files[i].Path)
	if err != nil {
		return err
	}
	return h.sendNamed(w, r, p, f)
}

// packageOf finds the package of a path: distribution, version and file name. The
// parameter scope tells those of one name apart.
func (h *Handler) packageOf(r *http.Request, rp repo.Repository, part []string) (repo.Package, error) {
	v, ok := h.Catalog().Find(part[0], part[1])
	if !ok {
		return repo.Package{}, fmt.Errorf("distribution %s/%s: %w", part[0], part[1], repo.ErrNotFound)
	}
	return h.DB.PackageByFilename(r.Context(), rp.ID, v.OS, v.Version, r.URL.Query().Get("scope"), part[2])
}

// isDownload reports whether a step asks for bytes: "download" or "download.deb".
func isDownload(step string) bool {
	return step == "download" || strings.HasPrefix(step, "download.")
}

// describeRepository says how a machine is set up. Master tokens are for those who
// manage the repository, so that it names none.
func (h *Handler) describeRepository(rp repo.Repository) []byte {
	var b strings.Builder
	server := h.URL.String()
	fmt.Fprintf(&b, "%s is a package repository.\n\nSet up a machine, as root, for packages of a type: deb, rpm, python or node.\n\n", rp.FullName())
	credentials := ""
	if rp.Private {
		credentials = "-u MASTER_TOKEN: "
	}
	fmt.Fprintf(&b, "    curl -sSf %s%s/install/repositories/%s/script.deb.sh | sh\n\n", credentials, server, rp.FullName())
	fmt.Fprintf(&b, "The key that signs it: %s/%s/gpgkey\n", server, rp.FullName())
	return []byte(b.String())
}

// describePackage says what a package is and where its files are.
func (h *Handler) describePackage(rp repo.Repository, p *repo.Package) []byte {
	var b strings.Builder
	printable.Fprintf(&b, "%s in %s, %s\n\n", p.Filename(), rp.FullName(), p.Distro)
	printable.Fprintf(&b, "Name: %s\nVersion: %s\n", p.Name, p.Version)
	if p.Release != "" {
		printable.Fprintf(&b, "Release: %s\n", p.Release)
	}
	if p.Architecture != "" {
		printable.Fprintf(&b, "Architecture: %s\n", p.Architecture)
	}
	if p.Summary != "" {
		printable.Fprintf(&b, "Summary: %s\n", p.Summary)
	}
	for _, f := range p.Files {
		printable.Fprintf(&b, "\n%s\n    Size: %d\n    SHA256: %s\n", f.Name, f.Size, f.SHA256)
	}
	return []byte(b.String())
}
