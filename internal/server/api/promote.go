package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"packagecloud/internal/repo"
)

// promotePackage moves a package to another repository, into the same
// distribution version.
func (a *API) promotePackage(w http.ResponseWriter, r *http.Request, c *call, params params, p *repo.Package) error {
	to, err := a.destination(r, c, params.get("destination"))
	if errors.Is(err, repo.ErrNotFound) {
		return WriteJSON(w, http.StatusNotFound, map[string][]string{"destination": {"not found"}})
	}
	if err != nil {
		return err
	}
	moved, err := a.Uploader.Move(r.Context(), p, to)
	if err != nil {
		return err
	}
	if params.get("wait") == "indexed" {
		if moved.Indexed, err = a.await(r, moved.ID); err != nil {
			return err
		}
	}
	return a.writeDetails(w, r, &call{user: c.user, repository: to}, http.StatusOK, moved)
}

// destination is the repository that a package is to be moved to, which the user
// must be allowed to push to. repo.ErrNotFound also says that he may not know
// whether there is one.
func (a *API) destination(r *http.Request, c *call, fullName string) (repo.Repository, error) {
	if fullName == "" {
		return repo.Repository{}, repo.Invalid("destination", "can't be blank")
	}
	owner, name, ok := strings.Cut(fullName, "/")
	if !ok {
		return repo.Repository{}, repo.Invalid("destination", fmt.Sprintf("%q names no repository: write user/repo", fullName))
	}
	to, err := a.Auth.Repository(r.Context(), owner, name)
	if err != nil {
		return to, err
	}
	may, err := a.Auth.MayManage(r.Context(), c.user, to)
	switch {
	case err != nil, may:
		return to, err
	case to.Private:
		return to, fmt.Errorf("repository %s: %w", to.FullName(), repo.ErrNotFound)
	}
	return to, fmt.Errorf("%w: %s may not push to %s", repo.ErrForbidden, c.user.Name, to.FullName())
}
