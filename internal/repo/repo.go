// Package repo is the vocabulary of the product: repositories, packages,
// distributions, tokens and the few kinds of error that everyone agrees on.
//
// It imports nothing of ours, and everything of ours may import it.
package repo

import (
	"fmt"
	"regexp"
	"strings"
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

// reservedOwners are first path segments that the server uses itself.
var reservedOwners = map[string]bool{
	"api": true, "app": true, "install": true, "priv": true, "gpg.key": true,
	"healthz": true, "metrics": true, "login": true, "logout": true, "assets": true,
}

// ValidateUserName reports why name cannot be a user, or nil.
func ValidateUserName(name string) error {
	if !namePattern.MatchString(name) || reservedOwners[strings.ToLower(name)] {
		return Invalid("name", fmt.Sprintf("%q cannot be a user name: use up to 100 letters, digits, dots, dashes and underscores, none of the server's own paths", name))
	}
	return nil
}

// ValidateRepositoryName reports why name cannot be a repository, or nil.
func ValidateRepositoryName(name string) error {
	if !namePattern.MatchString(name) {
		return Invalid("name", fmt.Sprintf("%q cannot be a repository name: use up to 100 letters, digits, dots, dashes and underscores, starting with a letter or digit", name))
	}
	return nil
}
