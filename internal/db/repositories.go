package db

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"packagecloud/internal/repo"
)

const repositoryColumns = `r.id, r.owner_id, o.name, r.name, r.private, r.contents, r.created_at, r.updated_at`

const repositoryTables = `repositories r JOIN users o ON o.id = r.owner_id`

func scanRepository(s scanner) (r repo.Repository, err error) {
	var created, updated int64
	err = s.Scan(&r.ID, &r.OwnerID, &r.Owner, &r.Name, &r.Private, &r.Contents, &created, &updated)
	r.CreatedAt, r.UpdatedAt = fromMillis(created), fromMillis(updated)
	return r, err
}

// Repository finds a repository by owner and name.
func (r Reader) Repository(ctx context.Context, owner, name string) (repo.Repository, error) {
	v, err := scanRepository(r.q.QueryRowContext(ctx, `SELECT `+repositoryColumns+` FROM `+repositoryTables+` WHERE o.name = $1 AND r.name = $2`, owner, name))
	return v, found(err, "repository "+owner+"/"+name)
}

// RepositoryByID finds a repository.
func (r Reader) RepositoryByID(ctx context.Context, id int64) (repo.Repository, error) {
	v, err := scanRepository(r.q.QueryRowContext(ctx, `SELECT `+repositoryColumns+` FROM `+repositoryTables+` WHERE r.id = $1`, id))
	return v, found(err, fmt.Sprintf("repository %d", id))
}

// Repositories lists all repositories by full name.
func (r Reader) Repositories(ctx context.Context) ([]repo.Repository, error) {
	return collect(ctx, r.q, "repositories", scanRepository, `SELECT `+repositoryColumns+` FROM `+repositoryTables+` ORDER BY o.name, r.name`)
}

// RepositoryStatus is a repository with what lists show of its content.
type RepositoryStatus struct {
	repo.Repository
	Packages int64
	LastPush time.Time // zero if nothing was ever pushed
}

// RepositoriesOf lists the repositories of a user, and with collaborations
// those they were let into, by full name.
func (r Reader) RepositoriesOf(ctx context.Context, userID int64, collaborations bool, page Page) ([]RepositoryStatus, int64, error) {
	const where = `(r.owner_id = $1 OR ($2 AND EXISTS (SELECT 1 FROM collaborations c WHERE c.user_id = $1 AND c.repository_id = r.id)))`
	var total int64
	err := r.q.QueryRowContext(ctx, `SELECT count(*) FROM repositories r WHERE `+where, userID, collaborations).Scan(&total)
	if err != nil {
		return nil, 0, fmt.Errorf("count repositories: %w", err)
	}
	all, err := collect(ctx, r.q, "repositories", scanRepositoryStatus, `
		SELECT `+repositoryColumns+`, `+statusColumns+` FROM `+repositoryTables+` WHERE `+where+`
		ORDER BY o.name, r.name LIMIT $3 OFFSET $4`, userID, collaborations, page.Size, page.offset())
	return all, total, err
}

const statusColumns = `
	(SELECT count(*) FROM packages p WHERE p.repository_id = r.id AND p.deleted_at IS NULL),
	(SELECT p.created_at FROM packages p WHERE p.repository_id = r.id AND p.deleted_at IS NULL ORDER BY p.id DESC LIMIT 1)`

func scanRepositoryStatus(s scanner) (v RepositoryStatus, err error) {
	var created, updated int64
	var pushed sql.NullInt64
	err = s.Scan(&v.ID, &v.OwnerID, &v.Owner, &v.Name, &v.Private, &v.Contents, &created, &updated, &v.Packages, &pushed)
	v.CreatedAt, v.UpdatedAt = fromMillis(created), fromMillis(updated)
	if pushed.Valid {
		v.LastPush = fromMillis(pushed.Int64)
	}
	return v, err
}

// RepositoryStatus is the status of one repository.
func (r Reader) RepositoryStatus(ctx context.Context, id int64) (RepositoryStatus, error) {
	v, err := scanRepositoryStatus(r.q.QueryRowContext(ctx, `SELECT `+repositoryColumns+`, `+statusColumns+` FROM `+repositoryTables+` WHERE r.id = $1`, id))
	return v, found(err, fmt.Sprintf("repository %d", id))
}

// CreateRepository records a repository and sets its ID. A name that its owner
// has already is repo.Taken.
func (t *Tx) CreateRepository(ctx context.Context, r *repo.Repository) error {
	err := t.q.QueryRowContext(ctx, `
		INSERT INTO repositories (owner_id, name, private, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $4) ON CONFLICT DO NOTHING RETURNING id`,
		r.OwnerID, r.Name, r.Private, millis(r.CreatedAt)).Scan(&r.ID)
	if err == sql.ErrNoRows {
		return repo.Taken("name")
	}
	if err != nil {
		return fmt.Errorf("create repository %s: %w", r.FullName(), err)
	}
	return nil
}
