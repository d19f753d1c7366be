// Package api is the REST API below /api/v1, as packagecloud's clients know it:
// every path with and without .json, every parameter from a form, a JSON body
// or the query, every answer JSON.
//
// Handlers return errors; package server turns them into statuses.
package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"packagecloud/internal/auth"
	"packagecloud/internal/db"
	"packagecloud/internal/repo"
	"packagecloud/internal/upload"
)

// Catalog knows the distributions there are.
type Catalog interface {
	// ByID finds a distribution version by packagecloud's distro_version_id.
	ByID(id int64) (repo.DistroVersion, bool)
	// Find finds one by its index names.
	Find(os, version string) (repo.DistroVersion, bool)
	// Suggest lists names that may have been meant by one that there is not.
	Suggest(os, version string) []string
	// JSON is the object of distributions.json.
	JSON() []byte
}

// Publisher makes what was recorded visible to package managers.
type Publisher interface {
	// Wake tells it that something was recorded.
	Wake()
	// Await waits until a package is installable.
	Await(ctx context.Context, packageID int64) error
}

// Keys gives the signing keys of repositories.
type Keys interface {
	PublicKey(ctx context.Context, r repo.Repository) ([]byte, error)
}

// API answers requests. Its fields must not change once it is used.
type API struct {
	DB        *db.DB
	Auth      *auth.Auth
	Sealer    auth.Sealer
	Passwords *auth.Passwords
	Uploader  *upload.Uploader
	Publisher Publisher
	Keys      Keys
	Catalog   func() Catalog
	// URL is the public URL of the server, without a slash at its end.
	URL *url.URL
	Log *slog.Logger
	// Now is the clock.
	Now func() time.Time

	mux       *http.ServeMux
	downloads downloadTokens
}

// handler answers a request of an authenticated user.
type handler func(w http.ResponseWriter, r *http.Request, u repo.User) error

// repositoryHandler answers a request about a repository.
type repositoryHandler func(w http.ResponseWriter, r *http.Request, c *call) error

// call is a request about a repository by somebody who may make it.
type call struct {
	user       repo.User
	repository repo.Repository
}

// New completes an API.
func New(a API) *API {
	a.mux = http.NewServeMux()
	a.downloads = newDownloadTokens()
	a.routes()
	return &a
}

// The paths, without .json.
func (a *API) routes() {
	const r = "/api/v1/repos/{user}/{repo}"
	a.handle("GET /api/v1/token", a.token)
	a.handle("GET /api/v1/gem_version", a.gemVersion)
	a.handle("GET /api/v1/distributions", a.as(a.distributions))
	a.handle("GET /api/v1/repos", a.as(a.listRepositories))
	a.handle("POST /api/v1/repos", a.as(a.createRepository))
	a.handle("GET "+r, a.reading(a.showRepository))

	a.handle("GET "+r+"/packages", a.reading(a.listPackages))
	a.handle("POST "+r+"/packages", a.managing(a.pushPackage))
	a.handle("POST "+r+"/packages/contents", a.managing(a.contents))
	a.handle("GET "+r+"/packages/{type}", a.reading(a.listNames))
	a.handle("GET "+r+"/packages/{type}/{distro}", a.reading(a.listNames))
	a.handle("GET "+r+"/packages/{type}/{distro}/{version}", a.reading(a.listNames))
	a.handle("GET "+r+"/packages/{type}/{distro}/{version}/{arch}", a.reading(a.listNames))
	a.handle("GET "+r+"/package/{type}/{distro}/{version}/{name}/{arch}/versions", a.reading(a.listVersions))
	a.handle("GET "+r+"/package/{type}/{distro}/{version}/{name}/{arch}/{pkgversion}", a.reading(a.showPackage))
	a.handle("GET "+r+"/package/{type}/{distro}/{version}/{name}/{arch}/{pkgversion}/{release}", a.reading(a.showPackage))
	// Packages for no machine in particular are found without a distribution.
	a.handle("GET "+r+"/package/{type}/{name}/versions", a.reading(a.listVersions))
	a.handle("GET "+r+"/package/{type}/{name}/{pkgversion}", a.reading(a.showPackage))
	a.handle("GET "+r+"/search", a.reading(a.listPackages))
	a.handle("DELETE "+r+"/{distro}/{version}/{filename}", a.managing(a.onPackage(a.deletePackage)))
	a.handle("POST "+r+"/{distro}/{version}/{filename}/promote", a.managing(a.onPackage(a.promotePackage)))
	// A gem has no distribution, Python's has no version, and Java's has groups.
	a.handle("DELETE "+r+"/{distro}/{filename}", a.managing(a.onPackage(a.deletePackage)))
	a.handle("POST "+r+"/{distro}/{filename}/promote", a.managing(a.onPackage(a.promotePackage)))
	a.handle("DELETE "+r+"/{distro}/{version}/{group}/{filename}", a.managing(a.onPackage(a.deletePackage)))
	a.handle("POST "+r+"/{distro}/{version}/{group}/{filename}/promote", a.managing(a.onPackage(a.promotePackage)))
	a.handle("PUT "+r+"/{distro}/{version}/{filename}/attributes/{attribute}", a.managing(a.onPackage(a.setAttribute)))
	a.handle("DELETE "+r+"/{distro}/{version}/{filename}/attributes/{attribute}", a.managing(a.onPackage(a.deleteAttribute)))

	a.handle("GET "+r+"/master_tokens", a.managing(a.listMasterTokens))
	a.handle("POST "+r+"/master_tokens", a.managing(a.createMasterToken))
	a.handle("GET "+r+"/master_tokens/search", a.managing(a.searchMasterTokens))
	a.handle("GET "+r+"/master_tokens/{master}", a.managing(a.showMasterToken))
	a.handle("DELETE "+r+"/master_tokens/{master}", a.managing(a.deleteMasterToken))
	a.handle("GET "+r+"/master_tokens/{master}/read_tokens", a.managing(a.listReadTokens))
	a.handle("POST "+r+"/master_tokens/{master}/read_tokens", a.managing(a.createReadToken))
	a.handle("GET "+r+"/master_tokens/{master}/read_tokens/{token}", a.managing(a.showReadToken))
	a.handle("DELETE "+r+"/master_tokens/{master}/read_tokens/{token}", a.managing(a.deleteReadToken))

	a.handle("GET "+r+"/gpg_keys", a.reading(a.listKeys))
	a.handle("POST "+r+"/gpg_keys", a.managing(a.createKey))
	a.handle("GET "+r+"/gpg_keys/{key}", a.reading(a.showKey))
	a.handle("DELETE "+r+"/gpg_keys/{key}", a.managing(a.deleteKey))
}

// outcome carries the error of a handler through http.ServeMux, and to it what
// Serve takes off the path.
type outcome struct {
	err    error
	suffix string // ".json", or ""
}

type outcomeKey struct{}

func (a *API) handle(pattern string, h func(http.ResponseWriter, *http.Request) error) {
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		r.Context().Value(outcomeKey{}).(*outcome).err = h(w, r)
	})
}

// suffix may stand behind every path.
const suffix = ".json"

// Serve answers a request whose path begins with /api/.
func (a *API) Serve(w http.ResponseWriter, r *http.Request) error {
	o := &outcome{err: fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, repo.ErrNotFound)}
	q := r.WithContext(context.WithValue(r.Context(), outcomeKey{}, o))
	u := *r.URL
	if strings.HasSuffix(u.Path, suffix) {
		o.suffix = suffix
	}
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, suffix), strings.TrimSuffix(u.RawPath, suffix)
	q.URL = &u
	// ServeMux would redirect a path that is not clean; clients that push do
	// not follow.
	if path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") {
		return o.err
	}
	h, pattern := a.mux.Handler(q)
	if pattern == "" {
		return a.unrouted(q, h, o.err)
	}
	a.mux.ServeHTTP(w, q)
	return o.err
}

// ErrMethod says that a path exists, but not for the method of the request.
var ErrMethod = fmt.Errorf("method not allowed")

// unrouted tells a wrong method from a wrong path.
func (a *API) unrouted(r *http.Request, h http.Handler, notFound error) error {
	probe := statusProbe{header: make(http.Header)}
	h.ServeHTTP(&probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		return fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, ErrMethod)
	}
	return notFound
}

type statusProbe struct {
	header http.Header
	status int
}

func (p *statusProbe) Header() http.Header         { return p.header }
func (p *statusProbe) Write(b []byte) (int, error) { return len(b), nil }
func (p *statusProbe) WriteHeader(status int)      { p.status = status }

// as admits users by their API token.
func (a *API) as(h handler) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		u, err := a.user(r)
		if err != nil {
			return err
		}
		return h(w, r, u)
	}
}

func (a *API) user(r *http.Request) (repo.User, error) {
	token, ok := auth.Token(r)
	if !ok {
		return repo.User{}, repo.ErrUnauthenticated
	}
	g, err := a.Auth.Grant(r.Context(), token)
	if err != nil {
		return repo.User{}, err
	}
	if g.Kind != db.APIToken {
		return repo.User{}, repo.ErrUnauthenticated
	}
	return g.User, nil
}

// reading admits who may see a repository: everybody with an API token if it is
// public, else those who may manage it.
func (a *API) reading(h repositoryHandler) func(http.ResponseWriter, *http.Request) error {
	return a.about(h, false)
}

// managing admits the owner and the collaborators.
func (a *API) managing(h repositoryHandler) func(http.ResponseWriter, *http.Request) error {
	return a.about(h, true)
}

func (a *API) about(h repositoryHandler, manage bool) func(http.ResponseWriter, *http.Request) error {
	return a.as(func(w http.ResponseWriter, r *http.Request, u repo.User) error {
		rp, err := a.Auth.Repository(r.Context(), r.PathValue("user"), r.PathValue("repo"))
		if err != nil {
			return err
		}
		may, err := a.Auth.MayManage(r.Context(), u, rp)
		switch {
		case err != nil:
			return err
		case may, !rp.Private && !manage:
			return h(w, r, &call{user: u, repository: rp})
		case rp.Private: // do not tell that it exists
			return fmt.Errorf("repository %s: %w", rp.FullName(), repo.ErrNotFound)
		}
		return fmt.Errorf("%w: %s may not change %s", repo.ErrForbidden, u.Name, rp.FullName())
	})
}
