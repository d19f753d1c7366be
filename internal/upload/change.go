package upload

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// Remove deletes a package: its name is free at once, the indexes follow. It
// is repo.ErrNotFound if somebody else was faster.
func (u *Uploader) Remove(ctx context.Context, p *repo.Package) error {
	f, err := u.formatOf(p.Distro)
	if err != nil {
		return err
	}
	err = u.DB.Update(ctx, func(tx *db.Tx) error {
		now := u.Now()
		gone, err := tx.DeletePackage(ctx, p.ID, now)
		if err != nil {
			return err
		}
		if !gone {
			return fmt.Errorf("package %s: %w", p.Filename(), repo.ErrNotFound)
		}
		if err := retag(ctx, tx, f, p, format.TagChange{}); err != nil {
			return err
		}
		return tx.AddChange(ctx, p.ScopeID, db.PackageChange, p.ID, now)
	})
	return u.recorded(err)
}

// Amend changes attributes of a package: one with the value nil is taken away.
// The format must know how to show them.
func (u *Uploader) Amend(ctx context.Context, p *repo.Package, changes map[string]*string) error {
	f, err := u.formatOf(p.Distro)
	if err != nil {
		return err
	}
	amender, ok := f.(format.Amender)
	if !ok {
		return repo.Invalid("base", fmt.Sprintf("packages of %s cannot be changed once they are pushed", p.Distro))
	}
	err = u.DB.Update(ctx, func(tx *db.Tx) error {
		have, err := tx.PackageByID(ctx, p.ID)
		if err != nil {
			return err
		}
		attributes := maps.Clone(have.Attributes)
		if attributes == nil {
			attributes = make(map[string]string)
		}
		for name, value := range changes {
			if value == nil {
				delete(attributes, name)
			} else {
				attributes[name] = *value
			}
		}
		if maps.Equal(attributes, have.Attributes) {
			return nil
		}
		entries, err := tx.PackageEntries(ctx, p.ID)
		if err != nil {
			return err
		}
		if entries, err = amender.Amend(entries, attributes); err != nil {
			return fmt.Errorf("amend %s: %w", p.Filename(), err)
		}
		if err := format.Check(f, p, entries); err != nil && have.Withheld == "" {
			return err
		}
		if err := tx.AmendPackage(ctx, p.ID, attributes, entries); err != nil {
			return err
		}
		p.Attributes = attributes
		return tx.AddChange(ctx, p.ScopeID, db.PackageChange, p.ID, u.Now())
	})
	return u.recorded(err)
}

// List is a list of a repository's scope.
type List struct {
	Repository repo.Repository
	Distro     repo.DistroVersion
	Name       string // repo.Package.List
}

// SetTags changes tags of a list that has packages: one with the value nil is
// taken away.
func (u *Uploader) SetTags(ctx context.Context, l List, changes map[string]*string) error {
	err := u.DB.Update(ctx, func(tx *db.Tx) error {
		s, err := tx.Scope(ctx, l.Repository.ID, l.Distro.OS, l.Distro.Version)
		if err != nil {
			return err
		}
		name, err := tx.Name(ctx, s.ID, l.Name)
		if err == nil && !name.Present {
			err = fmt.Errorf("%s in %s: %w", l.Name, l.Repository.FullName(), repo.ErrNotFound)
		}
		if err != nil {
			return err
		}
		for tag, value := range changes {
			if value != nil {
				err = tx.SetTag(ctx, s.ID, l.Name, tag, *value)
			} else {
				_, err = tx.DeleteTag(ctx, s.ID, l.Name, tag)
			}
			if err != nil {
				return err
			}
		}
		return tx.AddListChange(ctx, s.ID, db.ListChange, l.Name, u.Now())
	})
	return u.recorded(err)
}

// recorded tells publishers of a change, if it was made.
func (u *Uploader) recorded(err error) error {
	if err == nil && u.Recorded != nil {
		u.Recorded()
	}
	return err
}

// retag lets a format that has tags decide about those of a list, after a
// package of it came or went. The change says which, and what was asked for.
func retag(ctx context.Context, tx *db.Tx, f format.Format, p *repo.Package, change format.TagChange) error {
	tagger, ok := f.(format.Tagger)
	if !ok {
		if len(change.Asked) > 0 {
			return errors.New("tags were asked for, and the format has none")
		}
		return nil
	}
	// The package's own change publishes them.
	return tx.Retag(ctx, tagger, p.ScopeID, p.List, change)
}
