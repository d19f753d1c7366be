package formattest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/textproto"
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// Shelf is a format with a document for each name, and everything else that one
// of its kind can have. Its packages are those of Toy without a list: "name
// version". Its client reads
//
//	shelf/names.json             the names there are
//	shelf/<name>/index.json      the versions of one
//	shelf/<name>/<file>          a package
//	shelf/<name>/<file>.note     what was made of it
//	shelf/<name>/<file>.sha256   its digest
//
// and writes by PUT and DELETE of shelf/<name>/<file>, and by PUT and DELETE of
// shelf/<name>/tags/<tag>.
type Shelf struct{}

var (
	_ format.Named    = Shelf{}
	_ format.Tagger   = Shelf{}
	_ format.Amender  = Shelf{}
	_ format.Receiver = Shelf{}
	_ format.Refuser  = Shelf{}
	_ format.Deriving = shelved{}
)

const shelfOS, shelfVersion = "shelf", "1"

// ShelfDistro is where shelf packages are listed.
var ShelfDistro = repo.DistroVersion{ID: 1, OS: shelfOS, Version: shelfVersion, Format: "shelf"}

// Name implements format.Format.
func (Shelf) Name() string { return "shelf" }

// ShelfPackage makes a package.
func ShelfPackage(name, version string, padding int) []byte {
	return []byte(name + " " + version + "\n" + strings.Repeat("x", padding))
}

// Parse implements format.Format.
func (Shelf) Parse(_ context.Context, u format.Upload) (format.Parsed, error) {
	head := make([]byte, min(u.Size, 1000))
	if _, err := u.Content.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, err
	}
	line, _, ok := strings.Cut(string(head), "\n")
	field := strings.Fields(line)
	if !ok || len(field) != 2 {
		return nil, repo.Invalid("package_file", fmt.Sprintf("%s is no shelf package", u.Filename))
	}
	return shelved{parsed{name: field[0], version: field[1], list: strings.ToLower(field[0]), upload: u}}, nil
}

type shelved struct{ parsed }

// Package implements format.Parsed.
func (s shelved) Package() *repo.Package {
	return &repo.Package{
		Type: "shelf", Name: s.name, Version: s.version, List: s.list,
		Files: []repo.File{{Name: s.list + "-" + s.version, Size: s.upload.Size, Digests: s.upload.Digests}},
	}
}

// Derived implements format.Deriving.
func (s shelved) Derived() []format.Derived {
	return []format.Derived{{Name: s.list + "-" + s.version + ".note", Body: []byte("a note on " + s.name + " " + s.version)}}
}

// ShelfCard is an entry of a name's document.
type ShelfCard struct {
	Version string `json:"version"`
	Path    string `json:"path"`
	SHA256  string `json:"sha256"`
	Mark    string `json:"mark,omitempty"` // the attribute "mark"
}

func (c ShelfCard) entry() format.Entry {
	text, _ := json.Marshal(c) // strings always marshal
	return format.Entry{Kind: "cards", Text: append([]byte(","), text...)}
}

// Entries implements format.Parsed.
func (s shelved) Entries(l format.Listing) ([]format.Entry, error) {
	return []format.Entry{ShelfCard{Version: s.version, Path: l.Files[0].Path, SHA256: l.Files[0].SHA256}.entry()}, nil
}

// Amend implements format.Amender.
func (Shelf) Amend(entries []format.Entry, attributes map[string]string) ([]format.Entry, error) {
	var c ShelfCard
	if err := json.Unmarshal(entries[0].Text[1:], &c); err != nil {
		return nil, err
	}
	c.Mark = attributes["mark"]
	return []format.Entry{c.entry()}, nil
}

// Path implements format.Format.
func (Shelf) Path(p *repo.Package, file string, _ repo.DistroVersion, revision string) string {
	if revision != "" {
		file = revision + "/" + file
	}
	return "shelf/" + p.List + "/" + file
}

var shelfForms = []format.Encoding{format.Plain, format.Gzip}

// Documents implements format.Format.
func (Shelf) Documents(_ repo.DistroVersion, lists []string) []format.Document {
	all := []format.Document{{Name: "names.json", Kind: "names", ContentType: "application/json", Encodings: shelfForms, Names: true, Needs: format.Needs{First: true}}}
	for _, l := range lists {
		all = append(all, format.Document{
			Name: l + "/index.json", Kind: "cards", Lists: [3]string{l}, ContentType: "application/json", Encodings: shelfForms,
			Needs: format.Needs{First: true, Versions: true, Tags: true},
		})
	}
	return all
}

// NameEntry implements format.Named.
func (Shelf) NameEntry(_, list string) []byte { return fmt.Appendf(nil, ",%q", list) }

// ShelfIndex is the document of a name.
type ShelfIndex struct {
	Name     string            `json:"name"`
	Cards    []ShelfCard       `json:"cards"`
	Tags     map[string]string `json:"tags"`
	Versions []string          `json:"versions"`
}

// Frame implements format.Format.
func (Shelf) Frame(f format.Framing) (head, tail []byte) {
	first := bytes.TrimPrefix(f.First, []byte(","))
	if f.Kind == "names" {
		return append([]byte(`{"names":[`), first...), []byte("]}\n")
	}
	versions := make([]string, 0, len(f.Versions))
	for _, v := range f.Versions {
		versions = append(versions, v.Version)
	}
	tags, _ := json.Marshal(f.Tags) // strings always marshal
	list, _ := json.Marshal(versions)
	return append(fmt.Appendf(nil, `{"name":%q,"cards":[`, f.List), first...), fmt.Appendf(nil, `],"tags":%s,"versions":%s}`+"\n", tags, list)
}

// EntryPoints implements format.Format.
func (Shelf) EntryPoints(format.Snapshot) ([]format.EntryPoint, error) { return nil, nil }

// Retag implements format.Tagger: "newest" is what was pushed last.
func (Shelf) Retag(c format.TagChange) map[string]string {
	for _, tag := range c.Asked {
		c.Tags[tag] = c.Pushed
	}
	there := make(map[string]bool)
	for _, v := range c.Versions {
		there[v.Version] = true
		c.Tags["newest"] = v.Version
	}
	for tag, version := range c.Tags {
		if !there[version] {
			delete(c.Tags, tag)
		}
	}
	return c.Tags
}

// Resolve implements format.Format.
func (Shelf) Resolve(q format.Query) (format.Request, bool) {
	path, ok := strings.CutPrefix(q.Path, "shelf/")
	r := format.Request{OS: shelfOS, Version: shelfVersion}
	name, file, _ := strings.Cut(path, "/")
	switch {
	case !ok || name == "":
		return r, false
	case path == "names.json":
		r.Kind, r.Paths, r.ContentType, r.Encoded = format.LiveFile, []string{path}, "application/json", true
	case name != strings.ToLower(name):
		r.Kind, r.Location = format.Moved, "shelf/"+strings.ToLower(name)+"/"+file
	case file == "index.json":
		r.Kind, r.Paths, r.ContentType, r.Encoded, r.Negotiated = format.LiveFile, []string{path}, "application/json", true, true
		if format.Accepts(q.Accept, "application/json", "text/plain") == "text/plain" {
			r.ContentType = "text/plain"
		}
	case strings.HasSuffix(file, ".sha256"):
		r.Kind, r.Filename = format.NamedFile, strings.TrimSuffix(file, ".sha256")
		r.Sum = func(f repo.File) []byte { return []byte(f.SHA256 + "\n") }
	case strings.HasSuffix(file, ".note"), strings.Contains(file, "/"): // a revision
		r.Kind, r.Paths = format.PackageFile, []string{q.Path}
	default:
		r.Kind, r.Filename = format.NamedFile, file
	}
	return r, true
}

// Receives implements format.Receiver.
func (Shelf) Receives(method, path string) format.Access {
	if step := strings.Split(path, "/"); step[0] == "shelf" && len(step) > 2 && (method == format.Put || method == format.Delete) {
		return format.WriteAccess
	}
	return format.NoAccess
}

// Receive implements format.Receiver.
func (Shelf) Receive(ctx context.Context, c format.Call) (a format.Action, err error) {
	a.OS, a.Version = shelfOS, shelfVersion
	step := strings.Split(c.Path, "/")
	list, file := step[1], step[len(step)-1]
	at := format.Target{Filename: file, Condition: condition(c.Header)}
	switch {
	case step[2] == "tags" && c.Method == format.Delete:
		a.Tag = []format.Tagging{{List: list, Tag: file}}
	case step[2] == "tags":
		value, err := io.ReadAll(io.LimitReader(c.Body, 100))
		if err != nil {
			return a, err
		}
		text := string(value)
		a.Tag = []format.Tagging{{List: list, Tag: file, Value: &text}}
	case step[2] == "mark":
		text := c.Query.Get("mark")
		a.Amend = []format.Amendment{{Target: at, Attributes: map[string]*string{"mark": &text}}}
	case c.Method == format.Delete:
		a.Remove = []format.Target{at}
		a.Answer.Status = 204
	default:
		kept, err := c.Keep(ctx, file, c.Body)
		if err != nil {
			return a, err
		}
		a.Push = []format.Pushing{{File: kept, At: at, Tags: c.Query["tag"]}}
	}
	return a, nil
}

func condition(h textproto.MIMEHeader) format.Condition {
	return format.Condition{IfMatch: h.Get("If-Match"), IfNoneMatch: h.Get("If-None-Match")}
}

// Refusal implements format.Refuser.
func (Shelf) Refusal(status int, message string) format.Answer {
	return format.Answer{Status: status, ContentType: "text/plain", Body: []byte("shelf: " + message)}
}
