// Package install answers what install scripts and configuration management
// ask for below /install/repositories/:user/:repo/: the scripts themselves,
// read tokens, and the configuration of apt, dnf, yum and zypper.
//
// Whoever asks about a private repository shows a master token. What is
// written into configuration is a read token, one for each machine.
package install

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"packagecloud/internal/auth"
	"packagecloud/internal/db"
	"packagecloud/internal/repo"
)

// Catalog knows the distributions there are.
type Catalog interface {
	// Resolve finds the distribution version that a machine means when it
	// says what it is.
	Resolve(os, dist string) (repo.DistroVersion, bool)
}

// Handler answers. Its fields must not change once it is used.
type Handler struct {
	DB      *db.DB
	Auth    *auth.Auth
	Sealer  auth.Sealer
	Catalog func() Catalog
	// URL is the public URL of the server, without a slash at its end.
	URL *url.URL
	// Now is the clock.
	Now func() time.Time
	// Forget makes this node see a new read token at once; nil is fine.
	Forget func()
}

// maxName bounds the name of a machine, in bytes.
const maxName = 255

// call is a request that may be answered.
type call struct {
	context.Context
	*Handler
	request    *http.Request
	repository repo.Repository
	master     *db.Token // nil for a public repository without credentials
}

// answers are what there is, by the last step of the path.
var answers = map[string]struct {
	method, contentType string
	body                func(*call) (string, error)
}{
	"tokens.text":       {http.MethodPost, "text/plain; charset=utf-8", (*call).tokenText},
	"gpg_key_url.list":  {http.MethodGet, "text/plain; charset=utf-8", (*call).keyURL},
	"gpg_key_url.repo":  {http.MethodGet, "text/plain; charset=utf-8", (*call).keyURL},
	"config_file.list":  {http.MethodGet, "text/apt_source_list", (*call).sourcesList},
	"apt_auth_conf":     {http.MethodGet, "text/plain; charset=utf-8", (*call).aptAuth},
	"config_file.repo":  {http.MethodGet, "text/repo", (*call).repoFile},
	"rpm_base_url":      {http.MethodGet, "text/plain; charset=utf-8", (*call).rpmBaseURL},
	"config_file.npmrc": {http.MethodGet, "text/plain; charset=utf-8", (*call).npmrc},
	"summary.text":      {http.MethodGet, "text/plain; charset=utf-8", (*call).summary},
	"script.deb.sh":     {http.MethodGet, "application/x-sh", func(c *call) (string, error) { return c.script("deb.sh") }},
	"script.python.sh":  {http.MethodGet, "application/x-sh", func(c *call) (string, error) { return c.script("python.sh") }},
	"script.rpm.sh":     {http.MethodGet, "application/x-sh", func(c *call) (string, error) { return c.script("rpm.sh") }},
	"script.node.sh":    {http.MethodGet, "application/x-sh", func(c *call) (string, error) { return c.script("node.sh") }},
}

// Serve answers a request for one of the names.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, rp repo.Repository, name string) error {
	a, ok := answers[name]
	if !ok || a.method != r.Method && (a.method != http.MethodGet || r.Method != http.MethodHead) {
		return fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, repo.ErrNotFound)
	}
	c := &call{Context: r.Context(), Handler: h, request: r, repository: rp}
	if err := c.admit(); err != nil {
		return err
	}
	if a.method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	}
	body, err := a.body(c)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", a.contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	status := http.StatusOK
	if a.method == http.MethodPost {
		status = http.StatusCreated
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // the client went away
	return nil
}

// admit checks the master token. That a private repository exists is told to
// nobody without one.
func (c *call) admit() error {
	token, ok := auth.Token(c.request)
	if !ok {
		if c.repository.Private {
			return repo.ErrUnauthenticated
		}
		return nil
	}
	m, err := c.DB.MasterTokenByHash(c, c.repository.ID, auth.Hash(token))
	if errors.Is(err, repo.ErrNotFound) && !c.repository.Private {
		return nil // nothing that needs it is told
	}
	if err != nil {
		return err
	}
	c.master = &m
	return nil
}

// parameter is a value of the form, or of the query.
func (c *call) parameter(name string) string { return strings.TrimSpace(c.request.FormValue(name)) }

// machine is what the machine calls itself: the name of its read token.
func (c *call) machine() (string, error) {
	name := c.parameter("name")
	if name == "" {
		name, _, _ = net.SplitHostPort(c.request.RemoteAddr)
	}
	if len(name) > maxName {
		return "", repo.Invalid("name", fmt.Sprintf("is longer than %d bytes", maxName))
	}
	return name, repo.ValidateName("name", name)
}

// readToken is the read token of the machine, made on first need; "" where a
// public repository is asked for without a master token.
func (c *call) readToken() (string, error) {
	if c.master == nil {
		return "", nil
	}
	if err := fromElsewhere(c.request); err != nil {
		return "", err
	}
	name, err := c.machine()
	if err != nil {
		return "", err
	}
	var t repo.ReadToken
	var created bool
	err = c.DB.Update(c, func(tx *db.Tx) (err error) {
		t, created, err = auth.EnsureReadToken(c, tx, c.Sealer, c.master.ID, name, c.Now())
		return err
	})
	if err != nil {
		return "", err
	}
	if created && c.Forget != nil {
		c.Forget()
	}
	return t.Value, nil
}

// fromElsewhere refuses a request that a page of another site has a browser make.
// The clients of old are answered GET by a new token, so GET counts here.
func fromElsewhere(r *http.Request) error {
	q := r.WithContext(r.Context())
	q.Method = http.MethodPost
	if err := http.NewCrossOriginProtection().Check(q); err != nil {
		return fmt.Errorf("%w: %w", repo.ErrForbidden, err)
	}
	return nil
}

// secret is the read token where the repository cannot be read without.
func (c *call) secret() (string, error) {
	if !c.repository.Private {
		return "", nil
	}
	return c.readToken()
}

// base is the URL of the repository, with a token as its user if there is one.
func (c *call) base(token string) string {
	u := c.URL.JoinPath(c.repository.Owner, c.repository.Name)
	if token != "" {
		u.User = auth.Userinfo(token)
	}
	return u.String()
}

// identifier names the repository in file names and section titles.
func (c *call) identifier() string {
	return strings.ReplaceAll(c.repository.FullName(), "/", "_")
}

// distro is what os and dist mean, of the given format.
func (c *call) distro(format string) (repo.DistroVersion, error) {
	os, dist := c.parameter("os"), c.parameter("dist")
	v, ok := c.Catalog().Resolve(os, dist)
	if !ok || v.Format != format {
		return v, fmt.Errorf("os %q, dist %q: %w", os, dist, repo.ErrNotFound)
	}
	return v, nil
}

func (c *call) tokenText() (string, error) {
	if c.master == nil {
		return "", repo.ErrUnauthenticated
	}
	return c.readToken()
}

func (c *call) keyURL() (string, error) {
	token, err := c.secret()
	if err != nil {
		return "", err
	}
	return c.base(token) + "/gpgkey", nil
}
