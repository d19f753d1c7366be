package index

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"packagecloud/internal/format"
)

// Update brings a document from one generation to the next.
type Update struct {
	// Live are the document's live segments in order, from the first one that
	// may change: a suffix of the document. Tail and head count.
	Live []Segment
	// Whole says that Live is the complete document, so that its head may be
	// rewritten. It must be set for a new document.
	Whole bool
	// Total is the number of entries after the update. It is needed only if
	// Whole is set.
	Total int64

	// Touched are the ids that came or went, sorted. None is below the first
	// segment of Live unless Live holds the first segment of the document.
	Touched []int64
	// Rebuild renders everything anew; it needs Whole.
	Rebuild bool
	// Target is the text of a full segment in bytes; 0 means TargetSize.
	Target int

	// Frame is what stands around the given number of entries.
	Frame func(entries int64) (head, tail []byte)
	// Entries calls yield for each entry with from <= id < to, in order of
	// ids. The text may be reused after yield returns.
	Entries func(ctx context.Context, from, to int64, yield func(id int64, text []byte) error) error
	// Key names the object of a new segment. It must be another one for each
	// generation.
	Key func(first int64) string
}

// Outcome is what changed. Retired ones and Added ones may share a First.
type Outcome struct {
	Retired []int64   // First of live segments that are so no more
	Added   []Segment // new ones, stored
	Moved   []Segment // the same bytes at another Start
	Entries int64
	Forms   [format.Encodings]format.Form
}

// Run renders what changed and stores it. Nothing that is live is touched: an
// error, or a crash, leaves only objects that no row names.
func (u *Update) Run(ctx context.Context, store Store) (*Outcome, error) {
	r := renderer{Update: *u, store: store, low: TailFirst}
	if r.Target == 0 {
		r.Target = TargetSize
	}
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	if err := r.body(ctx); err != nil {
		return nil, err
	}
	if err := r.end(ctx); err != nil {
		return nil, err
	}
	r.out.Entries = r.sums.entries
	r.out.Forms = r.sums.forms()
	return &r.out, nil
}

type renderer struct {
	Update
	store Store
	sums  *sums
	out   Outcome

	head, tail *Segment  // live ones, if any
	live       []Segment // the others

	text    []byte // of the segment being filled
	entries int64
	first   int64
	// low is where the next segment must start at the latest, so that the ids
	// of the segments it replaces stay covered; TailFirst for no such bound.
	low int64
}

// begin sorts the live segments, picks up the hashes where they stand before
// the first one and writes the head.
func (r *renderer) begin(ctx context.Context) error {
	live := r.Live
	if len(live) > 0 && live[0].First == HeadFirst {
		r.head, live = &live[0], live[1:]
	}
	if n := len(live); n > 0 && live[n-1].First == TailFirst {
		r.tail, live = &live[n-1], live[:n-1]
	}
	r.live = live

	if r.Whole {
		var err error
		if r.sums, err = resume(Mark{}); err != nil {
			return err
		}
		text, _ := r.Frame(r.Total)
		return r.frame(ctx, HeadFirst, r.head, text, false)
	}
	if r.Rebuild || r.head != nil || len(live) == 0 {
		return errors.New("a part of a document must begin at a segment with entries, and cannot be rebuilt")
	}
	if len(r.Touched) > 0 && r.Touched[0] < r.from(0) {
		return fmt.Errorf("entry %d lies before the segments to be updated, which begin at %d", r.Touched[0], live[0].First)
	}
	var err error
	r.sums, err = resume(live[0].Start)
	return err
}

// frame puts the head or the tail, keeping the live one if it says the same.
// Without text there is none, unless it is wanted all the same.
func (r *renderer) frame(ctx context.Context, first int64, live *Segment, text []byte, wanted bool) error {
	if len(text) == 0 && !wanted {
		if live != nil {
			r.out.Retired = append(r.out.Retired, first)
		}
		return nil
	}
	if live != nil {
		forms, err := live.forms(ctx, r.store)
		if err != nil {
			return err
		}
		if string(forms[format.Plain]) == string(text) {
			r.sums.add(0, forms)
			return nil
		}
		r.out.Retired = append(r.out.Retired, first)
	}
	forms, err := encode(text)
	if err != nil {
		return err
	}
	start, err := r.sums.mark()
	if err != nil {
		return err
	}
	r.out.Added = append(r.out.Added, newSegment(first, 0, forms, start))
	r.sums.add(0, forms)
	return nil
}

// body goes through the live segments once, rendering those that are touched
// and hashing past the others.
func (r *renderer) body(ctx context.Context) error {
	if len(r.live) == 0 || r.Rebuild {
		for _, s := range r.live {
			r.out.Retired = append(r.out.Retired, s.First)
		}
		return r.render(ctx)
	}
	for i := 0; i < len(r.live); {
		if !r.touched(i) {
			if err := r.keep(ctx, r.live[i]); err != nil {
				return err
			}
			i++
			continue
		}
		n := 1
		for i+n < len(r.live) && r.touched(i+n) {
			n++
		}
		taken, err := r.renderFrom(ctx, i, n)
		if err != nil {
			return err
		}
		i += taken
	}
	return nil
}

// from and to are the range of ids of live segment i.
func (r *renderer) from(i int) int64 {
	if i == 0 && r.live[0].Start.Entries == 0 {
		return HeadFirst + 1 // the document's first: it also takes all lower ids
	}
	return r.live[i].First
}

func (r *renderer) to(i int) int64 {
	if i+1 < len(r.live) {
		return r.live[i+1].First
	}
	return TailFirst
}

func (r *renderer) touched(i int) bool {
	at, _ := slices.BinarySearch(r.Touched, r.from(i))
	return at < len(r.Touched) && r.Touched[at] < r.to(i)
}

// renderFrom renders n live segments from number i on as one range, and takes
// in those after it while little is left. It returns how many were replaced.
func (r *renderer) renderFrom(ctx context.Context, i, n int) (int, error) {
	retire := func(s Segment) { r.out.Retired = append(r.out.Retired, s.First) }
	for _, s := range r.live[i : i+n] {
		retire(s)
	}
	r.low = r.live[i].First
	if err := r.fill(ctx, r.from(i), r.to(i+n-1)); err != nil {
		return 0, err
	}
	// A segment that has become small takes in the next one if both fit, so
	// that removals leave no trail of crumbs.
	for i+n < len(r.live) && len(r.text) < r.Target/4 && int64(len(r.text))+r.live[i+n].Size[format.Plain] <= int64(r.Target) {
		retire(r.live[i+n])
		if err := r.fill(ctx, r.live[i+n].First, r.to(i+n)); err != nil {
			return 0, err
		}
		n++
	}
	return n, r.flush(ctx)
}

// render renders the whole document.
func (r *renderer) render(ctx context.Context) error {
	if err := r.fill(ctx, HeadFirst+1, TailFirst); err != nil {
		return err
	}
	return r.flush(ctx)
}

// fill adds the entries of a range, putting out segments as they get full.
func (r *renderer) fill(ctx context.Context, from, to int64) error {
	return r.Entries(ctx, from, to, func(id int64, text []byte) error {
		if len(r.text) > 0 && len(r.text)+len(text) > r.Target {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
		if r.entries == 0 {
			r.first, r.low = min(id, r.low), TailFirst
		}
		r.text = append(r.text, text...)
		r.entries++
		return nil
	})
}

// flush stores the segment that has been filled, if it holds anything.
func (r *renderer) flush(ctx context.Context) error {
	if r.entries == 0 {
		return nil
	}
	if err := r.put(ctx, r.first, r.entries, r.text); err != nil {
		return err
	}
	r.text, r.entries = r.text[:0], 0
	return nil
}

// put encodes, stores and sums a new segment.
func (r *renderer) put(ctx context.Context, first, entries int64, text []byte) error {
	forms, err := encode(text)
	if err != nil {
		return err
	}
	start, err := r.sums.mark()
	if err != nil {
		return err
	}
	s := newSegment(first, entries, forms, start)
	if len(s.Inline) > inlineLimit {
		s.Object = r.Key(first)
		if err := r.store.Put(ctx, s.Object, s.Inline); err != nil {
			return fmt.Errorf("store segment: %w", err)
		}
		s.Inline = nil
	}
	r.out.Added = append(r.out.Added, s)
	r.sums.add(entries, forms)
	return nil
}

// keep hashes past a segment that stays as it is.
func (r *renderer) keep(ctx context.Context, s Segment) error {
	forms, err := s.forms(ctx, r.store)
	if err != nil {
		return err
	}
	start, err := r.sums.mark()
	if err != nil {
		return err
	}
	if !start.equal(s.Start) {
		s.Start = start
		r.out.Moved = append(r.out.Moved, s)
	}
	r.sums.add(s.Entries, forms)
	return nil
}

func (m Mark) equal(o Mark) bool {
	if m.Entries != o.Entries || m.Offset != o.Offset {
		return false
	}
	for e := range m.State {
		if string(m.State[e]) != string(o.State[e]) {
			return false
		}
	}
	return true
}

// end writes the tail. A document that holds nothing at all still is a valid
// compressed file: an empty member.
func (r *renderer) end(ctx context.Context) error {
	_, text := r.Frame(r.sums.entries)
	empty := r.sums.offset == ([format.Encodings]int64{})
	return r.frame(ctx, TailFirst, r.tail, text, empty)
}
