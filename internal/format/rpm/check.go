package rpm

import (
	"bytes"
	"encoding/hex"
	encxml "encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

var (
	_ format.Gate    = Format{}
	_ format.Auditor = Format{}
)

// gateVersion grows with each change that makes the gate refuse more.
const gateVersion = 2

// GateVersion implements format.Gate.
func (Format) GateVersion() int { return gateVersion }

// Check implements format.Gate. It reads the entries as clients read them.
func (Format) Check(_ *repo.Package, entries []format.Entry) error {
	for _, e := range entries {
		var first *format.Finding
		a := auditor{kind: e.Kind, report: func(f format.Finding) {
			if first == nil {
				first = &f
			}
		}}
		if err := a.read(bytes.NewReader(e.Text)); err != nil {
			return err
		}
		switch {
		case first != nil:
			first.Package = ""
			return repo.Invalid("package_file", "cannot be listed in "+e.Kind+": "+first.String())
		case a.packages != 1:
			return repo.Invalid("package_file", fmt.Sprintf("cannot be listed: its %s entry has %d packages", e.Kind, a.packages))
		}
	}
	return nil
}

// Audit implements format.Auditor.
func (Format) Audit(d format.Document, plain io.Reader, report func(format.Finding)) error {
	a := auditor{kind: d.Kind, report: report, document: true}
	return a.read(plain)
}

// maxNode is the longest text of an element or attribute. libxml2, which dnf and
// zypper read with, gives up on the whole document at 10,000,000 bytes.
const maxNode = 8 << 20

// maxFindings bounds what is reported of one package.
const maxFindings = 3

// auditor reads the entries of a document, or of one package, element by element.
type auditor struct {
	kind     string
	document bool // the root element stands around the entries
	report   func(format.Finding)
	packages int

	path     []string // the elements that are open
	text     []byte   // of the innermost
	listed   listed
	folders  *folders
	findings []format.Finding
}

// listed is what must be there of a package.
type listed struct {
	name, epoch, ver, rel, arch string
	checksum, href              string
}

func (a *auditor) read(r io.Reader) error {
	d := encxml.NewDecoder(r)
	for {
		token, err := d.RawToken()
		var syntax *encxml.SyntaxError
		switch {
		case errors.Is(err, io.EOF):
			if len(a.path) > 0 {
				a.report(format.Finding{Reason: "it ends within the element " + a.path[len(a.path)-1]})
			}
			return nil
		case errors.As(err, &syntax):
			a.flush()
			a.report(format.Finding{Package: a.listed.String(), Reason: syntax.Error()})
			_, err = io.Copy(io.Discard, r)
			return err
		case err != nil:
			return err
		}
		switch t := token.(type) {
		case encxml.StartElement:
			a.start(elementName(t.Name), t.Attr)
		case encxml.EndElement:
			if name := elementName(t.Name); len(a.path) == 0 || a.path[len(a.path)-1] != name {
				a.report(format.Finding{Package: a.listed.String(), Reason: "the element " + name + " ends where it has not begun"})
				_, err = io.Copy(io.Discard, r)
				return err
			}
			a.end()
		case encxml.CharData:
			a.characters(t)
		}
	}
}

func elementName(n encxml.Name) string {
	if n.Space != "" {
		return n.Space + ":" + n.Local
	}
	return n.Local
}

// String is the package as clients name it.
func (l listed) String() string {
	if l.name == "" {
		return ""
	}
	epoch := ""
	if l.epoch != "" && l.epoch != "0" {
		epoch = l.epoch + ":"
	}
	return l.name + "-" + epoch + l.ver + "-" + l.rel + "." + l.arch
}

// find reports what is wrong with a field of the package that is being read, when
// all of it is known.
func (a *auditor) find(field, reason string) {
	if len(a.findings) < maxFindings {
		a.findings = append(a.findings, format.Finding{Field: field, Reason: reason})
	}
}

func (a *auditor) flush() {
	for _, f := range a.findings {
		f.Package = a.listed.String()
		a.report(f)
	}
	a.findings = nil
}

func (a *auditor) start(name string, attributes []encxml.Attr) {
	a.path = append(a.path, name)
	a.text = a.text[:0]
	for _, at := range attributes {
		if len(at.Value) > maxNode {
			a.find(name, fmt.Sprintf("%.60q has %d bytes, more than %d", at.Value, len(at.Value), maxNode))
		}
	}
	attribute := func(name string) string {
		for _, at := range attributes {
			if elementName(at.Name) == name {
				return at.Value
			}
		}
		return ""
	}
	switch name {
	case "package":
		a.listed = listed{name: attribute("name"), arch: attribute("arch"), checksum: attribute("pkgid")}
		a.folders = new(folders)
	case "version":
		a.listed.epoch, a.listed.ver, a.listed.rel = attribute("epoch"), attribute("ver"), attribute("rel")
	case "location":
		a.listed.href = attribute("href")
	case "rpm:entry":
		a.relation(attribute)
	case "changelog":
		if !isNumber(attribute("date")) {
			a.find("changelog", fmt.Sprintf("the date %.60q is no number", attribute("date")))
		}
	case "time", "size":
		for _, at := range attributes {
			if !isNumber(at.Value) {
				a.find(name, fmt.Sprintf("%.60q is no number", at.Value))
			}
		}
	}
}

func isNumber(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// relation checks a relation to another package.
func (a *auditor) relation(attribute func(string) string) {
	kind := strings.TrimPrefix(a.path[max(0, len(a.path)-2)], "rpm:")
	name, flags := attribute("name"), attribute("flags")
	if flags != "" {
		if !slices.Contains([]string{"EQ", "LT", "GT", "LE", "GE"}, flags) {
			a.find(kind, fmt.Sprintf("%.60q has the comparison %.60q", name, flags))
		}
		if !isNumber(attribute("epoch")) {
			a.find(kind, fmt.Sprintf("%.60q has a version with the epoch %.60q, which is no number", name, attribute("epoch")))
		}
		return
	}
	if strings.HasPrefix(name, "(") && kind != "provides" && kind != "obsoletes" {
		if err := checkRich(kind, name); err != nil {
			a.find(kind, fmt.Sprintf("%.60q: %v", name, err))
		}
	}
}

func (a *auditor) characters(text []byte) {
	if len(a.path) == 0 {
		return
	}
	if len(text) > maxNode {
		a.find(a.path[len(a.path)-1], fmt.Sprintf("%.60q has %d bytes, more than %d", text, len(text), maxNode))
		return
	}
	a.text = append(a.text, text...)
}

// end leaves an element.
func (a *auditor) end() {
	name := a.path[len(a.path)-1]
	a.path = a.path[:len(a.path)-1]
	switch name {
	case "package":
		a.packages++
		a.complete()
		a.flush()
	case "name":
		a.listed.name = string(a.text)
	case "arch":
		a.listed.arch = string(a.text)
	case "checksum":
		a.listed.checksum = string(a.text)
	case "file":
		a.file(string(a.text))
	}
}

// file checks a path of the package.
func (a *auditor) file(path string) {
	if a.folders == nil {
		return
	}
	if err := a.folders.add(path); err != nil {
		a.find("file", fmt.Sprintf("%.200q: %v", path, err))
		a.folders = nil
	}
}

// complete checks that all is there by which clients know the package.
func (a *auditor) complete() {
	l := a.listed
	for _, f := range []struct{ name, value string }{{"name", l.name}, {"architecture", l.arch}, {"version", l.ver}, {"release", l.rel}} {
		if f.value == "" {
			a.find(f.name, "it is empty")
		}
	}
	if !isNumber(l.epoch) {
		a.find("epoch", fmt.Sprintf("%.60q is no number", l.epoch))
	}
	if sum, err := hex.DecodeString(l.checksum); err != nil || len(sum) != 32 {
		a.find("checksum", fmt.Sprintf("%.80q is no SHA-256", l.checksum))
	}
	if a.kind == "primary" && l.href == "" {
		a.find("location", "it is empty")
	}
}
