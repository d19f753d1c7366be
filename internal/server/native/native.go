// Package native serves package managers that upload by themselves: twine, npm,
// curl. A format reads their requests and says in the common vocabulary what
// they ask for; here it is allowed, and done.
package native

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"time"

	"packagecloud/internal/auth"
	"packagecloud/internal/blob"
	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/repo"
	"packagecloud/internal/upload"
)

// ErrPrecondition says that the file is not what the client made a condition of.
var ErrPrecondition = errors.New("the condition does not hold")

// ErrTaken says that there is another file of the name.
var ErrTaken = errors.New("there is such a file already")

// Catalog knows the distributions there are.
type Catalog interface {
	// Find finds a distribution version by its index names.
	Find(os, version string) (repo.DistroVersion, bool)
}

// Publisher makes what was recorded visible to package managers.
type Publisher interface {
	// AwaitScope waits until all of it is, in a scope.
	AwaitScope(ctx context.Context, scopeID int64) error
}

// Handler serves uploads. Its fields must not change once it is used.
type Handler struct {
	DB        *db.DB
	Auth      *auth.Auth
	Passwords *auth.Passwords
	Uploader  *upload.Uploader
	Publisher Publisher
	Formats   []format.Format
	Catalog   func() Catalog
	// URL is the public URL of the server, without a slash at its end.
	URL *url.URL
	Log *slog.Logger
	// Now is the clock.
	Now func() time.Time
}

// receiver finds the format that a request is for.
func (h *Handler) receiver(method, path string) (format.Receiver, format.Access) {
	for _, f := range h.Formats {
		if r, ok := f.(format.Receiver); ok {
			if a := r.Receives(method, path); a != format.NoAccess {
				return r, a
			}
		}
	}
	return nil, format.NoAccess
}

// Owns reports whether a path that is read belongs to a format whose clients
// upload by themselves. They have one token for both.
func (h *Handler) Owns(path string) bool {
	for _, f := range h.Formats {
		if _, ok := f.Resolve(format.Query{Path: path}); ok {
			_, ok := f.(format.Receiver)
			return ok
		}
	}
	return false
}

// Answers reports whether a request is one for Serve.
func (h *Handler) Answers(method, path string) bool {
	f, _ := h.receiver(method, path)
	return f != nil
}

// Serve answers a request below a repository's URL. ok is false if no format
// knows it.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, rp repo.Repository, path string) (ok bool, err error) {
	f, access := h.receiver(r.Method, path)
	if f == nil {
		return false, nil
	}
	user, err := h.admit(r, rp, access)
	if err != nil {
		return true, err
	}
	d := &doing{Handler: h, w: w, r: r, repository: rp, user: user, format: f, kept: make(map[io.ReaderAt]*upload.File)}
	defer d.close()
	action, err := f.Receive(r.Context(), format.Call{
		Method: r.Method, Path: path, Query: r.URL.Query(), Header: textproto.MIMEHeader(r.Header), Body: r.Body, Keep: d.keep,
		Scratch: d.scratch, Within: d.within, User: user.Name, Time: h.Now(), Lookup: d,
	})
	if err != nil {
		return true, err
	}
	return true, d.do(r.Context(), action)
}

// admit finds who asks, and whether they may.
func (h *Handler) admit(r *http.Request, rp repo.Repository, access format.Access) (repo.User, error) {
	token, ok := auth.Token(r)
	switch access {
	case format.OpenAccess:
		return repo.User{}, nil
	case format.ReadAccess:
		err := h.Auth.MayRead(r.Context(), token, rp)
		if err == nil && ok {
			return h.account(r.Context(), token)
		}
		if !errors.Is(err, repo.ErrNotFound) {
			return repo.User{}, err
		}
	}
	if !ok {
		return repo.User{}, repo.ErrUnauthenticated
	}
	return h.Auth.Manager(r.Context(), token, rp)
}

// account is the user of an API token, nobody for others.
func (h *Handler) account(ctx context.Context, token string) (repo.User, error) {
	g, err := h.Auth.Grant(ctx, token)
	if errors.Is(err, repo.ErrUnauthenticated) || err == nil && g.Kind != db.APIToken {
		return repo.User{}, nil
	}
	return g.User, err
}

// doing is a request being answered.
type doing struct {
	*Handler
	w          http.ResponseWriter
	r          *http.Request
	repository repo.Repository
	user       repo.User
	format     format.Receiver
	distro     repo.DistroVersion
	kept       map[io.ReaderAt]*upload.File // by format.Upload.Content
	scratches  []blob.Staged
	pushed     []*repo.Package
	created    bool
}

func (d *doing) keep(ctx context.Context, name string, r io.Reader) (format.Upload, error) {
	f, err := d.Uploader.Receive(ctx, name, r)
	if err != nil {
		return format.Upload{}, err
	}
	u := f.Upload(nil)
	d.kept[u.Content] = f
	return u, nil
}

func (d *doing) scratch(ctx context.Context) (format.Scratch, error) {
	s, err := d.Uploader.Blobs.Stage(ctx)
	if err != nil {
		return nil, fmt.Errorf("stage a request: %w", err)
	}
	d.scratches = append(d.scratches, s)
	return s, nil
}

func (d *doing) within(ctx context.Context, n int64, read func(context.Context) error) error {
	return d.Uploader.Within(ctx, "the request", n, read)
}

func (d *doing) close() {
	discard := func(c io.Closer) {
		if err := c.Close(); err != nil {
			d.Log.Warn("cannot discard a staged file", "error", err)
		}
	}
	for _, f := range d.kept {
		discard(f)
	}
	for _, s := range d.scratches {
		discard(s)
	}
}

func (d *doing) do(ctx context.Context, a format.Action) error {
	var ok bool
	if d.distro, ok = d.Catalog().Find(a.OS, a.Version); !ok {
		return fmt.Errorf("distribution %s/%s: %w", a.OS, a.Version, repo.ErrNotFound)
	}
	for _, t := range a.Remove {
		if err := d.remove(ctx, t); err != nil {
			return err
		}
	}
	for _, p := range a.Push {
		if err := d.push(ctx, p); err != nil {
			return err
		}
	}
	for _, m := range a.Amend {
		p, err := d.find(ctx, m.Target)
		if err != nil {
			return err
		}
		if err := d.Uploader.Amend(ctx, &p, m.Attributes); err != nil {
			return err
		}
	}
	for _, t := range a.Tag {
		l := upload.List{Repository: d.repository, Distro: d.distro, Name: t.List}
		if err := d.Uploader.SetTags(ctx, l, map[string]*string{t.Tag: t.Value}); err != nil {
			return err
		}
	}
	if a.Await {
		if err := d.await(ctx); err != nil {
			return err
		}
	}
	if a.Login != nil {
		token, err := d.Passwords.Token(ctx, a.Login.Name, a.Login.Password)
		if err != nil {
			return err
		}
		a.Answer = a.Login.Answer(token)
	}
	return d.answer(a.Answer)
}

func (d *doing) find(ctx context.Context, t format.Target) (repo.Package, error) {
	return d.DB.PackageByFilename(ctx, d.repository.ID, d.distro.OS, d.distro.Version, t.Namespace, t.Filename)
}

func (d *doing) remove(ctx context.Context, t format.Target) error {
	p, err := d.find(ctx, t)
	if err != nil && !errors.Is(err, repo.ErrNotFound) {
		return err
	}
	if !holds(t.Condition, &p, err == nil) {
		return ErrPrecondition
	}
	if err != nil {
		return err
	}
	return d.Uploader.Remove(ctx, &p)
}

// push records a file. The same bytes again are no error: the client did not
// hear the answer the first time.
func (d *doing) push(ctx context.Context, p format.Pushing) error {
	file := d.kept[p.File.Content]
	push := upload.Push{Repository: d.repository, Distro: d.distro, User: d.user, File: file, Fields: p.Fields, Tags: p.Tags}
	if p.At.Filename != "" {
		have, err := d.find(ctx, p.At)
		if err != nil && !errors.Is(err, repo.ErrNotFound) {
			return err
		}
		found := err == nil
		switch {
		case !holds(p.At.Condition, &have, found):
			return ErrPrecondition
		case found && have.Files[0].SHA256 == file.SHA256:
			d.pushed = append(d.pushed, &have)
			return nil
		case found && p.At.Condition.IfMatch != "":
			push.Replaces = &have
		}
	}
	pkg, err := d.Uploader.Push(ctx, push)
	switch {
	case repo.IsTaken(err) && p.At.Condition != (format.Condition{}), errors.Is(err, repo.ErrNotFound):
		return fmt.Errorf("%w: somebody else was faster", ErrPrecondition)
	case repo.IsTaken(err):
		return fmt.Errorf("%s: %w", p.File.Filename, ErrTaken)
	case err != nil:
		return err
	}
	d.pushed, d.created = append(d.pushed, pkg), true
	return nil
}

// answer tells the client that all is done.
func (d *doing) answer(a format.Answer) error {
	header := d.w.Header()
	header.Set("Cache-Control", "no-store")
	if len(d.pushed) == 1 {
		file := d.pushed[0].Files[0]
		header.Set("Etag", format.ETag(file))
		header.Set("X-Checksum-Sha256", file.SHA256)
	}
	status := http.StatusOK
	if d.created {
		status = http.StatusCreated
	}
	status = cmp.Or(a.Status, status)
	if a.ContentType != "" {
		header.Set("Content-Type", a.ContentType)
	}
	if status != http.StatusNoContent {
		header.Set("Content-Length", strconv.Itoa(len(a.Body)))
	}
	d.w.WriteHeader(status)
	_, _ = d.w.Write(a.Body) // the client went away
	return nil
}

// Refusal is how a client of a request's format is told of an error; ok is
// false if like everybody.
func (h *Handler) Refusal(r *http.Request, path string, status int, message string) (format.Answer, bool) {
	for _, f := range h.Formats {
		refuser, ok := f.(format.Refuser)
		if !ok {
			continue
		}
		_, reads := f.Resolve(format.Query{Path: path})
		receiver, isReceiver := f.(format.Receiver)
		if reads || isReceiver && receiver.Receives(r.Method, path) != format.NoAccess {
			return refuser.Refusal(status, message), true
		}
	}
	return format.Answer{}, false
}
