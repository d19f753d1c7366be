// Package rpm is the RPM format: binary and source packages, and the
// repositories of repodata that dnf, yum and zypper read.
//
// A scope, <os>/<version>, has one repository for each base architecture,
// which lists the packages of noarch too; noarch itself, which also answers
// for architectures that have no packages; and SRPMS. That of x86_64 lists
// the packages of i386 besides, as machines with multilib want it. Package files
// lie in the scope's folder, once; each repository sees them as its own.
//
// Specifications: https://rpm-software-management.github.io/rpm/manual/format.html,
// and the XML that createrepo_c writes.
package rpm

import (
	"fmt"
	"slices"
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// The lists that are no architecture.
const (
	listNoarch = "noarch"
	listSource = "SRPMS"
)

// Format implements format.Format.
type Format struct{}

var _ format.Format = Format{}

// New returns the format.
func New() Format { return Format{} }

// Name implements format.Format.
func (Format) Name() string { return "rpm" }

// Path implements format.Format.
func (Format) Path(_ *repo.Package, file string, v repo.DistroVersion, revision string) string {
	steps := []string{v.OS, v.Version}
	if revision != "" {
		steps = append(steps, revision)
	}
	return strings.Join(append(steps, file), "/")
}

// kinds are the documents of a repository, in the order of repomd.xml.
var kinds = []struct{ name, root, namespaces string }{
	{"primary", "metadata", `xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm"`},
	{"filelists", "filelists", `xmlns="http://linux.duke.edu/metadata/filelists"`},
	{"other", "otherdata", `xmlns="http://linux.duke.edu/metadata/other"`},
}

// Documents implements format.Format.
func (Format) Documents(_ repo.DistroVersion, lists []string) (documents []format.Document) {
	add := func(of ...string) {
		for _, k := range kinds {
			d := format.Document{Name: of[0] + "/repodata/" + k.name + ".xml", Kind: k.name, ContentType: "application/xml", Encodings: []format.Encoding{format.Gzip}}
			copy(d.Lists[:], of)
			documents = append(documents, d)
		}
	}
	add(listNoarch)
	add(listSource)
	for _, l := range repositories(lists) {
		if other, ok := multilib[l]; ok {
			add(l, listNoarch, other)
		} else {
			add(l, listNoarch)
		}
	}
	return documents
}

// multilib are the architectures whose machines install packages of another one
// beside their own: libsolv's archpolicies, without those that lie in one list.
var multilib = map[string]string{"x86_64": "i386", "ppc64": "ppc", "s390x": "s390"}

// repositories are the lists that have a repository of their own: those of
// packages, and those of machines that can install them. The order never changes.
func repositories(lists []string) (all []string) {
	for _, l := range lists {
		if l != listNoarch && l != listSource {
			all = append(all, l)
		}
	}
	for machine, other := range multilib {
		if slices.Contains(all, other) {
			all = append(all, machine)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Frame implements format.Format.
func (Format) Frame(f format.Framing) (head, tail []byte) {
	for _, k := range kinds {
		if k.name == f.Kind {
			head = fmt.Appendf(nil, "%s<%s %s packages=\"%d\">\n", xmlHeader, k.root, k.namespaces, f.Entries)
			return head, fmt.Appendf(nil, "</%s>\n", k.root)
		}
	}
	return nil, nil
}

const xmlHeader = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// baseArchitectures are what $basearch is on machines of an architecture where
// it is not the architecture itself (dnf/rpm/__init__.py, zypp/Arch.cc).
var baseArchitectures = map[string]string{
	"i386": "i386", "i486": "i386", "i586": "i386", "i686": "i386", "athlon": "i386", "geode": "i386",
	"amd64": "x86_64", "ia32e": "x86_64", "x86_64_v2": "x86_64", "x86_64_v3": "x86_64", "x86_64_v4": "x86_64",
	"armv7hl": "armhfp", "armv7hnl": "armhfp", "armv8hl": "armhfp",
	"armv5tl": "arm", "armv5tel": "arm", "armv5tejl": "arm", "armv6l": "arm", "armv7l": "arm",
	"ppc64p7": "ppc64", "ppc64iseries": "ppc64", "ppc64pseries": "ppc64",
}

// list is where a package of an architecture is listed.
func list(architecture string) string {
	if architecture == "src" {
		return listSource
	}
	if base, ok := baseArchitectures[architecture]; ok {
		return base
	}
	return architecture
}
