package api

import (
	"errors"
	"net/http"

	"packagecloud/internal/repo"
)

// maxAttribute bounds the value of an attribute, in bytes.
const maxAttribute = 1000

// setAttribute marks a package after it was pushed: yanked, say, with the reason
// in the parameter value. Which attributes there are is the format's.
func (a *API) setAttribute(w http.ResponseWriter, r *http.Request, c *call) error {
	p, err := readParams(w, r)
	if err != nil {
		return err
	}
	value := p.get("value")
	if len(value) > maxAttribute {
		return repo.Invalid("value", "is longer than 1000 bytes")
	}
	return a.amend(w, r, c, p, &value)
}

func (a *API) deleteAttribute(w http.ResponseWriter, r *http.Request, c *call) error {
	p, err := readParams(w, r)
	if err != nil {
		return err
	}
	return a.amend(w, r, c, p, nil)
}

func (a *API) amend(w http.ResponseWriter, r *http.Request, c *call, params params, value *string) error {
	p, err := a.named(r, c, params)
	if errors.Is(err, repo.ErrNotFound) {
		return WriteJSON(w, http.StatusNotFound, notFound)
	}
	if err != nil {
		return err
	}
	err = a.Uploader.Amend(r.Context(), &p, map[string]*string{r.PathValue("attribute"): value})
	if errors.Is(err, repo.ErrNotFound) {
		return WriteJSON(w, http.StatusNotFound, notFound)
	}
	if err != nil {
		return err
	}
	return a.writeDetails(w, r, c, http.StatusOK, &p)
}
