package deb

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// kindContents is the kind of the documents that apt-file reads: lines of the
// path of a file and the package that installs it, without order.
const kindContents = "Contents"

const (
	// maxDataUnpacked bounds what the data of a package may unpack to, in bytes.
	// It is read as a stream.
	maxDataUnpacked = 64 << 30
	// maxDataFiles bounds the files and folders in it.
	maxDataFiles = 2_000_000
	// readAhead is how much of the packed data is read at a time, in bytes: it may
	// be in a bucket, where each read is a request.
	readAhead = 4 << 20
	// maxPath bounds the path of a file, in bytes: that of Linux.
	maxPath = 4096
)

var _ format.ContentsLister = Format{}

// ContentsDocuments implements format.ContentsLister. Other than Packages, those
// of an architecture do not have the packages of the architecture all: Release
// says so (see release), and apt fetches Contents-all besides. The installer of
// Debian asks for no such listing, so its packages are in none.
func (Format) ContentsDocuments(_ repo.DistroVersion, lists []string) []format.Document {
	documents := []format.Document{contents(listAll)}
	for _, l := range lists {
		if l != listAll && l != listSource && !isInstallerList(l) {
			documents = append(documents, contents(l))
		}
	}
	return documents
}

func contents(list string) format.Document {
	return format.Document{
		Name: "main/Contents-" + list, Kind: kindContents, Lists: [3]string{list}, ContentType: plainText, Encodings: served,
	}
}

// Contents implements format.ContentsLister.
func (Format) Contents(ctx context.Context, u format.Upload) (format.Entry, error) {
	content := &watched{ReaderAt: u.Content}
	u.Content = content
	text, err := readContents(ctx, u)
	switch {
	case content.err != nil:
		return format.Entry{}, content.err
	case ctx.Err() != nil:
		return format.Entry{}, ctx.Err()
	case err != nil:
		return format.Entry{}, refuse(u, "Debian package whose files can be listed", err)
	}
	return format.Entry{Kind: kindContents, Text: text}, nil
}

func readContents(ctx context.Context, u format.Upload) ([]byte, error) {
	control, err := readBinary(ctx, u)
	if err != nil {
		return nil, err
	}
	all, err := members(u.Content, u.Size)
	if err != nil {
		return nil, err
	}
	data := dataMember(all)
	packed := io.NewSectionReader(&ahead{ReaderAt: u.Content}, data.offset, data.size)
	unpacked, closer, err := decompressData(strings.TrimPrefix(data.name, "data.tar"), packed, u.NeedMemory)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", data.name, err)
	}
	defer closer()
	text, err := dataFiles(ctx, unpacked, location(control))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", data.name, err)
	}
	return text, nil
}

// dataMember is the one that layout has found to be there.
func dataMember(all []member) (data member) {
	for _, m := range all {
		if strings.HasPrefix(m.name, "data.tar") {
			return m
		}
	}
	return data
}

// section is what can stand before the name of a package in a line.
var section = regexp.MustCompile(`^[A-Za-z0-9+._/-]+$`)

// location is what a line says of the package: its section and its name.
func location(control stanza) string {
	name := control.get("Package")
	if s := control.get("Section"); section.MatchString(s) {
		return s + "/" + name
	}
	return name
}

// dataFiles makes a line for each file of the data of a package.
func dataFiles(ctx context.Context, unpacked io.Reader, location string) ([]byte, error) {
	limited := &io.LimitedReader{R: format.Until(ctx, unpacked), N: maxDataUnpacked}
	text, err := fileLines(tar.NewReader(limited), location)
	if err != nil && limited.N == 0 {
		return nil, fmt.Errorf("it unpacks to more than %d GiB", int64(maxDataUnpacked)>>30)
	}
	return text, err
}

// decompressData opens one of the compressions of a data member. dpkg also reads
// lzma there, which nothing makes any more.
func decompressData(suffix string, packed *io.SectionReader, reserve func(int64) error) (r io.Reader, closer func(), err error) {
	if suffix == ".bz2" {
		return bzip2.NewReader(packed), func() {}, nil
	}
	return decompress(suffix, packed, reserve)
}

// ahead reads more at a time than is asked for.
type ahead struct {
	io.ReaderAt
	window []byte
	offset int64 // of window
}

func (a *ahead) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := off + int64(n)
		if at < a.offset || at >= a.offset+int64(len(a.window)) {
			if a.window == nil {
				a.window = make([]byte, readAhead)
			}
			read, err := a.ReaderAt.ReadAt(a.window[:readAhead], at)
			a.window, a.offset = a.window[:read], at
			if read == 0 {
				return n, err
			}
		}
		n += copy(p[n:], a.window[at-a.offset:])
	}
	return n, nil
}

// fileLines reads an archive to its end.
func fileLines(archive *tar.Reader, location string) ([]byte, error) {
	var out bytes.Buffer
	for range maxDataFiles {
		h, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return out.Bytes(), nil
		case err != nil:
			return nil, err
		case h.Typeflag == tar.TypeDir || h.Typeflag == tar.TypeXGlobalHeader:
			continue
		}
		name := path.Clean("/" + h.Name)[1:]
		if !listable(name) {
			continue
		}
		fmt.Fprintf(&out, "%-59s %s\n", name, location)
		if out.Len() > format.MaxEntry {
			return nil, fmt.Errorf("the names of its files take more than %d MiB", format.MaxEntry>>20)
		}
	}
	return nil, fmt.Errorf("it has more than %d files", maxDataFiles)
}

// listable reports whether a line can have a path. Nothing can be escaped in
// these documents, and apt-file shows what it finds to terminals.
func listable(name string) bool {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	return name != "" && len(name) <= maxPath && !strings.ContainsFunc(name, control)
}
