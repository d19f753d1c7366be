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

// xml is text under construction. Of what is longer than can be listed only the
// beginning is made: Entries refuses it.
type xml struct{ text bytes.Buffer }

func (x *xml) write(s string) {
	if x.text.Len() <= format.MaxEntry {
		x.text.WriteString(s)
	}
}

// element writes an element on a line of its own, an empty one if it has no
// text. Attributes are name, value, name, value ...
func (x *xml) element(indent int, name, text string, attributes ...string) {
	x.open(indent, name, attributes...)
	if text == "" {
		x.write("/>\n")
		return
	}
	x.write(">")
	x.escape(text, false)
	x.write("</" + name + ">\n")
}

// open writes a tag without its end.
func (x *xml) open(indent int, name string, attributes ...string) {
	x.write("        "[:indent])
	x.write("<" + name)
	for i := 0; i < len(attributes); i += 2 {
		x.write(" " + attributes[i] + `="`)
		x.escape(attributes[i+1], true)
		x.write(`"`)
	}
}

// escape writes text. Characters that XML 1.0 does not know are left out. What an
// attribute would turn into a space is escaped in it.
func (x *xml) escape(text string, attribute bool) {
	written := 0
	for i, r := range text {
		with, ok := "", true
		switch {
		case r == '&':
			with = "&amp;"
		case r == '<':
			with = "&lt;"
		case r == '>':
			with = "&gt;"
		case r == '"':
			with = "&quot;"
		case r == '\r', attribute && (r == '\n' || r == '\t'):
			with = "&#" + strconv.Itoa(int(r)) + ";"
		case r < ' ' && r != '\n' && r != '\t', r == 0xfffe, r == 0xffff:
		default:
			ok = false
		}
		if ok {
			x.write(text[written:i])
			x.write(with)
			written = i + utf8.RuneLen(r)
		}
	}
	x.write(text[written:])
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
	x.write("<package type=\"rpm\">\n")
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
	x.write("  <format>\n")
	x.element(4, "rpm:license", p.text[tagLicense])
	x.element(4, "rpm:vendor", p.text[tagVendor])
	x.element(4, "rpm:group", p.text[tagGroup])
	x.element(4, "rpm:buildhost", p.text[tagBuildHost])
	x.element(4, "rpm:sourcerpm", p.text[tagSourceRPM])
	x.element(4, "rpm:header-range", "", "start", strconv.FormatInt(p.headerStart, 10), "end", strconv.FormatInt(p.headerEnd, 10))
	for _, kind := range dependencyKinds {
		p.writeDependencies(&x, kind.name)
	}
	p.eachFile(func(path []byte, kind string) {
		if name := toUTF8(string(path)); isPrimary(name) {
			x.file(4, name, kind)
		}
	})
	x.write("  </format>\n</package>\n")
	return x.text.Bytes()
}

func (p *rpmPackage) writeDependencies(x *xml, kind string) {
	all := p.dependencies[kind]
	if len(all) == 0 {
		return
	}
	x.write("    <rpm:" + kind + ">\n")
	for _, d := range all {
		attributes := []string{"name", toUTF8(d.name)}
		if d.versioned() {
			epoch, version, release, _ := d.evr()
			attributes = append(attributes, "flags", comparisons[d.sense][0], "epoch", epoch, "ver", toUTF8(version))
			if release != "" {
				attributes = append(attributes, "rel", toUTF8(release))
			}
		}
		if d.pre {
			attributes = append(attributes, "pre", "1")
		}
		x.element(6, "rpm:entry", "", attributes...)
	}
	x.write("    </rpm:" + kind + ">\n")
}

// isPrimary tells which files are listed in primary already, because packages
// often depend on them: createrepo_c's rule.
func isPrimary(path string) bool {
	return strings.HasPrefix(path, "/etc/") || strings.Contains(path, "bin/") || path == "/usr/lib/sendmail"
}

func (x *xml) file(indent int, path, kind string) {
	if kind != "" {
		x.element(indent, "file", path, "type", kind)
		return
	}
	x.element(indent, "file", path)
}

func (p *rpmPackage) filelists(f repo.File) []byte {
	var x xml
	x.text.Grow(p.files.length + 512)
	x.open(0, "package", "pkgid", f.SHA256, "name", p.name, "arch", p.architecture)
	x.write(">\n")
	x.element(2, "version", "", p.evr()...)
	p.eachFile(func(path []byte, kind string) { x.file(2, toUTF8(string(path)), kind) })
	x.write("</package>\n")
	return x.text.Bytes()
}

func (p *rpmPackage) other(f repo.File) []byte {
	var x xml
	x.open(0, "package", "pkgid", f.SHA256, "name", p.name, "arch", p.architecture)
	x.write(">\n")
	x.element(2, "version", "", p.evr()...)
	for _, c := range p.changelog {
		x.element(2, "changelog", c.text, "author", c.author, "date", strconv.FormatUint(c.time, 10))
	}
	x.write("</package>\n")
	return x.text.Bytes()
}

// href is where a repository has a package: as if it lay in its own folder. It
// is written as it is: dnf and zypper escape it for the request, and zypper
// would escape an escape again.
func href(path string, v repo.DistroVersion) string {
	return strings.TrimPrefix(path, v.OS+"/"+v.Version+"/")
}
