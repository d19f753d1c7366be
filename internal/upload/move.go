package upload

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// Move takes a package out of its repository and puts it into another one, by
// one transaction: it is in exactly one of the two at any time, and the indexes
// of both follow. The bytes stay where they are. It returns the package as the
// destination has it; repo.ErrNotFound if somebody else was faster, and
// repo.Taken if the destination has the file name already.
func (u *Uploader) Move(ctx context.Context, p *repo.Package, to repo.Repository) (*repo.Package, error) {
	if p.RepositoryID == to.ID {
		return nil, repo.Invalid("destination", fmt.Sprintf("%s is in %s already", p.Filename(), to.FullName()))
	}
	f, err := u.formatOf(p.Distro)
	if err != nil {
		return nil, err
	}
	m := move{Uploader: u, from: p, to: to, format: f}
	run := func(tx *db.Tx) error { return m.run(ctx, tx) }
	err = u.DB.Update(ctx, run)
	if errors.Is(err, errElsewhere) {
		// Read before the transaction, which others wait for.
		var release func()
		m.parsed, release, err = u.reread(ctx, f, p)
		defer release()
		if err != nil {
			return nil, err
		}
		err = u.DB.Update(ctx, run)
	}
	if err := u.recorded(err); err != nil {
		return nil, fmt.Errorf("move %s to %s: %w", p.Filename(), to.FullName(), err)
	}
	return m.moved, nil
}

// errElsewhere says that the destination cannot have a package at the paths that
// it has in the source, because they stood for other bytes there. Entries name
// paths, and so have to be made again.
var errElsewhere = errors.New("the paths stand for other files at the destination")

// move is the transaction of a Move. It may run several times.
type move struct {
	*Uploader
	from   *repo.Package
	to     repo.Repository
	format format.Format
	parsed format.Parsed // set if the entries are to be made again
	moved  *repo.Package
}

func (m *move) run(ctx context.Context, tx *db.Tx) error {
	now := m.Now()
	gone, err := tx.DeletePackage(ctx, m.from.ID, now)
	if err != nil {
		return err
	}
	if !gone {
		return fmt.Errorf("package %s: %w", m.from.Filename(), repo.ErrNotFound)
	}
	// As it is now that nobody can change it any more.
	p, err := tx.PackageByID(ctx, m.from.ID)
	if err != nil {
		return err
	}
	source := p
	p.RepositoryID, p.Indexed, p.Files = m.to.ID, false, slices.Clone(source.Files)
	if p.ScopeID, err = tx.EnsureScope(ctx, m.to.ID, p.Distro); err != nil {
		return err
	}
	if _, ok := m.format.(format.Named); ok {
		if err := tx.EnsureName(ctx, p.ScopeID, p.List); err != nil {
			return err
		}
	} else if err := roomFor(ctx, tx, &p); err != nil {
		return err
	}
	for i := range p.Files {
		// The source's row has kept the bytes until now, so that they are there.
		if _, err := claimBlob(ctx, tx, &p.Files[i], now); err != nil {
			return err
		}
	}
	if err := m.copy(ctx, tx, &p); err != nil {
		return err
	}
	m.moved = &p
	if err := m.retag(ctx, tx, &source); err != nil {
		return err
	}
	if err := tx.AddChange(ctx, source.ScopeID, db.PackageChange, source.ID, now); err != nil {
		return err
	}
	return tx.AddChange(ctx, p.ScopeID, db.PackageChange, p.ID, now)
}

// copy records the package at the destination.
func (m *move) copy(ctx context.Context, tx *db.Tx, p *repo.Package) error {
	same, err := claimTheirs(ctx, tx, p)
	if err != nil {
		return err
	}
	if !same && m.parsed == nil {
		return errElsewhere
	}
	if !same {
		if err := claimPaths(ctx, tx, m.format, p); err != nil {
			return err
		}
	}
	if err := tx.CopyPackage(ctx, m.from.ID, p); err != nil {
		return err
	}
	if err := awaitContents(ctx, tx, m.format, p); err != nil {
		return err
	}
	var entries []format.Entry
	if same {
		entries, err = tx.PackageEntries(ctx, m.from.ID)
	} else {
		entries, err = m.entries(p)
	}
	if err != nil {
		return err
	}
	// It may have been recorded before the gate refused it.
	if err := format.Check(m.format, p, entries); err != nil {
		return err
	}
	for _, e := range entries {
		if err := tx.InsertEntry(ctx, p.ID, e.Kind, e.Text); err != nil {
			return err
		}
	}
	return nil
}

// entries are made again, with what was decided about the package since.
func (m *move) entries(p *repo.Package) ([]format.Entry, error) {
	entries, err := m.parsed.Entries(format.Listing{Distro: p.Distro, Files: p.Files, Time: p.CreatedAt})
	if err != nil || len(p.Attributes) == 0 {
		return entries, err
	}
	amender, ok := m.format.(format.Amender)
	if !ok {
		return nil, fmt.Errorf("%s has attributes, and its format has none", p.Filename())
	}
	return amender.Amend(entries, p.Attributes)
}

// retag decides about the tags of both lists. They are locked in the same order
// by who moves something the other way.
func (m *move) retag(ctx context.Context, tx *db.Tx, source *repo.Package) error {
	leave := func() error { return retag(ctx, tx, m.format, source, format.TagChange{}) }
	arrive := func() error {
		return retag(ctx, tx, m.format, m.moved, format.TagChange{Pushed: m.moved.Version, Promoted: true})
	}
	first, second := leave, arrive
	if m.moved.ScopeID < source.ScopeID {
		first, second = arrive, leave
	}
	if err := first(); err != nil {
		return err
	}
	return second()
}

// reread parses a stored package once more. release must be called when it is
// not needed any more, after an error too.
func (u *Uploader) reread(ctx context.Context, f format.Format, p *repo.Package) (parsed format.Parsed, release func(), err error) {
	release = func() {}
	b, err := u.DB.Blob(ctx, p.Files[0].SHA256, p.Files[0].Name)
	if err != nil {
		return nil, release, err
	}
	object, err := u.Blobs.Open(ctx, b.Object)
	if err != nil {
		return nil, release, fmt.Errorf("open %s: %w", p.Filename(), err)
	}
	defer object.Close()
	file, err := u.Receive(ctx, p.Filename(), object)
	if err != nil {
		return nil, release, err
	}
	parsed, end, err := u.parse(ctx, f, file, nil)
	return parsed, func() {
		end()
		closeAll([]*File{file})
	}, err
}
