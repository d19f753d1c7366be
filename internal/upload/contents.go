package upload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

const (
	// contentsBatch is how many packages that wait are looked up at a time.
	contentsBatch = 100
	// contentsTime bounds how long the files of one package may be read.
	contentsTime = 5 * time.Minute
	// contentsInterval is how often it is looked for packages that wait: a push to
	// another node, or the administrator's command, made them.
	contentsInterval = time.Second
	// contentsRetry is how long the reading rests after a failure.
	contentsRetry = time.Minute
)

// awaitContents records that the contents of a new package are to be read, if
// its format and its repository list them. The package must have been inserted.
func awaitContents(ctx context.Context, tx *db.Tx, f format.Format, p *repo.Package) error {
	if _, ok := f.(format.ContentsLister); !ok {
		return nil
	}
	return tx.AwaitContents(ctx, p.ID)
}

// SetContents chooses whether the indexes of a repository list the contents of
// its packages. All its scopes of formats that can are published again, and the
// contents of its packages are read in the background. It reports whether the
// choice is new.
func (u *Uploader) SetContents(ctx context.Context, r repo.Repository, on bool) (changed bool, err error) {
	var formats []string
	for _, f := range u.Formats {
		if _, ok := f.(format.ContentsLister); ok {
			formats = append(formats, f.Name())
		}
	}
	err = u.DB.Update(ctx, func(tx *db.Tx) error {
		if changed, err = tx.SetContents(ctx, r.ID, on, formats); err != nil || !changed {
			return err
		}
		scopes, err := tx.ScopesOf(ctx, r.ID)
		if err != nil {
			return err
		}
		for _, s := range scopes {
			if s.Generation == 0 {
				continue
			}
			if err := tx.AddChange(ctx, s.ID, db.Refresh, 0, u.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	return changed, u.recorded(err)
}

// ContentsReport is told what could not be listed of a package; p is nil if that
// could not even be found out.
type ContentsReport func(p *repo.Package, err error)

// ReadContents makes the entries of the packages whose contents wait to be read,
// one package after the other. It may be killed and run again, and run on several
// nodes at once.
//
// A package whose files cannot be listed, because of its bytes, gets an empty
// entry. One whose bytes cannot be had goes on waiting; it does not keep the
// others waiting. It returns how many entries were made.
func (u *Uploader) ReadContents(ctx context.Context, report ContentsReport) (read int, err error) {
	var failures []error
	for after := int64(0); ; {
		ids, err := u.DB.UnreadContents(ctx, after, contentsBatch)
		if err != nil || len(ids) == 0 {
			return read, errors.Join(append(failures, err)...)
		}
		for _, id := range ids {
			made, err := u.readContents(ctx, id, report)
			if ctx.Err() != nil {
				return read, ctx.Err()
			}
			if made {
				read++
			}
			if err != nil && len(failures) < 10 {
				failures = append(failures, err)
			}
		}
		after = ids[len(ids)-1]
	}
}

// readContents makes the entry of one package, unless it has one or needs none.
func (u *Uploader) readContents(ctx context.Context, id int64, report ContentsReport) (made bool, err error) {
	p, err := u.DB.PackageByID(ctx, id)
	if errors.Is(err, repo.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var entry *format.Entry
	kind, lister := u.contentsOf(&p)
	if lister != nil {
		switch _, err := u.DB.Entry(ctx, id, kind); {
		case errors.Is(err, repo.ErrNotFound):
			if entry, err = u.contents(ctx, lister, &p, report); err != nil {
				return false, err
			}
			entry.Kind = kind
			if entry.Text == nil {
				entry.Text = []byte{} // NULL in the database would be no entry
			}
		case err != nil:
			return false, err
		}
	}
	err = u.DB.Update(ctx, func(tx *db.Tx) error {
		waited, err := tx.ContentsRead(ctx, id)
		if made = waited && entry != nil; err != nil || !made {
			return err
		}
		if err := tx.InsertEntry(ctx, id, entry.Kind, entry.Text); err != nil {
			return err
		}
		return tx.AddChange(ctx, p.ScopeID, db.ContentsChange, id, u.Now())
	})
	return made, u.recorded(err)
}

// contentsOf is who lists the contents of a package, and the kind of the entry;
// nil if nobody does.
func (u *Uploader) contentsOf(p *repo.Package) (kind string, l format.ContentsLister) {
	f, err := u.formatOf(p.Distro)
	if err != nil {
		return "", nil
	}
	l, ok := f.(format.ContentsLister)
	if !ok {
		return "", nil
	}
	for _, d := range l.ContentsDocuments(p.Distro, []string{p.List}) {
		for _, list := range d.Lists {
			if list == p.List {
				return d.Kind, l
			}
		}
	}
	return "", nil
}

// contents makes the entry of a package from its stored bytes.
func (u *Uploader) contents(ctx context.Context, l format.ContentsLister, p *repo.Package, report ContentsReport) (*format.Entry, error) {
	f := p.Files[0]
	b, err := u.DB.Blob(ctx, f.SHA256, f.Name)
	if err != nil {
		return nil, err
	}
	object, err := u.Blobs.Open(ctx, b.Object)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.Name, err)
	}
	defer object.Close()
	bounded, cancel := context.WithTimeout(ctx, contentsTime)
	defer cancel()
	entry, err := l.Contents(bounded, format.Upload{Filename: f.Name, Content: object, Size: f.Size, Digests: f.Digests})
	var invalid *repo.InvalidError
	switch {
	case err == nil:
		return &entry, nil
	case errors.As(err, &invalid):
	case ctx.Err() == nil && bounded.Err() != nil:
		err = fmt.Errorf("its files could not be read within %s", contentsTime)
	default:
		return nil, fmt.Errorf("read the contents of %s: %w", f.Name, err)
	}
	report(p, err)
	return &format.Entry{}, nil
}

// ReadingContents runs ReadContents whenever something waits, until the context
// ends. The report also hears of failures.
func (u *Uploader) ReadingContents(ctx context.Context, report ContentsReport) {
	for {
		rest := contentsInterval
		if _, err := u.ReadContents(ctx, report); err != nil && ctx.Err() == nil {
			report(nil, err)
			rest = contentsRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(rest):
		}
	}
}
