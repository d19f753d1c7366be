// Package keyring finds the keys that sign a repository's metadata. It keeps
// private keys sealed in the database and open only in memory.
//
// Which keys sign is read from the database each time, and never believed from
// memory: another process or node may have changed it a moment ago.
package keyring

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"

	"packagecloud/internal/clock"
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

// Ring finds keys. It is safe for concurrent use.
type Ring struct {
	db        *db.DB
	sealer    Sealer
	algorithm sign.Algorithm
	// opened has private keys by the SHA-256 of their sealed form, 10,000 at most.
	// Their age has no bound, and needs none: a key is a pure function of those
	// bytes, and which keys sign is not asked here.
	opened *otter.Cache[[sha256.Size]byte, *sign.Key]
}

// New makes a ring whose new keys are of an algorithm.
func New(d *db.DB, s Sealer, a sign.Algorithm) *Ring {
	return &Ring{
		db: d, sealer: s, algorithm: a,
		opened: otter.Must(&otter.Options[[sha256.Size]byte, *sign.Key]{MaximumSize: 10_000, Logger: &otter.NoopLogger{}}),
	}
}

// Signers are the keys that sign a repository's metadata now.
func (r *Ring) Signers(ctx context.Context, rp repo.Repository) (sign.Together, error) {
	rows, err := r.rows(ctx, rp)
	if err != nil {
		return nil, err
	}
	keys := make(sign.Together, 0, len(rows))
	for _, row := range rows {
		k, err := r.opened.Get(ctx, sha256.Sum256(row.Sealed), otter.LoaderFunc[[sha256.Size]byte, *sign.Key](func(context.Context, [sha256.Size]byte) (*sign.Key, error) {
			return r.open(row)
		}))
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// PublicKey is the file with the public parts of those keys, ASCII armoured.
func (r *Ring) PublicKey(ctx context.Context, rp repo.Repository) ([]byte, error) {
	rows, err := r.rows(ctx, rp)
	if err != nil {
		return nil, err
	}
	keys := make([][]byte, 0, len(rows))
	for _, row := range rows {
		keys = append(keys, row.Public)
	}
	return sign.JoinPublic(keys...)
}

func (r *Ring) open(row repo.Key) (*sign.Key, error) {
	private, err := r.sealer.Unseal(sealLabel, row.Sealed)
	if err != nil {
		return nil, fmt.Errorf("open key %s: %w", row.Name, err)
	}
	k, err := sign.OpenPrivate(private, row.Public)
	if err != nil {
		return nil, fmt.Errorf("open key %s: %w", row.Name, err)
	}
	return k, nil
}

// rows are the keys that sign for a repository. Its first one is made if it has
// none yet.
func (r *Ring) rows(ctx context.Context, rp repo.Repository) ([]repo.Key, error) {
	rows, err := r.db.SigningKeys(ctx, rp.ID)
	if err != nil || len(rows) > 0 {
		return rows, err
	}
	if err := r.create(ctx, rp); err != nil {
		return nil, err
	}
	return r.db.SigningKeys(ctx, rp.ID)
}

// create makes the first key of a repository. Where two nodes do so at once,
// the one that records it first wins.
func (r *Ring) create(ctx context.Context, rp repo.Repository) error {
	k, err := sign.Generate(r.algorithm, rp.FullName())
	if err != nil {
		return err
	}
	row, err := r.seal(rp, k)
	if err != nil {
		return err
	}
	err = r.db.Update(ctx, func(tx *db.Tx) error { return tx.InsertKey(ctx, &row, true) })
	if repo.IsTaken(err) {
		return nil
	}
	return err
}

// MakeOne makes the first key of one repository that has none, and reports
// whether there was one. waiting leaves out those of which nothing waits to be
// published.
func (r *Ring) MakeOne(ctx context.Context, waiting bool) (made bool, err error) {
	rp, err := r.db.KeylessRepository(ctx, waiting)
	if errors.Is(err, repo.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := r.create(ctx, rp); err != nil {
		return false, fmt.Errorf("make the signing key of %s: %w", rp.FullName(), err)
	}
	return true, nil
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
		Public: k.PublicKey(), Sealed: sealed, CreatedAt: clock.Now(),
	}, nil
}

// Import makes k the first of the keys that sign a repository's metadata, and
// has all of it signed anew. Those before it go on signing beside it until they
// are retired, unless alone is set: then they end at once.
func (r *Ring) Import(ctx context.Context, rp repo.Repository, k *sign.Key, alone bool) (repo.Key, error) {
	row, err := r.seal(rp, k)
	if err != nil {
		return repo.Key{}, err
	}
	err = r.db.Update(ctx, func(tx *db.Tx) error {
		old, err := tx.Key(ctx, rp.ID, row.Name)
		if err == nil && old.Type != repo.RepositoryKey {
			return repo.Invalid("key", "this repository has "+row.Name+" as the key of who signs packages: remove it (package_cloud gpg_key destroy) and import again")
		}
		if err != nil && !errors.Is(err, repo.ErrNotFound) {
			return err
		}
		if err := tx.ActivateKey(ctx, &row, alone); err != nil {
			return err
		}
		return signAnew(ctx, tx, rp, row.CreatedAt)
	})
	return row, err
}

// Retire ends the keys that sign beside the first one, and has everything signed
// anew without them. It returns those that it ended.
func (r *Ring) Retire(ctx context.Context, rp repo.Repository) (ended []repo.Key, err error) {
	err = r.db.Update(ctx, func(tx *db.Tx) error {
		rows, err := tx.SigningKeys(ctx, rp.ID)
		if err != nil || len(rows) < 2 {
			return err
		}
		ended = rows[1:]
		if err := tx.RetireKeys(ctx, rp.ID); err != nil {
			return err
		}
		return signAnew(ctx, tx, rp, clock.Now())
	})
	return ended, err
}

// signAnew has everything of a repository signed again.
func signAnew(ctx context.Context, tx *db.Tx, rp repo.Repository, now time.Time) error {
	scopes, err := tx.ScopesOf(ctx, rp.ID)
	if err != nil {
		return err
	}
	for _, s := range scopes {
		if err := tx.AddChange(ctx, s.ID, db.Refresh, 0, now); err != nil {
			return err
		}
	}
	return nil
}
