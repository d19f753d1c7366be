package rpm

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// Entries implements format.Parsed.
func (p *rpmPackage) Entries(l format.Listing) ([]format.Entry, error) {
	f := l.Files[0]
	entries := []format.Entry{
		{Kind: "primary", Text: p.primary(l, f)},
		{Kind: "filelists", Text: p.filelists(f)},
		{Kind: "other", Text: p.other(f)},
	}
	for _, e := range entries {
		if len(e.Text) > format.MaxEntry {
			return nil, repo.Invalid("package_file", fmt.Sprintf("%s cannot be listed: %v", f.Name, errors.New("its "+e.Kind+" entry is too long")))
		}
	}
	return entries, nil
}

// xml is text under construction.
type xml struct{ bytes.Buffer }

// element writes an element on a line of its own, an empty one if it has no
// text. Attributes are name, value, name, value ...
func (x *xml) element(indent int, name, text string, attributes ...string) {
	x.open(indent, name, attributes...)
	if text == "" {
		x.WriteString("/>\n")
		return
	}
	x.WriteByte('>')
	x.escape(text)
	x.WriteString("</" + name + ">\n")
}

// open writes a tag without its end.
func (x *xml) open(indent int, name string, attributes ...string) {
	x.WriteString("        "[:indent])
	x.WriteString("<" + name)
	for i := 0; i < len(attributes); i += 2 {
		x.WriteString(" " + attributes[i] + `="`)
		x.escape(attributes[i+1])
		x.WriteByte('"')
	}
}

// escape writes text. Characters that XML 1.0 does not know are left out.
func (x *xml) escape(text string) {
	for _, r := range text {
		switch {
		case r == '&':
			x.WriteString("&amp;")
		case r == '<':
			x.WriteString("&lt;")
		case r == '>':
			x.WriteString("&gt;")
		case r == '"':
			x.WriteString("&quot;")
		case r == '\r':
			x.WriteString("&#13;")
		case r < ' ' && r != '\n' && r != '\t', r == 0xfffe, r == 0xffff, r == utf8.RuneError:
		default:
			x.WriteRune(r)
		}
	}
}

// evr are the attributes of a version element.
func (p *rpmPackage) evr() []string {
	var epoch int64
	if p.epoch != nil {
		epoch = *p.epoch
	}
	return []string{"epoch", strconv.FormatInt(epoch, 10), "ver", p.version, "rel", p.release}
}

func (p *rpmPackage) primary(l format.Listing, f repo.File) []byte {
	decimal := func(n uint64) string { return strconv.FormatUint(n, 10) }
	var x xml
	x.WriteString("<package type=\"rpm\">\n")
	x.element(2, "name", p.name)
	x.element(2, "arch", p.architecture)
	x.element(2, "version", "", p.evr()...)
	x.element(2, "checksum", f.SHA256, "type", "sha256", "pkgid", "YES")
	x.element(2, "summary", p.text[tagSummary])
	x.element(2, "description", p.text[tagDescription])
	x.element(2, "packager", p.text[tagPackager])
	x.element(2, "url", p.text[tagURL])
	x.element(2, "time", "", "file", strconv.FormatInt(l.Time.Unix(), 10), "build", decimal(p.buildTime))
	x.element(2, "size", "", "package", strconv.FormatInt(f.Size, 10), "installed", decimal(p.installedSize), "archive", decimal(p.archiveSize))
	x.element(2, "location", "", "href", href(f.Path, l.Distro))
	x.WriteString("  <format>\n")
	x.element(4, "rpm:license", p.text[tagLicense])
	x.element(4, "rpm:vendor", p.text[tagVendor])
	x.element(4, "rpm:group", p.text[tagGroup])
	x.element(4, "rpm:buildhost", p.text[tagBuildHost])
	x.element(4, "rpm:sourcerpm", p.text[tagSourceRPM])
	x.element(4, "rpm:header-range", "", "start", strconv.FormatInt(p.headerStart, 10), "end", strconv.FormatInt(p.headerEnd, 10))
	for _, kind := range dependencyKinds {
		p.writeDependencies(&x, kind.name)
	}
	for _, f := range p.files {
		if isPrimary(f.path) {
			x.file(4, f)
		}
	}
	x.WriteString("  </format>\n</package>\n")
	return x.Bytes()
}

func (p *rpmPackage) writeDependencies(x *xml, kind string) {
	all := p.dependencies[kind]
	if len(all) == 0 {
		return
	}
	x.WriteString("    <rpm:" + kind + ">\n")
	for _, d := range all {
		attributes := []string{"name", d.name}
		if d.flags != "" {
			attributes = append(attributes, "flags", d.flags, "epoch", d.epoch, "ver", d.ver)
			if d.rel != "" {
				attributes = append(attributes, "rel", d.rel)
			}
		}
		if d.pre {
			attributes = append(attributes, "pre", "1")
		}
		x.element(6, "rpm:entry", "", attributes...)
	}
	x.WriteString("    </rpm:" + kind + ">\n")
}

// isPrimary tells which files are listed in primary already, because packages
// often depend on them: createrepo_c's rule.
func isPrimary(path string) bool {
	return strings.HasPrefix(path, "/etc/") || strings.Contains(path, "bin/") || path == "/usr/lib/sendmail"
}

func (x *xml) file(indent int, f file) {
	if f.kind != "" {
		x.element(indent, "file", f.path, "type", f.kind)
		return
	}
	x.element(indent, "file", f.path)
}

func (p *rpmPackage) filelists(f repo.File) []byte {
	var x xml
	x.open(0, "package", "pkgid", f.SHA256, "name", p.name, "arch", p.architecture)
	x.WriteString(">\n")
	x.element(2, "version", "", p.evr()...)
	for _, f := range p.files {
		x.file(2, f)
	}
	x.WriteString("</package>\n")
	return x.Bytes()
}

func (p *rpmPackage) other(f repo.File) []byte {
	var x xml
	x.open(0, "package", "pkgid", f.SHA256, "name", p.name, "arch", p.architecture)
	x.WriteString(">\n")
	x.element(2, "version", "", p.evr()...)
	for _, c := range p.changelog {
		x.element(2, "changelog", c.text, "author", c.author, "date", strconv.FormatUint(c.time, 10))
	}
	x.WriteString("</package>\n")
	return x.Bytes()
}

// href is where a repository has a package: as if it lay in its own folder. It
// is written as it is: dnf and zypper escape it for the request, and zypper
// would escape an escape again.
func href(path string, v repo.DistroVersion) string {
	return strings.TrimPrefix(path, v.OS+"/"+v.Version+"/")
}
