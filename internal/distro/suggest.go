package distro

import (
	"cmp"
	"slices"
	"strings"
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
		osTypos := typos(os, d.IndexName)
		for _, r := range d.Versions {
			if r.IndexName == "" {
				continue
			}
			n := typos(version, r.IndexName)
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

// typos is how many letters must be put in, left out or replaced to make a b.
func typos(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
