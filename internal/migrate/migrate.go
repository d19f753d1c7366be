// Package migrate copies all objects of a store to another one, and proves that
// they arrived. The source stays as it is. What is done is written to a journal,
// so that an interrupted migration goes on where it stopped, and one that is
// repeated copies only what is new.
package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"packagecloud/internal/blob"
)

// Migration is one run. Its fields must not change once it is used.
type Migration struct {
	From, To blob.Store
	// Attributes are those of an object in its new place.
	Attributes func(ctx context.Context, key string) (blob.Attributes, error)
	// Journal is the path of the file that tells what was proven to have
	// arrived. It must be another one for each pair of stores.
	Journal string
	// Workers is how many objects are copied at the same time.
	Workers int
	// Quick compares sizes, and does not read back what was copied.
	Quick bool
	// Progress is told how many of how many objects are done; nil is fine.
	Progress func(done, total int)
}

// Problem is an object that could not be copied, or did not arrive as it was.
type Problem struct {
	Object string `json:"object"`
	What   string `json:"what"`
}

// Summary counts what a run did.
type Summary struct {
	Copied  int   `json:"copied"`
	Bytes   int64 `json:"bytes"`   // of those
	Present int   `json:"present"` // were there already
}

// maxProblems is after how many problems a run ends: it is not about single
// objects then.
const maxProblems = 1000

// run is the state of a Migration under way.
type run struct {
	*Migration
	journal *journal

	mu       sync.Mutex // guards what follows
	summary  Summary
	problems []Problem
	done     int
	total    int
}

// Run copies. The error says that it could not go on; problems are about single
// objects.
func (m *Migration) Run(ctx context.Context) (_ Summary, _ []Problem, err error) {
	r := &run{Migration: m}
	if err := r.ours(ctx); err != nil {
		return r.summary, nil, err
	}
	if r.journal, err = openJournal(m.Journal); err != nil {
		return r.summary, nil, err
	}
	defer func() { err = errors.Join(err, r.journal.close()) }()
	for _, err := range m.From.List(ctx, "") {
		if err != nil {
			return r.summary, nil, err
		}
		r.total++
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, m.Workers))
	for info, err := range m.From.List(groupCtx, "") {
		if err != nil {
			return r.summary, r.problems, errors.Join(err, group.Wait())
		}
		group.Go(func() error { return r.object(groupCtx, info) })
	}
	return r.summary, r.problems, group.Wait()
}

// ErrOtherStorage says that the destination belongs to another database, whose
// servers would remove what they do not know.
var ErrOtherStorage = errors.New("the destination is the storage of another database")

// ours makes sure that the destination has no identity, or that of the source.
func (r *run) ours(ctx context.Context) error {
	to, err := hash(ctx, r.To, blob.IdentityKey)
	if errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	from, err := hash(ctx, r.From, blob.IdentityKey)
	if err != nil && !errors.Is(err, blob.ErrNotFound) || from == to {
		return err
	}
	return fmt.Errorf("%w: its %s is another one than that of the source: choose another folder (data_directory) or bucket (s3_bucket), or empty it if nobody needs what is there",
		ErrOtherStorage, blob.IdentityKey)
}

// object brings one object over. What is wrong with it is a problem, and no
// error, unless everything is to end.
func (r *run) object(ctx context.Context, info blob.Info) error {
	copied, err := r.bring(ctx, info)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, blob.ErrNotFound) {
		err = nil // deleted since it was listed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil:
		r.problems = append(r.problems, Problem{info.Key, err.Error()})
		if len(r.problems) == maxProblems {
			return fmt.Errorf("%d objects could not be copied, the last one because: %w", maxProblems, err)
		}
	case copied:
		r.summary.Copied++
		r.summary.Bytes += info.Size
	default:
		r.summary.Present++
	}
	r.done++
	if r.Progress != nil {
		r.Progress(r.done, max(r.done, r.total))
	}
	return nil
}

// bring copies an object unless it has arrived before. A copy that is not like
// the original, left by whatever, is replaced once.
func (r *run) bring(ctx context.Context, info blob.Info) (copied bool, err error) {
	there, err := r.To.Stat(ctx, info.Key)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return true, r.fresh(ctx, info)
	case err != nil:
		return false, err
	case there.Size != info.Size:
	case r.Quick || r.journal.has(info.Key):
		return false, nil
	default:
		want, err := r.digest(ctx, info.Key)
		if err != nil {
			return false, err
		}
		same, err := r.arrived(ctx, info.Key, want)
		if err != nil {
			return false, err
		}
		if same {
			return false, r.journal.add(info.Key)
		}
	}
	if err := r.To.Delete(ctx, info.Key); err != nil {
		return false, err
	}
	return true, r.fresh(ctx, info)
}

// fresh copies an object that is not there, and reads it back.
func (r *run) fresh(ctx context.Context, info blob.Info) error {
	want, err := r.copy(ctx, info)
	if err != nil {
		return err
	}
	if r.Quick {
		there, err := r.To.Stat(ctx, info.Key)
		if err == nil && there.Size != info.Size {
			err = fmt.Errorf("arrived with %d bytes and not %d", there.Size, info.Size)
		}
		return err
	}
	same, err := r.arrived(ctx, info.Key, want)
	if err != nil {
		return fmt.Errorf("read it back: %w", err)
	}
	if !same {
		return errors.New("arrived with other bytes: run the command again")
	}
	return r.journal.add(info.Key)
}

// copy copies an object, and returns its digest. What is not what its key says
// is not copied.
func (r *run) copy(ctx context.Context, info blob.Info) (digest string, err error) {
	a, err := r.Attributes(ctx, info.Key)
	if err != nil {
		return "", err
	}
	from, err := r.From.Open(ctx, info.Key)
	if err != nil {
		return "", err
	}
	defer from.Close()
	to, err := r.To.Stage(ctx)
	if err != nil {
		return "", err
	}
	defer to.Close()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(to, h), from); err != nil {
		return "", err
	}
	digest = hex.EncodeToString(h.Sum(nil))
	if named := blob.DigestOf(info.Key); named != "" && named != digest {
		return "", fmt.Errorf("has the SHA-256 %s in the source: its bytes have changed, restore it from a backup or run packagecloud-ctl reindex-everything", digest)
	}
	return digest, to.Commit(ctx, info.Key, a)
}

// digest is that of an object of the source: in its key, or of its bytes.
func (r *run) digest(ctx context.Context, key string) (string, error) {
	if named := blob.DigestOf(key); named != "" {
		return named, nil
	}
	return hash(ctx, r.From, key)
}

// arrived reports whether an object of the destination has a digest.
func (r *run) arrived(ctx context.Context, key, want string) (bool, error) {
	got, err := hash(ctx, r.To, key)
	return got == want, err
}

func hash(ctx context.Context, s blob.Store, key string) (string, error) {
	o, err := s.Open(ctx, key)
	if err != nil {
		return "", err
	}
	defer o.Close()
	h := sha256.New()
	if _, err := io.Copy(h, o); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
