package db

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"packagecloud/internal/repo"
)

// Account is a user with what is needed to let them in.
type Account struct {
	repo.User
	PasswordHash string // bcrypt; "" refuses every password
	TokenSealed  []byte // API token, encrypted to the master key
}

const accountColumns = `u.id, u.name, u.email, u.created_at, u.password_hash, u.token_sealed`

func scanAccount(s scanner) (a Account, err error) {
	var created int64
	err = s.Scan(&a.ID, &a.Name, &a.Email, &created, &a.PasswordHash, &a.TokenSealed)
	a.CreatedAt = fromMillis(created)
	return a, err
}

// AccountByEmail finds a user by e-mail address.
func (r Reader) AccountByEmail(ctx context.Context, email string) (Account, error) {
	a, err := scanAccount(r.q.QueryRowContext(ctx, `SELECT `+accountColumns+` FROM users u WHERE u.email = $1`, email))
	return a, found(err, "user "+email)
}

// AccountByName finds a user by login name.
func (r Reader) AccountByName(ctx context.Context, name string) (Account, error) {
	a, err := scanAccount(r.q.QueryRowContext(ctx, `SELECT `+accountColumns+` FROM users u WHERE u.name = $1`, name))
	return a, found(err, "user "+name)
}

// Accounts lists all users by name.
func (r Reader) Accounts(ctx context.Context) ([]Account, error) {
	return collect(ctx, r.q, "users", scanAccount, `SELECT `+accountColumns+` FROM users u ORDER BY u.name`)
}

// CreateUser records a user and sets its ID. A name or address that is in use
// is repo.Taken.
func (t *Tx) CreateUser(ctx context.Context, a *Account, tokenHash string) error {
	for _, unique := range []struct{ field, query, value string }{
		{"name", `SELECT 1 FROM users WHERE name = $1`, a.Name},
		{"email", `SELECT 1 FROM users WHERE email = $1`, a.Email},
	} {
		var one int
		switch err := t.q.QueryRowContext(ctx, unique.query, unique.value).Scan(&one); err {
		case nil:
			return repo.Taken(unique.field)
		case sql.ErrNoRows:
		default:
			return fmt.Errorf("look for user %s: %w", a.Name, err)
		}
	}
	err := t.q.QueryRowContext(ctx, `
		INSERT INTO users (name, email, password_hash, token_hash, token_sealed, created_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING id`,
		a.Name, a.Email, a.PasswordHash, tokenHash, a.TokenSealed, millis(a.CreatedAt)).Scan(&a.ID)
	if err == sql.ErrNoRows {
		return repo.Taken("name")
	}
	if err != nil {
		return fmt.Errorf("create user %s: %w", a.Name, err)
	}
	return nil
}

// UpdateUser writes the address and password hash of an existing user. An address
// that somebody else has is repo.Taken.
func (t *Tx) UpdateUser(ctx context.Context, a Account) error {
	var others int
	err := t.q.QueryRowContext(ctx, `SELECT count(*) FROM users WHERE email = $1 AND id <> $2`, a.Email, a.ID).Scan(&others)
	if err != nil {
		return fmt.Errorf("look for the address of %s: %w", a.Name, err)
	}
	if others > 0 {
		return repo.Taken("email")
	}
	_, err = t.q.ExecContext(ctx, `UPDATE users SET email = $2, password_hash = $3 WHERE id = $1`, a.ID, a.Email, a.PasswordHash)
	if err != nil {
		return fmt.Errorf("update user %s: %w", a.Name, err)
	}
	return nil
}

// SetUserToken gives a user another API token.
func (t *Tx) SetUserToken(ctx context.Context, userID int64, hash string, sealed []byte) error {
	_, err := t.q.ExecContext(ctx, `UPDATE users SET token_hash = $2, token_sealed = $3 WHERE id = $1`, userID, hash, sealed)
	if err != nil {
		return fmt.Errorf("set the token of user %d: %w", userID, err)
	}
	return nil
}

// SetCollaborations lets a user into exactly these repositories besides their
// own.
func (t *Tx) SetCollaborations(ctx context.Context, userID int64, repositories []int64) error {
	if _, err := t.q.ExecContext(ctx, `DELETE FROM collaborations WHERE user_id = $1`, userID); err != nil {
		return fmt.Errorf("clear collaborations of user %d: %w", userID, err)
	}
	for _, id := range repositories {
		_, err := t.q.ExecContext(ctx, `INSERT INTO collaborations (user_id, repository_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, userID, id)
		if err != nil {
			return fmt.Errorf("add collaboration of user %d: %w", userID, err)
		}
	}
	return nil
}

// Collaborations are the full names of the repositories a user was let into,
// sorted.
func (r Reader) Collaborations(ctx context.Context, userID int64) ([]string, error) {
	scan := func(s scanner) (name string, err error) { err = s.Scan(&name); return name, err }
	return collect(ctx, r.q, "collaborations", scan, `
		SELECT u.name || '/' || p.name FROM collaborations c
		JOIN repositories p ON p.id = c.repository_id JOIN users u ON u.id = p.owner_id
		WHERE c.user_id = $1 ORDER BY 1`, userID)
}

// Collaborates reports whether a user was let into a repository of somebody
// else.
func (r Reader) Collaborates(ctx context.Context, userID, repositoryID int64) (bool, error) {
	var n int
	err := r.q.QueryRowContext(ctx, `SELECT count(*) FROM collaborations WHERE user_id = $1 AND repository_id = $2`, userID, repositoryID).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("read collaborations of user %d: %w", userID, err)
	}
	return n > 0, nil
}

// DisableUser ends a user's access: no password fits, the token is replaced by
// one that nobody has, collaborations are gone. What they own and pushed
// stays.
func (t *Tx) DisableUser(ctx context.Context, userID int64, unusableHash string, now time.Time) error {
	if _, err := t.q.ExecContext(ctx, `
		UPDATE users SET password_hash = '', token_hash = $2, token_sealed = $3, email = 'deleted-' || $4 || '-' || email
		WHERE id = $1`, userID, unusableHash, []byte{}, fmt.Sprint(millis(now))); err != nil {
		return fmt.Errorf("disable user %d: %w", userID, err)
	}
	return t.SetCollaborations(ctx, userID, nil)
}
