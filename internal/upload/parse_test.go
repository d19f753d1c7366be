package upload

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"packagecloud/internal/blob/fileblob"
	"packagecloud/internal/format"
	"packagecloud/internal/format/formattest"
	"packagecloud/internal/repo"
)

// hungry is a format whose parses want memory, and take time.
type hungry struct {
	formattest.Toy
	need  int64
	takes time.Duration
	used  atomic.Int64 // by all parses at work
	most  atomic.Int64
}

func (h *hungry) Parse(ctx context.Context, u format.Upload) (format.Parsed, error) {
	if err := u.NeedMemory(h.need); err != nil {
		return nil, err
	}
	now := h.used.Add(max(h.need, 1))
	defer h.used.Add(-max(h.need, 1))
	for most := h.most.Load(); now > most && !h.most.CompareAndSwap(most, now); most = h.most.Load() {
	}
	select {
	case <-time.After(h.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return h.Toy.Parse(ctx, u)
}

// parseAll parses so many files at once and returns what became of each.
func parseAll(ctx context.Context, t *testing.T, f format.Format, n int) []error {
	t.Helper()
	blobs, err := fileblob.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	u := &Uploader{Blobs: blobs, Now: time.Now}
	failed := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		file, err := u.Receive(t.Context(), "x.toy", strings.NewReader(string(formattest.Package("a", "1", "x86", 1))))
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer file.Close()
			_, release, err := u.parse(ctx, f, file, nil)
			release()
			failed[i] = err
		})
	}
	wg.Wait()
	return failed
}

// TestParsesShareMemory: however many packages are pushed at once, those that
// are being read keep within the budget, and all are read in the end.
func TestParsesShareMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hungry{need: parseMemory / 3, takes: time.Second}
		for _, err := range parseAll(t.Context(), t, h, 20) {
			if err != nil {
				t.Error(err)
			}
		}
		if got := h.most.Load(); got > parseMemory || got < parseMemory/2 {
			t.Errorf("the parses took %d bytes together, of %d", got, parseMemory)
		}
	})
}

// TestParsesShareTime: who waits too long is told to come again, and a client
// that goes away holds nothing.
func TestParsesShareTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hungry{need: parseMemory, takes: 40 * time.Second}
		read, late := 0, 0
		for _, err := range parseAll(t.Context(), t, h, 4) {
			switch {
			case err == nil:
				read++
			case errors.Is(err, repo.ErrUnavailable):
				late++
			default:
				t.Error(err)
			}
		}
		if read != 1 || late != 3 {
			t.Errorf("%d were read and %d were late, want 1 and 3", read, late)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		for _, err := range parseAll(ctx, t, h, 4) {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("clients that went away were served for %s", took)
		}
	})
}

// TestRequestsShareMemory: what is read of a request waits for the same memory as
// packages do, gives it back, and is told to come again after the same time.
func TestRequestsShareMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &Uploader{}
		read := func(ctx context.Context, n int64) error {
			return u.Within(ctx, "the request", n, func(ctx context.Context) error {
				select {
				case <-time.After(25 * time.Second):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		}
		var wg sync.WaitGroup
		var late atomic.Int64
		for range 4 {
			wg.Go(func() {
				if err := read(t.Context(), parseMemory/2+1); errors.Is(err, repo.ErrUnavailable) {
					late.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		small := time.Now()
		if err := read(t.Context(), format.UnaskedMemory); err != nil || time.Since(small) > 25*time.Second {
			t.Errorf("a small one took %s: %v", time.Since(small), err)
		}
		wg.Wait()
		if late.Load() != 2 { // two were read one after the other, within a minute
			t.Errorf("%d were late", late.Load())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := read(ctx, parseMemory); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, repo.ErrUnavailable) {
			t.Errorf("of a client that went away: %v", err)
		}
		if err := read(t.Context(), parseMemory); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		var invalid *repo.InvalidError
		if err := read(t.Context(), parseMemory+1); !errors.As(err, &invalid) {
			t.Errorf("too much: %v", err)
		}
	})
}

// TestTooHungry: what can never be read is refused and not waited for.
func TestTooHungry(t *testing.T) {
	for _, err := range parseAll(t.Context(), t, &hungry{need: parseMemory + 1}, 1) {
		var invalid *repo.InvalidError
		if !errors.As(err, &invalid) {
			t.Errorf("it ends with %v", err)
		}
	}
}

func TestKeepable(t *testing.T) {
	p := repo.Package{Summary: "a\x00b", Description: "\xe9", Licenses: []string{"MIT", "x\x00"}}
	keepable(&p)
	if p.Summary != "a\uFFFDb" || p.Description != "\uFFFD" || p.Licenses[0] != "MIT" || p.Licenses[1] != "x\uFFFD" {
		t.Errorf("%+v", p)
	}
}
