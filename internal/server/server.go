// Package server is the HTTP side of the product: it routes, names every error
// by its status, and protects the process from slow and hostile clients. What
// requests mean is known by its packages api, install and download.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"packagecloud/internal/auth"
	"packagecloud/internal/format"
	"packagecloud/internal/pace"
	"packagecloud/internal/repo"
	"packagecloud/internal/server/api"
)

// Repositories serves package managers.
type Repositories interface {
	ServeRepository(w http.ResponseWriter, r *http.Request, rp repo.Repository, path string) error
	// Page reports whether a path is given out by the API, whose clients have an
	// API token.
	Page(path string) bool
}

// Uploads serves package managers that upload by themselves.
type Uploads interface {
	// Answers reports whether a request is for Serve.
	Answers(method, path string) bool
	// Serve answers a request; ok is false if it knows none such.
	Serve(w http.ResponseWriter, r *http.Request, rp repo.Repository, path string) (ok bool, err error)
	// Owns reports whether a path is read by such a client.
	Owns(path string) bool
	// Refusal is how such a client is told of an error.
	Refusal(r *http.Request, path string, status int, message string) (format.Answer, bool)
}

// Install serves what install scripts ask for.
type Install interface {
	Serve(w http.ResponseWriter, r *http.Request, rp repo.Repository, name string) error
}

// API serves /api/.
type API interface {
	Serve(w http.ResponseWriter, r *http.Request) error
}

// Server routes requests. Its fields must not change once it is used.
type Server struct {
	Auth         *auth.Auth
	API          API
	Install      Install
	Repositories Repositories
	Uploads      Uploads
	// Ready reports whether the server can do its work; nil means it can.
	Ready func(ctx context.Context) error
	// Warnings are what people should look at though the server does its work, in
	// words that anybody may read; nil means none.
	Warnings func() []string
	// TrustedProxies are the addresses whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// Pace is how long clients may stand still.
	Pace pace.Limits
	Log  *slog.Logger
}

// Handler is the whole server.
func (s *Server) Handler() http.Handler {
	return s.protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.route(w, r); err != nil {
			s.fail(w, r, err)
		}
	}))
}

// route finds who answers. Names of users and repositories need no escapes, so
// that the path can be taken apart decoded; formats get the rest.
func (s *Server) route(w http.ResponseWriter, r *http.Request) error {
	if err := legible(r); err != nil {
		return err
	}
	if err := browsers.Check(r); err != nil {
		return fmt.Errorf("%w: %w", repo.ErrForbidden, err)
	}
	first, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if serve, ok := roots[first]; ok {
		return serve(s, w, r, rest)
	}
	return s.repository(w, r, first+"/"+rest)
}

// roots are the server's own paths by their first step. No user can be called so.
var roots = map[string]func(s *Server, w http.ResponseWriter, r *http.Request, rest string) error{
	"": (*Server).hello,
	"api": func(s *Server, w http.ResponseWriter, r *http.Request, _ string) error {
		return s.API.Serve(w, r)
	},
	"healthz": (*Server).health,
	"install": (*Server).install,
	"priv":    (*Server).private,
}

// maxPath bounds the path of a request, in bytes. The longest that any format
// makes has five names of 255.
const maxPath = 2 << 10

// legible refuses a URL that can mean nothing here, before anybody looks for what
// it names: no name has a control character, and no text a NUL.
func legible(r *http.Request) error {
	if len(r.URL.Path) > maxPath || !repo.IsPrintable(r.URL.Path) {
		return fmt.Errorf("%.100q: %w", r.URL.Path, repo.ErrNotFound)
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return repo.Invalid("base", "the query of the URL cannot be read")
	}
	for name, values := range query {
		if !repo.IsText(name + strings.Join(values, "")) {
			return repo.Invalid("base", "the query of the URL holds a NUL, or is no UTF-8")
		}
	}
	return nil
}

// health answers balancers and monitors.
func (s *Server) health(w http.ResponseWriter, r *http.Request, _ string) error {
	if s.Ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := s.Ready(ctx); err != nil {
			return fmt.Errorf("%w: %w", repo.ErrUnavailable, err)
		}
	}
	text := "ok\n"
	if s.Warnings != nil {
		for _, warning := range s.Warnings() {
			text += "warning: " + warning + "\n"
		}
	}
	return writeText(w, http.StatusOK, text)
}

func (s *Server) hello(w http.ResponseWriter, r *http.Request, _ string) error {
	if r.URL.Path != "/" {
		return fmt.Errorf("%s: %w", r.URL.Path, repo.ErrNotFound)
	}
	return writeText(w, http.StatusOK, "packagecloud: a package repository server.\nRepositories are at /USER/REPOSITORY/, the API is at /api/v1/.\n")
}

// install answers /install/repositories/:user/:repo/:name.
func (s *Server) install(w http.ResponseWriter, r *http.Request, rest string) error {
	part := strings.Split(rest, "/")
	if len(part) != 4 || part[0] != "repositories" {
		return fmt.Errorf("%s: %w", r.URL.Path, repo.ErrNotFound)
	}
	rp, err := s.Auth.Repository(r.Context(), part[1], part[2])
	if err != nil {
		return err
	}
	return s.Install.Serve(w, r, rp, part[3])
}

// private answers /priv/:token/:user/:repo/…, for clients that cannot send
// credentials.
func (s *Server) private(w http.ResponseWriter, r *http.Request, rest string) error {
	token, rest, ok := strings.Cut(rest, "/")
	if !ok || token == "" {
		return fmt.Errorf("/priv/: %w", repo.ErrNotFound)
	}
	r = r.Clone(r.Context())
	r.SetBasicAuth(token, "")
	return s.repository(w, r, rest)
}

// repository answers package managers.
func (s *Server) repository(w http.ResponseWriter, r *http.Request, path string) error {
	part := strings.SplitN(path, "/", 3)
	if len(part) < 2 || part[1] == "" {
		return fmt.Errorf("%s: %w", path, repo.ErrNotFound)
	}
	part = append(part, "")
	rp, err := s.Auth.Repository(r.Context(), part[0], part[1])
	if err != nil {
		return err
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead || s.Uploads.Answers(r.Method, part[2]) {
		return s.upload(w, r, rp, part[2])
	}
	token, _ := auth.Token(r)
	err = s.Auth.MayRead(r.Context(), token, rp)
	if errors.Is(err, repo.ErrNotFound) && (s.Uploads.Owns(part[2]) || s.Repositories.Page(part[2])) {
		if _, refused := s.Auth.Manager(r.Context(), token, rp); refused == nil {
			err = nil
		}
	}
	if err != nil {
		return s.told(r, part[2], err)
	}
	return s.told(r, part[2], s.Repositories.ServeRepository(w, r, rp, part[2]))
}

// upload answers package managers that upload by themselves.
func (s *Server) upload(w http.ResponseWriter, r *http.Request, rp repo.Repository, path string) error {
	ok, err := s.Uploads.Serve(w, r, rp, path)
	if !ok {
		return errMethod
	}
	if err != nil {
		err = api.Broken(r, err)
	}
	return s.told(r, path, err)
}

// told notes in an error in whose words the client wants to hear of it.
func (s *Server) told(r *http.Request, path string, err error) error {
	if err == nil {
		return nil
	}
	return &refusal{error: err, answer: func(status int, message string) (format.Answer, bool) {
		return s.Uploads.Refusal(r, path, status, message)
	}}
}

// refusal is an error that a format puts into words.
type refusal struct {
	error
	answer func(status int, message string) (format.Answer, bool)
}

// Unwrap gives the error itself.
func (r *refusal) Unwrap() error { return r.error }
