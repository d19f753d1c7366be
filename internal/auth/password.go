package auth

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"packagecloud/internal/db"
	"packagecloud/internal/repo"
)

// noPassword is what the password of an unknown user is compared with, so that
// it takes as long to refuse as that of a known one.
var noPassword = []byte("$2a$10$lO.wgTl4GGuLM9FEENjSnesCY9wZsANSO6gF.7jQHc6vXU.v9hSwa")

// PasswordCost is what bcrypt spends on a password.
const PasswordCost = bcrypt.DefaultCost

// maxPassword is what bcrypt takes, in bytes.
const maxPassword = 72

// Passwords gives the API token of an account to whoever knows its password.
// It is safe for concurrent use.
type Passwords struct {
	db     *db.DB
	sealer Sealer
	atWork chan struct{} // bounds the checks at work: each costs a core for a while
}

// NewPasswords makes a Passwords that reads from d.
func NewPasswords(d *db.DB, s Sealer) *Passwords {
	return &Passwords{db: d, sealer: s, atWork: make(chan struct{}, 2)}
}

// Token is the API token of the account with a name or an e-mail address;
// repo.ErrUnauthenticated if the password is another one.
func (p *Passwords) Token(ctx context.Context, login, password string) (string, error) {
	if len(password) > maxPassword {
		return "", repo.ErrUnauthenticated
	}
	account, err := p.account(ctx, login)
	if err != nil && !errors.Is(err, repo.ErrNotFound) {
		return "", err
	}
	hash := []byte(account.PasswordHash)
	if len(hash) == 0 {
		hash = noPassword
	}
	select {
	case p.atWork <- struct{}{}:
		defer func() { <-p.atWork }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil || account.PasswordHash == "" {
		return "", repo.ErrUnauthenticated
	}
	return Reveal(p.sealer, account.TokenSealed)
}

// maxLogin bounds what can be a name or an address, in bytes (RFC 5321).
const maxLogin = 320

// account finds an account by its name or address.
func (p *Passwords) account(ctx context.Context, login string) (db.Account, error) {
	switch {
	case len(login) > maxLogin || !repo.IsPrintable(login):
		return db.Account{}, repo.ErrNotFound
	case strings.Contains(login, "@"): // no name has one
		return p.db.AccountByEmail(ctx, login)
	}
	return p.db.AccountByName(ctx, login)
}
