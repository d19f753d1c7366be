package index

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	stdgzip "compress/gzip"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"packagecloud/internal/format"
)

// memory is a Store that refuses to change an object.
type memory map[string][]byte

func (m memory) Put(_ context.Context, key string, body []byte) error {
	if old, ok := m[key]; ok && !bytes.Equal(old, body) {
		return fmt.Errorf("object %s is rewritten", key)
	}
	m[key] = bytes.Clone(body)
	return nil
}

func (m memory) Get(_ context.Context, key string, offset, n int64) ([]byte, error) {
	body, ok := m[key]
	if !ok {
		return nil, fmt.Errorf("no object %s", key)
	}
	return body[offset : offset+n], nil
}

// listing is a document with the entries it should have, kept up by updates as
// package publish does it.
type listing struct {
	framed     bool
	target     int
	entries    map[int64]string
	live       []Segment
	generation int
	store      memory
	out        *Outcome
}

func (l *listing) frame(n int64) (head, tail []byte) {
	if !l.framed {
		return nil, nil
	}
	return fmt.Appendf(nil, "<list packages=%q>\n", fmt.Sprint(n)), []byte("</list>\n")
}

func (l *listing) text(entries int64) string {
	head, tail := l.frame(entries)
	var b strings.Builder
	b.Write(head)
	for _, id := range slices.Sorted(maps.Keys(l.entries)) {
		b.WriteString(l.entries[id])
	}
	b.Write(tail)
	return b.String()
}

// update publishes a change of the touched entries. With partial it loads the
// segments from the first one touched, where there is one.
func (l *listing) update(t rapid.TB, touched []int64, partial, rebuild bool) {
	slices.Sort(touched)
	u := Update{
		Live: l.live, Whole: true, Total: int64(len(l.entries)),
		Touched: touched, Rebuild: rebuild, Target: l.target, Frame: l.frame,
		Key: func(first int64) string { return fmt.Sprintf("%d-%d", l.generation, first) },
		Entries: func(_ context.Context, from, to int64, yield func(int64, []byte) error) error {
			for _, id := range slices.Sorted(maps.Keys(l.entries)) {
				if from <= id && id < to {
					if err := yield(id, []byte(l.entries[id])); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
	if partial && !rebuild && l.firstTouched(touched) >= 0 {
		at := l.firstTouched(touched)
		u.Live, u.Whole, u.Total = l.live[at:], false, 0
	}
	out, err := u.Run(context.Background(), l.store)
	if err != nil {
		t.Fatal(err)
	}
	l.apply(t, out)
}

// firstTouched is the number of the segment that holds the lowest touched id,
// -1 if no segment has entries.
func (l *listing) firstTouched(touched []int64) int {
	at := -1
	for i, s := range l.live {
		if s.First == HeadFirst || s.First == TailFirst {
			continue
		}
		if at < 0 || s.First <= touched[0] {
			at = i
		}
	}
	return at
}

func (l *listing) apply(t rapid.TB, out *Outcome) {
	bySeg := map[int64]Segment{}
	for _, s := range l.live {
		bySeg[s.First] = s
	}
	for _, first := range out.Retired {
		if _, ok := bySeg[first]; !ok {
			t.Fatalf("segment %d is retired but was not live", first)
		}
		delete(bySeg, first)
	}
	for _, s := range out.Added {
		if _, ok := bySeg[s.First]; ok {
			t.Fatalf("segment %d is added but is live", s.First)
		}
		bySeg[s.First] = s
	}
	for _, s := range out.Moved {
		if _, ok := bySeg[s.First]; !ok {
			t.Fatalf("segment %d is moved but not live", s.First)
		}
		bySeg[s.First] = s
	}
	l.live = nil
	for _, first := range slices.Sorted(maps.Keys(bySeg)) {
		l.live = append(l.live, bySeg[first])
	}
	l.out = out
	l.generation++
}

func (l *listing) check(t rapid.TB) {
	var want [format.Encodings][]byte
	for e := range want {
		d := NewDocument(format.Encoding(e), l.live)
		body, err := io.ReadAll(d.Reader(context.Background(), l.store))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(body)
		if got := l.out.Forms[e]; got.SHA256 != hex.EncodeToString(sum[:]) || got.Size != int64(len(body)) || d.Size() != int64(len(body)) {
			t.Fatalf("encoding %d: the outcome says %v, the document has %d bytes and SHA-256 %x", e, got, len(body), sum)
		}
		want[e] = body
	}
	if l.out.Entries != int64(len(l.entries)) {
		t.Fatalf("%d entries, want %d", l.out.Entries, len(l.entries))
	}
	plain := string(want[format.Plain])
	head, _ := l.frame(int64(len(l.entries)))
	if l.framed && !strings.HasPrefix(plain, string(head)) {
		// A partial update leaves the head, whatever count it has.
		plain = string(head) + plain[strings.Index(plain, "\n")+1:]
	}
	if plain != l.text(int64(len(l.entries))) {
		t.Fatalf("document is\n%q\nwant\n%q", plain, l.text(int64(len(l.entries))))
	}
	gz, err := stdgzip.NewReader(bytes.NewReader(want[format.Gzip]))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(gz); err != nil || !bytes.Equal(got, want[format.Plain]) {
		t.Fatalf("gzip form does not unpack to the plain one: %v", err)
	}
	single, err := io.ReadAll(NewDocument(format.Gzip, l.live).Single().Reader(context.Background(), l.store))
	if err != nil {
		t.Fatal(err)
	}
	if err := gz.Reset(bytes.NewReader(single)); err != nil {
		t.Fatal(err)
	}
	gz.Multistream(false)
	if got, err := io.ReadAll(gz); err != nil || !bytes.Equal(got, want[format.Plain]) {
		t.Fatalf("the one gzip member does not unpack to the plain form: %v", err)
	}
	zr, err := zstd.NewReader(bytes.NewReader(want[format.Zstd]))
	if err != nil {
		t.Fatal(err)
	}
	defer zr.Close()
	if got, err := io.ReadAll(zr); err != nil || !bytes.Equal(got, want[format.Plain]) {
		t.Fatalf("zstd form does not unpack to the plain one: %v", err)
	}
	for _, s := range l.live {
		if s.Entries > 1 && s.Size[format.Plain] > int64(l.target) {
			t.Fatalf("segment %d has %d entries and %d bytes, over the target %d", s.First, s.Entries, s.Size[format.Plain], l.target)
		}
	}
}

// TestUpdate drives a document through random histories. After each step it
// must be what a rendering from nothing would say, and its digests those of
// the bytes that are served.
func TestUpdate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &listing{
			framed:  rapid.Bool().Draw(t, "framed"),
			target:  rapid.IntRange(1, 4000).Draw(t, "target"),
			entries: map[int64]string{}, store: memory{},
		}
		l.update(t, nil, false, false)
		l.check(t)
		next := int64(1)
		entry := rapid.StringMatching(`[a-z]{1,40}`)
		size := rapid.IntRange(1, 1500)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { l.check(t) },
			"add": func(t *rapid.T) {
				var touched []int64
				for range rapid.IntRange(1, 5).Draw(t, "n") {
					text := entry.Draw(t, "entry")
					l.entries[next] = strings.Repeat(text, 1+size.Draw(t, "size")/len(text)) + "\n"
					touched = append(touched, next)
					next += int64(rapid.IntRange(1, 3).Draw(t, "gap"))
				}
				l.update(t, touched, rapid.Bool().Draw(t, "partial"), false)
			},
			"late": func(t *rapid.T) { // an id below others that are listed
				id := rapid.Int64Range(-5, next).Draw(t, "id")
				if _, ok := l.entries[id]; ok {
					t.Skip("taken")
				}
				next = max(next, id+1)
				l.entries[id] = entry.Draw(t, "entry") + "\n"
				l.update(t, []int64{id}, rapid.Bool().Draw(t, "partial"), false)
			},
			"remove": func(t *rapid.T) {
				if len(l.entries) == 0 {
					t.Skip("empty")
				}
				ids := slices.Sorted(maps.Keys(l.entries))
				touched := rapid.SliceOfNDistinct(rapid.SampledFrom(ids), 1, min(4, len(ids)), rapid.ID).Draw(t, "ids")
				for _, id := range touched {
					delete(l.entries, id)
				}
				l.update(t, touched, rapid.Bool().Draw(t, "partial"), false)
			},
			"rebuild": func(t *rapid.T) { l.update(t, nil, false, true) },
		})
	})
}

// TestAppendReadsNothing shows that adding an entry does not look at what is
// there: the store refuses to be read, and one segment is written.
func TestAppendReadsNothing(t *testing.T) {
	l := &listing{target: 2000, entries: map[int64]string{}, store: memory{}}
	var touched []int64
	for id := range int64(1000) {
		l.entries[id] = fmt.Sprintf("entry %d %x\n", id, sha256.Sum256(fmt.Append(nil, id)))
		touched = append(touched, id)
	}
	l.update(t, touched, false, false)
	before := len(l.live)
	l.entries[1000] = "one more\n"
	u := Update{
		Live: l.live[before-1:], Touched: []int64{1000}, Target: l.target, Frame: l.frame,
		Key: func(first int64) string { return fmt.Sprintf("next-%d", first) },
		Entries: func(_ context.Context, from, to int64, yield func(int64, []byte) error) error {
			for id := max(from, 0); id <= 1000 && id < to; id++ {
				if err := yield(id, []byte(l.entries[id])); err != nil {
					return err
				}
			}
			return nil
		},
	}
	written := memory{}
	out, err := u.Run(t.Context(), written)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Added) > 2 || len(out.Retired) != 1 || len(out.Moved) != 0 {
		t.Errorf("%d segments added, %d retired, %d moved, of %d", len(out.Added), len(out.Retired), len(out.Moved), before)
	}
	sum := sha256.Sum256([]byte(l.text(0)))
	if out.Forms[format.Plain].SHA256 != hex.EncodeToString(sum[:]) {
		t.Error("the resumed digest is not that of the whole document")
	}
}

func TestReader(t *testing.T) {
	store := memory{}
	u := Update{
		Whole: true, Total: 50, Target: 3000,
		Frame: func(int64) (head, tail []byte) { return []byte("head\n"), []byte("tail\n") },
		Key:   func(first int64) string { return fmt.Sprint(first) },
		Entries: func(_ context.Context, _, _ int64, yield func(int64, []byte) error) error {
			for id := range int64(50) {
				if err := yield(id, fmt.Appendf(nil, "%x\n", sha256.Sum256(fmt.Append(nil, id)))); err != nil {
					return err
				}
			}
			return nil
		},
	}
	out, err := u.Run(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	live := slices.SortedFunc(slices.Values(out.Added), func(a, b Segment) int { return cmpFirst(a, b) })
	single := NewDocument(format.Gzip, live).Single()
	whole, err := io.ReadAll(single.Reader(t.Context(), store))
	if err != nil || int64(len(whole)) != single.Size() {
		t.Fatalf("%d bytes of %d, %v", len(whole), single.Size(), err)
	}
	if err := iotest.TestReader(single.Reader(t.Context(), store), whole); err != nil {
		t.Errorf("one member: %v", err)
	}
	for e := range format.Encodings {
		d := NewDocument(format.Encoding(e), live)
		body, err := io.ReadAll(d.Reader(t.Context(), store))
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(d.Reader(t.Context(), store), body); err != nil {
			t.Errorf("encoding %d: %v", e, err)
		}
	}
}

func cmpFirst(a, b Segment) int {
	switch {
	case a.First < b.First:
		return -1
	case a.First > b.First:
		return 1
	}
	return 0
}

func TestUpdateRefuses(t *testing.T) {
	frame := func(int64) (head, tail []byte) { return nil, nil }
	none := func(context.Context, int64, int64, func(int64, []byte) error) error { return nil }
	seg := Segment{First: 10, Entries: 1, Start: Mark{Entries: 5}}
	for name, u := range map[string]Update{
		"part without segments":    {Frame: frame, Entries: none},
		"rebuild of a part":        {Frame: frame, Entries: none, Live: []Segment{seg}, Rebuild: true},
		"touched before the part":  {Frame: frame, Entries: none, Live: []Segment{seg}, Touched: []int64{9}},
		"damaged state":            {Frame: frame, Entries: none, Live: []Segment{{First: 10, Start: Mark{State: [3][]byte{[]byte("x")}}}}},
		"segment object is absent": {Frame: frame, Entries: none, Whole: true, Live: []Segment{{First: 10, Entries: 1, Object: "gone"}}},
	} {
		if _, err := u.Run(t.Context(), memory{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
