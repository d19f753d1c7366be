package distro

import (
	"slices"
	"strings"

	"packagecloud/internal/repo"
)

// maxWord is the longest os or dist that is looked at, in bytes.
const maxWord = 64

// aliases are the words by which systems call themselves, in /etc/os-release
// and in lsb_release, in lower case and without spaces, dashes, dots and
// underscores. Where there are several distributions the first that has the
// release is meant.
var aliases = map[string][]string{
	"almalinux": {"el"}, "alma": {"el"},
	"centos": {"el"}, "centoslinux": {"el"}, "centosstream": {"el"},
	"enterpriselinux": {"el"},
	// All words for Oracle Linux mean the same, or machines miss packages.
	"ol": {"ol", "el"}, "oracle": {"ol", "el"}, "oraclelinux": {"ol", "el"}, "oracleserver": {"ol", "el"}, "oraclelinuxserver": {"ol", "el"},
	"enterpriseenterpriseserver": {"ol", "el"},
	"redhat":                     {"el"}, "rhel": {"el"}, "redhatenterprise": {"el"},
	"redhatenterpriselinux": {"el"}, "redhatenterpriselinuxserver": {"el"},
	"redhatenterpriseserver": {"el"}, "redhatenterpriseclient": {"el"}, "redhatenterpriseworkstation": {"el"},
	"rocky": {"el"}, "rockylinux": {"el"},

	// Amazon Linux was served by el/6 before it had releases of its own.
	"amazon": {"amazon", "el"}, "amazonami": {"amazon", "el"}, "amazonlinux": {"amazon", "el"},
	"amzn": {"amazon", "el"}, "aws": {"amazon", "el"},

	"alpinelinux":  {"alpine"},
	"elementary":   {"elementaryos"},
	"fedoralinux":  {"fedora"},
	"mint":         {"linuxmint"},
	"opensuseleap": {"opensuse"}, "opensuseproject": {"opensuse"},
	"raspberrypios": {"raspbian"},
	"scientificsl":  {"scientific"}, "scientificlinux": {"scientific"},
	"cloudlinux": {"el"}, "eurolinux": {"el"}, "miraclelinux": {"el"}, "circle": {"el"}, "springdale": {"el"}, "virtuozzo": {"el"}, "vzlinux": {"el"},
	"nobara": {"fedora"}, "ultramarine": {"fedora"},

	"slessap": {"sles"}, "slesforsap": {"sles"}, "slehpc": {"sles"}, "sled": {"sles"}, "suse": {"sles"}, "suselinux": {"sles"}, "suselinuxenterpriseserver": {"sles"},
}

// Resolve finds the distribution version that a machine means when it says
// what it is: in any case, by an alias, by codename or number, and with more
// digits than the catalogue has ("debian", "11.6").
func (c *Catalog) Resolve(os, dist string) (repo.DistroVersion, bool) {
	os, dist = strings.ToLower(strings.TrimSpace(os)), strings.ToLower(strings.TrimSpace(dist))
	if len(os) > maxWord || len(dist) > maxWord {
		return repo.DistroVersion{}, false
	}
	// Debian's testing says "trixie/sid".
	dist, _, _ = strings.Cut(dist, "/")
	for _, candidate := range oses(os) {
		i := slices.IndexFunc(c.distributions, func(d distribution) bool { return strings.EqualFold(d.IndexName, candidate) })
		if i < 0 {
			continue
		}
		d := c.distributions[i]
		if r, ok := match(d.Versions, spell(d.IndexName, dist)); ok {
			return c.Find(d.IndexName, r.IndexName)
		}
	}
	return c.derived(os, dist)
}

// derivedFrom are systems that take the packages of another one, and their own
// names and numbers of its releases. Those that count and call them as the other one
// does have none.
var derivedFrom = map[string]struct {
	os       string
	releases map[string]string
}{
	"pop": {os: "ubuntu"}, "neon": {os: "ubuntu"}, "kdeneon": {os: "ubuntu"}, "tuxedo": {os: "ubuntu"},
	"zorin":    {"ubuntu", map[string]string{"15": "bionic", "16": "focal", "17": "jammy", "18": "noble"}},
	"trisquel": {"ubuntu", map[string]string{"10": "focal", "nabia": "focal", "11": "jammy", "aramo": "jammy", "12": "noble", "ecne": "noble"}},
	"devuan": {"debian", map[string]string{
		"3": "buster", "beowulf": "buster", "4": "bullseye", "chimaera": "bullseye", "5": "bookworm", "daedalus": "bookworm", "6": "trixie", "excalibur": "trixie",
	}},
	"parrot": {"debian", map[string]string{"5": "bullseye", "ara": "bullseye", "6": "bookworm", "lory": "bookworm", "7": "trixie", "echo": "trixie"}},
	"pureos": {"debian", map[string]string{"9": "buster", "amber": "buster", "10": "bullseye", "byzantium": "bullseye", "11": "bookworm", "crimson": "bookworm"}},
}

// derived finds what a system derived from Ubuntu or Debian takes. One that is not
// listed may still say the other one's code name, as most of them do; a number would
// be its own.
func (c *Catalog) derived(os, dist string) (repo.DistroVersion, bool) {
	for _, word := range oses(os) {
		from, ok := derivedFrom[word]
		if !ok {
			continue
		}
		if from.releases == nil {
			return c.Resolve(from.os, dist)
		}
		number, _, _ := strings.Cut(dist, ".")
		for _, own := range []string{dist, number} {
			if release, ok := from.releases[own]; ok {
				return c.Find(from.os, release)
			}
		}
	}
	known := slices.ContainsFunc(c.distributions, func(d distribution) bool { return slices.Contains(oses(os), d.IndexName) })
	if known || os == "" {
		return repo.DistroVersion{}, false
	}
	for _, base := range []string{"ubuntu", "debian"} {
		if v, ok := c.Find(base, dist); ok {
			return v, true
		}
	}
	return repo.DistroVersion{}, false
}

// oses are the index names that a system's word may stand for.
func oses(os string) []string {
	word := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -_.", r) {
			return -1
		}
		return r
	}, os)
	if names, ok := aliases[word]; ok {
		return names
	}
	return []string{os, word}
}

// spell writes dist the way the catalogue does, where a distribution has a
// second way.
func spell(os, dist string) string {
	switch os {
	case "amazon":
		// The releases of the first Amazon Linux are years and months, up to
		// 2018.03.
		if len(dist) == len("2018.03") && dist[4] == '.' && dist[:4] <= "2018" && strings.HasPrefix(dist, "201") {
			return "1"
		}
	case "alpine":
		return strings.TrimPrefix(dist, "v")
	case "sles":
		return strings.NewReplacer("-sp", ".", " sp", ".").Replace(dist)
	}
	return dist
}

// match finds the release that dist names: exactly; or as "12" for "12.0"; or
// as a point release, "11.6" of "11", if the releases are not told apart at
// that place. Linux Mint's 22.9 is not 22.
func match(releases []repo.Release, dist string) (repo.Release, bool) {
	for _, want := range []string{dist, dist + ".0"} {
		for _, r := range releases {
			if strings.EqualFold(r.IndexName, want) || r.Number != "" && r.Number == want {
				return r, true
			}
		}
	}
	for _, r := range releases {
		for _, word := range []string{r.IndexName, r.Number} {
			if word != "" && strings.HasPrefix(dist, word+".") && !divided(releases, r, word) {
				return r, true
			}
		}
	}
	return repo.Release{}, false
}

// divided reports whether a release other than r has a number below word.
func divided(releases []repo.Release, r repo.Release, word string) bool {
	return slices.ContainsFunc(releases, func(other repo.Release) bool {
		return other.ID != r.ID && strings.HasPrefix(other.Number, word+".")
	})
}
