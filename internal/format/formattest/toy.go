// Package formattest has a format for tests of everything that works on
// formats: as small as one can be, with every kind of file that one can have.
package formattest

import (
	"context"
	"fmt"
	"io"
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// Toy is a format whose packages are one line, "name version list", and any
// padding after it. Every list has the documents <list>/names and, where
// entries are framed, <list>/framed; the list "all" is drawn into every other.
// Its entry points are an unsigned index, its detached signature and the key.
type Toy struct{}

var _ format.Format = Toy{}

// Name implements format.Format.
func (Toy) Name() string { return "toy" }

// Package makes a toy package.
func Package(name, version, list string, padding int) []byte {
	return []byte(name + " " + version + " " + list + "\n" + strings.Repeat("x", padding))
}

// Parse implements format.Format.
func (Toy) Parse(_ context.Context, u format.Upload) (format.Parsed, error) {
	head := make([]byte, min(u.Size, 1000))
	if _, err := u.Content.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, err
	}
	line, _, ok := strings.Cut(string(head), "\n")
	field := strings.Fields(line)
	if !ok || len(field) != 3 {
		return nil, repo.Invalid("package_file", fmt.Sprintf("%s is no toy package", u.Filename))
	}
	return parsed{name: field[0], version: field[1], list: field[2], upload: u}, nil
}

type parsed struct {
	name, version, list string
	upload              format.Upload
}

func (p parsed) Package() *repo.Package {
	return &repo.Package{
		Type: "toy", Name: p.name, Version: p.version, Architecture: p.list, List: p.list,
		Files: []repo.File{{Name: p.name + "_" + p.version + "_" + p.list + ".toy", Size: p.upload.Size, Digests: p.upload.Digests}},
	}
}

func (p parsed) Entries(l format.Listing) ([]format.Entry, error) {
	text := fmt.Sprintf("%s %s %s %s\n", p.name, p.version, l.Files[0].SHA256, l.Files[0].Path)
	return []format.Entry{{Kind: "names", Text: []byte(text)}, {Kind: "framed", Text: []byte("<" + text)}}, nil
}

// Path implements format.Format.
func (Toy) Path(_ *repo.Package, file string, v repo.DistroVersion, revision string) string {
	if revision != "" {
		file = revision + "/" + file
	}
	return v.OS + "/" + v.Version + "/pool/" + file
}

// Documents implements format.Format.
func (Toy) Documents(_ repo.DistroVersion, lists []string) (all []format.Document) {
	encodings := []format.Encoding{format.Plain, format.Gzip, format.Zstd}
	add := func(list, other string) {
		for _, kind := range []string{"names", "framed"} {
			all = append(all, format.Document{Name: list + "/" + kind, Kind: kind, Lists: [3]string{list, other}, ContentType: "text/plain", Encodings: encodings})
		}
	}
	add("all", "")
	for _, l := range lists {
		if l != "all" {
			add(l, "all")
		}
	}
	return all
}

// Frame implements format.Format.
func (Toy) Frame(f format.Framing) (head, tail []byte) {
	if f.Kind != "framed" {
		return nil, nil
	}
	return fmt.Appendf(nil, "%d entries\n", f.Entries), []byte("end\n")
}

// EntryPoints implements format.Format.
func (Toy) EntryPoints(s format.Snapshot) ([]format.EntryPoint, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%s %s\n", s.Origin, s.Repository.FullName(), s.Distro)
	for _, d := range s.Documents {
		for _, e := range d.Encodings {
			fmt.Fprintf(&b, "%s %d %s%s\n", d.Forms[e].SHA256, d.Forms[e].Size, d.Name, e.Suffix())
		}
	}
	body := []byte(b.String())
	return []format.EntryPoint{
		{Path: "index", ContentType: "text/plain", Body: body},
		{Path: "index.asc", ContentType: "application/pgp-signature", Body: body, Sign: format.DetachSigned, Pair: "index"},
		{Path: "index.signed", ContentType: "text/plain", Body: body, Sign: format.ClearSigned},
		{Path: "index.key", ContentType: "application/pgp-keys", Sign: format.PublicKey},
	}, nil
}

// OriginPath implements format.Originator.
func (Toy) OriginPath() string { return "index" }

// OriginOf implements format.Originator.
func (Toy) OriginOf(r repo.Repository, body []byte) string {
	origin, _, _ := strings.Cut(string(body), "/"+r.FullName()+" ")
	return origin
}

// Resolve implements format.Format: <os>/<version>/live/<path>,
// <os>/<version>/by-hash/<digest> and the paths of packages.
func (Toy) Resolve(q format.Query) (format.Request, bool) {
	path := q.Path
	part := strings.SplitN(path, "/", 4)
	if len(part) != 4 {
		return format.Request{}, false
	}
	r := format.Request{OS: part[0], Version: part[1], ContentType: "text/plain"}
	switch part[2] {
	case "live":
		r.Kind, r.Paths = format.LiveFile, []string{part[3]}
	case "by-hash":
		r.Kind, r.SHA256 = format.DigestFile, part[3]
	case "pool":
		r.Kind, r.Paths = format.PackageFile, []string{path}
	default:
		return format.Request{}, false
	}
	return r, true
}
