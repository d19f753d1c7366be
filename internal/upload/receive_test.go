package upload

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/repo"
)

// unending is a body whose client sends nothing until it is ended.
type unending struct{ end chan struct{} }

func (u unending) Read([]byte) (int, error) {
	<-u.end
	return 0, io.EOF
}

// TestParallel receives more files than may be received at the same time.
func TestParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &Uploader{Blobs: discard{}, Parallel: 2}
		receive := func(ctx context.Context, body io.Reader) error {
			f, err := u.Receive(ctx, "f", body)
			if err != nil {
				return err
			}
			return f.Close()
		}
		slow := unending{make(chan struct{})}
		ended := make(chan error, 2)
		for range 2 {
			go func() { ended <- receive(t.Context(), slow) }()
		}
		synctest.Wait()
		begun := time.Now()
		if err := receive(t.Context(), strings.NewReader("x")); !errors.Is(err, repo.ErrUnavailable) || time.Since(begun) != queueTime {
			t.Errorf("a third file is received after %s: %v", time.Since(begun), err)
		}
		// A client that goes away is told nothing.
		gone, leave := context.WithCancel(t.Context())
		leave()
		if err := receive(gone, strings.NewReader("x")); !errors.Is(err, context.Canceled) {
			t.Errorf("a client that has gone: %v", err)
		}
		close(slow.end)
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if err := receive(t.Context(), strings.NewReader("x")); err != nil {
			t.Errorf("with places free: %v", err)
		}
	})
}

// discard is a store that stages and keeps nothing.
type discard struct{ blob.Store }

// Stage implements blob.Store.
func (discard) Stage(context.Context) (blob.Staged, error) { return nowhere{}, nil }

type nowhere struct{ blob.Staged }

// Write implements io.Writer.
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// Close implements io.Closer.
func (nowhere) Close() error { return nil }
