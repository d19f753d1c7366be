// Package publishtest judges what the clients of one scope saw: whether there
// is one order of everything that was done in which each answer is right.
package publishtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// History is what writers and readers did and what they were told. It is safe
// for concurrent use.
type History struct {
	mu         sync.Mutex
	operations []porcupine.Operation
	ids        map[string]int // of packages, in the order in which they appear
}

// Listing is what a client got of a scope: an entry point, and every file that
// it names.
type Listing struct {
	// Generation orders generations: a number, or the Date that Release tells.
	Generation int64
	Digest     string // of the entry point
	Packages   []string
}

// The inputs of operations.
type (
	acknowledged struct {
		id      int
		indexed bool
	}
	deleted struct{ id int }
	read    struct{ last bool }
)

// seen is the output of a read: packages are a set of ids.
type seen struct {
	generation int64
	digest     string
	packages   set
	err        error
}

// Pushed notes that a push was answered with 201; indexed says that it was told
// to be installable.
//
// From the answer on the package must be there, so that this is the moment that
// asks the least of the server.
func (h *History) Pushed(name string, indexed bool) {
	h.add(time.Now(), time.Now(), func() (any, any) { return acknowledged{h.id(name), indexed}, nil })
}

// Deleting notes that the deletion of a package is about to be asked for: from
// now on it may be listed or not.
func (h *History) Deleting(name string) {
	h.add(time.Now(), time.Now(), func() (any, any) { return deleted{h.id(name)}, nil })
}

// Read notes what a client got. An error says that something that an entry
// point names could not be fetched, or was not what it names.
func (h *History) Read(began time.Time, l Listing, err error) { h.read(began, l, err, false) }

// Last notes what a client got when everything was published: exactly what was
// acknowledged and not deleted.
func (h *History) Last(began time.Time, l Listing, err error) { h.read(began, l, err, true) }

func (h *History) read(began time.Time, l Listing, err error, last bool) {
	h.add(began, time.Now(), func() (any, any) {
		out := seen{generation: l.Generation, digest: l.Digest, err: err}
		for _, name := range l.Packages {
			out.packages = out.packages.with(h.id(name))
		}
		return read{last}, out
	})
}

func (h *History) id(name string) int {
	if h.ids == nil {
		h.ids = make(map[string]int)
	}
	id, ok := h.ids[name]
	if !ok {
		id = len(h.ids)
		h.ids[name] = id
	}
	return id
}

func (h *History) add(began, ended time.Time, what func() (input, output any)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	input, output := what()
	h.operations = append(h.operations, porcupine.Operation{
		ClientId: len(h.operations), Input: input, Call: began.UnixNano(), Output: output, Return: ended.UnixNano(),
	})
}

// Len is how many operations there are.
func (h *History) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.operations)
}

// Check looks for an order of the operations, within the times at which they
// happened, in which each answer is right:
//
//   - generations never go back, and each has one content;
//   - everything that an entry point names can be fetched;
//   - a package that was told to be installable is listed until it is deleted;
//   - in the end exactly what was acknowledged and not deleted is listed.
func (h *History) Check(within time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	result, info := porcupine.CheckOperationsVerbose(model, h.operations, within)
	if result == porcupine.Ok {
		return nil
	}
	if result == porcupine.Unknown {
		return fmt.Errorf("no order of %d operations was found within %s, nor that there is none", len(h.operations), within)
	}
	return fmt.Errorf("no order of %d operations explains what clients saw; the longest beginning that can be explained ends before\n%s",
		len(h.operations), h.stuck(info))
}

// stuck tells the first operations that no explained beginning contains.
func (h *History) stuck(info porcupine.LinearizationInfo) string {
	longest := 0
	explained := make(map[int]bool)
	for _, partial := range info.PartialLinearizationsOperations()[0] {
		if len(partial) < longest {
			continue
		}
		longest = len(partial)
		clear(explained)
		for _, o := range partial {
			explained[o.ClientId] = true
		}
	}
	names := slices.SortedFunc(maps.Keys(h.ids), func(a, b string) int { return h.ids[a] - h.ids[b] })
	rest := slices.SortedFunc(slices.Values(h.operations), func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var b strings.Builder
	for _, o := range rest {
		if !explained[o.ClientId] {
			fmt.Fprintln(&b, describe(names, o))
			if b.Len() > 4000 {
				break
			}
		}
	}
	return b.String()
}

func describe(names []string, o porcupine.Operation) string {
	switch in := o.Input.(type) {
	case acknowledged:
		return fmt.Sprintf("%s was acknowledged, indexed: %v", names[in.id], in.indexed)
	case deleted:
		return names[in.id] + " was deleted"
	}
	out := o.Output.(seen) //nolint:forcetypeassert // Read and Last make nothing else
	if out.err != nil {
		return fmt.Sprintf("a read of generation %d failed: %v", out.generation, out.err)
	}
	var listed []string
	for id, name := range names {
		if out.packages.has(id) {
			listed = append(listed, name)
		}
	}
	return fmt.Sprintf("generation %d (%.8s) listed %s", out.generation, out.digest, strings.Join(listed, " "))
}

// state is what the next read must agree with.
type state struct {
	generation int64
	digest     string
	listed     set // packages that were told to be installable, and not deleted
	kept       set // packages that were acknowledged, and not deleted
}

var model = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(before, input, output any) (bool, any) {
		s := before.(state) //nolint:forcetypeassert // Init and Step make nothing else
		switch in := input.(type) {
		case acknowledged:
			s.kept = s.kept.with(in.id)
			if in.indexed {
				s.listed = s.listed.with(in.id)
			}
			return true, s
		case deleted:
			s.kept, s.listed = s.kept.without(in.id), s.listed.without(in.id)
			return true, s
		case read:
			out := output.(seen) //nolint:forcetypeassert // Read and Last make nothing else
			ok := out.err == nil && out.generation >= s.generation &&
				(out.generation > s.generation || out.digest == s.digest) &&
				out.packages.contains(s.listed) && (!in.last || out.packages == s.kept)
			s.generation, s.digest = out.generation, out.digest
			return ok, s
		}
		return false, s
	},
}

// set is a set of small numbers, a bit each, without zero bytes at its end, so
// that equal sets are equal strings.
type set string

func (s set) has(id int) bool { return id/8 < len(s) && s[id/8]&(1<<(id%8)) != 0 }

func (s set) with(id int) set {
	if s.has(id) {
		return s
	}
	b := make([]byte, max(len(s), id/8+1))
	copy(b, s)
	b[id/8] |= 1 << (id % 8)
	return set(b)
}

func (s set) without(id int) set {
	if !s.has(id) {
		return s
	}
	b := []byte(s)
	b[id/8] &^= 1 << (id % 8)
	return set(strings.TrimRight(string(b), "\x00"))
}

func (s set) contains(other set) bool {
	if len(other) > len(s) {
		return false
	}
	for i := range len(other) {
		if other[i]&^s[i] != 0 {
			return false
		}
	}
	return true
}
