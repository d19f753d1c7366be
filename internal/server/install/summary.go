package install

import (
	"fmt"
	"slices"
	"strings"

	"packagecloud/internal/repo"
)

// summary tells the user of a script what can be installed: a machine may be set
// up for a distribution that has no package yet.
func (c *call) summary() (string, error) {
	os, dist := c.parameter("os"), c.parameter("dist")
	v, ok := c.Catalog().Resolve(os, dist)
	if !ok {
		return "", fmt.Errorf("os %q, dist %q: %w", os, dist, repo.ErrNotFound)
	}
	filled, err := c.DB.Filled(c, c.repository.ID)
	if err != nil {
		return "", err
	}
	return summarize(c.repository, v, filled), nil
}

// summarize says whether a repository has packages for a distribution, and else
// for which others of the same format.
func summarize(r repo.Repository, v repo.DistroVersion, filled []repo.DistroVersion) string {
	if slices.Contains(filled, v) {
		return fmt.Sprintf("Packages of %s for %s can be installed.\n", r.FullName(), v)
	}
	text := fmt.Sprintf("%s has no package for %s yet.", r.FullName(), v)
	var others []string
	for _, other := range filled {
		if other.Format == v.Format {
			others = append(others, other.String())
		}
	}
	if len(others) > 0 {
		text += " It has some for " + strings.Join(others, ", ") + "."
	}
	return text + " What is pushed for " + v.String() + " can be installed from then on.\n"
}
