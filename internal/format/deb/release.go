package deb

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// EntryPoints implements format.Format.
func (Format) EntryPoints(s format.Snapshot) ([]format.EntryPoint, error) {
	body := release(s)
	return []format.EntryPoint{
		{Path: "InRelease", ContentType: plainText, Body: body, Sign: format.ClearSigned},
		{Path: "Release", ContentType: plainText, Body: body},
		{Path: "Release.gpg", ContentType: "application/pgp-signature", Body: body, Sign: format.DetachSigned, Pair: "Release"},
	}, nil
}

// OriginPath implements format.Originator: apt-get update fails where the Origin
// in Release is not what it was before.
func (Format) OriginPath() string { return "Release" }

// OriginOf implements format.Originator.
func (Format) OriginOf(r repo.Repository, body []byte) string {
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, "Origin: "); ok {
			origin, _ := strings.CutSuffix(strings.TrimSpace(value), "/"+r.FullName())
			return origin
		}
	}
	return ""
}

// release renders the Release file. An architecture without a package has the
// listing of binary-all, and Resolve finds it there.
func release(s format.Snapshot) []byte {
	documents := make(map[string]format.Rendered)
	lists := slices.Clone(architectures)
	for _, d := range s.Documents {
		documents[d.Name] = d
		if d.Kind == kindPackages {
			lists = append(lists, d.Lists[0])
		}
	}
	if slices.ContainsFunc(lists, isInstallerList) {
		for _, a := range architectures {
			lists = append(lists, listInstaller+a)
		}
		lists = append(lists, listInstaller+listAll)
	}
	slices.Sort(lists)
	lists = slices.Compact(lists)

	var b bytes.Buffer
	writeField(&b, "Origin", s.Origin+"/"+s.Repository.FullName())
	writeField(&b, "Label", s.Repository.Name)
	writeField(&b, "Suite", s.Distro.Version)
	writeField(&b, "Codename", s.Distro.Version)
	writeField(&b, "Version", "1")
	writeField(&b, "Date", s.Time.UTC().Format(time.RFC1123[:len(time.RFC1123)-3]+"UTC"))
	writeField(&b, "Architectures", strings.Join(named(lists), " "))
	writeField(&b, "Components", "main")
	writeField(&b, "Description", "Packages of "+s.Repository.FullName()+" for "+s.Distro.String())
	writeField(&b, "Acquire-By-Hash", "yes")
	// Every Packages has the packages of "all" too: apt need not fetch them twice.
	// Of Contents it fetches that of "all" besides.
	writeField(&b, "No-Support-for-Architecture-all", "Packages")
	b.WriteString("SHA256:\n")
	for _, l := range lists {
		listForms(&b, binaryName(l), documents, fallback(l))
	}
	listForms(&b, "main/source/Sources", documents, "")
	for _, d := range s.Documents {
		if d.Kind == kindContents {
			listForms(&b, d.Name, documents, "")
		}
	}
	return b.Bytes()
}

// named are the architectures that Release names: see isVariant.
func named(lists []string) []string {
	return slices.DeleteFunc(slices.Clone(lists), func(l string) bool { return isVariant(l) || isInstallerList(l) })
}

func isInstallerList(list string) bool { return strings.HasPrefix(list, listInstaller) }

// fallback is the listing that stands for one of a list without packages.
func fallback(list string) string { return binaryName(packagesOf(list).Lists[1]) }

// listForms lists the digests of a document, or of the one in its place.
func listForms(b *bytes.Buffer, name string, documents map[string]format.Rendered, instead string) {
	d, ok := documents[name]
	if !ok {
		d = documents[instead]
	}
	for _, e := range d.Encodings {
		fmt.Fprintf(b, " %s %16d %s\n", d.Forms[e].SHA256, d.Forms[e].Size, name+e.Suffix())
	}
}
