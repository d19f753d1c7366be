// Package python publishes Python packages: wheels, source distributions and
// eggs, in a simple index as HTML (PEP 503) and JSON (PEP 691, 700), with the
// metadata of wheels beside them (PEP 658, 714) and yanked files (PEP 592).
//
//	pypi/simple/                     the projects
//	pypi/simple/<project>/           the files of one
//	pypi/packages/<project>/<file>   a file; with .metadata, a wheel's METADATA
//	pypi/, pypi/legacy/              where twine uploads
package python

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// The distribution version of all Python packages. It has no name.
const (
	distroOS      = "python"
	distroVersion = ""
)

// Format implements format.Format for Python.
type Format struct{}

var (
	_ format.Named    = Format{}
	_ format.Amender  = Format{}
	_ format.Receiver = Format{}
	_ format.Locator  = Format{}
	_ format.Gate     = Format{}
	_ format.Auditor  = Format{}
)

// New makes the format.
func New() Format { return Format{} }

// Name implements format.Format.
func (Format) Name() string { return "py" }

// Path implements format.Format.
func (Format) Path(p *repo.Package, file string, _ repo.DistroVersion, revision string) string {
	if revision != "" {
		file = revision + "/" + file
	}
	return "pypi/packages/" + p.List + "/" + file
}

// The kinds of document.
const (
	kindHTML      = "html"
	kindJSON      = "json"
	kindNamesHTML = "names.html"
	kindNamesJSON = "names.json"
)

const (
	typeHTML = "application/vnd.pypi.simple.v1+html"
	// plainHTML is what old pips want, and new ones take, of a file in a bucket,
	// whose type cannot be negotiated.
	plainHTML = "text/html; charset=utf-8"
	typeJSON  = "application/vnd.pypi.simple.v1+json"
)

var served = []format.Encoding{format.Plain}

// Documents implements format.Format.
func (Format) Documents(_ repo.DistroVersion, lists []string) []format.Document {
	all := []format.Document{
		{Name: "simple/index.html", Kind: kindNamesHTML, ContentType: plainHTML, Encodings: served, Names: true},
		{Name: "simple/index.json", Kind: kindNamesJSON, ContentType: typeJSON, Encodings: served, Names: true, Needs: format.Needs{First: true}},
	}
	for _, l := range lists {
		own := [3]string{l}
		all = append(all,
			format.Document{Name: "simple/" + l + "/index.html", Kind: kindHTML, Lists: own, ContentType: plainHTML, Encodings: served},
			format.Document{
				Name: "simple/" + l + "/index.json", Kind: kindJSON, Lists: own, ContentType: typeJSON, Encodings: served,
				Needs: format.Needs{First: true, Versions: true},
			})
	}
	return all
}

// NameEntry implements format.Named.
func (Format) NameEntry(kind, list string) []byte {
	// Normalised names need no escape.
	if kind == kindNamesJSON {
		return fmt.Appendf(nil, "\n,{\"name\":%q}", list)
	}
	return fmt.Appendf(nil, "<a href=\"%s/\">%s</a><br>\n", list, list)
}

// Frame implements format.Format.
func (Format) Frame(f format.Framing) (head, tail []byte) {
	first := bytes.TrimPrefix(f.First, []byte("\n,"))
	switch f.Kind {
	case kindNamesHTML:
		return pageHead("Simple index"), []byte(pageTail)
	case kindHTML:
		return pageHead("Links for " + f.List), []byte(pageTail)
	case kindNamesJSON:
		return append([]byte(`{"meta":{"api-version":"1.1"},"projects":[`+"\n"), first...), []byte("\n]}\n")
	}
	versions, _ := json.Marshal(distinct(f.Versions)) // strings always marshal
	return append(fmt.Appendf(nil, "{\"meta\":{\"api-version\":\"1.1\"},\"name\":%q,\"files\":[\n", f.List), first...),
		fmt.Appendf(nil, "\n],\"versions\":%s}\n", versions)
}

func pageHead(title string) []byte {
	return fmt.Appendf(nil, "<!DOCTYPE html>\n<html>\n<head>\n<meta name=\"pypi:repository-version\" content=\"1.0\">\n<title>%s</title>\n</head>\n<body>\n<h1>%s</h1>\n", title, title)
}

const pageTail = "</body>\n</html>\n"

// distinct are the versions, each once: a project has several files of one.
func distinct(files []format.Version) []string {
	seen := make(map[string]bool)
	versions := make([]string, 0, len(files))
	for _, f := range files {
		if v := canonicalVersion(f.Version); !seen[v] {
			seen[v] = true
			versions = append(versions, f.Version)
		}
	}
	return versions
}

// EntryPoints implements format.Format: there are none.
func (Format) EntryPoints(format.Snapshot) ([]format.EntryPoint, error) { return nil, nil }

// file is a file in the JSON of a project (PEP 691, 700, 714).
type file struct {
	Filename       string            `json:"filename"`
	URL            string            `json:"url"` // relative to the page, and escaped: see Locate
	Hashes         map[string]string `json:"hashes"`
	RequiresPython string            `json:"requires-python,omitempty"`
	Metadata       map[string]string `json:"core-metadata,omitempty"`
	Size           int64             `json:"size"`
	UploadTime     string            `json:"upload-time"`
	Yanked         any               `json:"yanked,omitempty"` // true, or the reason
}

// uploadTime has six digits of a fraction, as PyPI's: pip 26 on Python 3.9 and 3.10
// takes three or six and no other number, and gives up on the whole project.
const uploadTime = "2006-01-02T15:04:05.000000Z"

// entries are the texts of a file.
func (f file) entries() ([]format.Entry, error) {
	var page bytes.Buffer
	fmt.Fprintf(&page, `<a href="%s#sha256=%s"`, html.EscapeString(f.URL), f.Hashes["sha256"])
	attribute := func(name, value string) { fmt.Fprintf(&page, ` %s="%s"`, name, html.EscapeString(value)) }
	if f.RequiresPython != "" {
		attribute("data-requires-python", f.RequiresPython)
	}
	if sum := f.Metadata["sha256"]; sum != "" {
		attribute("data-core-metadata", "sha256="+sum)
		attribute("data-dist-info-metadata", "sha256="+sum) // the word of PEP 658, for older clients
	}
	switch reason := f.Yanked.(type) {
	case string:
		attribute("data-yanked", reason)
	case bool:
		attribute("data-yanked", "")
	}
	fmt.Fprintf(&page, ">%s</a><br>\n", html.EscapeString(f.Filename))

	text := bytes.NewBufferString("\n,")
	encoder := json.NewEncoder(text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(f); err != nil {
		return nil, fmt.Errorf("encode the entry of %s: %w", f.Filename, err)
	}
	return []format.Entry{
		{Kind: kindHTML, Text: page.Bytes()},
		{Kind: kindJSON, Text: bytes.TrimSuffix(text.Bytes(), []byte("\n"))},
	}, nil
}

// toFiles leads from a page to the files of the repository.
const toFiles = "../../"

// Locate implements format.Locator: URLs are absolute, because clients that were
// redirected for a page would take relative ones for links to the bucket, which
// nobody has signed.
func (Format) Locate(text []byte, url string) []byte {
	for _, before := range []string{`<a href="`, `","url":"`} {
		if start, path, ok := bytes.Cut(text, []byte(before+toFiles)); ok {
			return slices.Concat(start, []byte(before), []byte(url), []byte("/pypi/"), path)
		}
	}
	return text
}

// Entries implements format.Parsed.
func (p parsed) Entries(l format.Listing) ([]format.Entry, error) {
	at := l.Files[0]
	u := url.URL{Path: at.Path[len("pypi/"):]}
	f := file{
		Filename: at.Name, URL: toFiles + u.EscapedPath(), Hashes: map[string]string{"sha256": at.SHA256}, RequiresPython: p.meta.RequiresPython,
		Size: at.Size, UploadTime: l.Time.UTC().Format(uploadTime),
	}
	if len(l.Files) > 1 {
		f.Metadata = map[string]string{"sha256": l.Files[1].SHA256}
	}
	return f.entries()
}

// yanked is the attribute of a file that only those get who ask for its very
// version. Its value is the reason.
const yanked = "yanked"

// Amend implements format.Amender.
func (Format) Amend(entries []format.Entry, attributes map[string]string) ([]format.Entry, error) {
	for name := range attributes {
		if name != yanked {
			return nil, repo.Invalid("attribute", fmt.Sprintf("%q is nothing that a Python package can be: it can be %s", name, yanked))
		}
	}
	for _, e := range entries {
		if e.Kind != kindJSON {
			continue
		}
		var f file
		if err := json.Unmarshal(bytes.TrimPrefix(e.Text, []byte("\n,")), &f); err != nil {
			return nil, fmt.Errorf("read an entry: %w", err)
		}
		f.Yanked = nil
		if reason, ok := attributes[yanked]; ok {
			f.Yanked = reason
			if reason == "" {
				f.Yanked = true
			}
		}
		return f.entries()
	}
	return nil, fmt.Errorf("the package has no entry of the kind %s", kindJSON)
}
