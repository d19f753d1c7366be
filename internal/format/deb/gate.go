package deb

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// What apt can hold, measured with apt-get update and apt-cache. Beyond it
// apt-get update fails on every machine that has the repository.
const (
	// maxStanza bounds what lists a package, in bytes: apt 2.2 and 2.6 read
	// 1,048,703, apt 3.0 and 3.3 read 1,048,639 ("Unable to parse package file").
	maxStanza = 1_000_000
	// maxWord bounds what apt keeps in its cache as one string: names, versions,
	// sections. All four keep 65,534 bytes and abort beyond.
	maxWord = 60_000
	// maxFilename bounds the name of a package file. apt stores it on the machine
	// under that name, with the epoch in it, and a file system has 255 bytes for
	// it. The name of a package bounds those of dpkg's files.
	maxFilename = 240
	// maxRepeats bounds how often the relations of a package name the same one.
	// For each of them apt reads all relations of the package again, whenever it
	// considers the one that is named: 40,000 conflicts with different versions of
	// it take any installation of it minutes. So do as many provides of a name,
	// multiplied by the relations that name it.
	maxRepeats = 200
)

// gateVersion grows with each change that makes the gate refuse more.
const gateVersion = 2

var (
	_ format.Gate    = Format{}
	_ format.Auditor = Format{}
)

// GateVersion implements format.Gate.
func (Format) GateVersion() int { return gateVersion }

// Check implements format.Gate: it reads what lists the package as apt and dpkg
// do, and refuses what one of them refuses. apt gives up on the whole index
// because of one such stanza.
func (Format) Check(p *repo.Package, entries []format.Entry) error {
	for _, e := range entries {
		if e.Kind == kindContents { // made from the bytes, for apt-file, which takes any line
			continue
		}
		if err := checkEntry(p, e); err != nil {
			return repo.Invalid("package_file", fmt.Sprintf("%q cannot be published: %v", p.Filename(), err))
		}
	}
	return nil
}

func checkEntry(p *repo.Package, e format.Entry) error {
	s, err := readEntry(e.Text)
	if err != nil {
		return err
	}
	if err := checkListed(e.Kind, s); err != nil {
		return err
	}
	if list := listOf(e.Kind, s); p.List != list {
		return fmt.Errorf("it stands in the list %s and belongs into %s: delete it and push it again", p.List, list)
	}
	return nil
}

// fault is what is wrong with a field of a stanza.
type fault struct {
	field  string
	reason string // with the text of the field
}

func (f *fault) Error() string { return "its " + f.field + " " + f.reason }

// faulty says that a value is wrong.
func faulty(f field, err error) *fault {
	return &fault{f.name, fmt.Sprintf("%q is refused: %v", excerpt(f.value), err)}
}

// readEntry reads a stanza of an index, up to the empty line that ends it.
func readEntry(text []byte) (stanza, error) {
	if len(text) > maxStanza {
		return nil, fmt.Errorf("what lists it has %d bytes, and apt reads no more than %d (its longest field is %s)", len(text), maxStanza, longest(text))
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	var s stanza
	for at := 0; at < len(lines); {
		name, value, ok := strings.Cut(lines[at], ":")
		if !ok || !fieldName.MatchString(name) {
			return nil, fmt.Errorf("its stanza has a line that is no field: %.40q", lines[at])
		}
		next := at + 1
		for next < len(lines) && lines[next] != "" && strings.IndexByte(blanks, lines[next][0]) >= 0 {
			next++
		}
		if next > at+1 {
			value += "\n" + strings.Join(lines[at+1:next], "\n")
		}
		s = append(s, field{name, strings.Trim(value, blanks)})
		at = next
	}
	return s, nil
}

// longest names the longest field of a stanza.
func longest(text []byte) (name string) {
	length, current, size := 0, "", 0
	for line := range strings.Lines(string(text)) {
		if strings.IndexByte(blanks, line[0]) < 0 {
			current, _, _ = strings.Cut(line, ":")
			size = 0
		}
		if size += len(line); size > length {
			name, length = excerpt(current), size
		}
	}
	return name
}

// checkListed refuses a stanza of a kind of document that a client refuses.
func checkListed(kind string, s stanza) error {
	for _, name := range []string{"Section", "Source", "Package", "Architecture"} {
		if f, ok := s.find(name); ok && len(f.value) > maxWord {
			return &fault{f.name, fmt.Sprintf("has %d bytes, and apt can hold no word of more than %d", len(f.value), maxWord)}
		}
	}
	if kind == kindSources {
		return checkSource(s)
	}
	return checkBinary(s)
}

// checkBinary refuses a stanza of Packages.
func checkBinary(s stanza) error {
	architecture := s.get("Architecture")
	for _, c := range []struct {
		field    string
		required bool
		check    func(string) error
	}{
		{"Package", true, checkName},
		{"Version", true, checkVersion},
		{"Architecture", true, checkArchitecture},
		{"Architecture-Variant", false, func(v string) error { return checkVariant(v, architecture) }},
		{"Essential", false, checkFlag},
		{"Protected", false, checkFlag},
		{"Important", false, checkFlag},
		{"Multi-Arch", false, func(v string) error { return checkMultiArch(v, architecture) }},
		{"Priority", false, checkPriority},
		{"Phased-Update-Percentage", false, checkPhase},
		{"Description-md5", false, checkDigest},
	} {
		f, ok := s.find(c.field)
		if f.value == "" {
			if c.required {
				return &fault{c.field, "is missing"}
			}
			continue
		}
		if err := c.check(f.value); ok && err != nil {
			return faulty(f, err)
		}
	}
	named := make(map[string]int)
	for _, r := range binaryRelations {
		if f, ok := s.find(r.name); ok {
			if err := checkRelations(r, f.value, named); err != nil {
				return &fault{f.name, "is refused: " + err.Error()}
			}
		}
	}
	return nil
}

// checkSource refuses a stanza of Sources.
func checkSource(s stanza) error {
	for _, name := range sourceRelations {
		if f, ok := s.find(name); ok {
			if err := checkBuildRelations(f.value); err != nil {
				return &fault{f.name, "is refused: " + err.Error()}
			}
		}
	}
	return nil
}

var packageName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+._-]*$`)

// checkName refuses what dpkg refuses.
func checkName(name string) error {
	if !packageName.MatchString(name) {
		return fmt.Errorf("a name begins with a letter or digit and has no others than A-Z a-z 0-9 + . _ -")
	}
	return nil
}

// checkFlag takes yes and no, whatever their case.
func checkFlag(v string) error {
	if !strings.EqualFold(v, "yes") && !strings.EqualFold(v, "no") {
		return fmt.Errorf("it is neither yes nor no")
	}
	return nil
}

func checkMultiArch(v, architecture string) error {
	switch strings.ToLower(v) {
	case "no", "foreign", "allowed":
		return nil
	case "same":
		if architecture == listAll {
			return fmt.Errorf("a package of the architecture all cannot be the same for several")
		}
		return nil
	}
	return fmt.Errorf("it is none of no, same, foreign and allowed")
}

// priorities are those that dpkg knows. It takes any other word, and refuses
// what begins with one of these.
var priorities = []string{"required", "important", "standard", "optional", "extra"}

func checkPriority(v string) error {
	for _, p := range priorities {
		if len(v) > len(p) && strings.EqualFold(v[:len(p)], p) {
			return fmt.Errorf("something follows the word %s", p)
		}
	}
	return nil
}

// leadingNumber is what apt reads of a number: it passes over what follows.
var leadingNumber = regexp.MustCompile(`^[+-]?[0-9]+`)

// checkPhase takes what is no number for 100, as apt does, and refuses what apt
// warns of.
func checkPhase(v string) error {
	number := leadingNumber.FindString(v)
	if n, err := strconv.ParseInt(strings.TrimPrefix(number, "+"), 10, 64); number != "" && (err != nil || n < 0 || n > 100) {
		return fmt.Errorf("it is no number from 0 to 100")
	}
	return nil
}

var md5Digest = regexp.MustCompile(`^[0-9a-fA-F]{32}$`)

// checkDigest takes an MD5 digest.
func checkDigest(v string) error {
	if !md5Digest.MatchString(v) {
		return fmt.Errorf("it is no MD5 digest")
	}
	return nil
}
