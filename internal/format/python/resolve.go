package python

import (
	"strings"

	"packagecloud/internal/format"
)

// Resolve implements format.Format. Names that are not written as the index
// writes them, and pages without a slash at their end, are elsewhere: hrefs are
// relative.
func (Format) Resolve(q format.Query) (r format.Request, ok bool) {
	r.OS, r.Version = distroOS, distroVersion
	if strings.HasPrefix(q.Path, "pypi/packages/") {
		r.Kind, r.Paths = format.PackageFile, []string{q.Path}
		return r, true
	}
	page, ok := strings.CutPrefix(q.Path, "pypi/simple")
	if !ok || page != "" && page[0] != '/' {
		return r, false
	}
	project := strings.Trim(page, "/")
	want := "/"
	if project != "" {
		if !projectName.MatchString(project) {
			return r, false
		}
		want = "/" + normalize(project) + "/"
	}
	if page != want {
		r.Kind, r.Location = format.Moved, "pypi/simple"+want
		return r, true
	}
	// JSON is for those who ask for it by name (PEP 691).
	document, served := "index.html", format.Accepts(q.Accept, "text/html", typeHTML, typeJSON, latestHTML, latestJSON)
	switch served {
	case "":
		served = "text/html"
	case latestHTML:
		served = typeHTML
	case latestJSON:
		served = typeJSON
	}
	switch served {
	case typeJSON:
		document = "index.json"
	case "text/html":
		served += "; charset=utf-8"
	}
	r.Kind, r.Paths, r.ContentType = format.LiveFile, []string{"simple" + want + document}, served
	r.Negotiated, r.Encoded = true, true
	return r, true
}

// The newest version that there is, whichever that is.
const (
	latestHTML = "application/vnd.pypi.simple.latest+html"
	latestJSON = "application/vnd.pypi.simple.latest+json"
)
