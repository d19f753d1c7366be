package db

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"packagecloud/internal/repo"
)

// Token is a stored token: its hash is looked for, its sealed value is shown
// again.
type Token struct {
	ID        int64
	ParentID  int64 // repository of a master token, master token of a read token
	Name      string
	Sealed    []byte
	CreatedAt time.Time
	UpdatedAt time.Time // as CreatedAt for read tokens
}

func scanToken(s scanner) (t Token, err error) {
	var created, updated int64
	err = s.Scan(&t.ID, &t.ParentID, &t.Name, &t.Sealed, &created, &updated)
	t.CreatedAt, t.UpdatedAt = fromMillis(created), fromMillis(updated)
	return t, err
}

// TokenKind tells what a token opens.
type TokenKind string

// The kinds of token.
const (
	APIToken    TokenKind = "api"
	MasterToken TokenKind = "master"
	ReadToken   TokenKind = "read"
)

// Grant is what a token stands for.
type Grant struct {
	Kind         TokenKind
	TokenID      int64 // of a master or read token
	User         repo.User
	RepositoryID int64 // of a master or read token
}

// GrantByHash finds what the token with a given SHA-256 stands for.
func (r Reader) GrantByHash(ctx context.Context, hash string) (Grant, error) {
	var g Grant
	var created int64
	err := r.q.QueryRowContext(ctx, `
		SELECT 'read', t.id, 0, '', '', 0, m.repository_id FROM read_tokens t JOIN master_tokens m ON m.id = t.master_token_id WHERE t.token_hash = $1
		UNION ALL
		SELECT 'master', m.id, 0, '', '', 0, m.repository_id FROM master_tokens m WHERE m.token_hash = $1
		UNION ALL
		SELECT 'api', 0, u.id, u.name, u.email, u.created_at, 0 FROM users u WHERE u.token_hash = $1`, hash).
		Scan(&g.Kind, &g.TokenID, &g.User.ID, &g.User.Name, &g.User.Email, &created, &g.RepositoryID)
	g.User.CreatedAt = fromMillis(created)
	return g, found(err, "token")
}

const masterTokenColumns = `SELECT id, repository_id, name, token_sealed, created_at, updated_at FROM master_tokens`

// MasterTokens lists the master tokens of a repository, oldest first.
func (r Reader) MasterTokens(ctx context.Context, repositoryID int64) ([]Token, error) {
	return collect(ctx, r.q, "master tokens", scanToken, masterTokenColumns+` WHERE repository_id = $1 ORDER BY id`, repositoryID)
}

// SearchMasterTokens lists the master tokens whose name holds a text.
func (r Reader) SearchMasterTokens(ctx context.Context, repositoryID int64, text string, page Page) ([]Token, int64, error) {
	const where = ` WHERE repository_id = $1 AND lower(name) LIKE $2 ESCAPE '!'`
	var total int64
	err := r.q.QueryRowContext(ctx, `SELECT count(*) FROM master_tokens`+where, repositoryID, containing(text)).Scan(&total)
	if err != nil {
		return nil, 0, fmt.Errorf("count master tokens: %w", err)
	}
	all, err := collect(ctx, r.q, "master tokens", scanToken, masterTokenColumns+where+` ORDER BY id LIMIT $3 OFFSET $4`,
		repositoryID, containing(text), page.Size, page.offset())
	return all, total, err
}

// MasterToken finds a master token of a repository by id.
func (r Reader) MasterToken(ctx context.Context, repositoryID, id int64) (Token, error) {
	t, err := scanToken(r.q.QueryRowContext(ctx, masterTokenColumns+` WHERE repository_id = $1 AND id = $2`, repositoryID, id))
	return t, found(err, fmt.Sprintf("master token %d", id))
}

// MasterTokenByHash finds a master token of a repository by its SHA-256.
func (r Reader) MasterTokenByHash(ctx context.Context, repositoryID int64, hash string) (Token, error) {
	t, err := scanToken(r.q.QueryRowContext(ctx, masterTokenColumns+` WHERE repository_id = $1 AND token_hash = $2`, repositoryID, hash))
	return t, found(err, "master token")
}

// CreateMasterToken records a master token and sets its ID. A name that the
// repository has already is repo.Taken.
func (t *Tx) CreateMasterToken(ctx context.Context, m *Token, hash string) error {
	err := t.q.QueryRowContext(ctx, `
		INSERT INTO master_tokens (repository_id, name, token_hash, token_sealed, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT DO NOTHING RETURNING id`,
		m.ParentID, m.Name, hash, m.Sealed, millis(m.CreatedAt)).Scan(&m.ID)
	if err == sql.ErrNoRows {
		return repo.Taken("name")
	}
	if err != nil {
		return fmt.Errorf("create master token %s: %w", m.Name, err)
	}
	m.UpdatedAt = m.CreatedAt
	return nil
}

// RotateMasterToken gives a master token another value. Its read tokens are
// revoked.
func (t *Tx) RotateMasterToken(ctx context.Context, id int64, hash string, sealed []byte, now time.Time) error {
	if _, err := t.q.ExecContext(ctx, `DELETE FROM read_tokens WHERE master_token_id = $1`, id); err != nil {
		return fmt.Errorf("revoke the read tokens of master token %d: %w", id, err)
	}
	_, err := t.q.ExecContext(ctx, `UPDATE master_tokens SET token_hash = $2, token_sealed = $3, updated_at = $4 WHERE id = $1`, id, hash, sealed, millis(now))
	if err != nil {
		return fmt.Errorf("rotate master token %d: %w", id, err)
	}
	return nil
}

// DeleteMasterToken removes a master token and its read tokens.
func (t *Tx) DeleteMasterToken(ctx context.Context, id int64) error {
	if _, err := t.q.ExecContext(ctx, `DELETE FROM master_tokens WHERE id = $1`, id); err != nil {
		return fmt.Errorf("delete master token %d: %w", id, err)
	}
	return nil
}

const readTokenColumns = `SELECT id, master_token_id, name, token_sealed, created_at, created_at FROM read_tokens`

// ReadTokens lists the read tokens of a master token, oldest first.
func (r Reader) ReadTokens(ctx context.Context, masterTokenID int64) ([]Token, error) {
	return collect(ctx, r.q, "read tokens", scanToken, readTokenColumns+` WHERE master_token_id = $1 ORDER BY id`, masterTokenID)
}

// ReadToken finds a read token of a master token by id.
func (r Reader) ReadToken(ctx context.Context, masterTokenID, id int64) (Token, error) {
	t, err := scanToken(r.q.QueryRowContext(ctx, readTokenColumns+` WHERE master_token_id = $1 AND id = $2`, masterTokenID, id))
	return t, found(err, fmt.Sprintf("read token %d", id))
}

// CreateReadToken records a read token, or finds the one that has its name
// already: then created is false and rt is that one.
func (t *Tx) CreateReadToken(ctx context.Context, rt *Token, hash string) (created bool, err error) {
	err = t.q.QueryRowContext(ctx, `
		INSERT INTO read_tokens (master_token_id, name, token_hash, token_sealed, created_at)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING id`,
		rt.ParentID, rt.Name, hash, rt.Sealed, millis(rt.CreatedAt)).Scan(&rt.ID)
	if err == sql.ErrNoRows {
		*rt, err = scanToken(t.q.QueryRowContext(ctx, readTokenColumns+` WHERE master_token_id = $1 AND name = $2`, rt.ParentID, rt.Name))
		return false, found(err, "read token "+rt.Name)
	}
	if err != nil {
		return false, fmt.Errorf("create read token %s: %w", rt.Name, err)
	}
	rt.UpdatedAt = rt.CreatedAt
	return true, nil
}

// DeleteReadToken removes a read token.
func (t *Tx) DeleteReadToken(ctx context.Context, id int64) error {
	if _, err := t.q.ExecContext(ctx, `DELETE FROM read_tokens WHERE id = $1`, id); err != nil {
		return fmt.Errorf("delete read token %d: %w", id, err)
	}
	return nil
}
