package node

import (
	"context"
	"fmt"

	"packagecloud/internal/repo"
)

// Clashes tells of names that an older program allowed and that other URLs begin
// with: some of what has such a name cannot be reached.
func (n *Node) Clashes(ctx context.Context) ([]string, error) {
	accounts, err := n.DB.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	repositories, err := n.DB.Repositories(ctx)
	if err != nil {
		return nil, err
	}
	added, err := n.DB.AddedReleases(ctx)
	if err != nil {
		return nil, err
	}
	var all []string
	check := func(what string, err error) {
		if err != nil {
			all = append(all, fmt.Sprintf("%s: %v", what, err))
		}
	}
	for _, a := range accounts {
		check("user "+a.Name, repo.ValidateUserName(a.Name))
	}
	for _, r := range repositories {
		check("repository "+r.FullName(), repo.ValidateRepositoryName(r.Name))
	}
	for _, r := range added {
		check("distribution "+r.OS+"/"+r.IndexName, repo.ValidateDistribution(r.OS, r.IndexName, r.Format))
	}
	return all, nil
}
