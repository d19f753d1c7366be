package verify

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/index"
	"packagecloud/internal/publish"
	"packagecloud/internal/repo"
)

// scope verifies the live generation of a scope, in one snapshot.
func (r *run) scope(ctx context.Context, tx *db.Tx, id int64) error {
	s, err := tx.ScopeByID(ctx, id)
	if err != nil {
		return err
	}
	rp, err := tx.RepositoryByID(ctx, s.RepositoryID)
	if err != nil {
		return err
	}
	name := rp.FullName() + "/" + s.Distro.String()
	if s.Failures > 0 {
		r.report(name, "could not be published %d times in a row, the last time because: %s", s.Failures, s.LastError)
	}
	if s.Generation == 0 {
		return nil
	}
	i := slices.IndexFunc(r.Formats, func(f format.Format) bool { return f.Name() == s.Distro.Format })
	if i < 0 {
		r.report(name, "this program has no format %q", s.Distro.Format)
		return nil
	}
	sc := &scope{run: r, tx: tx, state: s, repository: rp, name: name, format: r.Formats[i]}
	if err := sc.documents(ctx); err != nil {
		return err
	}
	return sc.entryPoints(ctx)
}

// scope is a scope being verified.
type scope struct {
	*run
	tx         *db.Tx
	state      db.ScopeState
	repository repo.Repository
	name       string
	format     format.Format
	named      format.Named // the same, or nil
	rendered   []format.Rendered
	files      map[string]db.File
}

func (s *scope) documents(ctx context.Context) error {
	s.named, _ = s.format.(format.Named)
	if s.named != nil {
		return s.namedDocuments(ctx)
	}
	rows, err := s.tx.Documents(ctx, s.state.ID)
	if err != nil {
		return err
	}
	files, err := s.tx.LiveFiles(ctx, s.state.ID)
	if err != nil {
		return err
	}
	s.files = make(map[string]db.File, len(files))
	for _, f := range files {
		s.files[f.Path] = f
	}
	lists := make([]string, 0, len(rows))
	have := make(map[string]db.Document, len(rows))
	for _, d := range rows {
		if !d.ChangedAt.IsZero() {
			lists, have[d.Name] = append(lists, d.List), d
		}
	}
	slices.Sort(lists)
	lists = slices.Compact(lists)
	contents, err := s.contents(ctx, lists, have)
	if err != nil {
		return err
	}
	for _, d := range slices.Concat(s.format.Documents(s.state.Distro, lists), contents) {
		row, ok := have[d.Name]
		if !ok {
			s.report(s.name+"/"+d.Name, "was never published: run packagecloud-ctl reindex-everything")
			continue
		}
		s.rendered = append(s.rendered, format.Rendered{Document: d, Entries: row.Entries, ChangedAt: row.ChangedAt, Forms: row.Forms})
		if err := s.document(ctx, d, row); err != nil {
			return err
		}
	}
	return nil
}

// contents are the documents that list the contents of packages: those that are
// live, and those that should be. What was just chosen may wait to be published.
func (s *scope) contents(ctx context.Context, lists []string, have map[string]db.Document) ([]format.Document, error) {
	lister, ok := s.format.(format.ContentsLister)
	if !ok {
		return nil, nil
	}
	waits, err := s.tx.Changes(ctx, s.state.ID, 1)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(lister.ContentsDocuments(s.state.Distro, lists), func(d format.Document) bool {
		_, live := have[d.Name]
		return !live && (!s.repository.Contents || len(waits) > 0)
	}), nil
}

// document compares segments with the rows they stand for, and the sums of
// the whole with those that are published.
func (s *scope) document(ctx context.Context, d format.Document, row db.Document) error {
	s.summary.Documents++
	name := s.name + "/" + d.Name
	segments, err := s.tx.Segments(ctx, row.ID, s.state.Generation)
	if err != nil {
		return err
	}
	store := publish.Segments{Store: s.Blobs}
	for e := range format.Encoding(format.Encodings) {
		form := row.Forms[e]
		sum, err := digest(ctx, index.NewDocument(e, segments).Reader(ctx, store))
		if err != nil {
			s.report(name+e.Suffix(), "cannot be read: %v: run packagecloud-ctl reindex-everything", err)
			return nil
		}
		if sum != form.SHA256 {
			s.report(name+e.Suffix(), "has the SHA-256 %s, and %s is recorded: run packagecloud-ctl reindex-everything", sum, form.SHA256)
		}
		f, ok := s.files[d.Name+e.Suffix()]
		if slices.Contains(d.Encodings, e) && (!ok || f.SHA256 != form.SHA256 || f.Size != form.Size) {
			s.report(name+e.Suffix(), "is not the file that clients get: run packagecloud-ctl reindex-everything")
		}
		if ok && f.Object != "" {
			s.whole(ctx, f)
		}
	}
	plain := index.NewDocument(format.Plain, segments).Reader(ctx, store)
	if err := format.Audit(s.format, d, format.Until(ctx, plain), func(f format.Finding) {
		s.report(name, "has what clients refuse: %s: run packagecloud-ctl reindex-everything, which leaves such packages out", f)
	}); err != nil {
		return err
	}
	waits, err := s.tx.Changes(ctx, s.state.ID, 1)
	if err != nil || len(waits) > 0 {
		return err // what the rows say is not published yet
	}
	return s.entries(ctx, d, row, segments)
}

// whole looks at a form of a document that is stored as one object.
func (s *scope) whole(ctx context.Context, f db.File) {
	problem := func(what string, args ...any) {
		s.report(f.Object, what+", which clients fetch as %s/%s: run packagecloud-ctl reindex-everything", append(args, s.name, f.Path)...)
	}
	object, err := s.Blobs.Open(ctx, f.Object)
	if err != nil {
		problem("cannot be opened (%v)", err)
		return
	}
	defer object.Close()
	if s.named != nil {
		s.encoded(ctx, object, f, problem)
		return
	}
	if size := object.Info().Size; size != f.Size {
		problem("has %d bytes and not %d", size, f.Size)
		return
	}
	if s.Quick {
		return
	}
	if sum, err := digest(ctx, object); err != nil {
		problem("cannot be read (%v)", err)
	} else if sum != f.SHA256 {
		problem("has the SHA-256 %s", sum)
	}
}

// entries compares a document with the entries in the database, in both of its
// compressed forms.
func (s *scope) entries(ctx context.Context, d format.Document, row db.Document, segments []index.Segment) error {
	name := s.name + "/" + d.Name
	store := publish.Segments{Store: s.Blobs}
	zipped, err := gzip.NewReader(index.NewDocument(format.Gzip, segments).Reader(ctx, store))
	if err != nil {
		s.report(name+".gz", "is no gzip file: %v", err)
		return nil
	}
	plain := index.NewDocument(format.Plain, segments).Reader(ctx, store)
	compare := func(what string, text []byte) error {
		for _, r := range []io.Reader{plain, zipped} {
			got := make([]byte, len(text))
			if _, err := io.ReadFull(r, got); err != nil || text != nil && !bytes.Equal(got, text) {
				return fmt.Errorf("%s: %w", what, errDiffers)
			}
		}
		return nil
	}
	skip := func(first int64) error {
		for _, g := range segments {
			if g.First == first {
				n := g.Size[format.Plain]
				_, err1 := io.CopyN(io.Discard, plain, n)
				_, err2 := io.CopyN(io.Discard, zipped, n)
				return errors.Join(err1, err2)
			}
		}
		return nil
	}
	err = skip(index.HeadFirst)
	if err == nil {
		err = s.eachEntry(ctx, d, func(id int64, text []byte) error {
			if id == row.First { // it stands in the head
				return nil
			}
			return compare(fmt.Sprintf("entry %d", id), text)
		})
	}
	if err == nil {
		err = skip(index.TailFirst)
	}
	if err == nil && (!ended(plain) || !ended(zipped)) {
		err = fmt.Errorf("its end: %w", errDiffers)
	}
	if errors.Is(err, errDiffers) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		s.report(name, "is not what the database says, at %v: run packagecloud-ctl reindex-everything", err)
		return nil
	}
	return err
}

var errDiffers = errors.New("the index differs")

func ended(r io.Reader) bool {
	n, err := io.CopyN(io.Discard, r, 1)
	return n == 0 && err == io.EOF
}
