package api

import (
	"net/http"

	"packagecloud/internal/repo"
)

// maxAttribute bounds the value of an attribute, in bytes.
const maxAttribute = 1000

// setAttribute marks a package after it was pushed: yanked, say, with the reason
// in the parameter value. Which attributes there are is the format's.
func (a *API) setAttribute(w http.ResponseWriter, r *http.Request, c *call, params params, p *repo.Package) error {
	value := params.get("value")
	if len(value) > maxAttribute {
		return repo.Invalid("value", "is longer than 1000 bytes")
	}
	return a.amend(w, r, c, p, &value)
}

func (a *API) deleteAttribute(w http.ResponseWriter, r *http.Request, c *call, _ params, p *repo.Package) error {
	return a.amend(w, r, c, p, nil)
}

func (a *API) amend(w http.ResponseWriter, r *http.Request, c *call, p *repo.Package, value *string) error {
	if err := a.Uploader.Amend(r.Context(), p, map[string]*string{r.PathValue("attribute"): value}); err != nil {
		return err
	}
	return a.writeDetails(w, r, c, http.StatusOK, p)
}
