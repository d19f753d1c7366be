package deb

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"packagecloud/internal/format"
)

// architectures are always in Release, whether the suite has packages of them
// or not: apt warns of every foreign architecture that a suite does not name.
var architectures = []string{
	"amd64", "arm64", "armel", "armhf", "i386", "loong64", "mips64el", "mipsel", "powerpc", "ppc64el", "riscv64", "s390x",
}

// EntryPoints implements format.Format.
func (Format) EntryPoints(s format.Snapshot) ([]format.EntryPoint, error) {
	body := release(s)
	return []format.EntryPoint{
		{Path: "InRelease", ContentType: plainText, Body: body, Sign: format.ClearSigned},
		{Path: "Release", ContentType: plainText, Body: body},
		{Path: "Release.gpg", ContentType: "application/pgp-signature", Body: body, Sign: format.DetachSigned, Pair: "Release"},
	}, nil
}

// release renders the Release file. An architecture without a package has the
// listing of binary-all, and Resolve finds it there.
func release(s format.Snapshot) []byte {
	documents := make(map[string]format.Rendered)
	known := slices.Clone(architectures)
	for _, d := range s.Documents {
		documents[d.Name] = d
		if d.Kind == kindPackages && !slices.Contains(known, d.Lists[0]) {
			known = append(known, d.Lists[0])
		}
	}
	slices.Sort(known)

	var b bytes.Buffer
	writeField(&b, "Origin", s.Origin+"/"+s.Repository.FullName())
	writeField(&b, "Label", s.Repository.Name)
	writeField(&b, "Suite", s.Distro.Version)
	writeField(&b, "Codename", s.Distro.Version)
	writeField(&b, "Version", "1")
	writeField(&b, "Date", s.Time.UTC().Format(time.RFC1123[:len(time.RFC1123)-3]+"UTC"))
	writeField(&b, "Architectures", strings.Join(known, " "))
	writeField(&b, "Components", "main")
	writeField(&b, "Description", "Packages of "+s.Repository.FullName()+" for "+s.Distro.String())
	writeField(&b, "Acquire-By-Hash", "yes")
	// Every listing has the packages of "all" too: apt need not fetch them twice.
	writeField(&b, "No-Support-for-Architecture-all", "Packages")
	b.WriteString("SHA256:\n")
	list := func(name string, d format.Rendered) {
		for _, e := range d.Encodings {
			fmt.Fprintf(&b, " %s %16d %s\n", d.Forms[e].SHA256, d.Forms[e].Size, name+e.Suffix())
		}
	}
	for _, a := range known {
		d, ok := documents[binaryName(a)]
		if !ok {
			d = documents[binaryName(listAll)]
		}
		list(binaryName(a), d)
	}
	list("main/source/Sources", documents["main/source/Sources"])
	return b.Bytes()
}
