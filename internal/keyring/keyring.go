// Package keyring finds the key that signs a repository's metadata. It makes
// one on first need, and keeps private keys sealed in the database and open
// only in memory.
package keyring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"

	"packagecloud/internal/db"
	"packagecloud/internal/repo"
	"packagecloud/internal/sign"
)

// Sealer encrypts private keys for the database.
type Sealer interface {
	Seal(label string, plaintext []byte) ([]byte, error)
	Unseal(label string, sealed []byte) ([]byte, error)
}

const sealLabel = "signing key"

// freshness bounds how long this node goes on using a key that another one has
// replaced.
const freshness = 2 * time.Second

// Ring finds keys. It is safe for concurrent use.
type Ring struct {
	db        *db.DB
	sealer    Sealer
	algorithm sign.Algorithm
	active    *otter.Cache[int64, repo.Key]  // by repository
	opened    *otter.Cache[int64, *sign.Key] // by key
}

// New makes a ring whose new keys are of an algorithm.
func New(d *db.DB, s Sealer, a sign.Algorithm) *Ring {
	return &Ring{
		db: d, sealer: s, algorithm: a,
		active: otter.Must(&otter.Options[int64, repo.Key]{
			MaximumSize: 10_000, ExpiryCalculator: otter.ExpiryWriting[int64, repo.Key](freshness), Logger: &otter.NoopLogger{},
		}),
		opened: otter.Must(&otter.Options[int64, *sign.Key]{MaximumSize: 10_000, Logger: &otter.NoopLogger{}}),
	}
}

// Signer is the key that signs a repository's metadata.
func (r *Ring) Signer(ctx context.Context, rp repo.Repository) (*sign.Key, error) {
	row, err := r.row(ctx, rp)
	if err != nil {
		return nil, err
	}
	return r.opened.Get(ctx, row.ID, otter.LoaderFunc[int64, *sign.Key](func(context.Context, int64) (*sign.Key, error) {
		return r.open(row)
	}))
}

// PublicKey is the public part of that key, ASCII armoured.
func (r *Ring) PublicKey(ctx context.Context, rp repo.Repository) ([]byte, error) {
	row, err := r.row(ctx, rp)
	return row.Public, err
}

func (r *Ring) open(row repo.Key) (*sign.Key, error) {
	private, err := r.sealer.Unseal(sealLabel, row.Sealed)
	if err != nil {
		return nil, fmt.Errorf("open key %s: %w", row.Name, err)
	}
	k, err := sign.ParsePrivate(private, nil)
	if err != nil {
		return nil, fmt.Errorf("open key %s: %w", row.Name, err)
	}
	return k, nil
}

// row is the row of the active key of a repository.
func (r *Ring) row(ctx context.Context, rp repo.Repository) (repo.Key, error) {
	return r.active.Get(ctx, rp.ID, otter.LoaderFunc[int64, repo.Key](func(ctx context.Context, id int64) (repo.Key, error) {
		// Others may wait for the same key: it does not end with this request.
		ctx = context.WithoutCancel(ctx)
		row, err := r.db.SigningKey(ctx, id)
		if !errors.Is(err, repo.ErrNotFound) {
			return row, err
		}
		return r.create(ctx, rp)
	}))
}

// create makes the first key of a repository. Where two nodes do so at once,
// the one that records it first wins.
func (r *Ring) create(ctx context.Context, rp repo.Repository) (repo.Key, error) {
	k, err := sign.Generate(r.algorithm, rp.FullName())
	if err != nil {
		return repo.Key{}, err
	}
	row, err := r.seal(rp, k)
	if err != nil {
		return repo.Key{}, err
	}
	err = r.db.Update(ctx, func(tx *db.Tx) error { return tx.InsertKey(ctx, &row, true) })
	if repo.IsTaken(err) {
		return r.db.SigningKey(ctx, rp.ID)
	}
	return row, err
}

func (r *Ring) seal(rp repo.Repository, k *sign.Key) (repo.Key, error) {
	private, err := k.Private()
	if err != nil {
		return repo.Key{}, err
	}
	sealed, err := r.sealer.Seal(sealLabel, private)
	if err != nil {
		return repo.Key{}, err
	}
	return repo.Key{
		RepositoryID: rp.ID, Type: repo.RepositoryKey, Name: sign.Name(rp, k.Fingerprint()), Fingerprint: k.Fingerprint(),
		Public: k.PublicKey(), Sealed: sealed, CreatedAt: time.Now(),
	}, nil
}

// Import makes k the key that signs a repository's metadata, and has all of it
// signed anew. The key before it stays, for what it signed.
func (r *Ring) Import(ctx context.Context, rp repo.Repository, k *sign.Key) (repo.Key, error) {
	row, err := r.seal(rp, k)
	if err != nil {
		return repo.Key{}, err
	}
	err = r.db.Update(ctx, func(tx *db.Tx) error {
		if err := tx.RetireSigningKey(ctx, rp.ID); err != nil {
			return err
		}
		if err := tx.InsertKey(ctx, &row, true); err != nil {
			return err
		}
		scopes, err := tx.ScopesOf(ctx, rp.ID)
		if err != nil {
			return err
		}
		for _, s := range scopes {
			if err := tx.AddChange(ctx, s.ID, db.Refresh, 0, row.CreatedAt); err != nil {
				return err
			}
		}
		return nil
	})
	if repo.IsTaken(err) {
		return repo.Key{}, repo.Invalid("key", "this repository has key "+row.Name+" already")
	}
	r.active.Invalidate(rp.ID)
	return row, err
}
