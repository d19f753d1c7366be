// Package upload takes a pushed package from a stream of bytes to a recorded
// package. When Push returns, the bytes are on disk or in the bucket and one
// transaction has recorded the package and what must be published; nothing of
// a push that fails is ever seen.
package upload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// Uploader receives and records packages.
type Uploader struct {
	DB      *db.DB
	Blobs   blob.Store
	Formats []format.Format
	// MaxSize limits one file, in bytes; 0 means no limit.
	MaxSize int64
	// Parallel is how many files are received at the same time; 0 means no limit.
	Parallel int
	// Recorded is called after a package was recorded, so that publishing
	// need not be awaited by polling; nil is fine.
	Recorded func()
	// Now is the clock.
	Now func() time.Time

	receiving receiving
	parsing   parsing
}

// Push is a package to be recorded.
type Push struct {
	Repository repo.Repository
	Distro     repo.DistroVersion
	User       repo.User
	File       *File
	Sources    []*File           // what comes along with a .dsc
	Fields     map[string]string // format.Upload.Fields
	Tags       []string          // those that the pushed version is to have, where the format has tags
	// Replaces is a package of the same file name, which this one takes the
	// place of; nil for none. Push fails with repo.ErrNotFound if it is there
	// no more.
	Replaces *repo.Package
}

// Push checks and records a package. What is wrong with it comes back as a
// *repo.InvalidError. The caller still has to close the files.
func (u *Uploader) Push(ctx context.Context, p Push) (*repo.Package, error) {
	f, err := u.formatOf(p.Distro)
	if err != nil {
		return nil, err
	}
	parsed, release, err := u.parse(ctx, f, p.File, p.Fields)
	defer release()
	if err != nil {
		return nil, err
	}
	pkg := parsed.Package()
	keepable(pkg)
	staged, err := match(pkg, p)
	if err != nil {
		return nil, err
	}
	derived, err := u.derive(ctx, parsed, pkg)
	defer closeAll(derived)
	if err != nil {
		return nil, err
	}
	staged = append(staged, derived...)
	pkg.RepositoryID, pkg.Distro, pkg.Uploader = p.Repository.ID, p.Distro, p.User.Name
	// Milliseconds are what the database keeps.
	pkg.CreatedAt = u.Now().UTC().Truncate(time.Millisecond)

	if err := u.free(ctx, parsed, pkg, p); err != nil {
		return nil, err
	}
	for i, s := range staged {
		if err := u.store(ctx, s, &pkg.Files[i]); err != nil {
			return nil, err
		}
	}
	r := recording{Uploader: u, push: p, format: f, parsed: parsed, pkg: pkg, staged: staged}
	if err := u.DB.Update(ctx, func(tx *db.Tx) error { return r.run(ctx, tx) }); err != nil {
		return nil, fmt.Errorf("record %s: %w", pkg.Filename(), err)
	}
	if u.Recorded != nil {
		u.Recorded()
	}
	return pkg, nil
}

// free makes sure that no package has the file name of this one, which may take
// another then.
func (u *Uploader) free(ctx context.Context, parsed format.Parsed, pkg *repo.Package, p Push) error {
	find := func() (repo.Package, error) {
		return u.DB.PackageByFilename(ctx, p.Repository.ID, p.Distro.OS, p.Distro.Version, pkg.Namespace, pkg.Filename())
	}
	taken, err := find()
	if r, ok := parsed.(format.Renamer); ok && err == nil && p.Replaces == nil {
		if name, ok := r.Rename(&taken); ok {
			pkg.Files[0].Name = name
			_, err = find()
		}
	}
	switch {
	case err == nil && p.Replaces == nil:
		return repo.Taken("filename")
	case err != nil && !errors.Is(err, repo.ErrNotFound):
		return err
	}
	return nil
}

// keepable replaces what no database keeps in the texts that describe a package:
// a NUL, and bytes that are no UTF-8. What names it must be without them.
func keepable(p *repo.Package) {
	clean := func(s *string) {
		if !repo.IsText(*s) {
			*s = strings.ReplaceAll(strings.ToValidUTF8(*s, "\uFFFD"), "\x00", "\uFFFD")
		}
	}
	clean(&p.Summary)
	clean(&p.Description)
	for i := range p.Licenses {
		clean(&p.Licenses[i])
	}
}

// Read parses a received file for a distribution version without recording it.
func (u *Uploader) Read(ctx context.Context, f *File, v repo.DistroVersion) (*repo.Package, error) {
	ft, err := u.formatOf(v)
	if err != nil {
		return nil, err
	}
	parsed, release, err := u.parse(ctx, ft, f, nil)
	defer release()
	if err != nil {
		return nil, err
	}
	return parsed.Package(), nil
}

// formatOf is the format that a distribution version takes.
func (u *Uploader) formatOf(v repo.DistroVersion) (format.Format, error) {
	for _, f := range u.Formats {
		if f.Name() == v.Format {
			return f, nil
		}
	}
	return nil, repo.Invalid("distro_version_id", fmt.Sprintf("packages of %s cannot be published by this server", v))
}

// Upload is the file as formats see it.
func (f *File) Upload(fields map[string]string) format.Upload {
	return format.Upload{Filename: f.Name, Content: f.staged, Size: f.Size, Digests: f.Digests, Fields: fields}
}

// derive stages what a format takes out of a package, and adds it to the
// package's files.
func (u *Uploader) derive(ctx context.Context, parsed format.Parsed, pkg *repo.Package) (staged []*File, err error) {
	d, ok := parsed.(format.Deriving)
	if !ok {
		return nil, nil
	}
	for _, file := range d.Derived() {
		f, err := u.Receive(ctx, file.Name, bytes.NewReader(file.Body))
		if err != nil {
			return staged, err
		}
		staged = append(staged, f)
		pkg.Files = append(pkg.Files, repo.File{Name: file.Name, Size: f.Size, Digests: f.Digests})
	}
	return staged, nil
}

// closeAll discards what is staged; only resources are freed by then, so that
// an error tells nothing.
func closeAll(files []*File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// match pairs the files that the package consists of with those received, in
// the order of pkg.Files, and fills in what was measured.
func match(pkg *repo.Package, p Push) ([]*File, error) {
	sources := make(map[string]*File, len(p.Sources))
	for _, s := range p.Sources {
		if sources[s.Name] != nil {
			return nil, repo.Invalid("source_files", fmt.Sprintf("%s was sent twice", s.Name))
		}
		sources[s.Name] = s
	}
	staged := []*File{p.File}
	for _, want := range pkg.Files[1:] {
		got := sources[want.Name]
		if got == nil {
			return nil, repo.Invalid("source_files", fmt.Sprintf("%s lists %s, which was not sent along", pkg.Filename(), want.Name))
		}
		if !agree(want, got) {
			return nil, repo.Invalid("source_files", fmt.Sprintf("%s is not the file that %s lists: size or checksum differ", want.Name, pkg.Filename()))
		}
		delete(sources, want.Name)
		staged = append(staged, got)
	}
	for name := range sources {
		return nil, repo.Invalid("source_files", fmt.Sprintf("%s does not list %s", pkg.Filename(), name))
	}
	for i, s := range staged {
		pkg.Files[i].Size, pkg.Files[i].Digests = s.Size, s.Digests
	}
	return staged, nil
}

// agree compares a file with what is listed of it: its size, and those of its
// digests that are listed.
func agree(want repo.File, got *File) bool {
	same := func(want, got string) bool { return want == "" || want == got }
	return want.Size == got.Size && same(want.MD5, got.MD5) && same(want.SHA1, got.SHA1) &&
		same(want.SHA256, got.SHA256) && same(want.SHA512, got.SHA512)
}

// store commits a staged file under its key, that of an earlier upload of the
// same bytes and name if there was one.
func (u *Uploader) store(ctx context.Context, s *File, f *repo.File) error {
	b, err := u.DB.Blob(ctx, f.SHA256, f.Name)
	switch {
	case err == nil:
		return commit(ctx, s, f, b.Object, "")
	case !errors.Is(err, repo.ErrNotFound):
		return err
	}
	twin, err := u.DB.Twin(ctx, f.SHA256, f.Name)
	if err != nil && !errors.Is(err, repo.ErrNotFound) {
		return err
	}
	return commit(ctx, s, f, repo.PackageKey(f.SHA256, f.Name), twin.Object)
}

// commit stores a staged file. twin is the key of an object with the same bytes,
// "" if none is known.
func commit(ctx context.Context, s *File, f *repo.File, key, twin string) error {
	a := Attributes(f.Name)
	a.Twin = twin
	if err := s.staged.Commit(ctx, key, a); err != nil {
		return fmt.Errorf("store %s: %w", f.Name, err)
	}
	return nil
}

// Attributes are those of the object of a package file.
func Attributes(name string) blob.Attributes {
	return blob.Attributes{ContentType: repo.ContentType(name), Filename: name, Class: blob.Package}
}
