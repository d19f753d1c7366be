package s3blob

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"packagecloud/internal/blob"
)

// small are limits of which the rules are easy to see.
var small = limits{minPart: 5, maxCopy: 12, parts: 20}

func TestPlan(t *testing.T) {
	ranged := func(offset, size int64) blob.Part { return blob.Part{Key: "a", Offset: offset, Size: size} }
	body := func(s string) blob.Part { return blob.Part{Body: []byte(s)} }
	copied := func(offset, size int64) block { return block{copied: ranged(offset, size)} }
	sent := func(pieces ...blob.Part) block { return block{pieces: pieces} }
	for name, test := range map[string]struct {
		parts []blob.Part
		want  []block
	}{
		"nothing":                   {nil, nil},
		"empty parts":               {[]blob.Part{body(""), ranged(3, 0)}, nil},
		"small range":               {[]blob.Part{ranged(0, 4)}, []block{sent(ranged(0, 4))}},
		"range":                     {[]blob.Part{ranged(2, 5)}, []block{copied(2, 5)}},
		"ranges that follow":        {[]blob.Part{ranged(0, 3), ranged(3, 3)}, []block{copied(0, 6)}},
		"ranges that do not":        {[]blob.Part{ranged(0, 3), ranged(4, 3)}, []block{sent(ranged(0, 3), ranged(4, 2)), sent(ranged(6, 1))}},
		"more than one copy may":    {[]blob.Part{ranged(0, 26)}, []block{copied(0, 8), copied(8, 9), copied(17, 9)}},
		"body behind a range":       {[]blob.Part{ranged(0, 10), body("tail")}, []block{copied(0, 10), sent(body("tail"))}},
		"small end":                 {[]blob.Part{ranged(0, 10), {Key: "b", Size: 1}}, []block{copied(0, 10), {copied: blob.Part{Key: "b", Size: 1}}}},
		"body before a range":       {[]blob.Part{body("h"), ranged(0, 10)}, []block{sent(body("h"), ranged(0, 4)), copied(4, 6)}},
		"body before a small range": {[]blob.Part{body("h"), ranged(0, 8)}, []block{sent(body("h"), ranged(0, 4)), sent(ranged(4, 4))}},
		"large body":                {[]blob.Part{body("0123456789abc"), ranged(0, 10)}, []block{sent(body("01234")), sent(body("56789")), sent(body("abc"), ranged(0, 2)), copied(2, 8)}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, plan(test.parts, small), cmp.AllowUnexported(block{})); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPlanRules: whatever the parts, the blocks are the same bytes, and an
// upload takes them.
func TestPlanRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		objects := map[string]string{"a": letters('a', 60), "b": letters('A', 60)}
		parts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) blob.Part {
			if rapid.Bool().Draw(t, "body") {
				return blob.Part{Body: rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "bytes")}
			}
			offset := rapid.Int64Range(0, 60).Draw(t, "offset")
			return blob.Part{Key: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), Offset: offset, Size: rapid.Int64Range(0, 60-offset).Draw(t, "size")}
		}), 0, 12).Draw(t, "parts")
		l := small
		l.parts = rapid.Int64Range(1, 100).Draw(t, "most")
		blocks := plan(parts, l)

		var got []blob.Part
		for i, b := range blocks {
			n := b.size()
			switch {
			case (b.copied.Key != "") == (len(b.pieces) > 0):
				t.Fatalf("block %d is not either copied or sent: %v", i, b)
			case n < l.minPart && i < len(blocks)-1:
				t.Fatalf("block %d of %d has %d bytes", i, len(blocks), n)
			case b.copied.Size > l.maxCopy:
				t.Fatalf("block %d copies %d bytes", i, b.copied.Size)
			}
			got = append(got, b.copied)
			got = append(got, b.pieces...)
		}
		if want, got := bytesOf(objects, parts), bytesOf(objects, got); got != want {
			t.Fatalf("the blocks are %q, not %q", got, want)
		}
		copies := 0
		for _, b := range blocks {
			if b.copied.Key != "" {
				copies++
			}
		}
		// What is sent can be sent in one block between any two copies.
		if int64(len(blocks)) > max(l.parts, int64(2*copies+1)) {
			t.Fatalf("%d blocks, %d of them copies, where %d are allowed", len(blocks), copies, l.parts)
		}
		// No more is read of ranges that could be copied than fills blocks up.
		for _, p := range merge(parts) {
			if p.Key != "" && p.Size >= 2*l.minPart && p.Size < l.maxCopy && !copiesOf(blocks, p) {
				t.Fatalf("nothing of %v is copied: %v", p, blocks)
			}
		}
	})
}

func letters(first rune, n int) string {
	s := make([]rune, n)
	for i := range s {
		s[i] = first + rune(i)
	}
	return string(s)
}

func bytesOf(objects map[string]string, parts []blob.Part) (s string) {
	for _, p := range parts {
		if p.Key == "" {
			s += string(p.Body)
			continue
		}
		s += string([]rune(objects[p.Key])[p.Offset : p.Offset+p.Size])
	}
	return s
}

// copiesOf reports whether a part of p is copied.
func copiesOf(blocks []block, p blob.Part) bool {
	for _, b := range blocks {
		if c := b.copied; c.Key == p.Key && c.Offset >= p.Offset && c.Offset+c.Size <= p.Offset+p.Size {
			return true
		}
	}
	return false
}

// TestPlanLarge: the numbers of S3.
func TestPlanLarge(t *testing.T) {
	const tib = 1 << 40
	for _, size := range []int64{5 << 20, 5<<30 + 1, tib} {
		blocks := plan([]blob.Part{{Key: "a", Size: size}}, standard)
		var sum int64
		for _, b := range blocks {
			sum += b.copied.Size
			if b.copied.Size < standard.minPart || b.copied.Size > standard.maxCopy {
				t.Errorf("a copy of %d of %d bytes", b.copied.Size, size)
			}
		}
		if sum != size || int64(len(blocks)) > standard.parts {
			t.Errorf("%d bytes in %d copies, of %d", sum, len(blocks), size)
		}
	}
	for _, size := range []int64{1, 16 << 20, 160_000<<20 + 1, 5 * tib} {
		s := &Store{limits: standard}
		if each := s.partSize(size); (size+each-1)/each > standard.parts || each < standard.part {
			t.Errorf("parts of %d for %d bytes", each, size)
		}
	}
}
