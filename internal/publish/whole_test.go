package publish_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"packagecloud/internal/blob"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/repo"
	"packagecloud/internal/verify"
)

// bucket is a store that clients fetch from themselves.
type bucket struct {
	blob.Store
	copied, sent, composed atomic.Int64 // bytes, and objects
}

func (b *bucket) Compose(ctx context.Context, key string, parts []blob.Part, a blob.Attributes) error {
	if a.Class != blob.Index || a.ContentType == "" {
		return fmt.Errorf("%s is composed with %+v", key, a)
	}
	var body bytes.Buffer
	for _, p := range parts {
		if p.Key == "" {
			body.Write(p.Body)
			b.sent.Add(int64(len(p.Body)))
			continue
		}
		o, err := b.Open(ctx, p.Key)
		if err != nil {
			return err
		}
		n, err := io.Copy(&body, io.NewSectionReader(o, p.Offset, p.Size))
		o.Close()
		if err != nil || n != p.Size {
			return fmt.Errorf("range %d+%d of %s has %d bytes: %w", p.Offset, p.Size, p.Key, n, err)
		}
		b.copied.Add(n)
	}
	b.composed.Add(1)
	return b.Put(ctx, key, body.Bytes(), a)
}

func (b *bucket) reset() { b.copied.Store(0); b.sent.Store(0); b.composed.Store(0) }

// TestWholeObjects publishes to a bucket: every file of a generation is there
// as one object with the right bytes, made of the one before it as far as
// nothing changed.
func TestWholeObjects(t *testing.T) {
	s := newSystem(t, dbtest.SQLite(t))
	store := &bucket{Store: s.blobs}
	s.mustPush(one, "first", "1", "x86")
	s.settle(s.worker(s.blobs)) // the first generation knows no bucket
	s.blobs = store
	w := s.worker(store)
	long := strings.Repeat("x", 180)
	var all []*repo.Package
	add := func(n int) {
		for range n {
			all = append(all, s.mustPush(one, fmt.Sprintf("%s%d", long, len(all)), long, "x86"))
		}
	}
	check := func(what string, sent, copied int64) {
		t.Helper()
		store.reset()
		s.settle(w)
		files, err := s.db.LiveFiles(t.Context(), all[0].ScopeID)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if f.DocumentID != 0 && strings.HasPrefix(f.Path, "x86/") && f.Object == "" {
				t.Errorf("%s: %s is no object", what, f.Path)
			}
		}
		if store.sent.Load() > sent || store.copied.Load() < copied {
			t.Errorf("%s: %d bytes were sent and %d copied, want at most %d and at least %d", what, store.sent.Load(), store.copied.Load(), sent, copied)
		}
		s.verify()
	}
	add(600) // some segments
	check("a first generation in the bucket", 4<<20, 0)
	add(1)
	check("one package more", 2<<20, 400<<10)
	if err := s.remove(t.Context(), all[0]); err != nil { // moves everything behind it
		t.Fatal(err)
	}
	check("one package less", 2<<20, 100<<10)
	add(1)
	check("one more after that", 2<<20, 300<<10)
	if err := s.remove(t.Context(), all[300]); err != nil {
		t.Fatal(err)
	}
	add(1)
	check("both at once", 3<<20, 0)

	// The same packages in two listings, of which one changes: the object of the
	// other must stay.
	s.mustPush(one, "common", "1", "all")
	s.settle(w)
	s.mustPush(one, "arm", "1", "arm")
	s.settle(w)

	files, err := s.db.LiveFiles(t.Context(), all[0].ScopeID)
	if err != nil {
		t.Fatal(err)
	}
	objects := make(map[string]string)
	for _, f := range files {
		if other, ok := objects[f.Object]; ok && f.Object != "" {
			t.Errorf("%s and %s share an object", f.Path, other)
		}
		objects[f.Object] = f.Path
	}
	for _, f := range files {
		if f.DocumentID != 0 && f.Object != "" {
			if err := store.Delete(t.Context(), f.Object); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	if n := s.inspect(func(verify.Problem) {}).Problems; n != 1 {
		t.Errorf("verify finds %d problems when an object is lost", n)
	}
}
