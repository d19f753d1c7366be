package rpm

import (
	"errors"
	"fmt"
	"strings"

	"packagecloud/internal/format"
)

// dependency is one relation of a package.
type dependency struct {
	name               string
	flags              string // "", "EQ", "LT", "GT", "LE" or "GE"
	epoch, ver, rel    string
	pre                bool // needed by the scripts that run at installation
	versionAsWritten   string
	comparisonAsSymbol string
}

// String is the relation as people write it: "foo >= 1.0-1".
func (d dependency) String() string {
	if d.flags == "" {
		return d.name
	}
	return d.name + " " + d.comparisonAsSymbol + " " + d.versionAsWritten
}

// Bits of the flags of a dependency (rpmds.h).
const (
	senseLess       = 1 << 1
	senseGreater    = 1 << 2
	senseEqual      = 1 << 3
	sensePrereq     = 1 << 6
	senseScriptPre  = 1 << 9
	senseScriptPost = 1 << 10
)

// dependencyKinds are the relations, in createrepo_c's order, with their tags.
var dependencyKinds = []struct {
	name                  string
	names, versions, flag uint32
}{
	{"provides", 1047, 1113, 1112},
	{"requires", 1049, 1050, 1048},
	{"conflicts", 1054, 1055, 1053},
	{"obsoletes", 1090, 1115, 1114},
	{"suggests", 5049, 5050, 5051},
	{"enhances", 5055, 5056, 5057},
	{"recommends", 5046, 5047, 5048},
	{"supplements", 5052, 5053, 5054},
}

func (p *rpmPackage) readDependencies(h *header) error {
	p.dependencies = make(map[string][]dependency)
	for _, kind := range dependencyKinds {
		names, err := h.strings(kind.names)
		if err != nil {
			return err
		}
		versions, err := h.strings(kind.versions)
		if err != nil {
			return err
		}
		flags, err := h.numbers(kind.flag)
		if err != nil {
			return err
		}
		if len(versions) != len(names) || len(flags) != len(names) {
			if len(versions) != 0 || len(flags) != 0 {
				return fmt.Errorf("its %s have %d names, %d versions and %d flags", kind.name, len(names), len(versions), len(flags))
			}
			versions, flags = make([]string, len(names)), make([]uint64, len(names))
		}
		seen := make(map[dependency]bool)
		for i, name := range names {
			d := newDependency(name, versions[i], flags[i])
			d.pre = d.pre && kind.name == "requires"
			// What the rpm library itself must be able to do is not for solvers.
			if seen[d] || kind.name == "requires" && strings.HasPrefix(name, "rpmlib(") {
				continue
			}
			seen[d] = true
			p.dependencies[kind.name] = append(p.dependencies[kind.name], d)
		}
	}
	return nil
}

func newDependency(name, version string, flags uint64) dependency {
	d := dependency{name: name, pre: flags&(sensePrereq|senseScriptPre|senseScriptPost) != 0}
	sense := map[uint64][2]string{
		senseLess: {"LT", "<"}, senseGreater: {"GT", ">"}, senseEqual: {"EQ", "="},
		senseLess | senseEqual: {"LE", "<="}, senseGreater | senseEqual: {"GE", ">="},
	}[flags&(senseLess|senseGreater|senseEqual)]
	if sense[0] == "" || version == "" {
		return d
	}
	d.flags, d.comparisonAsSymbol, d.versionAsWritten = sense[0], sense[1], version
	d.epoch = "0"
	if epoch, rest, ok := strings.Cut(version, ":"); ok {
		d.epoch, version = epoch, rest
	}
	d.ver, d.rel, _ = strings.Cut(version, "-")
	return d
}

// Bits of file modes and flags (rpmfi.h).
const (
	modeType      = 0o170000
	modeDirectory = 0o040000
	flagGhost     = 1 << 6
)

// readFiles puts the paths together. They may expand: each names its folder by
// number.
func (p *rpmPackage) readFiles(h *header) error {
	paths, err := filePaths(h)
	if err != nil {
		return err
	}
	modes, err := h.numbers(tagFileModes)
	if err != nil {
		return err
	}
	flags, err := h.numbers(tagFileFlags)
	if err != nil {
		return err
	}
	if len(paths) > 0 && (len(modes) != len(paths) || len(flags) != len(paths)) {
		return fmt.Errorf("it has %d files, with %d modes and %d flags", len(paths), len(modes), len(flags))
	}
	p.files = make([]file, len(paths))
	for i, path := range paths {
		p.files[i].path = path
		switch {
		case modes[i]&modeType == modeDirectory:
			p.files[i].kind = "dir"
		case flags[i]&flagGhost != 0:
			p.files[i].kind = "ghost"
		}
	}
	return nil
}

func filePaths(h *header) ([]string, error) {
	base, err := h.strings(tagBaseNames)
	if err != nil {
		return nil, err
	}
	if len(base) == 0 {
		return h.strings(tagOldFileNames)
	}
	folders, err := h.strings(tagDirNames)
	if err != nil {
		return nil, err
	}
	indexes, err := h.numbers(tagDirIndexes)
	if err != nil {
		return nil, err
	}
	if len(indexes) != len(base) {
		return nil, fmt.Errorf("it has %d file names in %d folders", len(base), len(indexes))
	}
	paths := make([]string, len(base))
	total := 0
	for i, name := range base {
		if indexes[i] >= uint64(len(folders)) {
			return nil, fmt.Errorf("the file %.60q lies in a folder that does not exist", name)
		}
		if total += len(folders[indexes[i]]) + len(name); total > format.MaxEntry {
			return nil, errTooLong
		}
		paths[i] = folders[indexes[i]] + name
	}
	return paths, nil
}

var errTooLong = errors.New("the names of its files are too long to be listed")

// maxChanges is how many entries of the changelog are listed, the newest, as
// with createrepo_c.
const maxChanges = 10

func (p *rpmPackage) readChangelog(h *header) error {
	times, err := h.numbers(tagChangelogTime)
	if err != nil {
		return err
	}
	names, err := h.strings(tagChangelogName)
	if err != nil {
		return err
	}
	texts, err := h.strings(tagChangelogText)
	if err != nil {
		return err
	}
	if len(times) != len(names) || len(texts) != len(names) {
		return fmt.Errorf("its changelog has %d times, %d names and %d texts", len(times), len(names), len(texts))
	}
	// The newest come first in the header, and last in the listing.
	for i := min(len(names), maxChanges) - 1; i >= 0; i-- {
		p.changelog = append(p.changelog, change{names[i], texts[i], times[i]})
	}
	return nil
}
