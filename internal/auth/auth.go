// Package auth decides who may do what: it reads credentials from requests,
// finds what a token stands for, and says what that opens.
//
// Tokens are random and looked up by their SHA-256, so that the time a look-up
// takes tells nothing about them. What was found is believed for Freshness;
// that is how soon a revoked token stops working on every node.
package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"packagecloud/internal/db"
	"packagecloud/internal/repo"
)

// Freshness bounds how long a token that another process revoked, or a user or
// repository that it changed, is still what it was: that long after it was read
// from the database. The node that makes such a change forgets at once (Forget).
const Freshness = 2 * time.Second

// cached is the number of tokens and of repositories whose meaning is kept in
// memory, those that do not exist too. No key is longer than two names or the hash
// of a token, so that all of them take some tens of MB at most.
const cached = 100_000

// Auth answers from memory where it can. It is safe for concurrent use.
type Auth struct {
	db           *db.DB
	grants       *otter.Cache[string, *db.Grant]           // by token hash; nil: no such token
	repositories *otter.Cache[[2]string, *repo.Repository] // by owner and name; nil: none
}

// New makes an Auth that reads from d.
func New(d *db.DB) *Auth {
	return &Auth{db: d, grants: newCache[string, *db.Grant](), repositories: newCache[[2]string, *repo.Repository]()}
}

// newCache keeps values for Freshness, those of what does not exist too. One that
// is in use is renewed in the background, so that a busy key never waits for the
// database. Forget also drops what look-ups under way will find.
func newCache[K comparable, V any]() *otter.Cache[K, V] {
	return otter.Must(&otter.Options[K, V]{
		MaximumSize:       cached,
		ExpiryCalculator:  otter.ExpiryWriting[K, V](Freshness),
		RefreshCalculator: otter.RefreshWriting[K, V](Freshness / 2),
		Logger:            &otter.NoopLogger{},
	})
}

// loadTime bounds a look-up in the database. It does not end with the request
// that began it: others may wait for its result.
const loadTime = 10 * time.Second

// load gets a value from a cache, or from the database.
func load[K comparable, V any](ctx context.Context, c *otter.Cache[K, V], key K, from func(context.Context, K) (V, error)) (V, error) {
	return c.Get(ctx, key, otter.LoaderFunc[K, V](func(ctx context.Context, key K) (V, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTime)
		defer cancel()
		return from(ctx, key)
	}))
}

// Token is the token of a request: the user name of Basic credentials, whatever
// the password is, or a Bearer token. Clients that insist on a user name have
// the token as their password (twine's is __token__). ok is false if there are
// none.
func Token(r *http.Request) (token string, ok bool) {
	if user, password, ok := r.BasicAuth(); ok {
		if len(user) != repo.TokenLength && len(password) == repo.TokenLength {
			return password, true
		}
		return user, user != ""
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if ok && strings.EqualFold(scheme, "Bearer") {
		token = strings.TrimSpace(token)
		return token, token != ""
	}
	return "", false
}

// Grant finds what a token stands for; repo.ErrUnauthenticated if for nothing.
func (a *Auth) Grant(ctx context.Context, token string) (db.Grant, error) {
	if !repo.IsToken(token) {
		return db.Grant{}, repo.ErrUnauthenticated
	}
	g, err := load(ctx, a.grants, Hash(token), func(ctx context.Context, hash string) (*db.Grant, error) {
		g, err := a.db.GrantByHash(ctx, hash)
		if errors.Is(err, repo.ErrNotFound) {
			return nil, nil
		}
		return &g, err
	})
	if err != nil {
		return db.Grant{}, fmt.Errorf("look for the token: %w", err)
	}
	if g == nil {
		return db.Grant{}, repo.ErrUnauthenticated
	}
	return *g, nil
}

// Repository finds a repository by owner and name. One that does not exist is a
// private one without an ID: MayRead, Manager and MayManage refuse it to everybody,
// as they refuse a private one, so that nobody can tell which of the two it is.
func (a *Auth) Repository(ctx context.Context, owner, name string) (repo.Repository, error) {
	hidden := repo.Repository{Owner: owner, Name: name, Private: true}
	if !repo.IsName(owner) || !repo.IsName(name) {
		return hidden, nil
	}
	r, err := load(ctx, a.repositories, [2]string{owner, name}, func(ctx context.Context, key [2]string) (*repo.Repository, error) {
		r, err := a.db.Repository(ctx, key[0], key[1])
		if errors.Is(err, repo.ErrNotFound) {
			return nil, nil
		}
		return &r, err
	})
	if err != nil {
		return repo.Repository{}, fmt.Errorf("look for repository %s/%s: %w", owner, name, err)
	}
	if r == nil {
		return hidden, nil
	}
	return *r, nil
}

// Forget makes this node look everything up again, after a change that it made
// itself and whose effect somebody may expect at once.
func (a *Auth) Forget() {
	a.grants.InvalidateAll()
	a.repositories.InvalidateAll()
}

// MayRead reports whether a package manager with a token may read a
// repository. Without a token, token is "". The errors tell why not:
// repo.ErrUnauthenticated asks for credentials, repo.ErrNotFound says that
// those given do not open it and so hides that it exists.
func (a *Auth) MayRead(ctx context.Context, token string, r repo.Repository) error {
	if !r.Private {
		return nil
	}
	if token == "" {
		return repo.ErrUnauthenticated
	}
	g, err := a.Grant(ctx, token)
	if errors.Is(err, repo.ErrUnauthenticated) {
		return repo.ErrNotFound
	}
	if err != nil {
		return err
	}
	if g.Kind != db.ReadToken || g.RepositoryID != r.ID {
		return repo.ErrNotFound
	}
	return nil
}

// Manager finds the user of an API token, who must be allowed to push to a
// repository. The errors tell why not, as those of MayRead do.
func (a *Auth) Manager(ctx context.Context, token string, r repo.Repository) (repo.User, error) {
	if token == "" {
		return repo.User{}, repo.ErrUnauthenticated
	}
	g, err := a.Grant(ctx, token)
	if errors.Is(err, repo.ErrUnauthenticated) && r.Private {
		return repo.User{}, fmt.Errorf("repository %.100q: %w", r.FullName(), repo.ErrNotFound)
	}
	if err != nil {
		return repo.User{}, err
	}
	may := false
	if g.Kind == db.APIToken {
		if may, err = a.MayManage(ctx, g.User, r); err != nil {
			return repo.User{}, err
		}
	}
	switch {
	case may:
		return g.User, nil
	case r.Private && (g.Kind != db.ReadToken || g.RepositoryID != r.ID):
		return repo.User{}, fmt.Errorf("repository %.100q: %w", r.FullName(), repo.ErrNotFound)
	}
	return repo.User{}, fmt.Errorf("%w: this token may not change %s", repo.ErrForbidden, r.FullName())
}

// MayManage reports whether a user may push to, delete from and configure a
// repository: its owner and its collaborators may. Collaborators are not kept in
// memory: who was removed changes nothing from then on.
func (a *Auth) MayManage(ctx context.Context, u repo.User, r repo.Repository) (bool, error) {
	if u.ID == r.OwnerID {
		return true, nil
	}
	return a.db.Collaborates(ctx, u.ID, r.ID)
}
