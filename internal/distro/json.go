package distro

import (
	"encoding/json"

	"packagecloud/internal/repo"
)

// lists is the object of distributions.json. There is no list for gems, which
// go to no distribution.
type lists struct {
	Deb     []listed `json:"deb"`
	RPM     []listed `json:"rpm"`
	Py      []listed `json:"py"`
	Jar     []listed `json:"jar"`
	Node    []listed `json:"node"`
	Alpine  []listed `json:"alpine"`
	Anyfile []listed `json:"anyfile"`
	Helm    []listed `json:"helm"`
	Dsc     []listed `json:"dsc"`
}

type listed struct {
	DisplayName string `json:"display_name"`
	IndexName   string `json:"index_name"`
	Versions    []any  `json:"versions"` // of version or unnamed
}

type version struct {
	ID          int64   `json:"id"`
	DisplayName string  `json:"display_name"`
	IndexName   string  `json:"index_name"`
	Number      *string `json:"version_number"` // null for "any version"
}

// unnamed is the version of a distribution that has but one, Python's.
type unnamed struct {
	ID          int64  `json:"id"`
	DisplayName string `json:"display_name"`
}

func marshal(c *Catalog) []byte {
	list := func(key string) []listed {
		all := []listed{}
		for _, d := range c.List(key) {
			all = append(all, listed{DisplayName: d.DisplayName, IndexName: d.IndexName, Versions: versions(d.Versions)})
		}
		return all
	}
	// Strings and integers always marshal.
	body, _ := json.Marshal(lists{
		Deb: list("deb"), RPM: list("rpm"), Py: list("py"), Jar: list("jar"), Node: list("node"),
		Alpine: list("alpine"), Anyfile: list("anyfile"), Helm: list("helm"), Dsc: list("dsc"),
	})
	return body
}

func versions(releases []repo.Release) []any {
	all := make([]any, 0, len(releases))
	for _, r := range releases {
		switch {
		case r.IndexName == "":
			all = append(all, unnamed{ID: r.ID, DisplayName: r.DisplayName})
		case r.Number == "":
			all = append(all, version{ID: r.ID, DisplayName: r.DisplayName, IndexName: r.IndexName})
		default:
			all = append(all, version{ID: r.ID, DisplayName: r.DisplayName, IndexName: r.IndexName, Number: &r.Number})
		}
	}
	return all
}
