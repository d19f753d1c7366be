package download

import (
	"net/http"
	"net/url"
	"strings"

	"packagecloud/internal/auth"
	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// serveFile answers with a package file, or what is known of it.
func (h *Handler) serveFile(w http.ResponseWriter, r *http.Request, rp repo.Repository, req format.Request) error {
	if req.Kind == format.NamedFile {
		return h.serveNamed(w, r, rp, req)
	}
	f, err := h.storedFile(r.Context(), rp, req.Paths[0])
	if err != nil {
		return err
	}
	if req.Sum != nil {
		return sendText(w, r, req.Sum(f.File))
	}
	return h.sendPackage(w, r, f)
}

// serveNamed answers with the package that has a file name now. It is asked of
// the database: who has just pushed it expects it there.
func (h *Handler) serveNamed(w http.ResponseWriter, r *http.Request, rp repo.Repository, req format.Request) error {
	p, err := h.DB.PackageByFilename(r.Context(), rp.ID, req.OS, req.Version, req.Namespace, req.Filename)
	if err != nil {
		return err
	}
	if req.Sum != nil {
		return sendText(w, r, req.Sum(p.Files[0]))
	}
	f, err := h.storedFile(r.Context(), rp, p.Files[0].Path)
	if err != nil {
		return err
	}
	sums(w.Header(), f.File)
	return h.sendNamed(w, r, p, f)
}

// sums says what is known of a file, for clients that check it.
func sums(header http.Header, f repo.File) {
	for name, sum := range map[string]string{"Md5": f.MD5, "Sha1": f.SHA1, "Sha256": f.SHA256, "Sha512": f.SHA512} {
		header.Set("X-Checksum-"+name, sum)
	}
}

// revalidate is the Cache-Control of what may be kept, if the origin is asked
// each time whether it still holds. What needed a credential is for its owner.
func revalidate(r *http.Request) string {
	if _, ok := auth.Token(r); ok {
		return "private, no-cache"
	}
	return "no-cache"
}

// move answers that something is elsewhere in the repository. The location is
// absolute but for the host: clients and proxies know that better.
func move(w http.ResponseWriter, r *http.Request, path string, req format.Request) error {
	u := url.URL{Path: strings.TrimSuffix(r.URL.Path, path) + req.Location}
	w.Header().Set("Location", u.EscapedPath())
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusMovedPermanently)
	return nil
}

func sendText(w http.ResponseWriter, r *http.Request, body []byte) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	return sendBody(w, r, body)
}
