package serve_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"packagecloud/internal/client"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/repo"
	"packagecloud/internal/serve/servetest"
	"packagecloud/internal/sign"
)

// losing is a way to a server that loses the first answer to a write. If cut, the
// request is lost.
type losing struct {
	cut  bool
	lost atomic.Bool
}

// RoundTrip implements http.RoundTripper.
func (l *losing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet || l.lost.Swap(true) {
		return http.DefaultTransport.RoundTrip(r)
	}
	if !l.cut {
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		answer.Body.Close()
	}
	return nil, errors.New("connection reset by peer")
}

// TestLostAnswers loses the first request of every write of the command line, or only
// its answer. Each write is a success if the server has at the end what was asked for,
// and a refusal stands if it has something else.
func TestLostAnswers(t *testing.T) {
	s := servetest.Start(t, nil)
	w := &writer{t: t, server: s}
	w.client = w.through(http.DefaultTransport)
	var err error
	if w.repository, err = w.client.Repository(t.Context(), "alice/public"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"open", "destination"} {
		if _, err := w.client.CreateRepository(t.Context(), name, false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.push(w.client, "stays", ""); err != nil {
		t.Fatal(err)
	}
	for name, write := range writes {
		for fate, cut := range map[string]bool{"request": true, "answer": false} {
			t.Run(name+", the "+fate+" is lost", func(t *testing.T) {
				t.Parallel()
				err := write(w, w.through(&losing{cut: cut}), fate)
				switch _, want, _ := strings.Cut(name, ": "); {
				case want == "taken" && !repo.IsTaken(err), want == "not found" && !errors.Is(err, repo.ErrNotFound), want == "" && err != nil:
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

// writer is a user at work.
type writer struct {
	t          *testing.T
	server     *servetest.Server
	client     *client.Client // that loses nothing
	repository *client.Repository
}

// through is the user's client over a way to the server.
func (w *writer) through(way http.RoundTripper) *client.Client {
	u, err := url.Parse(w.server.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	return &client.Client{URL: u, Token: w.server.Token, HTTP: &http.Client{Transport: way}}
}

// push pushes a package from a file that is not named like it.
func (w *writer) push(c *client.Client, name, fields string) (*client.Package, error) {
	path := filepath.Join(w.t.TempDir(), "build.deb")
	if err := os.WriteFile(path, debtest.Package{Name: name, Fields: fields}.Build(), 0o600); err != nil {
		return nil, err
	}
	return c.Push(w.t.Context(), w.repository, client.Push{Path: path, DistroID: 237, Distro: "ubuntu/jammy"})
}

// pushed pushes one and says where it is.
func (w *writer) pushed(name string) (client.Place, error) {
	p, err := w.push(w.client, name, "")
	if err != nil {
		return client.Place{}, err
	}
	return client.Place{Distro: "ubuntu/jammy", Filename: p.Filename}, nil
}

// writes are all that the command line changes. What stands behind a colon is the
// refusal that is expected.
var writes = map[string]func(w *writer, c *client.Client, name string) error{
	"create": func(w *writer, c *client.Client, name string) error {
		u, err := c.CreateRepository(w.t.Context(), name, true)
		return errors.Join(err, differ(u, w.server.URL+"/alice/"+name))
	},
	"create as private what is public: taken": func(w *writer, c *client.Client, _ string) error {
		_, err := c.CreateRepository(w.t.Context(), "open", true)
		return err
	},
	"push": func(w *writer, c *client.Client, name string) error {
		p, err := w.push(c, "pushed-"+name, "")
		if err != nil {
			return err
		}
		return differ(p.Name, "pushed-"+name)
	},
	"push other bytes: taken": func(w *writer, c *client.Client, _ string) error {
		_, err := w.push(c, "stays", "X-Other: bytes\n")
		return err
	},
	"promote": func(w *writer, c *client.Client, name string) error {
		place, err := w.pushed("moved-" + name)
		if err != nil {
			return err
		}
		p, err := c.Promote(w.t.Context(), w.repository, place, "alice/destination")
		if err != nil {
			return err
		}
		return differ(p.Filename, place.Filename)
	},
	"promote what is not there: not found": func(w *writer, c *client.Client, _ string) error {
		_, err := c.Promote(w.t.Context(), w.repository, client.Place{Distro: "ubuntu/jammy", Filename: "none.deb"}, "alice/destination")
		return err
	},
	"yank": func(w *writer, c *client.Client, name string) error {
		place, err := w.pushed("gone-" + name)
		return errors.Join(err, c.Delete(w.t.Context(), w.repository, place))
	},
	"create a master token": func(w *writer, c *client.Client, name string) error {
		m, err := c.CreateMasterToken(w.t.Context(), w.repository, "created-"+name)
		return errors.Join(err, differ(m.Name, "created-"+name))
	},
	"destroy a master token": func(w *writer, c *client.Client, name string) error {
		m, err := w.client.CreateMasterToken(w.t.Context(), w.repository, "destroyed-"+name)
		if err != nil {
			return err
		}
		all, err := w.client.MasterTokens(w.t.Context(), w.repository)
		i := slices.IndexFunc(all, func(have client.MasterToken) bool { return have.Value == m.Value })
		return errors.Join(err, c.DeleteMasterToken(w.t.Context(), &all[i]))
	},
	"create and destroy a key": func(w *writer, c *client.Client, _ string) error {
		generated, err := sign.Generate(sign.Ed25519, "packager")
		if err != nil {
			return err
		}
		path := filepath.Join(w.t.TempDir(), "key.asc")
		if err := os.WriteFile(path, generated.PublicKey(), 0o600); err != nil {
			return err
		}
		k, err := c.CreateKey(w.t.Context(), w.repository, path)
		if err != nil {
			return err
		}
		return errors.Join(differ(k.Fingerprint, generated.Fingerprint()), w.through(&losing{}).DeleteKey(w.t.Context(), k))
	},
}

func differ(got, want string) error {
	if got != want {
		return fmt.Errorf("got %q, want %q", got, want)
	}
	return nil
}
