// Package blobtest is the contract of blob.Store, as tests. Every store runs
// them.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"packagecloud/internal/blob"
)

// Run tests a store that open makes empty, with the abilities of package blob
// that it has.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	tests := map[string]func(*testing.T, blob.Store){
		"put and open":            putAndOpen,
		"a key keeps its bytes":   immutable,
		"staged files":            stagedFiles,
		"commit twice":            commitTwice,
		"damage is healed":        heals,
		"copies":                  copies,
		"delete":                  deletes,
		"list":                    list,
		"keys are checked":        keys,
		"readers outlive deletes": readers,
		"concurrent":              concurrent,
	}
	maps.Copy(tests, abilities(open(t)))
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

var (
	attributes = blob.Attributes{ContentType: "text/plain", Class: blob.Package}
	digest     = fmt.Sprintf("%x", sha256.Sum256([]byte("bytes"))) // what most tests store
	key        = "packages/" + digest + "/x_1.deb"
)

func get(t *testing.T, s blob.Store, key string) string {
	t.Helper()
	o, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	b, err := io.ReadAll(o)
	if err != nil {
		t.Fatal(err)
	}
	if o.Info().Size != int64(len(b)) || o.Info().Key != key || o.Info().ModTime.IsZero() {
		t.Errorf("%s: info is %+v for %d bytes", key, o.Info(), len(b))
	}
	return string(b)
}

func put(t *testing.T, s blob.Store, key, body string) {
	t.Helper()
	if err := s.Put(t.Context(), key, []byte(body), attributes); err != nil {
		t.Fatal(err)
	}
}

func absent(t *testing.T, s blob.Store, key string) {
	t.Helper()
	if _, err := s.Stat(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Stat of absent %s: %v", key, err)
	}
	if _, err := s.Open(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Open of absent %s: %v", key, err)
	}
}

func putAndOpen(t *testing.T, s blob.Store) {
	absent(t, s, key)
	put(t, s, key, "0123456789")
	if got := get(t, s, key); got != "0123456789" {
		t.Errorf("got %q", got)
	}
	put(t, s, "indexes/"+digest+"/empty", "")
	if got := get(t, s, "indexes/"+digest+"/empty"); got != "" {
		t.Errorf("got %q of an empty object", got)
	}
	o, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	p := make([]byte, 3)
	if _, err := o.ReadAt(p, 4); err != nil || string(p) != "456" {
		t.Errorf("ReadAt: %q, %v", p, err)
	}
	if _, err := o.Seek(-2, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(o); err != nil || string(rest) != "89" {
		t.Errorf("after Seek: %q, %v", rest, err)
	}
}

func immutable(t *testing.T, s blob.Store) {
	const key = "segments/1/2-3"
	put(t, s, key, "first")
	put(t, s, key, "second")
	if got := get(t, s, key); got != "first" {
		t.Errorf("the key holds %q now", got)
	}
}

// heals: an object of another size than what is stored under its digest is
// replaced, by Put and by Commit, and who reads it meanwhile sees no mixture.
func heals(t *testing.T, s blob.Store) {
	body := strings.Repeat("bytes", 100)
	key := "packages/" + fmt.Sprintf("%x", sha256.Sum256([]byte(body))) + "/x_1.deb"
	for _, broken := range []string{"", body[:70], body + "x"} {
		put(t, s, key, broken)
		put(t, s, key, body)
		if got := get(t, s, key); got != body {
			t.Errorf("after Put over %d bytes the key holds %d bytes", len(broken), len(got))
		}
		put(t, s, key, broken)
		staged := stage(t, s, body)
		for range 2 {
			if err := staged.Commit(t.Context(), key, attributes); err != nil {
				t.Fatal(err)
			}
		}
		if err := staged.Close(); err != nil {
			t.Fatal(err)
		}
		if got := get(t, s, key); got != body {
			t.Errorf("after Commit over %d bytes the key holds %d bytes", len(broken), len(got))
		}
	}
	if got := all(t, s, ""); !slices.Equal(got, []string{key}) {
		t.Errorf("the store holds %v", got)
	}
}

// copies: a copy lives on when its original is gone, and so does what a twin
// spared the way.
func copies(t *testing.T, s blob.Store) {
	to, twin := "packages/"+digest+"/y_1.deb", "packages/"+digest+"/z_"
	if err := s.Copy(t.Context(), key, to, attributes); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("a copy of nothing: %v", err)
	}
	put(t, s, key, "bytes")
	for range 2 {
		if err := s.Copy(t.Context(), key, to, attributes); err != nil {
			t.Fatal(err)
		}
	}
	for _, original := range []string{key, "packages/" + digest + "/gone"} {
		staged := stage(t, s, "bytes")
		defer staged.Close()
		a := attributes
		a.Twin = original
		if err := staged.Commit(t.Context(), twin+path.Base(original), a); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{to, twin + "x_1.deb", twin + "gone"} {
		if got := get(t, s, key); got != "bytes" {
			t.Errorf("%s holds %q", key, got)
		}
	}
}

func stage(t *testing.T, s blob.Store, body string) blob.Staged {
	t.Helper()
	staged, err := s.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(staged, body); err != nil {
		t.Fatal(err)
	}
	return staged
}

func stagedFiles(t *testing.T, s blob.Store) {
	staged := stage(t, s, "hello ")
	if _, err := io.WriteString(staged, "world"); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 5)
	if _, err := staged.ReadAt(p, 6); err != nil || string(p) != "world" {
		t.Errorf("ReadAt: %q, %v", p, err)
	}
	absent(t, s, key)
	if err := staged.Commit(t.Context(), key, attributes); err != nil {
		t.Fatal(err)
	}
	if err := staged.Close(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, key); got != "hello world" {
		t.Errorf("got %q", got)
	}
	dropped := stage(t, s, "never seen")
	if err := dropped.Close(); err != nil {
		t.Fatal(err)
	}
	if got := all(t, s, ""); !slices.Equal(got, []string{key}) {
		t.Errorf("the store holds %v", got)
	}
}

func commitTwice(t *testing.T, s blob.Store) {
	staged := stage(t, s, "bytes")
	defer staged.Close()
	for range 2 {
		if err := staged.Commit(t.Context(), key, attributes); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := staged.Commit(t.Context(), key, attributes); err != nil {
			t.Fatalf("commit after the object was deleted: %v", err)
		}
	}
	if got := get(t, s, key); got != "bytes" {
		t.Errorf("got %q", got)
	}
}

func deletes(t *testing.T, s blob.Store) {
	put(t, s, key, "x")
	for range 2 {
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		absent(t, s, key)
	}
}

func all(t *testing.T, s blob.Store, prefix string) (keys []string) {
	t.Helper()
	for info, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	slices.Sort(keys)
	return keys
}

func list(t *testing.T, s blob.Store) {
	want := []string{"indexes/" + digest + "/a", "packages/" + digest + "/x_1.deb", "segments/7/1-2-x"}
	for _, k := range want {
		put(t, s, k, k)
	}
	if got := all(t, s, ""); !slices.Equal(got, want) {
		t.Errorf("all: %v", got)
	}
	if got := all(t, s, "segments/"); !slices.Equal(got, want[2:]) {
		t.Errorf("segments: %v", got)
	}
	if got := all(t, s, "packages/"+digest[:8]); !slices.Equal(got, want[1:2]) {
		t.Errorf("by a part of a digest: %v", got)
	}
	if got := all(t, s, "nothing/"); len(got) != 0 {
		t.Errorf("nothing: %v", got)
	}
	for range s.List(t.Context(), "") { //nolint:errcheck // the walk ends at once
		break // must end the walk
	}
}

func keys(t *testing.T, s blob.Store) {
	for _, k := range []string{"", "/", "a//b", "../x", "packages/../../x", "packages/./x", "packages/a+b", "packages/" + strings.Repeat("x", 256)} {
		if err := s.Put(t.Context(), k, []byte("x"), attributes); err == nil {
			t.Errorf("Put took the key %q", k)
		}
		if _, err := s.Open(t.Context(), k); err == nil {
			t.Errorf("Open took the key %q", k)
		}
		if err := s.Delete(t.Context(), k); err == nil {
			t.Errorf("Delete took the key %q", k)
		}
	}
}

func readers(t *testing.T, s blob.Store) {
	body := bytes.Repeat([]byte("x"), 1<<20)
	if err := s.Put(t.Context(), key, body, attributes); err != nil {
		t.Fatal(err)
	}
	o, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(o)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("after Delete: %d bytes, %v", len(got), err)
	}
}

// concurrent puts and deletes one object from many sides: each reader sees all
// of it or nothing, and a put that no delete follows stays.
func concurrent(t *testing.T, s blob.Store) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				if err := rumble(t.Context(), s, i%4 == 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	put(t, s, key, "bytes")
	if got := get(t, s, key); got != "bytes" {
		t.Errorf("got %q", got)
	}
}

func rumble(ctx context.Context, s blob.Store, remove bool) error {
	if remove {
		return s.Delete(ctx, key)
	}
	if err := s.Put(ctx, key, []byte("bytes"), attributes); err != nil {
		return err
	}
	o, err := s.Open(ctx, key)
	if errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer o.Close()
	b, err := io.ReadAll(o)
	if errors.Is(err, blob.ErrNotFound) {
		return nil // it was deleted, and the connection broken
	}
	if err != nil || string(b) != "bytes" {
		return fmt.Errorf("read %q: %w", b, err)
	}
	return nil
}
