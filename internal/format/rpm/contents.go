package rpm

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"packagecloud/internal/format"
)

// dependency is one relation of a package.
type dependency struct {
	name, version string // as in the header
	sense         uint8  // senseLess and its like
	pre           bool   // needed by the scripts that run at installation
}

// Bits of the flags of a dependency (rpmds.h).
const (
	senseMask       = 0xf
	senseLess       = 1 << 1
	senseGreater    = 1 << 2
	senseEqual      = 1 << 3
	sensePreTrans   = 1 << 5
	sensePrereq     = 1 << 6
	sensePostTrans  = 1 << 7
	senseScriptPre  = 1 << 9
	senseScriptPost = 1 << 10
	senseMissingOK  = 1 << 19
	senseStrong     = 1 << 27
)

// comparisons are the senses as repodata and people write them.
var comparisons = map[uint8][2]string{
	senseLess: {"LT", "<"}, senseGreater: {"GT", ">"}, senseEqual: {"EQ", "="},
	senseLess | senseEqual: {"LE", "<="}, senseGreater | senseEqual: {"GE", ">="},
}

// versioned tells whether a version limits the relation.
func (d dependency) versioned() bool { return d.version != "" && comparisons[d.sense][0] != "" }

// String is the relation as people write it: "foo >= 1.0-1".
func (d dependency) String() string {
	if !d.versioned() {
		return toUTF8(d.name)
	}
	return toUTF8(d.name + " " + comparisons[d.sense][1] + " " + d.version)
}

// evr takes the version apart. It is not ok if the epoch is no number.
func (d dependency) evr() (epoch, version, release string, ok bool) {
	epoch, version = "0", d.version
	if before, after, found := strings.Cut(d.version, ":"); found {
		version = after
		if before != "" {
			epoch = before
		}
	}
	version, release, _ = strings.Cut(version, "-")
	return epoch, version, release, strings.Trim(epoch, "0123456789") == ""
}

// relationKind is a kind of relation, with its tags.
type relationKind struct {
	name                   string
	names, versions, flags uint32
}

// dependencyKinds are the relations in createrepo_c's order.
var dependencyKinds = []relationKind{
	{"provides", 1047, 1113, 1112},
	{"requires", 1049, 1050, 1048},
	{"conflicts", 1054, 1055, 1053},
	{"obsoletes", 1090, 1115, 1114},
	{"suggests", 5049, 5050, 5051},
	{"enhances", 5055, 5056, 5057},
	{"recommends", 5046, 5047, 5048},
	{"supplements", 5052, 5053, 5054},
}

// oldKinds are the weak relations of packages that SUSE built before rpm had tags
// for them. A bit of the flags tells suggests from recommends.
var oldKinds = []relationKind{
	{"suggests", 1156, 1157, 1158},
	{"enhances", 1159, 1160, 1161},
}

func (p *rpmPackage) readDependencies(h *header) error {
	p.dependencies = make(map[string][]dependency)
	for _, kind := range slices.Concat(dependencyKinds, oldKinds) {
		if err := p.readKind(h, kind); err != nil {
			return fmt.Errorf("its %s: %w", kind.name, err)
		}
	}
	if own := (dependency{name: p.name, version: p.evrText(), sense: senseEqual}); !h.whole && !slices.Contains(p.dependencies["provides"], own) {
		p.dependencies["provides"] = append(p.dependencies["provides"], own) // as rpm does with packages of RPM 3
	}
	p.dependencies["requires"] = p.withoutKept(p.dependencies["requires"])
	return nil
}

// evrText is the version as a relation has it: "3:1.0-1".
func (p *rpmPackage) evrText() string {
	if p.epoch == nil {
		return p.version + "-" + p.release
	}
	return fmt.Sprintf("%d:%s-%s", *p.epoch, p.version, p.release)
}

func (p *rpmPackage) readKind(h *header, kind relationKind) error {
	n, versions, flags := h.count(kind.names), h.count(kind.versions), h.count(kind.flags)
	if (versions != n || flags != n) && (versions != 0 || flags != 0) {
		return fmt.Errorf("there are %d names, %d versions and %d flags", n, versions, flags)
	}
	p.dependencies[kind.name] = slices.Grow(p.dependencies[kind.name], n)
	name, version := h.strings(kind.names), h.strings(kind.versions)
	for i := range n {
		bits := h.number(kind.flags, i)
		d := dependency{name: name.next(), version: version.next(), sense: uint8(bits & senseMask)}
		if err := d.check(); err != nil {
			return err
		}
		if d.name == "" { // createrepo_c leaves it out, and no solver could look for it
			continue
		}
		target := kind.kindOf(bits)
		d.pre = target == "requires" && bits&(sensePrereq|senseScriptPre|senseScriptPost|sensePreTrans|sensePostTrans) != 0
		p.dependencies[target] = append(p.dependencies[target], d)
	}
	return nil
}

// kindOf is the kind of one relation: a requirement may be marked as a weak one.
func (k relationKind) kindOf(bits uint64) string {
	switch {
	case k.name == "requires" && bits&senseMissingOK != 0:
		return "recommends"
	case k.names == oldKinds[0].names && bits&senseStrong != 0:
		return "recommends"
	case k.names == oldKinds[1].names && bits&senseStrong != 0:
		return "supplements"
	default:
		return k.name
	}
}

// check says why a relation cannot be listed.
func (d dependency) check() error {
	if _, _, _, ok := d.evr(); !ok {
		return fmt.Errorf("the version %.60q of %.60q has an epoch that is no number", d.version, d.name)
	}
	return errors.Join(checkShort(d.name), checkShort(d.version))
}

// withoutKept leaves out what no solver needs to look for, as createrepo_c does:
// what the rpm library must be able to do, what the package itself provides or
// lists in primary, and what was there before.
func (p *rpmPackage) withoutKept(requires []dependency) []dependency {
	own := make(map[dependency]bool)
	for _, d := range p.dependencies["provides"] {
		own[d] = true
	}
	files := make(map[string]bool)
	for _, d := range requires {
		if isPrimary(d.name) {
			files[d.name] = false
		}
	}
	if len(files) > 0 {
		p.eachFile(func(path []byte, _ string) {
			if _, ok := files[string(path)]; ok {
				files[string(path)] = true
			}
		})
	}
	kept := make([]dependency, 0, len(requires))
	for _, d := range requires {
		unconditional := d
		unconditional.pre = false
		if strings.HasPrefix(d.name, "rpmlib(") || files[d.name] || own[unconditional] || own[d] {
			continue
		}
		own[d] = true
		kept = append(kept, d)
	}
	return kept
}

// Bits of file modes and flags (rpmfi.h).
const (
	modeType      = 0o170000
	modeDirectory = 0o040000
	flagGhost     = 1 << 6
)

// readFiles checks the list of files. The paths stay as the header has them: each
// names its folder by number, and put together they may need far more memory.
func (p *rpmPackage) readFiles(h *header) error {
	p.files = fileList{header: h}
	n := h.count(tagBaseNames)
	if n == 0 {
		n = h.count(tagOldFileNames)
	} else if h.count(tagDirIndexes) != n {
		return fmt.Errorf("it has %d file names in %d folders", n, h.count(tagDirIndexes))
	}
	if modes, flags := h.count(tagFileModes), h.count(tagFileFlags); n > 0 && (modes != n || flags != n) {
		return fmt.Errorf("it has %d files, with %d modes and %d flags", n, modes, flags)
	}
	folders := h.strings(tagDirNames)
	for range h.count(tagDirNames) {
		folder := folders.next()
		if err := checkShort(folder); err != nil {
			return err
		}
		p.files.folders = append(p.files.folders, folder)
	}
	return p.checkFiles(h, n)
}

func (p *rpmPackage) checkFiles(h *header, n int) error {
	names := h.strings(tagOldFileNames)
	if h.has(tagBaseNames) {
		names = h.strings(tagBaseNames)
	}
	for i := range n {
		length := len("  <file></file>\n")
		name := names.next()
		if h.has(tagBaseNames) {
			folder := h.number(tagDirIndexes, i)
			if folder >= uint64(len(p.files.folders)) {
				return fmt.Errorf("the file %.60q lies in a folder that does not exist", name)
			}
			length += len(p.files.folders[folder])
		}
		if err := checkShort(name); err != nil {
			return err
		}
		if length += len(name); length > maxShort {
			return fmt.Errorf("the path of the file %.60q is longer than %d bytes", name, maxShort)
		}
		p.files.length += length
		switch size := int(h.end - h.start); {
		case p.files.length > format.MaxEntry:
			return fmt.Errorf("the paths of its files take more than the %d bytes that can be listed", format.MaxEntry)
		case p.files.length > maxExpansion*size+64<<10:
			return fmt.Errorf("the paths of its files are more than %d times as long as its header of %d bytes", maxExpansion, size)
		}
	}
	return nil
}

// maxExpansion is how many times as long as the header the paths of the files may
// be. A header has some 60 bytes for each file besides its name, so those of real
// packages are shorter than it.
const maxExpansion = 16

// fileList is a list of files as a header has it.
type fileList struct {
	header  *header
	folders []string
	length  int // of what lists them, before anything is escaped
}

// eachFile goes through the files. The path is valid until yield returns; the
// kind is "", "dir" or "ghost".
func (p *rpmPackage) eachFile(yield func(path []byte, kind string)) {
	h := p.files.header
	names, n := h.strings(tagBaseNames), h.count(tagBaseNames)
	if n == 0 {
		names, n = h.strings(tagOldFileNames), h.count(tagOldFileNames)
	}
	var path []byte
	for i := range n {
		path = path[:0]
		if h.has(tagBaseNames) {
			path = append(path, p.files.folders[h.number(tagDirIndexes, i)]...)
		}
		path = append(path, names.next()...)
		kind := ""
		switch {
		case h.number(tagFileModes, i)&modeType == modeDirectory:
			kind = "dir"
		case h.number(tagFileFlags, i)&flagGhost != 0:
			kind = "ghost"
		}
		yield(path, kind)
	}
}

// maxChanges is how many entries of the changelog are listed, the newest, as
// with createrepo_c.
const maxChanges = 10

func (p *rpmPackage) readChangelog(h *header) error {
	n, times, texts := h.count(tagChangelogName), h.count(tagChangelogTime), h.count(tagChangelogText)
	if times != n || texts != n {
		return fmt.Errorf("its changelog has %d times, %d names and %d texts", times, n, texts)
	}
	name, text := h.strings(tagChangelogName), h.strings(tagChangelogText)
	for i := range min(n, maxChanges) {
		c := change{strings.TrimRight(name.next(), " "), text.next(), h.number(tagChangelogTime, i)}
		if err := errors.Join(checkText(c.author), checkText(c.text)); err != nil {
			return fmt.Errorf("its changelog: %w", err)
		}
		c.author, c.text = toUTF8(c.author), toUTF8(c.text)
		p.changelog = append(p.changelog, c)
	}
	p.orderChangelog()
	return nil
}

// orderChangelog puts the oldest entry first. Entries of one day have one time in
// the header; clients sort by it, so the newer ones are put seconds later, as
// createrepo_c does.
func (p *rpmPackage) orderChangelog() {
	last := uint64(0)
	for i, c := range p.changelog {
		if c.time != last {
			last = c.time
			continue
		}
		for j, time := i-1, c.time; j >= 0 && p.changelog[j].time == time; j-- {
			p.changelog[j].time++
			time++
		}
	}
	slices.Reverse(p.changelog)
}
