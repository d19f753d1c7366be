package verify

import (
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"io"

	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/index"
	"packagecloud/internal/repo"
)

// namesAtOnce is how many lists are looked at together.
const namesAtOnce = 500

// namedDocuments verifies the documents of a scope that has some for each list,
// a few lists at a time.
func (s *scope) namedDocuments(ctx context.Context) error {
	points, err := s.tx.LivePoints(ctx, s.state.ID)
	if err != nil {
		return err
	}
	s.files = make(map[string]db.File, len(points))
	for _, f := range points {
		s.files[f.Path] = f
	}
	for _, d := range s.format.Documents(s.state.Distro, nil) {
		if err := s.namedDocument(ctx, d); err != nil {
			return err
		}
	}
	for last := int64(0); ; {
		names, err := s.tx.Names(ctx, s.state.ID, last, namesAtOnce)
		if err != nil || len(names) == 0 {
			return err
		}
		var lists []string
		for _, n := range names {
			last = n.ID
			if n.Listed {
				lists = append(lists, n.List)
			}
		}
		for _, d := range s.format.Documents(s.state.Distro, lists) {
			if d.Names {
				continue
			}
			if err := s.namedDocument(ctx, d); err != nil {
				return err
			}
		}
	}
}

func (s *scope) namedDocument(ctx context.Context, d format.Document) error {
	row, err := s.tx.Document(ctx, s.state.ID, d.Name)
	if errors.Is(err, repo.ErrNotFound) || err == nil && row.ChangedAt.IsZero() {
		s.report(s.name+"/"+d.Name, "was never published: run packagecloud-ctl reindex-everything")
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range d.Encodings {
		f, err := s.tx.FileAt(ctx, s.state.ID, d.Name+e.Suffix(), s.state.Generation)
		if err == nil {
			s.files[f.Path] = f
		} else if !errors.Is(err, repo.ErrNotFound) {
			return err
		}
	}
	if d.Names {
		s.rendered = append(s.rendered, format.Rendered{Document: d, Entries: row.Entries, ChangedAt: row.ChangedAt, Forms: row.Forms})
	}
	err = s.document(ctx, d, row)
	for _, e := range d.Encodings {
		if !d.Names {
			delete(s.files, d.Name+e.Suffix())
		}
	}
	return err
}

// eachEntry yields what a document must list.
func (s *scope) eachEntry(ctx context.Context, d format.Document, yield func(id int64, text []byte) error) error {
	if d.Names {
		return s.tx.EachName(ctx, s.state.ID, 0, index.TailFirst, func(id int64, list []byte) error {
			return yield(id, s.named.NameEntry(d.Kind, string(list)))
		})
	}
	listed := db.Listed{ScopeID: s.state.ID, Lists: d.Lists}
	located := format.Located(s.format, cmp.Or(s.state.URL, s.URL), s.repository)
	return s.tx.Entries(ctx, listed, d.Kind, index.HeadFirst+1, index.TailFirst, func(id int64, text []byte) error { return yield(id, located(text)) })
}

// encoded looks at the object of a document of one name, which is its gzip form.
func (s *scope) encoded(ctx context.Context, object io.Reader, f db.File, problem func(what string, args ...any)) {
	if s.Quick {
		return
	}
	plain, err := gzip.NewReader(object)
	if err != nil {
		problem("is no gzip file (%v)", err)
		return
	}
	// One byte more than there should be makes another digest.
	if sum, err := digest(ctx, io.LimitReader(plain, f.Size+1)); err != nil {
		problem("cannot be read (%v)", err)
	} else if sum != f.SHA256 {
		problem("has other contents, of the SHA-256 %s", sum)
	}
}
