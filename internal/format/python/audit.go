package python

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"regexp"
	"strings"

	"golang.org/x/net/html"

	"packagecloud/internal/format"
)

// hexDigest is a SHA-256.
var hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Audit implements format.Auditor: it reads a page as pip does, HTML by its links
// and JSON by the fields of its files.
func (Format) Audit(d format.Document, plain io.Reader, report func(format.Finding)) error {
	source := &errReader{Reader: plain}
	var err error
	switch d.Kind {
	case kindHTML, kindNamesHTML:
		err = auditHTML(d, source, report)
	default:
		err = auditJSON(d, source, report)
	}
	if source.err != nil {
		return source.err
	}
	if err != nil {
		report(format.Finding{Reason: err.Error()})
	}
	return nil
}

// errReader remembers the error of a reader, to tell it from those of what was read.
type errReader struct {
	io.Reader
	err error
}

func (r *errReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// auditHTML looks at every link.
func auditHTML(d format.Document, r io.Reader, report func(format.Finding)) error {
	z := html.NewTokenizer(r)
	z.SetMaxBuf(format.MaxEntry)
	for {
		switch z.Next() {
		case html.ErrorToken:
			if errors.Is(z.Err(), io.EOF) {
				return nil
			}
			return fmt.Errorf("is no HTML: %w", z.Err())
		case html.StartTagToken:
			t := z.Token()
			if t.Data == "base" {
				return errors.New("has a base, which turns all links elsewhere")
			}
			if t.Data != "a" {
				continue
			}
			attributes := make(map[string]string, len(t.Attr))
			for _, a := range t.Attr {
				attributes[a.Key] = a.Val
			}
			if d.Names {
				auditName(strings.TrimSuffix(attributes["href"], "/"), report)
				continue
			}
			where, sum, _ := strings.Cut(attributes["href"], "#sha256=")
			auditFile(d, file{URL: where, Hashes: map[string]string{"sha256": sum}, RequiresPython: attributes["data-requires-python"]}, report)
		}
	}
}

// auditJSON reads the list of files, or of projects, one by one.
func auditJSON(d format.Document, r io.Reader, report func(format.Finding)) error {
	j := json.NewDecoder(r)
	if err := expect(j, json.Delim('{')); err != nil {
		return err
	}
	for j.More() {
		key, err := j.Token()
		if err != nil {
			return fmt.Errorf("is no JSON: %w", err)
		}
		if key != "files" && key != "projects" {
			var rest json.RawMessage
			if err := j.Decode(&rest); err != nil {
				return fmt.Errorf("is no JSON: %w", err)
			}
			continue
		}
		if err := auditList(d, j, report); err != nil {
			return err
		}
	}
	return expect(j, json.Delim('}'))
}

func auditList(d format.Document, j *json.Decoder, report func(format.Finding)) error {
	if err := expect(j, json.Delim('[')); err != nil {
		return err
	}
	for j.More() {
		var f struct {
			file
			Name string
		}
		if err := j.Decode(&f); err != nil {
			return fmt.Errorf("is no JSON that pip reads: %w", err)
		}
		if d.Names {
			auditName(f.Name, report)
			continue
		}
		if err := f.check(); err != nil {
			report(format.Finding{Package: f.Filename, Reason: err.Error()})
		}
		auditFile(d, f.file, report)
	}
	return expect(j, json.Delim(']'))
}

func expect(j *json.Decoder, want json.Delim) error {
	got, err := j.Token()
	if err == nil && got != want {
		err = fmt.Errorf("it has %v where %v is expected", got, want)
	}
	if err != nil {
		return fmt.Errorf("is no JSON that pip reads: %w", err)
	}
	return nil
}

func auditName(name string, report func(format.Finding)) {
	if !projectName.MatchString(name) || normalize(name) != name {
		report(format.Finding{Package: clip(name, 100), Reason: "is not the normalised name of a project"})
	}
}

// auditFile looks at the link of a file: pip takes the name from the end of it.
func auditFile(d format.Document, f file, report func(format.Finding)) {
	u, err := url.Parse(f.URL)
	if err != nil {
		report(format.Finding{Package: clip(f.Filename, 100), Field: "link", Reason: fmt.Sprintf("%q is no URL", clip(f.URL, 200))})
		return
	}
	name := path.Base(u.Path)
	finding := func(field, reason string, args ...any) {
		report(format.Finding{Package: clip(name, 100), Field: field, Reason: fmt.Sprintf(reason, args...)})
	}
	if f.Filename != "" && f.Filename != name {
		finding("link", "leads to another file than %q", clip(f.Filename, 100))
	}
	if !plainFile.MatchString(name) || !strings.HasPrefix(normalize(name), d.Lists[0]+"-") {
		finding("name", "is none that pip takes for a file of the project %s", d.Lists[0])
	}
	if !hexDigest.MatchString(f.Hashes["sha256"]) {
		finding("sha256", "%q is no digest", clip(f.Hashes["sha256"], 100))
	}
	if err := checkRequiresPython(f.RequiresPython); err != nil {
		finding("Requires-Python", "%v", err)
	}
}
