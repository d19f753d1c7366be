package serve_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/client"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/repo"
	"packagecloud/internal/serve/servetest"
)

// unpublishable is a store that takes packages, and no indexes while it is full.
type unpublishable struct {
	blob.Store
	full atomic.Bool
}

func (u *unpublishable) Put(ctx context.Context, key string, body []byte, a blob.Attributes) error {
	if u.full.Load() && !strings.HasPrefix(key, "packages/") {
		return repo.ErrFull
	}
	return u.Store.Put(ctx, key, body, a)
}

// TestIndexError: where publishing fails, who waits for it is told why, by the API and
// by package_cloud push --wait, long before the time to wait is over. The package is
// there, and is indexed when publishing works again.
func TestIndexError(t *testing.T) {
	t.Parallel()
	store := new(unpublishable)
	s := servetest.StartWith(t, servetest.Options{Store: func(b blob.Store) blob.Store {
		store.Store = b
		return store
	}})
	store.full.Store(true)
	p := debtest.Package{Name: "waits", Version: "1", Architecture: "amd64"}
	s.Push("alice/public", "ubuntu/jammy", p.Filename(), p.Build(), nil).Is(201).Has(`"indexed":false`).Has(`"index_error":"`).Has(repo.ErrFull.Error())

	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := &client.Client{URL: u, Token: s.Token}
	repository, err := c.Repository(t.Context(), "alice/public")
	if err != nil {
		t.Fatal(err)
	}
	distro, _ := s.Node.Catalog().Find("ubuntu", "jammy")
	p.Version = "2"
	path := filepath.Join(t.TempDir(), p.Filename())
	if err := os.WriteFile(path, p.Build(), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // far below the time to wait
	defer cancel()
	pushed, err := c.Push(ctx, repository, client.Push{Path: path, DistroID: distro.ID, Distro: distro.String(), Wait: true})
	if !errors.Is(err, client.ErrNotIndexed) || !strings.Contains(err.Error(), repo.ErrFull.Error()) || pushed == nil || pushed.Indexed {
		t.Errorf("push --wait says %v of %+v", err, pushed)
	}

	store.full.Store(false)
	for _, version := range []string{"1", "2"} {
		self := servetest.Request{Path: "/api/v1/repos/alice/public/package/deb/ubuntu/jammy/waits/amd64/" + version + ".json", User: s.Token}
		for !strings.Contains(s.Do(self).Is(200).Body, `"indexed":true`) {
			if err := ctx.Err(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		s.Do(self).Is(200).Lacks("index_error")
	}
}
