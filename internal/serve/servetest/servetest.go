// Package servetest runs a whole server for tests of what its clients see: a
// user, a public and a private repository, workers that publish, and requests
// that say what they expect.
package servetest

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"packagecloud/internal/auth"
	"packagecloud/internal/blob"
	"packagecloud/internal/config"
	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/node"
	"packagecloud/internal/repo"
	"packagecloud/internal/serve"
)

// Server is a running server.
type Server struct {
	t    testing.TB
	Node *node.Node
	// URL has no slash at its end.
	URL string
	// Token is the API token of alice, who owns alice/public and
	// alice/private. Stranger is that of somebody else.
	Token, Stranger string
	// ReadToken opens alice/private.
	ReadToken string

	options Options
	folder  string
	handler atomic.Value // an http.Handler
	stop    func()       // the workers, and the node
}

// Options are how a server differs from the usual one. The zero value has
// SQLite and a folder.
type Options struct {
	// Formats are known beside the server's own, and Releases are their
	// distributions.
	Formats  []format.Format
	Releases []db.AddedRelease
	// Environment configures it: PACKAGECLOUD_<KEY>=value.
	Environment []string
	// Log gets what the server logs; nil means nobody does.
	Log *slog.Logger
	// Store is put in front of the storage; nil means nothing is.
	Store func(blob.Store) blob.Store
}

// Start starts a server that knows more formats beside its own. Their
// distributions are those given.
func Start(t testing.TB, formats []format.Format, releases ...db.AddedRelease) *Server {
	t.Helper()
	return StartWith(t, Options{Formats: formats, Releases: releases})
}

// StartWith starts a server.
func StartWith(t testing.TB, o Options) *Server {
	t.Helper()
	listener := httptest.NewUnstartedServer(nil)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{t: t, URL: "http://" + listener.Listener.Addr().String(), options: o, folder: t.TempDir()}
	s.open()
	if err := s.Node.DB.Update(t.Context(), func(tx *db.Tx) error { return s.fill(t.Context(), tx, o.Releases) }); err != nil {
		t.Fatal(err)
	}
	s.run()
	listener.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handler.Load().(http.Handler).ServeHTTP(w, r) })
	listener.Start()
	t.Cleanup(func() {
		listener.Close()
		s.stop()
	})
	return s
}

// open opens the node.
func (s *Server) open() {
	s.t.Helper()
	o := &s.options
	c, err := config.Load("", append([]string{
		"PACKAGECLOUD_DATA_DIRECTORY=" + s.folder, "PACKAGECLOUD_EXTERNAL_URL=" + s.URL, "PACKAGECLOUD_SIGNING_KEY_ALGORITHM=ed25519",
	}, o.Environment...))
	if err != nil {
		s.t.Fatal(err)
	}
	n, err := node.Open(s.t.Context(), c, o.Log)
	if err != nil {
		s.t.Fatal(err)
	}
	n.Formats = append(o.Formats, n.Formats...)
	n.Worker.Formats, n.Uploader.Formats = n.Formats, n.Formats
	if o.Store != nil {
		n.Blobs = o.Store(n.Blobs)
		n.Worker.Blobs, n.Uploader.Blobs = n.Blobs, n.Blobs
	}
	s.Node = n
}

// run lets the node serve and publish until stop is called.
func (s *Server) run() {
	s.t.Helper()
	n := s.Node
	if err := n.ReloadCatalog(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.handler.Store(serve.Handler(n))
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		n.Worker.Run(ctx, 2)
	}()
	s.stop = func() {
		cancel()
		<-stopped
		if err := n.Close(); err != nil {
			s.t.Error(err)
		}
	}
}

// Restart starts the server anew, with more settings. Its address stays.
func (s *Server) Restart(environment ...string) {
	s.t.Helper()
	s.stop()
	s.options.Environment = append(s.options.Environment, environment...)
	s.open()
	if err := s.Node.Worker.Relocate(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.run()
}

// fill records whom and what the tests need.
func (s *Server) fill(ctx context.Context, tx *db.Tx, releases []db.AddedRelease) (err error) {
	for i := range releases {
		if err := tx.AddRelease(ctx, &releases[i]); err != nil {
			return err
		}
	}
	alice := db.Account{User: repo.User{Name: "alice", Email: "alice@example.com", CreatedAt: time.Now()}}
	if s.Token, err = auth.CreateUser(ctx, tx, s.Node.Sealer, &alice); err != nil {
		return err
	}
	bob := db.Account{User: repo.User{Name: "bob", Email: "bob@example.com", CreatedAt: time.Now()}}
	if s.Stranger, err = auth.CreateUser(ctx, tx, s.Node.Sealer, &bob); err != nil {
		return err
	}
	for _, name := range []string{"public", "private"} {
		r := repo.Repository{OwnerID: alice.ID, Owner: "alice", Name: name, Private: name == "private", CreatedAt: time.Now()}
		if err := auth.CreateRepository(ctx, tx, s.Node.Sealer, &r); err != nil {
			return err
		}
		masters, err := tx.MasterTokens(ctx, r.ID)
		if err != nil {
			return err
		}
		t, _, err := auth.EnsureReadToken(ctx, tx, s.Node.Sealer, masters[0].ID, "machine", time.Now())
		if err != nil {
			return err
		}
		s.ReadToken = t.Value
	}
	return nil
}

// Request is a request to be made.
type Request struct {
	Method string // GET if it is empty
	Path   string
	User   string // of Basic credentials; "" for none
	Pass   string
	Body   []byte
	Header map[string]string
}

// Answer is what came back.
type Answer struct {
	t      testing.TB
	What   string // the request
	Status int
	Header http.Header
	Body   string
}

// Do makes a request. Redirects are not followed, and nothing is decoded.
func (s *Server) Do(r Request) Answer {
	s.t.Helper()
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	q, err := http.NewRequestWithContext(context.Background(), r.Method, s.URL+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		s.t.Fatal(err)
	}
	for name, value := range r.Header {
		q.Header.Set(name, value)
	}
	if r.User != "" || r.Pass != "" {
		q.SetBasicAuth(r.User, r.Pass)
	}
	client := http.Client{
		Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(q)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return Answer{s.t, r.Method + " " + r.Path, response.StatusCode, response.Header, string(body)}
}

// Get makes a request without credentials.
func (s *Server) Get(path string) Answer {
	s.t.Helper()
	return s.Do(Request{Path: path})
}

// Push pushes a file by the API, waits until it is published, and returns the
// answer.
func (s *Server) Push(repository, distro, filename string, content []byte, fields map[string]string) Answer {
	s.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, value := range fields {
		if err := w.WriteField("package["+name+"]", value); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := w.WriteField("package[distro_version_id]", distro); err != nil {
		s.t.Fatal(err)
	}
	part, err := w.CreateFormFile("package[package_file]", filename)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := part.Write(content); err != nil {
		s.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		s.t.Fatal(err)
	}
	return s.Do(Request{
		Method: http.MethodPost, Path: "/api/v1/repos/" + repository + "/packages.json?wait=indexed", User: s.Token,
		Body: body.Bytes(), Header: map[string]string{"Content-Type": w.FormDataContentType()},
	})
}

// Settle waits until everything is published, and served.
func (s *Server) Settle() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	scopes, err := s.Node.DB.Scopes(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, scope := range scopes {
		if err := s.Node.Worker.AwaitScope(ctx, scope.ID); err != nil {
			s.t.Fatalf("publish %s: %v", scope.Distro, err)
		}
	}
}

// Is expects a status, and returns the answer.
func (a Answer) Is(status int) Answer {
	a.t.Helper()
	if a.Status != status {
		a.t.Fatalf("%s answers %d and not %d: %s", a.What, a.Status, status, a.Body)
	}
	return a
}

// Has expects a text in the body.
func (a Answer) Has(text string) Answer {
	a.t.Helper()
	if !strings.Contains(a.Body, text) {
		a.t.Fatalf("%s answers without %q: %s", a.What, text, a.Body)
	}
	return a
}

// Lacks expects that a text is not in the body.
func (a Answer) Lacks(text string) Answer {
	a.t.Helper()
	if strings.Contains(a.Body, text) {
		a.t.Fatalf("%s answers with %q: %s", a.What, text, a.Body)
	}
	return a
}

// Says expects a header.
func (a Answer) Says(header, value string) Answer {
	a.t.Helper()
	if got := strings.Join(a.Header.Values(header), ", "); got != value {
		a.t.Fatalf("%s answers with %s %q and not %q", a.What, header, got, value)
	}
	return a
}
