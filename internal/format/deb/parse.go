package deb

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// Parse implements format.Format. What the file is, its first bytes say.
func (Format) Parse(ctx context.Context, u format.Upload) (format.Parsed, error) {
	content := &watched{ReaderAt: u.Content}
	u.Content = content
	parsed, err := parse(ctx, u)
	if content.err != nil {
		return nil, content.err
	}
	return parsed, err
}

// watched remembers that the content could not be read, which is no fault of
// the package, whatever a decompressor makes of it.
type watched struct {
	io.ReaderAt
	err error
}

func (w *watched) ReadAt(p []byte, offset int64) (int, error) {
	n, err := w.ReaderAt.ReadAt(p, offset)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

func parse(ctx context.Context, u format.Upload) (format.Parsed, error) {
	magic := make([]byte, min(u.Size, int64(len(arMagic))))
	if _, err := u.Content.ReadAt(magic, 0); err != nil && len(magic) > 0 {
		return nil, fmt.Errorf("read the first bytes: %w", err)
	}
	switch {
	case string(magic) == arMagic:
		return parseBinary(ctx, u)
	case len(magic) >= 4 && string(magic[:4]) == "\xed\xab\xee\xdb":
		return nil, repo.Invalid("package_file", fmt.Sprintf("%q is an RPM package: push it to an RPM distribution", u.Filename))
	}
	return parseSource(u)
}

// refuse says that an upload is not a valid package.
func refuse(u format.Upload, kind string, err error) error {
	return repo.Invalid("package_file", fmt.Sprintf("%q is not a valid %s: %v", u.Filename, kind, err))
}

// dependencies are the fields whose relations the API shows.
func dependencies(s stanza, fields ...string) (all []repo.Dependencies) {
	for _, name := range fields {
		if names := relations(s.get(name)); names != nil {
			all = append(all, repo.Dependencies{Context: name, Names: names})
		}
	}
	return all
}

// setVersion splits the version of a package, which is valid.
func setVersion(p *repo.Package, v string) {
	epoch, rest := splitVersion(v)
	p.Version = rest
	if n, err := strconv.ParseInt(epoch, 10, 64); err == nil {
		p.Epoch = &n
	}
}

// otherEpoch reports whether two packages differ in the epoch of their version
// and have the same file name because of that.
func otherEpoch(p, q *repo.Package) bool {
	return p.Name == q.Name && p.Version == q.Version && epochOf(p) != epochOf(q)
}

func epochOf(p *repo.Package) int64 {
	if p.Epoch == nil {
		return 0
	}
	return *p.Epoch
}
