package npm

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"

	"packagecloud/internal/format"
)

const (
	// maxManifest bounds package.json, in bytes.
	maxManifest = 4 << 20
	// maxFiles bounds the entries of a tarball.
	maxFiles = 500_000
	// maxUnpacked bounds a tarball that has been unpacked, in bytes: some
	// seconds of work for an upload that is nothing but zeros.
	maxUnpacked = 4 << 30
	// blockSize is that of a tar archive, in bytes.
	blockSize = 512
)

// contents is what a tarball says of itself.
type contents struct {
	manifest []byte // package.json
	files    int64  // regular ones
	unpacked int64  // their bytes
	// gyp says that there is a *.gyp beside package.json: node-gyp builds it.
	gyp bool
	// shrinkwrap says that there is an npm-shrinkwrap.json beside it.
	shrinkwrap bool
}

// readTarball reads a tarball to its end, if it unpacks to no more than the
// given number of bytes. It unpacks as npm does: the first step of every path is
// taken off, whatever it is, and links are left out.
func readTarball(ctx context.Context, u format.Upload, most int64) (*contents, error) {
	limited, err := unzip(ctx, u, most)
	if err != nil {
		return nil, err
	}
	c, err := readEntries(tar.NewReader(limited), most)
	if err == nil && (most-limited.N)%blockSize != 0 {
		err = errors.New("its archive is cut off")
	}
	if err == nil {
		// A tarball that was cut off says so only at the end of its gzip file.
		_, err = io.Copy(io.Discard, limited)
	}
	if limited.N <= 0 {
		return nil, tooLarge(most)
	}
	if err != nil {
		return nil, err
	}
	if c.manifest == nil {
		return nil, errors.New("it has no package.json in its first folder")
	}
	return c, nil
}

// unzip reads an upload's tar archive, up to a number of bytes.
func unzip(ctx context.Context, u format.Upload, most int64) (*io.LimitedReader, error) {
	packed := bufio.NewReaderSize(io.NewSectionReader(u.Content, 0, u.Size), 64<<10)
	unzipped, err := gzip.NewReader(packed)
	if err != nil {
		return nil, fmt.Errorf("it is no gzip file: %w", err)
	}
	return &io.LimitedReader{R: format.Until(ctx, &gzipMembers{packed, unzipped}), N: most}, nil
}

// gzipMembers reads one gzip member after the other. Zeros may come behind them, as
// padding.
type gzipMembers struct {
	packed   *bufio.Reader
	unzipped *gzip.Reader
}

func (m *gzipMembers) Read(p []byte) (int, error) {
	for {
		m.unzipped.Multistream(false)
		n, err := m.unzipped.Read(p)
		if n > 0 && err == io.EOF {
			err = nil
		}
		if n > 0 || err != io.EOF {
			return n, err
		}
		if next, err := m.packed.Peek(1); err != nil || next[0] == 0 {
			return 0, io.EOF // watched knows of another error
		}
		if err := m.unzipped.Reset(m.packed); err != nil {
			return 0, fmt.Errorf("what comes behind it is no gzip file: %w", err)
		}
	}
}

func tooLarge(most int64) error {
	return fmt.Errorf("it unpacks to more than %d MiB", most>>20)
}

func readEntries(archive *tar.Reader, most int64) (*contents, error) {
	c := &contents{}
	for n := 0; ; n++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return nil, fmt.Errorf("it is no tar archive: %w", err)
		}
		if n == maxFiles {
			return nil, fmt.Errorf("it has more than %d files", maxFiles)
		}
		if err := c.take(archive, h); err != nil {
			return nil, err
		}
		if c.unpacked < 0 || c.unpacked > most {
			return nil, tooLarge(most)
		}
	}
}

// take looks at one entry.
func (c *contents) take(archive io.Reader, h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader { // a comment by git archive
		return validGlobal(h)
	}
	name, err := unpackedName(h.Name)
	if err != nil {
		return err
	}
	switch {
	case isFile(h):
	case h.Typeflag == tar.TypeSymlink, h.Typeflag == tar.TypeLink:
		if name == "package.json" {
			return errors.New("its package.json is a link")
		}
		return validLink(h)
	case h.Typeflag == tar.TypeDir:
		if name == "package.json" {
			return errors.New("its package.json is a folder")
		}
		return nil
	default:
		return fmt.Errorf("%.60q in it is neither a file nor a folder", h.Name)
	}
	if name == "" {
		return nil // beside the folder: nobody unpacks it
	}
	c.files++
	c.unpacked += h.Size
	switch {
	case name == "package.json":
		return c.takeManifest(archive, h)
	case name == "npm-shrinkwrap.json":
		c.shrinkwrap = true
	case !strings.Contains(name, "/") && path.Ext(name) == ".gyp" && name[0] != '.':
		c.gyp = true
	}
	return nil
}

// validGlobal refuses a header for all entries that moves or cuts them: npm goes by
// it, and archive/tar does not.
func validGlobal(h *tar.Header) error {
	for _, record := range []string{"path", "linkpath", "size"} {
		if _, ok := h.PAXRecords[record]; ok {
			return fmt.Errorf("a header of it gives all files the same %s", record)
		}
	}
	return nil
}

// isFile reports whether an entry is unpacked as a regular file.
func isFile(h *tar.Header) bool {
	switch h.Typeflag {
	case tar.TypeReg, '\x00', tar.TypeGNUSparse, tar.TypeCont:
		return true
	}
	return false
}

func (c *contents) takeManifest(archive io.Reader, h *tar.Header) error {
	if c.manifest != nil {
		return errors.New("it has two files package.json, of which clients may take either")
	}
	if h.Size > maxManifest {
		return fmt.Errorf("its package.json has %d bytes, more than the %d that are allowed", h.Size, maxManifest)
	}
	c.manifest = make([]byte, h.Size)
	if _, err := io.ReadFull(archive, c.manifest); err != nil {
		return fmt.Errorf("its package.json is cut off: %w", err)
	}
	return nil
}

// unpackedName is where an entry is unpacked, below the package's own folder;
// "" for what lies outside of the archive's first folder.
func unpackedName(name string) (string, error) {
	name = strings.ReplaceAll(name, `\`, "/")
	if strings.HasPrefix(name, "/") || len(name) > 1 && name[1] == ':' {
		return "", fmt.Errorf("the path %.60q in it is absolute", name)
	}
	if climbs(name) {
		return "", fmt.Errorf("the path %.60q in it leads out of the package", name)
	}
	if strings.IndexByte(name, 0) >= 0 {
		return "", fmt.Errorf("the path %.60q in it has a NUL byte", name)
	}
	_, rest, ok := strings.Cut(name, "/")
	if rest = path.Clean("/" + rest)[1:]; !ok || rest == "" {
		return "", nil
	}
	return rest, nil
}

// climbs reports whether a path has a step "..".
func climbs(name string) bool {
	for step := range strings.SplitSeq(name, "/") {
		if step == ".." {
			return true
		}
	}
	return false
}

// validLink refuses a link out of the package. npm unpacks none; other clients
// may.
func validLink(h *tar.Header) error {
	target := strings.ReplaceAll(h.Linkname, `\`, "/")
	if h.Typeflag == tar.TypeSymlink { // relative to where it lies
		target = path.Dir(path.Clean("x/"+strings.TrimPrefix(h.Name, "./"))) + "/" + target
	}
	if strings.HasPrefix(h.Linkname, "/") || strings.HasPrefix(path.Clean(target), "..") || h.Typeflag == tar.TypeLink && climbs(target) {
		return fmt.Errorf("the link %.60q in it leads out of the package, to %.60q", h.Name, h.Linkname)
	}
	return nil
}
