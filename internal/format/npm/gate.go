package npm

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// GateVersion implements format.Gate.
func (Format) GateVersion() int { return 1 }

// Check implements format.Gate. A packument is one JSON text, so that an entry
// which is no member of "versions" makes all versions of a name unreadable; and
// clients take a version's own name and version, not its key. What else a
// version says, in whatever shape, hurts itself alone: see TestOddVersions.
func (Format) Check(p *repo.Package, entries []format.Entry) error {
	if err := validName(p.Name); err != nil {
		return unbearable("name", p.Name, err.Error())
	}
	if clean, err := cleanVersion(p.Version); err != nil || clean != p.Version {
		return unbearable("version", p.Version, "clients ask for another version than they get")
	}
	for _, e := range entries {
		version, o, err := readEntry(e.Text)
		if err != nil {
			return unbearable("package.json", e.Kind, err.Error())
		}
		if version != p.Version {
			return unbearable("version", version, "the key in the packument is another one")
		}
		if f := odd(p.Name, version, o); f != nil {
			return unbearable(f.Field, "", f.Reason)
		}
	}
	return nil
}

func unbearable(field, text, reason string) error {
	if text != "" {
		reason = fmt.Sprintf("%.60q: %s", text, reason)
	}
	return repo.Invalid("package_file", fmt.Sprintf("its %s cannot be listed: %s", field, reason))
}

// odd finds what clients refuse in a version object.
func odd(name, version string, o object) *format.Finding {
	dist := members(o.get("dist"))
	for _, f := range []struct{ name, have, want string }{
		{"name", o.text("name"), name}, {"version", o.text("version"), version},
	} {
		if f.have != f.want {
			return &format.Finding{Field: f.name, Reason: fmt.Sprintf("it is %.60q in the packument, and not %q", f.have, f.want)}
		}
	}
	for _, f := range []string{"tarball", "shasum", "integrity"} {
		if dist.text(f) == "" {
			return &format.Finding{Field: "dist." + f, Reason: "it is missing: clients cannot fetch or check the tarball"}
		}
	}
	for _, f := range []string{"dependencies", "optionalDependencies", "peerDependencies", "bin", "scripts"} {
		value := o.get(f)
		if value == nil {
			continue
		}
		if all := members(value); len(all) == 0 || len(all) != len(texts(value)) {
			return &format.Finding{Field: f, Reason: "it is no object of texts"}
		}
	}
	return nil
}

// maxAudited bounds a version object, in bytes, as recording does.
const maxAudited = format.MaxEntry

// Audit implements format.Auditor: it reads a packument version by version.
func (Format) Audit(d format.Document, plain io.Reader, report func(format.Finding)) error {
	name := d.Lists[0]
	a := audit{name: name, scanner: newScanner(plain, maxAudited), report: report, there: make(map[string]bool)}
	err := a.packument()
	if err == nil {
		err = a.end()
	}
	if isMalformed(err) || err == io.ErrUnexpectedEOF {
		report(format.Finding{Package: name, Reason: "the packument cannot be read: " + err.Error()})
		_, err = io.Copy(io.Discard, a.r)
	}
	return err
}

// audit is the reading of one packument.
type audit struct {
	*scanner
	name   string
	there  map[string]bool // versions, without what is said of them
	report func(format.Finding)
}

func (a *audit) packument() error {
	var tags map[string]string
	name := ""
	err := a.object(func(key string) (err error) {
		a.left = maxAudited
		switch key {
		case "name":
			name, err = a.text()
		case "versions":
			err = a.object(a.version)
		case "dist-tags":
			err = member(a.scanner, a.left, &tags)
		default:
			_, err = a.value(a.left)
		}
		return err
	})
	if err != nil {
		return err
	}
	if name != a.name {
		a.report(format.Finding{Package: a.name, Field: "name", Reason: fmt.Sprintf("the packument is that of %.60q", name)})
	}
	for tag, version := range tags {
		if !a.there[version] {
			a.report(format.Finding{Package: a.name, Field: "dist-tags", Reason: fmt.Sprintf("%.60q stands for %.60q, which is not there", tag, version)})
		}
	}
	if len(a.there) > 0 && tags[Latest] == "" {
		a.report(format.Finding{Package: a.name, Field: "dist-tags", Reason: "none is the latest version, which an installation without a version needs"})
	}
	return nil
}

func (a *audit) version(version string) error {
	a.left = maxAudited
	value, err := a.value(a.left)
	if err != nil {
		return err
	}
	a.there[version] = true
	id := a.name + "@" + version
	if clean, err := cleanVersion(version); err != nil || clean != version {
		a.report(format.Finding{Package: id, Field: "version", Reason: "clients ask for another version than they get"})
	}
	o, err := parseObject(value)
	if err != nil {
		a.report(format.Finding{Package: id, Reason: err.Error()})
		return nil //nolint:nilerr // it is reported
	}
	if f := odd(a.name, version, o); f != nil {
		f.Package = id
		a.report(*f)
	}
	var tarball string
	_ = json.Unmarshal(members(o.get("dist")).get("tarball"), &tarball)
	if !strings.HasPrefix(tarball, "http") && !strings.HasPrefix(tarball, root) {
		a.report(format.Finding{Package: id, Field: "dist.tarball", Reason: fmt.Sprintf("%.120q is no URL", tarball)})
	}
	return nil
}
