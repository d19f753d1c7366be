package npm

import (
	"maps"

	"packagecloud/internal/format"
)

// Latest is the tag that an installation without a version means.
const Latest = "latest"

// Retag implements format.Tagger, by packagecloud's rules: what is pushed
// without a tag is the latest, whatever its version; a deletion makes the
// highest version the latest; what is promoted is the latest only where it is
// alone. A name always has a latest version.
func (Format) Retag(c format.TagChange) map[string]string {
	there := make(map[string]bool, len(c.Versions))
	highest := ""
	for _, v := range c.Versions {
		there[v.Version] = true
		if highest == "" || CompareVersions(v.Version, highest) > 0 {
			highest = v.Version
		}
	}
	tags := maps.Clone(c.Tags)
	if tags == nil {
		tags = make(map[string]string)
	}
	maps.DeleteFunc(tags, func(_, version string) bool { return !there[version] })
	if highest == "" {
		return tags
	}
	if c.Pushed == "" {
		tags[Latest] = highest
		return tags
	}
	asked := c.Asked
	if len(asked) == 0 && !c.Promoted {
		asked = []string{Latest}
	}
	for _, tag := range asked {
		tags[tag] = c.Pushed
	}
	if tags[Latest] == "" {
		tags[Latest] = c.Pushed
	}
	return tags
}
