package upload

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"packagecloud/internal/blob"
	"packagecloud/internal/db"
	"packagecloud/internal/repo"
)

const (
	// ownBatch is how many rows are read at a time, and ownWorkers how many
	// objects are copied at the same time: the store does it, this process waits.
	ownBatch   = 500
	ownWorkers = 8
)

// Own gives each package file that borrows an object one of its own. An older
// program kept one object for each digest, under the first name that came, which
// a bucket would tell to those who know the file under another. Until it is done
// the file is served from the object that it borrows. Own may be killed and run
// again, and run on several nodes at once.
//
// It returns how many files got one. One that cannot be had, because its bytes
// are lost, say, does not keep it from the others.
func (u *Uploader) Own(ctx context.Context) (int, error) {
	var owned atomic.Int64
	var failures []error
	for after := (db.Blob{}); ; {
		blobs, err := u.DB.BorrowedBlobs(ctx, after, ownBatch)
		if err != nil || len(blobs) == 0 {
			return int(owned.Load()), errors.Join(append(failures, err)...)
		}
		after = blobs[len(blobs)-1]
		results := make([]error, len(blobs))
		group := errgroup.Group{}
		group.SetLimit(ownWorkers)
		for i, b := range blobs {
			group.Go(func() error {
				did, err := u.own(ctx, b)
				if did {
					owned.Add(1)
				}
				results[i] = err
				return nil
			})
		}
		_ = group.Wait() // results has the errors
		if err := errors.Join(results...); err != nil && len(failures) < 10 {
			failures = append(failures, err)
		}
		if ctx.Err() != nil {
			return int(owned.Load()), ctx.Err()
		}
	}
}

func (u *Uploader) own(ctx context.Context, b db.Blob) (done bool, err error) {
	key := repo.PackageKey(b.SHA256, b.Name)
	if key != b.Object {
		err = u.Blobs.Copy(ctx, b.Object, key, Attributes(b.Name))
	} else if store, ok := u.Blobs.(blob.Restamper); ok {
		// Nobody else can have this key, but the object may have been stored for
		// a name that used to look the same in a key.
		_, err = store.Restamp(ctx, key, Attributes(b.Name))
	}
	if err != nil {
		return false, fmt.Errorf("store %s as %s: %w", b.Object, b.Name, err)
	}
	err = u.DB.Update(ctx, func(tx *db.Tx) error {
		done, err = tx.OwnBlob(ctx, b, key)
		return err
	})
	return done, err
}

// ownInterval is how long Owning waits before it tries again what failed.
const ownInterval = time.Minute

// Owning runs Own until every file has an object of its own, or the context
// ends. report is told of each run that did or failed something.
func (u *Uploader) Owning(ctx context.Context, report func(owned int, err error)) {
	for {
		n, err := u.Own(ctx)
		if ctx.Err() != nil {
			return
		}
		if n > 0 || err != nil {
			report(n, err)
		}
		if left, lerr := u.DB.BorrowedBlobs(ctx, db.Blob{}, 1); err == nil && lerr == nil && len(left) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(ownInterval):
		}
	}
}
