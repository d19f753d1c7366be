package deb

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// maxSourceFiles bounds the files of a source package.
const maxSourceFiles = 1000

// sourcePackage is a .dsc that has been read.
type sourcePackage struct {
	control stanza
	files   []repo.File // as listed, without the .dsc
	upload  format.Upload
}

func parseSource(u format.Upload) (format.Parsed, error) {
	if u.Size > maxControl {
		return nil, refuse(u, "Debian package", errors.New("it is no ar archive, and too large for a .dsc"))
	}
	text := make([]byte, u.Size)
	if _, err := u.Content.ReadAt(text, 0); err != nil && u.Size > 0 {
		return nil, fmt.Errorf("read %s: %w", u.Filename, err)
	}
	s, files, err := readSource(text)
	if err != nil {
		kind := "Debian package"
		if strings.HasSuffix(u.Filename, ".dsc") || bytes.Contains(text[:min(len(text), 200)], []byte("Format:")) {
			kind = "Debian source package"
		}
		return nil, refuse(u, kind, err)
	}
	return &sourcePackage{s, files, u}, nil
}

func readSource(text []byte) (stanza, []repo.File, error) {
	text, err := unsign(text)
	if err != nil {
		return nil, nil, err
	}
	// Tools that read a .dsc are more lenient about its end than dpkg is about
	// that of a control file.
	s, err := parseStanza(append(bytes.Trim(text, white), "\n\n"...))
	if err != nil {
		return nil, nil, err
	}
	for _, c := range []struct {
		field string
		check func(string) error
	}{
		{"Format", matches(sourceFormat)}, {"Source", matches(packageName)}, {"Version", checkVersion}, {"Architecture", matches(sourceArchitectures)},
	} {
		f, ok := s.find(c.field)
		if !ok {
			return nil, nil, fmt.Errorf("it has no field %s", c.field)
		}
		if err := c.check(f.value); err != nil {
			return nil, nil, faulty(f, err)
		}
	}
	files, err := sourceFiles(s)
	return s, files, err
}

var (
	sourceFormat        = regexp.MustCompile(`^[0-9.]+( \([a-z0-9]+\))?$`)
	sourceArchitectures = regexp.MustCompile(`^[a-z0-9-]+( [a-z0-9-]+){0,99}$`)
)

// matches refuses values that do not match a pattern.
func matches(pattern *regexp.Regexp) func(string) error {
	return func(v string) error {
		if !pattern.MatchString(v) {
			return errors.New("it is not valid")
		}
		return nil
	}
}

// unsign takes the OpenPGP clear-text frame off (RFC 9580, section 7). Whose
// signature it is, is not ours to judge: it is kept with the file.
func unsign(text []byte) ([]byte, error) {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	body, ok := bytes.CutPrefix(bytes.TrimLeft(text, "\n"), []byte("-----BEGIN PGP SIGNED MESSAGE-----\n"))
	if !ok {
		return text, nil
	}
	_, body, ok = bytes.Cut(body, []byte("\n\n"))
	if !ok {
		return nil, errors.New("its signature frame has no end")
	}
	body, _, ok = bytes.Cut(body, []byte("\n-----BEGIN PGP SIGNATURE-----"))
	if !ok {
		return nil, errors.New("its signature is cut off")
	}
	lines := bytes.Split(body, []byte("\n"))
	for i, l := range lines {
		lines[i] = bytes.TrimPrefix(l, []byte("- "))
	}
	return bytes.Join(lines, []byte("\n")), nil
}

var (
	sourceFileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+._~-]{0,239}$`)
	hexDigits      = regexp.MustCompile(`^[0-9a-f]+$`)
)

// checksums are the fields that list the files of a source package (dsc(5)).
var checksums = []struct {
	field  string
	length int
	digest func(*repo.Digests) *string
}{
	{"Files", 32, func(d *repo.Digests) *string { return &d.MD5 }},
	{"Checksums-Sha1", 40, func(d *repo.Digests) *string { return &d.SHA1 }},
	{"Checksums-Sha256", 64, func(d *repo.Digests) *string { return &d.SHA256 }},
}

// sourceFiles reads what is listed, in the order of Files. All lists must name
// the same files.
func sourceFiles(s stanza) (files []repo.File, err error) {
	at := make(map[string]int)
	for i, c := range checksums {
		lines := strings.Split(strings.TrimSpace(s.get(c.field)), "\n")
		if s.get(c.field) == "" {
			if i == 0 {
				return nil, errors.New("it has no field Files")
			}
			continue // old source packages have MD5 alone
		}
		if len(lines) > maxSourceFiles {
			return nil, fmt.Errorf("it lists more than %d files", maxSourceFiles)
		}
		seen := make(map[string]bool)
		for _, line := range lines {
			digest, f, err := sourceFile(line)
			if err != nil || len(digest) != c.length || seen[f.Name] {
				return nil, fmt.Errorf("its field %s has the line %.80q, which is not valid", c.field, line)
			}
			seen[f.Name] = true
			if i == 0 {
				at[f.Name] = len(files)
				files = append(files, f)
			}
			n, ok := at[f.Name]
			if !ok || files[n].Size != f.Size {
				return nil, fmt.Errorf("its fields Files and %s disagree about %s", c.field, f.Name)
			}
			*c.digest(&files[n].Digests) = digest
		}
		if len(seen) != len(files) {
			return nil, fmt.Errorf("its fields Files and %s do not list the same files", c.field)
		}
	}
	return files, nil
}

// sourceFile reads "digest size name".
func sourceFile(line string) (digest string, f repo.File, err error) {
	part := strings.Fields(line)
	if len(part) != 3 || !hexDigits.MatchString(part[0]) || !sourceFileName.MatchString(part[2]) || strings.HasSuffix(part[2], ".dsc") {
		return "", f, errors.New("not a digest, a size and a name")
	}
	f.Name = part[2]
	f.Size, err = strconv.ParseInt(part[1], 10, 64)
	if err != nil || f.Size < 0 {
		return "", f, errors.New("not a size")
	}
	return part[0], f, nil
}

// Package implements format.Parsed.
func (d *sourcePackage) Package() *repo.Package {
	s := d.control
	p := &repo.Package{
		Type: repo.Dsc, Name: s.get("Source"), Architecture: s.get("Architecture"), List: listOf(kindSources, s),
		Dependencies: dependencies(s, "build-depends", "build-depends-indep"),
	}
	setVersion(p, s.get("Version"))
	p.Files = append([]repo.File{{Name: sourceFilename(s, p.Version), Size: d.upload.Size, Digests: d.upload.Digests}}, d.files...)
	return p
}

// Rename implements format.Renamer, as that of binary packages.
func (d *sourcePackage) Rename(taken *repo.Package) (filename string, ok bool) {
	return sourceFilename(d.control, d.control.get("Version")), otherEpoch(d.Package(), taken)
}

func sourceFilename(s stanza, version string) string {
	return fmt.Sprintf("%s_%s.dsc", s.get("Source"), version)
}

// Entries implements format.Parsed: the stanza of Sources. It is that of the
// .dsc with the .dsc itself among its files, and with their folder.
func (d *sourcePackage) Entries(l format.Listing) ([]format.Entry, error) {
	var out bytes.Buffer
	writeField(&out, "Package", d.control.get("Source"))
	for _, v := range d.control.without(own) {
		if !strings.EqualFold(v.name, "Source") {
			writeField(&out, v.name, v.value)
		}
	}
	folder := strings.TrimPrefix(l.Files[0].Path, l.Distro.OS+"/")
	writeField(&out, "Directory", strings.TrimSuffix(folder, "/"+l.Files[0].Name))
	for _, c := range checksums {
		var lines strings.Builder
		for _, f := range l.Files {
			fmt.Fprintf(&lines, "\n %s %d %s", *c.digest(&f.Digests), f.Size, f.Name)
		}
		writeField(&out, c.field, lines.String())
	}
	out.WriteByte('\n')
	return []format.Entry{{Kind: kindSources, Text: out.Bytes()}}, nil
}
