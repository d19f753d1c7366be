package verify

import (
	"context"
	"fmt"

	"packagecloud/internal/repo"
)

// maxWithheld bounds the withheld packages that are named.
const maxWithheld = 1000

// withheld names the packages that no index lists because clients would not
// bear them.
func (r *run) withheld(ctx context.Context) error {
	packages, err := r.DB.Withheld(ctx, maxWithheld)
	if err != nil {
		return err
	}
	for i := range packages {
		p := &packages[i]
		rp, err := r.DB.RepositoryByID(ctx, p.RepositoryID)
		if err != nil {
			return err
		}
		r.report(rp.FullName()+"/"+p.Files[0].Path, "is withheld, so no index lists it, because clients would not bear it: %s: remove it with %s", p.Withheld, Removal(rp, p))
	}
	return nil
}

// Removal is the command that deletes a package.
func Removal(r repo.Repository, p *repo.Package) string {
	file := p.Filename()
	if p.Namespace != "" {
		file = p.Namespace + "/" + file
	}
	return fmt.Sprintf("package_cloud yank %s/%s/%s %s", r.FullName(), p.Distro.OS, p.Distro.PathVersion(), file)
}
