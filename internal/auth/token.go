package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"time"

	"packagecloud/internal/db"
	"packagecloud/internal/repo"
)

// Sealer encrypts values for the database. The label says what a value is and
// must be the same when it is opened.
type Sealer interface {
	Seal(label string, plaintext []byte) ([]byte, error)
	Unseal(label string, sealed []byte) ([]byte, error)
}

const sealLabel = "token"

// Password stands beside the token in every URL and file that the server gives
// out. Token ignores it. Without one, zypper sends no credentials at all (since
// libzypp 17.38, openSUSE/libzypp#754).
const Password = "irrelevant"

// Userinfo are the credentials in the URL of somebody with a token.
func Userinfo(token string) *url.Userinfo { return url.UserPassword(token, Password) }

// Hash is how a token is looked up: its SHA-256 in hexadecimal. The tokens are
// random, so that a slow hash would protect nothing.
func Hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Issued is a new token in all its forms.
type Issued struct {
	Value  string
	Hash   string
	Sealed []byte
}

// Issue makes a token.
func Issue(s Sealer) (Issued, error) {
	raw := make([]byte, repo.TokenLength/2)
	rand.Read(raw) // never fails
	value := hex.EncodeToString(raw)
	sealed, err := s.Seal(sealLabel, []byte(value))
	if err != nil {
		return Issued{}, fmt.Errorf("seal a new token: %w", err)
	}
	return Issued{Value: value, Hash: Hash(value), Sealed: sealed}, nil
}

// Reveal gives the value of a sealed token.
func Reveal(s Sealer, sealed []byte) (string, error) {
	value, err := s.Unseal(sealLabel, sealed)
	if err != nil {
		return "", fmt.Errorf("reveal a token: %w", err)
	}
	return string(value), nil
}

// CreateUser records a user with a new API token, which it returns.
func CreateUser(ctx context.Context, tx *db.Tx, s Sealer, a *db.Account) (token string, err error) {
	issued, err := Issue(s)
	if err != nil {
		return "", err
	}
	a.TokenSealed = issued.Sealed
	return issued.Value, tx.CreateUser(ctx, a, issued.Hash)
}

// CreateRepository records a repository with its default master token.
func CreateRepository(ctx context.Context, tx *db.Tx, s Sealer, r *repo.Repository) error {
	if err := tx.CreateRepository(ctx, r); err != nil {
		return err
	}
	_, err := CreateMasterToken(ctx, tx, s, r.ID, repo.DefaultMasterToken, r.CreatedAt)
	return err
}

// CreateMasterToken records a new master token of a repository.
func CreateMasterToken(ctx context.Context, tx *db.Tx, s Sealer, repositoryID int64, name string, now time.Time) (repo.MasterToken, error) {
	issued, err := Issue(s)
	if err != nil {
		return repo.MasterToken{}, err
	}
	t := db.Token{ParentID: repositoryID, Name: name, Sealed: issued.Sealed, CreatedAt: now}
	if err := tx.CreateMasterToken(ctx, &t, issued.Hash); err != nil {
		return repo.MasterToken{}, err
	}
	return repo.MasterToken{ID: t.ID, RepositoryID: repositoryID, Name: name, Value: issued.Value, CreatedAt: now, UpdatedAt: now}, nil
}

// DeleteMasterToken revokes a master token with its read tokens. The default
// one gets another value instead: a repository always has it.
func DeleteMasterToken(ctx context.Context, tx *db.Tx, s Sealer, t repo.MasterToken, now time.Time) error {
	if t.Name != repo.DefaultMasterToken {
		return tx.DeleteMasterToken(ctx, t.ID)
	}
	issued, err := Issue(s)
	if err != nil {
		return err
	}
	return tx.RotateMasterToken(ctx, t.ID, issued.Hash, issued.Sealed, now)
}

// EnsureReadToken finds the read token of a master token that has a name, or
// creates it.
func EnsureReadToken(ctx context.Context, tx *db.Tx, s Sealer, masterTokenID int64, name string, now time.Time) (rt repo.ReadToken, created bool, err error) {
	issued, err := Issue(s)
	if err != nil {
		return rt, false, err
	}
	t := db.Token{ParentID: masterTokenID, Name: name, Sealed: issued.Sealed, CreatedAt: now}
	if created, err = tx.CreateReadToken(ctx, &t, issued.Hash); err != nil {
		return rt, false, err
	}
	value, err := Reveal(s, t.Sealed)
	if err != nil {
		return rt, false, err
	}
	return repo.ReadToken{ID: t.ID, MasterTokenID: masterTokenID, Name: t.Name, Value: value, CreatedAt: t.CreatedAt}, created, nil
}
