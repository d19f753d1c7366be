package publish

import (
	"context"
	"errors"
	"fmt"

	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// checkedAtOnce is how many packages are read in one snapshot to be checked.
const checkedAtOnce = 200

// passGate checks the packages of the scope where they were last checked by an
// older gate of the format than this program's. What clients would not bear is
// withheld, what they bear after all is let in again, and the changes that say
// so are recorded before the generation is rendered.
//
// It looks at every package of the scope, once for each version of the gate, and
// where everything is rendered again anyway.
func (g *generation) passGate(ctx context.Context) error {
	version := format.GateVersion(g.format)
	if g.scope.Gate >= version {
		rebuilds, err := g.DB.Rebuilds(ctx, g.scope.ID)
		if err != nil || !rebuilds {
			return err
		}
	}
	verdicts, err := g.verdicts(ctx)
	if err != nil {
		return err
	}
	return g.DB.Update(ctx, func(tx *db.Tx) error {
		for _, v := range verdicts {
			if err := g.enforce(ctx, tx, v); err != nil {
				return err
			}
		}
		return tx.PassGate(ctx, g.scope.ID, g.lease, version)
	})
}

// verdict is what the gate says of a package, where that differs from what is
// recorded.
type verdict struct {
	id     int64
	list   string
	file   string
	reason string // "" lets it in
}

func (g *generation) verdicts(ctx context.Context) (all []verdict, err error) {
	for last := int64(0); ; {
		var packages []repo.Package
		err := g.DB.View(ctx, func(tx *db.Tx) (err error) {
			packages, err = tx.ScopePackages(ctx, g.scope.ID, last, checkedAtOnce)
			for i := range packages {
				p := &packages[i]
				reason, cerr := g.check(ctx, tx, p)
				if err = errors.Join(err, cerr); err != nil {
					return err
				}
				if reason != p.Withheld {
					all = append(all, verdict{p.ID, p.List, p.Filename(), reason})
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(packages) < checkedAtOnce {
			return all, nil
		}
		last = packages[len(packages)-1].ID
	}
}

// check is why clients would not bear a package; "" if they do.
func (g *generation) check(ctx context.Context, tx *db.Tx, p *repo.Package) (string, error) {
	entries, err := tx.PackageEntries(ctx, p.ID)
	if err != nil {
		return "", err
	}
	var invalid *repo.InvalidError
	switch err := format.Check(g.format, p, entries); {
	case errors.As(err, &invalid):
		return invalid.Error(), nil
	case err != nil:
		return "", fmt.Errorf("check %s: %w", p.Filename(), err)
	}
	return "", nil
}

// enforce records a verdict, and with it the change of the indexes.
func (g *generation) enforce(ctx context.Context, tx *db.Tx, v verdict) error {
	if err := tx.Withhold(ctx, v.id, v.reason); err != nil {
		return err
	}
	if v.reason != "" {
		g.Log.WarnContext(ctx, "package withheld: no index lists it from now on", "repository", g.repository.FullName(),
			"distribution", g.scope.Distro.String(), "file", v.file, "reason", v.reason)
	}
	if tagger, ok := g.format.(format.Tagger); ok {
		if err := tx.Retag(ctx, tagger, g.scope.ID, v.list, format.TagChange{}); err != nil {
			return err
		}
	}
	return tx.AddChange(ctx, g.scope.ID, db.PackageChange, v.id, g.Now())
}

// Recheck records a change for every scope whose packages were last checked by
// an older gate than this program's, so that each is checked without waiting
// for a push.
func (w *Worker) Recheck(ctx context.Context) error {
	for _, f := range w.Formats {
		behind, err := w.DB.ScopesBehind(ctx, f.Name(), format.GateVersion(f))
		if err != nil {
			return err
		}
		for _, s := range behind {
			err := w.DB.Update(ctx, func(tx *db.Tx) error { return tx.AddChange(ctx, s.ID, db.Recheck, 0, w.Now()) })
			if err != nil {
				return err
			}
		}
	}
	w.Wake()
	return nil
}
