package serve_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/client"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/format/python/pytest"
	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/node"
	"packagecloud/internal/repo"
	"packagecloud/internal/serve/servetest"
)

// TestDatabaseRestarts restarts PostgreSQL twice while clients of all formats
// push and download: they see 503 and no other failure, repeat what they asked,
// and nothing that the server took is lost.
func TestDatabaseRestarts(t *testing.T) {
	database := dbtest.NewRestartable(t)
	log := new(servetest.Log)
	s := servetest.StartWith(t, servetest.Options{Environment: []string{"PACKAGECLOUD_DATABASE_URL=" + database.URL}, Log: slog.New(log.Handler())})
	o := newOutage(t, s)
	o.during(func() {
		for range 2 {
			time.Sleep(time.Second)
			database.Restart()
		}
		time.Sleep(time.Second)
	})
	o.check()
	log.Lacks(t, "level=ERROR")
}

// TestStorageFails lets the storage fail while clients of all formats push and
// download, as a bucket that asks to slow down does, and as a folder that is
// unmounted: they see 503 and no other failure, repeat what they asked, and nothing
// that the server took is lost.
func TestStorageFails(t *testing.T) {
	for name, test := range map[string]func(t *testing.T, o servetest.Options) (s *servetest.Server, fail, mend func()){
		"every request": func(t *testing.T, o servetest.Options) (*servetest.Server, func(), func()) {
			store := new(failing)
			o.Store = func(s blob.Store) blob.Store {
				store.Store = s
				return store
			}
			return servetest.StartWith(t, o), func() { store.down.Store(true) }, func() { store.down.Store(false) }
		},
		"unmounted": func(t *testing.T, o servetest.Options) (*servetest.Server, func(), func()) {
			s := servetest.StartWith(t, o)
			if err := s.Node.ClaimStorage(t.Context()); err != nil {
				t.Fatal(err)
			}
			folder := node.StorageDirectory(s.Node.Config)
			return s, func() {
					// Below the mount point is what a start without the mount has made.
					if err := errors.Join(os.Rename(folder, folder+".away"), os.MkdirAll(filepath.Join(folder, "staging"), 0o700)); err != nil {
						t.Fatal(err)
					}
				}, func() {
					if err := errors.Join(os.Rename(folder, folder+".below"), os.Rename(folder+".away", folder), os.RemoveAll(folder+".below")); err != nil {
						t.Fatal(err)
					}
				}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := new(servetest.Log)
			s, fail, mend := test(t, servetest.Options{Log: slog.New(log.Handler())})
			o := newOutage(t, s)
			o.during(func() {
				time.Sleep(500 * time.Millisecond)
				fail()
				time.Sleep(time.Second)
				mend()
			})
			o.check()
			log.Lacks(t, "level=ERROR")
		})
	}
}

// failing is a store that answers nothing while it is down.
type failing struct {
	blob.Store
	down atomic.Bool
}

func (f *failing) err() error {
	if f.down.Load() {
		return fmt.Errorf("%w: SlowDown: Please reduce your request rate", repo.ErrStorage)
	}
	return nil
}

func (f *failing) Stage(ctx context.Context) (blob.Staged, error) {
	s, err := f.Store.Stage(ctx)
	return &failingStaged{s, f}, err // it is a file of this machine
}

func (f *failing) Put(ctx context.Context, key string, body []byte, a blob.Attributes) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.Store.Put(ctx, key, body, a)
}

func (f *failing) Copy(ctx context.Context, from, to string, a blob.Attributes) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.Store.Copy(ctx, from, to, a)
}

func (f *failing) Open(ctx context.Context, key string) (blob.Object, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.Store.Open(ctx, key)
}

type failingStaged struct {
	blob.Staged
	store *failing
}

func (s *failingStaged) Commit(ctx context.Context, key string, a blob.Attributes) error {
	if err := s.store.err(); err != nil {
		return err
	}
	return s.Staged.Commit(ctx, key, a)
}

// outage is clients at work while something behind the server fails.
type outage struct {
	*servetest.Server
	t       *testing.T
	client  *client.Client
	over    atomic.Bool
	workers sync.WaitGroup

	mu     sync.Mutex
	pushed map[string][]byte // what the server took, by the path to fetch it from
	waited int               // answers of 503
}

func newOutage(t *testing.T, s *servetest.Server) *outage {
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	o := &outage{Server: s, t: t, client: &client.Client{URL: u, Token: s.Token}, pushed: make(map[string][]byte)}
	t.Cleanup(func() {
		o.over.Store(true)
		o.workers.Wait()
	})
	return o
}

// during runs the clients while fn runs, and lets each complete what it does.
func (o *outage) during(fn func()) {
	dir := o.t.TempDir()
	repository, err := o.client.Repository(o.t.Context(), "alice/public")
	if err != nil {
		o.t.Fatal(err)
	}
	for _, f := range []struct {
		os, version string
		make        func(n int) (name string, body []byte)
	}{
		{"ubuntu", "jammy", func(n int) (string, []byte) {
			p := debtest.Package{Name: "outage", Version: fmt.Sprintf("1.%d", n)}
			return p.Filename(), p.Build()
		}},
		{"el", "9", func(n int) (string, []byte) {
			p := rpmtest.Package{Name: "outage", Version: fmt.Sprintf("1.%d", n)}
			return p.Filename(), p.Build()
		}},
		{"python", "", func(n int) (string, []byte) {
			version := fmt.Sprintf("1.%d", n)
			return "outage-" + version + "-py3-none-any.whl", pytest.Wheel("outage", version, "")
		}},
		{"anyfile", "1", func(n int) (string, []byte) { return fmt.Sprintf("outage-%d.bin", n), []byte(fmt.Sprint("bytes ", n)) }},
	} {
		distro, ok := o.Node.Catalog().Find(f.os, f.version)
		if !ok {
			o.t.Fatalf("there is no %s/%s", f.os, f.version)
		}
		o.loop(func(n int) {
			name, body := f.make(n)
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, body, 0o600); err != nil {
				o.t.Error(err)
			}
			p, err := o.client.Push(o.t.Context(), repository, client.Push{Path: path, DistroID: distro.ID, Distro: distro.String()})
			if err != nil {
				o.t.Errorf("push %s: %v", name, err)
				return
			}
			o.took("/alice/public/packages/"+distro.OS+"/"+distro.PathVersion()+"/"+p.Filename+"/download", body)
		})
	}
	o.native()
	for _, path := range []string{
		"/alice/public/ubuntu/dists/jammy/InRelease", "/alice/public/ubuntu/dists/jammy/main/binary-amd64/Packages", "/alice/public/el/9/x86_64/repodata/repomd.xml", "/alice/public/pypi/simple/outage/",
		"/api/v1/repos/alice/public/packages.json", "/alice/private/gpgkey", "/install/repositories/alice/public/script.deb.sh",
	} {
		o.loop(func(int) {
			user := o.Token
			if strings.Contains(path, "private") {
				user = o.ReadToken
			}
			if a := o.repeat(servetest.Request{Path: path, User: user}); a.Status != http.StatusOK && a.Status != http.StatusNotFound {
				o.t.Errorf("%s answers %d: %s", a.What, a.Status, a.Body)
			}
		})
	}
	fn()
	o.over.Store(true)
	o.workers.Wait()
}

// native pushes as npm and curl do. They hold 201 and 200 for success, and
// 409 for what an earlier attempt has done.
func (o *outage) native() {
	push := func(method, path, fetch, body string, content []byte) {
		a := o.repeat(servetest.Request{Method: method, Path: path, User: o.Token, Body: []byte(body), Header: map[string]string{"Content-Type": "application/json"}})
		if a.Status != http.StatusOK && a.Status != http.StatusCreated {
			o.t.Errorf("%s answers %d: %s", a.What, a.Status, a.Body)
			return
		}
		o.took(fetch, content)
	}
	o.loop(func(n int) {
		p := npmtest.Package{Name: "outage", Version: fmt.Sprintf("1.0.%d", n)}
		push(http.MethodPut, "/alice/public/npm/outage", fmt.Sprintf("/alice/public/npm/outage/-/outage-1.0.%d.tgz", n), publication(o.t, p, `{"latest":"`+p.Version+`"}`), p.Build())
	})
	o.loop(func(n int) {
		path := fmt.Sprintf("/alice/public/generic/curl/%d/file.bin", n)
		push(http.MethodPut, path, path, fmt.Sprint("curl ", n), []byte(fmt.Sprint("curl ", n)))
	})
}

func (o *outage) loop(work func(n int)) {
	o.workers.Go(func() {
		for n := 0; !o.over.Load(); n++ {
			work(n)
		}
	})
}

// repeat makes a request until it is answered otherwise than by 503.
func (o *outage) repeat(r servetest.Request) servetest.Answer {
	for {
		a := o.Do(r)
		if a.Status != http.StatusServiceUnavailable {
			return a
		}
		if a.Header.Get("Retry-After") == "" {
			o.t.Errorf("%s answers 503 without Retry-After", a.What)
		}
		o.mu.Lock()
		o.waited++
		o.mu.Unlock()
		time.Sleep(200 * time.Millisecond)
	}
}

func (o *outage) took(path string, body []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pushed[path] = body
}

// check downloads whatever was pushed.
func (o *outage) check() {
	ctx, cancel := context.WithTimeout(o.t.Context(), time.Minute)
	defer cancel()
	for path, body := range o.pushed {
		if a := o.Get(path); a.Status != http.StatusOK || !bytes.Equal([]byte(a.Body), body) {
			o.t.Errorf("%s answers %d, with %d bytes of %d", a.What, a.Status, len(a.Body), len(body))
		}
	}
	if err := ctx.Err(); err != nil {
		o.t.Error(err)
	}
	o.t.Logf("%d packages were pushed, and 503 was answered %d times", len(o.pushed), o.waited)
	if o.waited == 0 || len(o.pushed) == 0 {
		o.t.Error("the outage was not seen")
	}
}
