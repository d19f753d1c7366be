// Package distro is the catalogue of distributions: which there are, what
// packagecloud calls them, and their distro_version_id. The ids up to 302 are
// packagecloud's own and some clients have them compiled in. Those from 1001
// on name releases whose id is not public; an id that has been given is never
// changed or given again. Ids from 100001 on belong to releases that an
// administrator added.
package distro

import (
	"slices"
	"sync"

	"packagecloud/internal/repo"
)

// Catalog is a set of distributions that never changes once made.
type Catalog struct {
	distributions []distribution
	byName        map[name]repo.DistroVersion
	byID          map[int64]repo.DistroVersion
	json          []byte
}

// Added is a release that is not built in.
type Added struct {
	OS string // Distribution.IndexName, an existing one or a new one
	// OSDisplay and Format are those of a new distribution. One that exists
	// keeps its own.
	OSDisplay, Format string
	repo.Release
}

type distribution struct {
	repo.Distribution
	format string
}

type name struct{ os, version string }

// entry and release are the rows of the tables. A release is id, index name,
// display name and number.
type entry struct {
	os, display, format string
	releases            []release
}

type release struct {
	id                     int64
	index, display, number string
}

var builtin = sync.OnceValue(func() *Catalog {
	var all []distribution
	for _, e := range slices.Concat(debian, redhat, others) {
		d := distribution{Distribution: repo.Distribution{IndexName: e.os, DisplayName: e.display, Keys: keys(e.format)}, format: e.format}
		for _, r := range e.releases {
			d.Versions = append(d.Versions, repo.Release{ID: r.id, IndexName: r.index, DisplayName: r.display, Number: r.number})
		}
		all = append(all, d)
	}
	return newCatalog(all, published)
})

// published are ids of packagecloud that became known after this program had given
// the release another one. Clients that have them compiled in may use them.
var published = map[int64]int64{320: 1003} // ubuntu/resolute

// Builtin is the catalogue that comes with the program.
func Builtin() *Catalog { return builtin() }

// keys are the lists of distributions.json that show a format. Those of
// Terraform and Hugging Face have ids but no list.
func keys(format string) []string {
	switch format {
	case "deb":
		return []string{"deb", "dsc"}
	case "terraform", "huggingface":
		return nil
	}
	return []string{format}
}

// newCatalog makes the catalogue of distributions. An id in renamed stands for
// the same release as the id it maps to, which is the one shown.
func newCatalog(distributions []distribution, renamed map[int64]int64) *Catalog {
	c := &Catalog{distributions: distributions, byName: map[name]repo.DistroVersion{}, byID: map[int64]repo.DistroVersion{}}
	for _, d := range distributions {
		for _, r := range d.Versions {
			v := repo.DistroVersion{ID: r.ID, OS: d.IndexName, Version: r.IndexName, Format: d.format}
			c.byName[name{v.OS, v.Version}] = v
			c.byID[v.ID] = v
		}
	}
	// A version without a name is called 1 in paths, and packagecloud calls
	// Python's distribution pypi here and there.
	for n, v := range c.byName {
		if n.version == "" {
			c.byName[name{n.os, v.PathVersion()}] = v
		}
	}
	if v, ok := c.byName[name{"python", ""}]; ok {
		c.byName[name{"pypi", v.PathVersion()}] = v
	}
	for from, to := range renamed {
		c.byID[from] = c.byID[to]
	}
	c.json = marshal(c)
	return c
}

// With is the catalogue with more releases. One whose name is built in takes
// its place, and both ids stand for it: the administrator had it first, before
// a new version of the program brought it, and packages are listed there. One
// whose id is taken is left out.
func (c *Catalog) With(added []Added) *Catalog {
	all := slices.Clone(c.distributions)
	used, renamed := map[int64]bool{}, map[int64]int64{}
	for id, v := range c.byID {
		used[id] = true
		if v.ID != id {
			renamed[id] = v.ID
		}
	}
	for _, a := range added {
		if used[a.ID] {
			continue
		}
		used[a.ID] = true
		i := slices.IndexFunc(all, func(d distribution) bool { return d.IndexName == a.OS })
		if i < 0 {
			i = len(all)
			all = append(all, distribution{Distribution: repo.Distribution{IndexName: a.OS, DisplayName: a.OSDisplay, Keys: keys(a.Format)}, format: a.Format})
		}
		versions := slices.Clone(all[i].Versions) // c keeps its own
		if j := slices.IndexFunc(versions, func(r repo.Release) bool { return r.IndexName == a.IndexName }); j >= 0 {
			for from, to := range renamed {
				if to == versions[j].ID {
					renamed[from] = a.ID
				}
			}
			renamed[versions[j].ID] = a.ID
			versions[j] = a.Release
		} else {
			versions = append(versions, a.Release)
		}
		all[i].Versions = versions
	}
	return newCatalog(all, renamed)
}

// Find finds a distribution version by its index names, exactly.
func (c *Catalog) Find(os, version string) (repo.DistroVersion, bool) {
	v, ok := c.byName[name{os, version}]
	return v, ok
}

// ByID finds a distribution version by its distro_version_id.
func (c *Catalog) ByID(id int64) (repo.DistroVersion, bool) {
	v, ok := c.byID[id]
	return v, ok
}

// List is the distributions under one key of distributions.json, in its order.
func (c *Catalog) List(key string) []repo.Distribution {
	var list []repo.Distribution
	for _, d := range c.distributions {
		if slices.Contains(d.Keys, key) {
			d.Versions = slices.Clone(d.Versions)
			list = append(list, d.Distribution)
		}
	}
	return list
}

// JSON is the object of distributions.json. Callers do not change it.
func (c *Catalog) JSON() []byte { return c.json }
