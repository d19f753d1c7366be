package distro

import (
	"cmp"
	"slices"
	"strings"

	"packagecloud/internal/typo"
)

const (
	// maxSuggestions is the most names that Suggest gives.
	maxSuggestions = 3
	// maxTypos is the most letters that a name may differ in to be near.
	maxTypos = 2
)

// Suggest lists the names ("ubuntu/jammy") that somebody may have meant who
// asked for a distribution version that there is not, nearest first. For an
// unknown release of a known distribution that is near no other it is the
// newest releases.
func (c *Catalog) Suggest(os, version string) []string {
	if len(os) > maxWord || len(version) > maxWord {
		return nil
	}
	if v, ok := c.Resolve(os, version); ok {
		return []string{v.String()}
	}
	os, version = strings.ToLower(os), strings.ToLower(version)
	if near := c.near(os, version); len(near) > 0 {
		return near
	}
	for _, d := range c.distributions {
		if !slices.Contains(oses(os), d.IndexName) {
			continue
		}
		var newest []string
		for _, r := range slices.Backward(d.Versions) {
			newest = append(newest, d.IndexName+"/"+r.IndexName)
		}
		return newest[:min(len(newest), maxSuggestions)]
	}
	return nil
}

// near lists the names that differ from what was asked for by a few letters,
// or in the distribution only ("debian/jammy").
func (c *Catalog) near(os, version string) []string {
	type scored struct {
		name  string
		typos int
	}
	var all []scored
	for _, d := range c.distributions {
		osTypos := typo.Distance(os, d.IndexName)
		for _, r := range d.Versions {
			if r.IndexName == "" {
				continue
			}
			n := typo.Distance(version, r.IndexName)
			switch {
			case n == 0 && len(version) > 3 && osTypos > maxTypos:
				// A codename alone tells what is meant; a number does not.
				all = append(all, scored{d.IndexName + "/" + r.IndexName, maxTypos + 1})
			// Every short word is near every other.
			case osTypos <= min(maxTypos, len(os)/3) && n <= min(maxTypos, len(version)/3):
				all = append(all, scored{d.IndexName + "/" + r.IndexName, osTypos + n})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b scored) int { return cmp.Compare(a.typos, b.typos) })
	var names []string
	for _, s := range all[:min(len(all), maxSuggestions)] {
		names = append(names, s.name)
	}
	return names
}
