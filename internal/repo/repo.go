// Package repo is the vocabulary of the product: repositories, packages,
// distributions, tokens and the few kinds of error that everyone agrees on.
//
// It imports nothing of ours, and everything of ours may import it.
package repo

import (
	"regexp"
	"time"
)

// User owns repositories and pushes to them with an API token.
type User struct {
	ID        int64
	Name      string // login name, the first segment of every repository URL
	Email     string
	CreatedAt time.Time
}

// Repository holds packages of all types and distributions together.
type Repository struct {
	ID      int64
	OwnerID int64
	Owner   string // User.Name of the owner
	Name    string
	Private bool
	// Contents says that its indexes tell which files its packages install, in
	// the formats that can (format.ContentsLister).
	Contents  bool
	CreatedAt time.Time
	UpdatedAt time.Time
}

// FullName is "owner/name".
func (r Repository) FullName() string { return r.Owner + "/" + r.Name }

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
