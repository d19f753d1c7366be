package publish

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/index"
	"packagecloud/internal/repo"
)

// generation is one publication under way.
type generation struct {
	*Worker
	scope      db.ScopeState
	lease      string
	number     int64
	now        time.Time
	repository repo.Repository
	format     format.Format

	changes   []db.Change // what this generation takes in
	touched   []db.Touched
	documents []*document // in the order of format.Documents
	files     []db.File   // new ones, stored
	objects   int         // that were named

	composer blob.Composer // nil if clients never fetch from the store itself
	compose  []whole       // what is to be stored with it
}

// document is a document of the scope and what became of it.
type document struct {
	format.Document
	row     db.Document
	outcome *index.Outcome // nil if it did not change
}

// publish makes the next generation of a scope. It renders from one snapshot
// of the database; what is recorded meanwhile goes into the generation after.
// It returns the time of the generation.
func (w *Worker) publish(ctx context.Context, scope db.ScopeState, lease string) (time.Time, error) {
	start := w.Now()
	g := &generation{Worker: w, scope: scope, lease: lease, number: scope.Generation + 1}
	g.composer, _ = w.Blobs.(blob.Composer)
	// Whole seconds, as formats and HTTP show them, and others for each
	// generation: apt would be told that a file it has from the same second is
	// the newest. So the time may lie up to a second ahead.
	g.now = start.UTC().Truncate(time.Second)
	if scope.Generation > 0 && !g.now.After(scope.PublishedAt) {
		g.now = scope.PublishedAt.Truncate(time.Second).Add(time.Second)
	}
	return g.now, g.make(ctx, start)
}

func (g *generation) make(ctx context.Context, start time.Time) error {
	w, scope := g.Worker, g.scope
	i := slices.IndexFunc(w.Formats, func(f format.Format) bool { return f.Name() == scope.Distro.Format })
	if i < 0 {
		return fmt.Errorf("this program has no format %q", scope.Distro.Format)
	}
	g.format = w.Formats[i]

	var err error
	if g.repository, err = w.DB.RepositoryByID(ctx, scope.RepositoryID); err != nil {
		return err
	}
	if err := w.DB.View(ctx, func(tx *db.Tx) error { return g.render(ctx, tx) }); err != nil {
		return fmt.Errorf("render generation %d: %w", g.number, err)
	}
	if err := g.storeWholes(ctx); err != nil {
		return fmt.Errorf("store generation %d: %w", g.number, err)
	}
	if err := g.enter(ctx); err != nil {
		return fmt.Errorf("make the entry points of generation %d: %w", g.number, err)
	}
	if err := w.DB.Update(ctx, func(tx *db.Tx) error { return g.flip(ctx, tx) }); err != nil {
		return fmt.Errorf("flip to generation %d: %w", g.number, err)
	}
	w.Log.InfoContext(ctx, "published", "repository", g.repository.FullName(), "distribution", scope.Distro.String(),
		"generation", g.number, "packages", len(g.touched), "took", w.Now().Sub(start).Round(time.Microsecond))
	return nil
}

// has reports whether a change of a kind is taken in.
func (g *generation) has(kind db.ChangeKind) bool {
	return slices.ContainsFunc(g.changes, func(c db.Change) bool { return c.Kind == kind })
}

// render brings the documents up to the snapshot and stores what is new.
func (g *generation) render(ctx context.Context, tx *db.Tx) (err error) {
	if g.changes, err = tx.Changes(ctx, g.scope.ID); err != nil {
		return err
	}
	if g.touched, err = tx.Touched(ctx, g.scope.ID); err != nil {
		return err
	}
	if err := g.layOut(ctx, tx); err != nil {
		return err
	}
	for _, d := range g.documents {
		if err := g.update(ctx, tx, d); err != nil {
			return fmt.Errorf("document %s: %w", d.Name, err)
		}
	}
	return nil
}

// layOut finds the documents of the scope and records those that are new. A
// row without content is nobody's business until the flip.
func (g *generation) layOut(ctx context.Context, tx *db.Tx) error {
	rows, err := tx.Documents(ctx, g.scope.ID)
	if err != nil {
		return err
	}
	have := make(map[string]db.Document, len(rows))
	lists := make(map[string]bool)
	for _, row := range rows {
		have[row.Name] = row
		lists[row.List] = true
	}
	for _, t := range g.touched {
		lists[t.List] = true
	}
	for _, fd := range g.format.Documents(g.scope.Distro, slices.Sorted(maps.Keys(lists))) {
		d := &document{Document: fd, row: have[fd.Name]}
		if d.row.ID == 0 {
			d.row = db.Document{Name: fd.Name, List: fd.Lists[0]}
			err := g.DB.Update(ctx, func(tx *db.Tx) (err error) {
				d.row.ID, err = tx.CreateDocument(ctx, g.scope.ID, d.row.Name, d.row.List)
				return err
			})
			if err != nil {
				return err
			}
		}
		g.documents = append(g.documents, d)
	}
	return nil
}

// flip makes the generation live in one transaction: the row of the scope, and
// with it everything that was stored beforehand.
func (g *generation) flip(ctx context.Context, tx *db.Tx) error {
	if err := tx.Flip(ctx, g.scope.ID, g.lease, g.number, g.now); err != nil {
		return err
	}
	for _, d := range g.documents {
		if d.outcome == nil {
			continue
		}
		if err := tx.ApplyOutcome(ctx, d.row.ID, g.number, d.outcome, g.now); err != nil {
			return err
		}
		if err := tx.UpdateDocument(ctx, d.row); err != nil {
			return err
		}
	}
	for _, f := range g.files {
		if err := tx.ReplaceFile(ctx, f); err != nil {
			return err
		}
	}
	var listed, gone, finished []int64
	for _, t := range g.touched {
		if t.Gone {
			gone = append(gone, t.ID)
		} else {
			listed = append(listed, t.ID)
		}
	}
	for _, c := range g.changes {
		finished = append(finished, c.ID)
	}
	if err := tx.MarkIndexed(ctx, listed); err != nil {
		return err
	}
	if err := tx.MarkRetired(ctx, gone, g.now); err != nil {
		return err
	}
	return tx.FinishChanges(ctx, finished)
}
