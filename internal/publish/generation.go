package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
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
	named      format.Named // the same, or nil

	changes   []db.Change // what this generation takes in
	touched   []db.Touched
	names     []db.Name       // the lists that changes touch, if the format is Named
	retagged  map[string]bool // lists whose frames changed
	relisted  map[string]bool // lists to be rendered from the rows
	documents []*document     // in the order of format.Documents
	withdrawn []*document     // live ones that the scope has no more
	files     []db.File       // new ones, stored
	gone      []string        // paths of files that are no more

	versions   []format.Version // those of the list that was asked for last
	versionsOf db.Listed
	objects    int // that were named

	url    string   // the public URL that links are of
	origin string   // the host that entry points name
	signed []string // fingerprints of the keys that signed; nil if nothing was signed

	composer blob.Composer // nil if clients never fetch from the store itself
	compose  []whole       // what is to be stored with it
}

// document is a document of the scope and what became of it.
type document struct {
	format.Document
	contents bool // it lists the contents of packages
	row      db.Document
	source   source
	outcome  *index.Outcome // nil if it did not change
}

// publish makes the next generation of a scope. It renders from one snapshot
// of the database; what is recorded meanwhile goes into the generation after.
// It returns the time of the generation.
func (w *Worker) publish(ctx context.Context, scope db.ScopeState, lease string) (time.Time, error) {
	start := w.Now()
	clock, err := w.clock(ctx, w.DB.Reader)
	if err != nil {
		return time.Time{}, err
	}
	g := &generation{Worker: w, scope: scope, lease: lease, number: scope.Generation + 1, now: generationTime(clock, scope)}
	g.composer, _ = w.Blobs.(blob.Composer)
	return g.now, g.make(ctx, start)
}

// generationTime is the time of the next generation of a scope. It is in whole
// seconds, as formats and HTTP show them, and another one for each generation:
// apt would be told that a file it has from the same second is the newest. So it
// may lie up to a second ahead.
//
// Where the live generation is further ahead than clients bear, it was made
// while the clock was ahead, and no client whose clock is right has taken it.
// Then the time comes from the clock again and goes back by that.
func generationTime(clock time.Time, scope db.ScopeState) time.Time {
	now := clock.UTC().Truncate(time.Second)
	if scope.Generation > 0 && !now.After(scope.PublishedAt) && scope.PublishedAt.Sub(now) <= aheadTime {
		return scope.PublishedAt.Truncate(time.Second).Add(time.Second)
	}
	return now
}

func (g *generation) make(ctx context.Context, start time.Time) error {
	w, scope := g.Worker, g.scope
	i := slices.IndexFunc(w.Formats, func(f format.Format) bool { return f.Name() == scope.Distro.Format })
	if i < 0 {
		return fmt.Errorf("this program has no format %q", scope.Distro.Format)
	}
	g.format = w.Formats[i]
	g.named, _ = g.format.(format.Named)

	var err error
	if g.repository, err = w.DB.RepositoryByID(ctx, scope.RepositoryID); err != nil {
		return err
	}
	if err := g.passGate(ctx); err != nil {
		return fmt.Errorf("check the packages of generation %d: %w", g.number, err)
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
	err = w.serving(scope.ID, func() error { return w.DB.Update(ctx, func(tx *db.Tx) error { return g.flip(ctx, tx) }) })
	if err != nil {
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

// maxChanges bounds the changes that a generation takes in, where each may
// have documents of its own.
const maxChanges = 5000

// render brings the documents up to the snapshot and stores what is new.
func (g *generation) render(ctx context.Context, tx *db.Tx) (err error) {
	// The lease may be older than what Relocate recorded; the snapshot has both
	// the URL and the change that has everything rendered with it.
	scope, err := tx.ScopeByID(ctx, g.scope.ID)
	if err != nil {
		return err
	}
	g.url = cmp.Or(scope.URL, g.URL)
	limit := math.MaxInt32
	if g.named != nil {
		limit = maxChanges
	}
	if g.changes, err = tx.Changes(ctx, g.scope.ID, limit); err != nil {
		return err
	}
	if n := len(g.changes); n > 0 {
		if g.touched, err = tx.Touched(ctx, g.scope.ID, g.changes[n-1].ID); err != nil {
			return err
		}
	}
	if err := g.layOut(ctx, tx); err != nil {
		return err
	}
	for _, d := range g.documents {
		if err := g.update(ctx, tx, d); err != nil {
			return fmt.Errorf("document %s: %w", d.Name, err)
		}
	}
	for _, d := range g.withdrawn {
		if err := g.withdraw(ctx, tx, d); err != nil {
			return fmt.Errorf("withdraw %s: %w", d.Name, err)
		}
	}
	return nil
}

// layOut finds the documents of the scope, or those that may change where each
// list has its own, and records those that are new. A row without content is
// nobody's business until the flip.
func (g *generation) layOut(ctx context.Context, tx *db.Tx) error {
	lists, have, err := g.lists(ctx, tx)
	if err != nil {
		return err
	}
	var missing []*document
	for _, fd := range g.format.Documents(g.scope.Distro, lists) {
		row, ok := have[fd.Name]
		if g.named != nil {
			row, err = tx.Document(ctx, g.scope.ID, fd.Name)
			if ok = err == nil; err != nil && !errors.Is(err, repo.ErrNotFound) {
				return err
			}
		}
		d := &document{Document: fd, row: row}
		if !ok {
			d.row = db.Document{Name: fd.Name, List: fd.Lists[0]}
			missing = append(missing, d)
		}
		g.documents = append(g.documents, d)
	}
	more, err := g.layOutContents(ctx, tx, lists, have)
	if err != nil {
		return err
	}
	return g.create(ctx, append(missing, more...))
}

// layOutContents finds the documents that list the contents of packages, and
// returns those that are new. Where the repository has them no more, those that
// are live are withdrawn.
func (g *generation) layOutContents(ctx context.Context, tx *db.Tx, lists []string, have map[string]db.Document) (missing []*document, err error) {
	lister, ok := g.format.(format.ContentsLister)
	if !ok {
		return nil, nil
	}
	// As of the snapshot: the change that it takes in says that this was chosen.
	if g.repository, err = tx.RepositoryByID(ctx, g.scope.RepositoryID); err != nil {
		return nil, err
	}
	for _, fd := range lister.ContentsDocuments(g.scope.Distro, lists) {
		row, ok := have[fd.Name]
		d := &document{Document: fd, contents: true, row: row}
		switch {
		case !g.repository.Contents && !row.ChangedAt.IsZero():
			g.withdrawn = append(g.withdrawn, d)
		case !g.repository.Contents:
		case !ok:
			d.row = db.Document{Name: fd.Name, List: fd.Lists[0]}
			missing = append(missing, d)
			fallthrough
		default:
			g.documents = append(g.documents, d)
		}
	}
	return missing, nil
}

// create records new documents.
func (g *generation) create(ctx context.Context, missing []*document) error {
	if len(missing) == 0 {
		return nil
	}
	return g.DB.Update(ctx, func(tx *db.Tx) (err error) {
		for _, d := range missing {
			if d.row.ID, err = tx.CreateDocument(ctx, g.scope.ID, d.row.Name, d.row.List); err != nil {
				return err
			}
		}
		return nil
	})
}

// lists are those whose documents this generation looks at: all of the scope,
// with the rows of its documents, or those that changed.
func (g *generation) lists(ctx context.Context, tx *db.Tx) ([]string, map[string]db.Document, error) {
	lists := make(map[string]bool)
	for _, t := range g.touched {
		lists[t.List] = true
	}
	if g.named != nil {
		return g.namedLists(ctx, tx, lists)
	}
	rows, err := tx.Documents(ctx, g.scope.ID)
	if err != nil {
		return nil, nil, err
	}
	have := make(map[string]db.Document, len(rows))
	for _, row := range rows {
		have[row.Name] = row
		lists[row.List] = true
	}
	return slices.Sorted(maps.Keys(lists)), have, nil
}

func (g *generation) namedLists(ctx context.Context, tx *db.Tx, lists map[string]bool) ([]string, map[string]db.Document, error) {
	g.retagged, g.relisted = make(map[string]bool), make(map[string]bool)
	for _, c := range g.changes {
		switch c.Kind {
		case db.ListChange:
			lists[c.List], g.retagged[c.List] = true, true
		case db.Relist:
			lists[c.List], g.relisted[c.List] = true, true
		}
	}
	sorted := slices.Sorted(maps.Keys(lists))
	for _, l := range sorted {
		name, err := tx.Name(ctx, g.scope.ID, l)
		if err != nil {
			return nil, nil, err
		}
		g.names = append(g.names, name)
	}
	return sorted, nil, nil
}

// flip makes the generation live in one transaction: the row of the scope, and
// with it everything that was stored beforehand.
func (g *generation) flip(ctx context.Context, tx *db.Tx) error {
	if err := tx.Flip(ctx, g.scope.ID, g.lease, g.number, g.now, g.origin, g.url); err != nil {
		return err
	}
	if err := g.checkKeys(ctx, tx); err != nil {
		return err
	}
	for _, d := range slices.Concat(g.documents, g.withdrawn) {
		if d.outcome == nil {
			continue
		}
		if err := tx.ApplyOutcome(ctx, d.row.ID, g.number, d.outcome); err != nil {
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
	for _, path := range g.gone {
		if err := tx.RetireFile(ctx, g.scope.ID, path, g.number); err != nil {
			return err
		}
	}
	if err := g.flipNames(ctx, tx); err != nil {
		return err
	}
	return g.finish(ctx, tx)
}

// flipNames notes which lists the generation has.
func (g *generation) flipNames(ctx context.Context, tx *db.Tx) error {
	var came, went []int64
	for _, n := range g.names {
		switch {
		case n.Present && !n.Listed:
			came = append(came, n.ID)
		case n.Listed && !n.Present:
			went = append(went, n.ID)
		}
	}
	if err := tx.MarkListed(ctx, came, true); err != nil {
		return err
	}
	if err := tx.MarkListed(ctx, went, false); err != nil {
		return err
	}
	// Lists are rendered from the rows some at a time, in generations to come.
	if g.named != nil && g.has(db.Rebuild) {
		return tx.RelistAll(ctx, g.scope.ID, g.now)
	}
	return nil
}

// finish notes that what waited is published.
func (g *generation) finish(ctx context.Context, tx *db.Tx) error {
	var listed, unlisted, gone, finished []int64
	for _, t := range g.touched {
		switch {
		case t.Gone:
			gone = append(gone, t.ID)
		case t.Withheld:
			unlisted = append(unlisted, t.ID)
		default:
			listed = append(listed, t.ID)
		}
	}
	for _, c := range g.changes {
		finished = append(finished, c.ID)
	}
	if err := tx.MarkIndexed(ctx, listed); err != nil {
		return err
	}
	if err := tx.MarkUnlisted(ctx, unlisted); err != nil {
		return err
	}
	if err := tx.MarkRetired(ctx, gone); err != nil {
		return err
	}
	return tx.FinishChanges(ctx, finished)
}
