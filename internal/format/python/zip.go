package python

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"path"
	"strings"

	"packagecloud/internal/format"
)

// maxDirectory bounds what is read to learn what a zip file holds, in bytes: some
// 100,000 files. maxRecords is how many fit in, at 46 bytes each.
const (
	maxDirectory = 8 << 20
	maxRecords   = maxDirectory / 46
)

// errBudget says that more was read than may be.
var errBudget = errors.New("the directory of the zip file is too large")

// budget reads so many bytes and no more.
type budget struct {
	io.ReaderAt
	left int64
}

func (b *budget) ReadAt(p []byte, at int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errBudget
	}
	return b.ReaderAt.ReadAt(p, at)
}

// fromZip reads the metadata of a wheel, an egg or a zipped source distribution.
func fromZip(u format.Upload) (k kind, c contents, err error) {
	records, err := countRecords(u)
	if err != nil {
		return k, c, err
	}
	a := archive{files: make(map[string]*zip.File), infos: make(map[string]bool), reserve: u.NeedMemory}
	if need := recordMemory * records; need > format.UnaskedMemory {
		if err := u.NeedMemory(need + textMemory*maxMetadata); err != nil {
			return k, c, err
		}
		a.reserve = func(int64) error { return nil }
	}
	directory := &budget{u.Content, maxDirectory}
	z, err := zip.NewReader(directory, u.Size)
	if err != nil {
		return k, c, invalid("it is no sound zip file: %v", err)
	}
	directory.left = 1 << 62 // from here on, what is read is bounded by its kind
	for _, f := range z.File {
		if err := a.add(f); err != nil {
			return k, c, err
		}
	}
	k = a.kind(u.Filename)
	if k.wheel() {
		c, err = a.wheel()
		return k, c, err
	}
	for name, f := range a.files {
		if k.suffix == ".egg" && name != "EGG-INFO/PKG-INFO" || k.suffix == ".zip" && !isInfo(name) {
			continue
		}
		if c.metadata != nil {
			return k, c, invalid("it has its metadata twice")
		}
		if c.metadata, err = a.unzip(f, maxMetadata); err != nil {
			return k, c, err
		}
	}
	if c.metadata == nil {
		err = missing()
	}
	return k, c, err
}

// recordMemory is what a file takes in the memory of who reads the directory, and
// textMemory each byte of metadata, in bytes.
const (
	recordMemory = 600
	textMemory   = 8
)

// countRecords is the number of files that a zip file says it has: the reader
// makes room for so many before it sees them.
func countRecords(u format.Upload) (int64, error) {
	const end, locator, most = 22, 20, 1<<16 - 1
	tail := make([]byte, min(u.Size, end+locator+most))
	if _, err := u.Content.ReadAt(tail, u.Size-int64(len(tail))); err != nil && err != io.EOF {
		return 0, err
	}
	at := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if at < 0 || at+end > len(tail) {
		return 0, invalid("it is no sound zip file: its directory is missing")
	}
	records := uint64(binary.LittleEndian.Uint16(tail[at+10:]))
	if records == most && at >= locator && bytes.HasPrefix(tail[at-locator:], []byte("PK\x06\x07")) {
		var end64 [56]byte
		where := binary.LittleEndian.Uint64(tail[at-locator+8:])
		if where > uint64(u.Size) {
			return 0, invalid("it is no sound zip file: its directory is missing")
		}
		if _, err := u.Content.ReadAt(end64[:], int64(where)); err != nil {
			return 0, invalid("it is no sound zip file: %v", err)
		}
		records = binary.LittleEndian.Uint64(end64[32:])
	}
	if records > maxRecords {
		return 0, invalid("%v: it has %d files", errBudget, records)
	}
	return int64(records), nil
}

// archive is what a zip file holds.
type archive struct {
	files map[string]*zip.File
	infos map[string]bool // the folders NAME-VERSION.dist-info at the top
	// reserve asks for the memory that a file takes, if that was not done yet.
	reserve func(n int64) error
}

// add takes a file, if installers take it.
func (a *archive) add(f *zip.File) error {
	const encrypted = 1
	name := clip(f.Name, 100)
	switch {
	case unsafePath(f.Name):
		return invalid("it has a file %q, which would be unpacked elsewhere", name)
	case f.Flags&encrypted != 0:
		return invalid("its file %q is encrypted", name)
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return invalid("its file %q is compressed by the method %d: PyPI and uv take stored and deflated files alone", name, f.Method)
	case a.files[f.Name] != nil:
		return invalid("it has the file %q twice: installers would unpack one or the other", name)
	}
	a.files[f.Name] = f
	if top, _, _ := strings.Cut(f.Name, "/"); strings.HasSuffix(top, ".dist-info") {
		a.infos[top] = true
	}
	return nil
}

// kind is that which the file name says, or else the contents.
func (a *archive) kind(filename string) kind {
	switch {
	case strings.HasSuffix(filename, ".egg"), strings.HasSuffix(filename, ".zip"), strings.HasSuffix(filename, ".whl"):
		return kind{path.Ext(filename)}
	case len(a.infos) > 0:
		return kind{".whl"}
	case a.files["EGG-INFO/PKG-INFO"] != nil:
		return kind{".egg"}
	}
	return kind{".zip"}
}

// wheel reads what installers read first.
func (a *archive) wheel() (c contents, err error) {
	if len(a.infos) > 1 {
		return c, invalid("the wheel has %d folders that end in .dist-info at its top, and installers refuse more than one", len(a.infos))
	}
	for folder := range a.infos {
		c.folder = folder
	}
	meta, text, record := a.files[c.folder+"/METADATA"], a.files[c.folder+"/WHEEL"], a.files[c.folder+"/RECORD"]
	switch {
	case meta == nil:
		return c, missing()
	case text == nil:
		return c, invalid("it has no file WHEEL beside its METADATA: build it with the wheel format of PEP 427")
	case record == nil:
		return c, invalid("it has no file RECORD beside its METADATA, without which pip cannot install it")
	}
	if c.metadata, err = a.unzip(meta, maxMetadata); err != nil {
		return c, err
	}
	body, err := a.unzip(text, maxWheel)
	if err != nil {
		return c, err
	}
	c.wheel, err = parseWheel(body)
	return c, err
}

// unzip reads a file, which must not be larger than limit, nor than it says, and
// checks its sum.
func (a *archive) unzip(f *zip.File, limit int64) ([]byte, error) {
	if f.UncompressedSize64 < uint64(limit) {
		limit = int64(f.UncompressedSize64)
	}
	if need := textMemory * limit; need > format.UnaskedMemory {
		if err := a.reserve(need); err != nil {
			return nil, err
		}
	}
	r, err := f.Open()
	if err != nil {
		return nil, invalid("%s cannot be read: %v", clip(f.Name, 100), err)
	}
	defer r.Close()
	return limited(r, limit, clip(f.Name, 100))
}
