package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/blob"
	"packagecloud/internal/blob/fileblob"
)

func open(t *testing.T) *fileblob.Store {
	t.Helper()
	s, err := fileblob.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// put stores a body under a key that has its digest.
func put(t *testing.T, s blob.Store, kind, body string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	key := kind + "/" + hex.EncodeToString(sum[:]) + "/x"
	if kind == "segments" {
		key = "segments/1/" + hex.EncodeToString(sum[:8])
	}
	if err := s.Put(t.Context(), key, []byte(body), blob.Attributes{Class: blob.Index}); err != nil {
		t.Fatal(err)
	}
	return key
}

func contents(t *testing.T, s blob.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		o, err := s.Open(t.Context(), info.Key)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(o)
		if err := errors.Join(err, o.Close()); err != nil {
			t.Fatal(err)
		}
		all[info.Key] = string(b)
	}
	return all
}

// migration is one between two stores, with a new journal.
func migration(t *testing.T, from, to blob.Store) *Migration {
	t.Helper()
	return &Migration{
		From: from, To: to, Workers: 4, Journal: filepath.Join(t.TempDir(), "journal"),
		Attributes: func(context.Context, string) (blob.Attributes, error) {
			return blob.Attributes{Class: blob.Package}, nil
		},
	}
}

func (m *Migration) expect(t *testing.T, want Summary, problems int) []Problem {
	t.Helper()
	got, found, err := m.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(found) != problems {
		t.Errorf("summary (-want +got):\n%s\nproblems: %v", diff, found)
	}
	return found
}

// TestRun: all is copied, once, and what comes later by another run.
func TestRun(t *testing.T) {
	from, to := open(t), open(t)
	for i := range 30 {
		put(t, from, blob.Kinds[i%3], fmt.Sprintf("%04d", i))
	}
	m := migration(t, from, to)
	var last, total atomic.Int64
	m.Progress = func(done, of int) { last.Store(int64(done)); total.Store(int64(of)) }
	m.expect(t, Summary{Copied: 30, Bytes: 120}, 0)
	if last.Load() != 30 || total.Load() != 30 {
		t.Errorf("progress ended at %d of %d", last.Load(), total.Load())
	}
	put(t, from, "packages", "later")
	m.expect(t, Summary{Copied: 1, Bytes: 5, Present: 30}, 0)
	if diff := cmp.Diff(contents(t, from), contents(t, to)); diff != "" {
		t.Errorf("contents (-from +to):\n%s", diff)
	}
}

// TestDamage: a copy with other bytes is replaced, a damaged original is not
// copied.
func TestDamage(t *testing.T) {
	from, to := open(t), open(t)
	good := put(t, from, "packages", "good")
	segment := put(t, from, "segments", "segment")
	short := put(t, from, "indexes", "cut off")
	original := contents(t, from)
	for key, body := range map[string]string{good: "evil", segment: "SEGMENT", short: "cut"} {
		if err := to.Put(t.Context(), key, []byte(body), blob.Attributes{}); err != nil {
			t.Fatal(err)
		}
	}
	damaged := "packages/" + strings.Repeat("ab", 32) + "/x"
	if err := from.Put(t.Context(), damaged, []byte("other bytes"), blob.Attributes{}); err != nil {
		t.Fatal(err)
	}
	m := migration(t, from, to)
	problems := m.expect(t, Summary{Copied: 3, Bytes: 18}, 1)
	if len(problems) == 1 && (problems[0].Object != damaged || !strings.Contains(problems[0].What, "its bytes have changed")) {
		t.Errorf("the problem is %v", problems[0])
	}
	if diff := cmp.Diff(original, contents(t, to)); diff != "" {
		t.Errorf("contents (-want +got):\n%s", diff)
	}
}

// TestQuick compares sizes alone.
func TestQuick(t *testing.T) {
	from, to := open(t), open(t)
	a, b := put(t, from, "packages", "aaaa"), put(t, from, "packages", "bbbb")
	for key, body := range map[string]string{a: "xxxx", b: "x"} {
		if err := to.Put(t.Context(), key, []byte(body), blob.Attributes{}); err != nil {
			t.Fatal(err)
		}
	}
	m := migration(t, from, to)
	m.Quick = true
	m.expect(t, Summary{Copied: 1, Bytes: 4, Present: 1}, 0)
	if diff := cmp.Diff(map[string]string{a: "xxxx", b: "bbbb"}, contents(t, to)); diff != "" {
		t.Errorf("contents (-want +got):\n%s", diff)
	}
}

// interrupted is a store in which the context ends after some commits.
type interrupted struct {
	blob.Store
	left atomic.Int64
	stop context.CancelFunc
}

func (s *interrupted) Stage(ctx context.Context) (blob.Staged, error) {
	if s.left.Add(-1) < 0 {
		s.stop()
		return nil, ctx.Err()
	}
	return s.Store.Stage(ctx)
}

// counted counts what is read.
type counted struct {
	blob.Store
	opened atomic.Int64
}

func (s *counted) Open(ctx context.Context, key string) (blob.Object, error) {
	if key != blob.IdentityKey {
		s.opened.Add(1)
	}
	return s.Store.Open(ctx, key)
}

// TestResume: an interrupted run goes on, and reads nothing twice.
func TestResume(t *testing.T) {
	from, to := open(t), open(t)
	for i := range 40 {
		put(t, from, blob.Kinds[i%3], fmt.Sprint(i))
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	broken := &interrupted{Store: to, stop: stop}
	broken.left.Store(15)
	m := migration(t, from, broken)
	if _, _, err := m.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	had := contents(t, to)
	if len(had) == 0 || len(had) > 15 {
		t.Fatalf("%d objects were copied", len(had))
	}
	// A crash may cut the last line off.
	journal, err := os.OpenFile(m.Journal, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = journal.WriteString("packages/cut")
	if err := errors.Join(err, journal.Close()); err != nil {
		t.Fatal(err)
	}
	reads := &counted{Store: to}
	m.To = reads
	got, problems, err := m.Run(t.Context())
	if err != nil || len(problems) > 0 || got.Copied != 40-len(had) || got.Present != len(had) {
		t.Errorf("%+v, %v, %v", got, problems, err)
	}
	// Copies under way when it was interrupted may not be in the journal.
	if n := reads.opened.Load(); n < int64(got.Copied) || n > int64(got.Copied+m.Workers) {
		t.Errorf("%d objects were read back, and %d copied", n, got.Copied)
	}
	reads.opened.Store(0)
	m.expect(t, Summary{Present: 40}, 0)
	if n := reads.opened.Load(); n != 0 {
		t.Errorf("%d objects were read again", n)
	}
	if diff := cmp.Diff(contents(t, from), contents(t, to)); diff != "" {
		t.Errorf("contents (-from +to):\n%s", diff)
	}
}
