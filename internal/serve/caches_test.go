package serve_test

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/auth"
	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/node"
	"packagecloud/internal/repo"
	"packagecloud/internal/serve/servetest"
	"packagecloud/internal/sign"
)

// world is a server, and another node on the same database and storage, which
// makes the changes: packagecloud-ctl beside the server where that has SQLite.
type world struct {
	*servetest.Server
	t     *testing.T
	other *node.Node
	raw   *sql.DB

	public, private repo.Repository
	users           map[string]repo.User
	tokens          map[string]string // API tokens by user, read tokens by name
	deleted         *repo.Package
	key             *sign.Key
}

func newWorld(t *testing.T, environment ...string) *world {
	t.Helper()
	w := &world{t: t, Server: servetest.StartWith(t, servetest.Options{Environment: environment}), users: map[string]repo.User{}, tokens: map[string]string{}}
	driver := "sqlite"
	if w.Node.DB.Shared() {
		driver = "pgx"
	}
	var err error
	if w.other, err = node.Open(t.Context(), w.Node.Config, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if w.raw, err = sql.Open(driver, node.DatabaseURL(w.Node.Config)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.raw.Close()
		if err := w.other.Close(); err != nil {
			t.Error(err)
		}
	})
	w.fill()
	return w
}

// update changes something on the other node.
func (w *world) update(fn func(ctx context.Context, tx *db.Tx) error) {
	w.t.Helper()
	if err := w.other.DB.Update(w.t.Context(), func(tx *db.Tx) error { return fn(w.t.Context(), tx) }); err != nil {
		w.t.Fatal(err)
	}
}

// exec changes what no command of this program does.
func (w *world) exec(query string) {
	w.t.Helper()
	if _, err := w.raw.ExecContext(w.t.Context(), query); err != nil {
		w.t.Fatal(err)
	}
}

// fill makes users, tokens and packages.
func (w *world) fill() {
	w.t.Helper()
	w.update(func(ctx context.Context, tx *db.Tx) (err error) {
		if w.public, err = tx.Repository(ctx, "alice", "public"); err != nil {
			return err
		}
		if w.private, err = tx.Repository(ctx, "alice", "private"); err != nil {
			return err
		}
		for _, name := range []string{"deleted", "collaborator", "renewed"} {
			a := db.Account{User: repo.User{Name: name, Email: name + "@example.com", CreatedAt: time.Now()}}
			if w.tokens[name], err = auth.CreateUser(ctx, tx, w.other.Sealer, &a); err != nil {
				return err
			}
			w.users[name] = a.User
		}
		if err := tx.SetCollaborations(ctx, w.users["collaborator"].ID, []int64{w.public.ID}); err != nil {
			return err
		}
		open := repo.Repository{OwnerID: w.public.OwnerID, Owner: "alice", Name: "open", CreatedAt: time.Now()}
		if err := auth.CreateRepository(ctx, tx, w.other.Sealer, &open); err != nil {
			return err
		}
		for _, name := range []string{"team", "revoked"} {
			m, err := auth.CreateMasterToken(ctx, tx, w.other.Sealer, w.private.ID, name, time.Now())
			if err != nil {
				return err
			}
			read, _, err := auth.EnsureReadToken(ctx, tx, w.other.Sealer, m.ID, name, time.Now())
			if err != nil {
				return err
			}
			w.tokens[name] = read.Value
		}
		return w.addRelease(ctx, tx, "before")
	})
	for _, name := range []string{"kept", "gone"} {
		p := debtest.Package{Name: name, Version: "1.0", Architecture: "amd64"}
		w.Push("alice/public", "ubuntu/jammy", p.Filename(), p.Build(), nil).Is(http.StatusCreated)
	}
	packages, _, err := w.other.DB.Packages(w.t.Context(), db.Selection{RepositoryID: w.public.ID}, db.Page{Size: 10, Number: 1})
	if err != nil {
		w.t.Fatal(err)
	}
	i := slices.IndexFunc(packages, func(p repo.Package) bool { return p.Name == "gone" })
	w.deleted = &packages[i]
	if w.key, err = sign.Generate(sign.Ed25519, "mine"); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) addRelease(ctx context.Context, tx *db.Tx, version string) error {
	v := db.AddedRelease{OS: "ubuntu", Format: "deb", Release: repo.Release{IndexName: version, DisplayName: version, Number: version}}
	return tx.AddRelease(ctx, &v)
}

// ask makes a request of the server.
func (w *world) ask(path, token string) servetest.Answer {
	w.t.Helper()
	return w.Do(servetest.Request{Path: path, User: token})
}

const inRelease = "/ubuntu/dists/jammy/InRelease"

// TestChangesCountEverywhere changes each thing by one process and asks another
// for it, which had it in memory. What a server believes from memory it believes
// for auth.Freshness at most, and what it publishes is known to all that long
// after.
func TestChangesCountEverywhere(t *testing.T) {
	rows := []struct {
		name   string
		look   func(w *world) bool // whether the server knows of the change
		change func(w *world)
	}{
		{
			"a master token is destroyed",
			func(w *world) bool { return w.ask("/alice/private"+inRelease, w.tokens["team"]).Status == 404 },
			func(w *world) {
				w.update(func(ctx context.Context, tx *db.Tx) error {
					masters, err := tx.MasterTokens(ctx, w.private.ID)
					if err != nil {
						return err
					}
					i := slices.IndexFunc(masters, func(m db.Token) bool { return m.Name == "team" })
					return auth.DeleteMasterToken(ctx, tx, w.other.Sealer, repo.MasterToken{ID: masters[i].ID, Name: "team"}, time.Now())
				})
			},
		},
		{
			"a read token is revoked",
			func(w *world) bool { return w.ask("/alice/private"+inRelease, w.tokens["revoked"]).Status == 404 },
			func(w *world) { w.exec(`DELETE FROM read_tokens WHERE name = 'revoked'`) },
		},
		{
			"a user is deleted",
			func(w *world) bool { return w.ask("/api/v1/repos", w.tokens["deleted"]).Status == 401 },
			func(w *world) {
				w.update(func(ctx context.Context, tx *db.Tx) error {
					return tx.DisableUser(ctx, w.users["deleted"].ID, auth.Hash("unusable"), time.Now())
				})
			},
		},
		{
			"an API token is replaced",
			func(w *world) bool { return w.ask("/api/v1/repos", w.tokens["renewed"]).Status == 401 },
			func(w *world) {
				w.update(func(ctx context.Context, tx *db.Tx) error {
					issued, err := auth.Issue(w.other.Sealer)
					if err != nil {
						return err
					}
					return tx.SetUserToken(ctx, w.users["renewed"].ID, issued.Hash, issued.Sealed)
				})
			},
		},
		{
			"a collaborator is removed",
			func(w *world) bool {
				return w.ask("/api/v1/repos/alice/public/master_tokens", w.tokens["collaborator"]).Status == 403
			},
			func(w *world) {
				w.update(func(ctx context.Context, tx *db.Tx) error {
					return tx.SetCollaborations(ctx, w.users["collaborator"].ID, nil)
				})
			},
		},
		{
			"a repository is made private", // which no command does
			func(w *world) bool { return w.Get("/alice/open"+inRelease).Status == 401 },
			func(w *world) { w.exec(`UPDATE repositories SET private = TRUE WHERE name = 'open'`) },
		},
		{
			"a repository is made that was asked for before",
			func(w *world) bool { return w.Get("/alice/new"+inRelease).Status == 200 },
			func(w *world) {
				w.update(func(ctx context.Context, tx *db.Tx) error {
					r := repo.Repository{OwnerID: w.public.OwnerID, Owner: "alice", Name: "new", CreatedAt: time.Now()}
					return auth.CreateRepository(ctx, tx, w.other.Sealer, &r)
				})
			},
		},
		{
			"a distribution is added",
			func(w *world) bool {
				return strings.Contains(w.ask("/api/v1/distributions.json", w.Token).Body, `"added"`)
			},
			func(w *world) {
				w.update(func(ctx context.Context, tx *db.Tx) error {
					return w.addRelease(ctx, tx, "added")
				})
			},
		},
		{
			"a distribution is another one, and their number is the same",
			func(w *world) bool {
				return strings.Contains(w.ask("/api/v1/distributions.json", w.Token).Body, `"after"`)
			},
			func(w *world) {
				w.exec(`UPDATE distro_releases SET version = 'after', display_name = 'after', number = 'after' WHERE version = 'before'`)
			},
		},
		{
			"a key is imported: the key file",
			func(w *world) bool { return w.has(w.Get("/alice/public/gpgkey").Body) },
			func(w *world) {
				if _, err := w.other.Keys.Import(w.t.Context(), w.public, w.key, false); err != nil {
					w.t.Fatal(err)
				}
			},
		},
		{
			"a key is imported: what it signs",
			func(w *world) bool {
				_, _, err := sign.CheckClear(w.key.PublicKey(), []byte(w.Get("/alice/public"+inRelease).Body))
				return err == nil
			},
			func(*world) {},
		},
		{
			"an Origin is set",
			func(w *world) bool {
				return strings.Contains(w.Get("/alice/public"+inRelease).Body, "Origin: set.example.com/alice/public\n")
			},
			func(w *world) {
				w.update(func(ctx context.Context, tx *db.Tx) error {
					changed, err := tx.SetOrigin(ctx, w.public.ID, "set.example.com")
					if err != nil {
						return err
					}
					return tx.AddChange(ctx, changed[0], db.Refresh, 0, time.Now())
				})
			},
		},
		{
			"a package is deleted: the index",
			func(w *world) bool {
				return !strings.Contains(w.Get("/alice/public/ubuntu/dists/jammy/main/binary-amd64/Packages").Body, "Package: gone\n")
			},
			func(w *world) {
				w.update(func(ctx context.Context, tx *db.Tx) error {
					if _, err := tx.DeletePackage(ctx, w.deleted.ID, time.Now()); err != nil {
						return err
					}
					return tx.AddChange(ctx, w.deleted.ScopeID, db.PackageChange, w.deleted.ID, time.Now())
				})
			},
		},
		{
			"a package is deleted: the API",
			func(w *world) bool {
				return !strings.Contains(w.ask("/api/v1/repos/alice/public/packages.json", w.Token).Body, `"gone"`)
			},
			func(*world) {},
		},
	}
	test := func(t *testing.T, w *world) {
		for _, r := range rows {
			if r.look(w) {
				t.Fatalf("%s: the server knows before it is so", r.name)
			}
		}
		for _, r := range rows {
			r.change(w)
			if err := w.Node.ReloadCatalog(t.Context()); err != nil { // a server that runs does so every second
				t.Fatal(err)
			}
		}
		w.Settle()
		time.Sleep(auth.Freshness)
		for _, r := range rows {
			if !r.look(w) {
				t.Errorf("%s: the server does not know", r.name)
			}
		}
	}
	t.Run("SQLite", func(t *testing.T) { test(t, newWorld(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		test(t, newWorld(t, "PACKAGECLOUD_DATABASE_URL="+dbtest.PostgresURL(t)))
	})
}

// has reports whether a key file has the key that is imported.
func (w *world) has(file string) bool {
	w.t.Helper()
	signature, err := sign.Together{w.key}.DetachSign([]byte("text"), time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = sign.CheckDetached([]byte(file), []byte("text"), signature)
	return err == nil
}
