package serve

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/blob/s3blob/s3test"
	"packagecloud/internal/collect"
	"packagecloud/internal/config"
	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/node"
	"packagecloud/internal/repo"
	"packagecloud/internal/seal"
	"packagecloud/internal/upload"
)

// shared are package files as a program left them that kept one object for each
// digest: bytes, the name under which they came first, and those of packages.
var shared = []struct {
	first string
	names []string
}{
	{"a_1_amd64.deb", []string{"a_1_amd64.deb", "secret-of-acme_1_amd64.deb"}},
	{"lib+x_1_amd64.deb", []string{"lib+x_1_amd64.deb"}},                                               // alone, and its key does not have its whole name
	{"b+c_1_amd64.deb", []string{"b+c_1_amd64.deb", "b_c_1_amd64.deb", "b~c_1_amd64.deb"}},             // the same in a key
	{"gone_1_amd64.deb", []string{"kept_1_amd64.deb", "kept+too_1_amd64.deb", "kept~too_1_amd64.deb"}}, // the first one was deleted
	{"doomed_1_amd64.deb", nil},
	{"plain_1_amd64.deb", []string{"plain_1_amd64.deb"}},
}

func sharedBody(i int) string { return strings.Repeat(shared[i].first+" ", 1000) }

// old writes the rows that describe shared, as the schema before had them, and
// stores the objects.
func old(t *testing.T, c *config.Config) {
	t.Helper()
	ctx := t.Context()
	if _, err := seal.OpenOrCreate(c.MasterKeyFile); err != nil {
		t.Fatal(err)
	}
	d, err := db.Open(ctx, node.DatabaseURL(c))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.MigrateTo(ctx, 3), d.Close()); err != nil {
		t.Fatal(err)
	}
	driver := "sqlite"
	if c.DatabaseURL.Reveal() != "" {
		driver = "pgx"
	}
	raw, err := sql.Open(driver, node.DatabaseURL(c))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := raw.ExecContext(ctx, query, args...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	exec(`INSERT INTO users (id, name, email, token_hash, token_sealed, created_at) VALUES (1, 'acme', 'a@example.com', 'x', 'x', 1)`)
	exec(`INSERT INTO repositories (id, owner_id, name, private, created_at, updated_at) VALUES (1, 1, 'demo', FALSE, 1, 1)`)
	exec(`INSERT INTO scopes (id, repository_id, distro_id, format, os, version) VALUES (1, 1, 1, 'deb', 'ubuntu', 'jammy')`)
	var store blob.Store
	if store, err = node.OpenFolder(c); err == nil && c.S3Bucket != "" {
		store, err = node.OpenBucket(ctx, c)
	}
	if err != nil {
		t.Fatal(err)
	}
	id := 0
	for i, s := range shared {
		body := sharedBody(i)
		sum := fmt.Sprintf("%x", sha256.Sum256([]byte(body)))
		key := "packages/" + sum + "/" + repo.SafeName(s.first)
		if err := store.Put(ctx, key, []byte(body), blob.Attributes{ContentType: "application/octet-stream", Filename: s.first, Class: blob.Package}); err != nil {
			t.Fatal(err)
		}
		var doomed any
		if s.names == nil {
			doomed = time.Now().UnixMilli()
		}
		exec(`INSERT INTO blobs (sha256, object, size, md5, sha1, sha512, created_at, doomed_at) VALUES ($1, $2, $3, 'm', 's', 'l', 1000, $4)`, sum, key, len(body), doomed)
		for _, name := range s.names {
			id++
			exec(`INSERT INTO packages (id, repository_id, scope_id, type, name, version, release, architecture, namespace, filename, summary, description, list, uploader_id, created_at, indexed)
				VALUES ($1, 1, 1, 'deb', $2, '1', '', 'amd64', '', $2, '', '', '', 1, 1, TRUE)`, id, name)
			exec(`INSERT INTO package_files (package_id, position, repository_id, name, path, sha256) VALUES ($1, 0, 1, $2, $3, $4)`, id, name, "ubuntu/pool/jammy/main/x/"+name, sum)
		}
	}
}

// killed is a store whose process ends after some copies, before it can record
// the last of them.
type killed struct {
	blob.Store
	copies atomic.Int64
	end    context.CancelFunc
}

func (k *killed) Copy(ctx context.Context, from, to string, a blob.Attributes) error {
	err := k.Store.Copy(ctx, from, to, a)
	if k.copies.Add(-1) <= 0 {
		k.end()
	}
	return err
}

// restamping is killed over a store that keeps attributes.
type restamping struct {
	*killed
	blob.Restamper
}

// named fetches a package file as clients do, and reports what is wrong: other
// bytes, or words that belong to another name.
func named(t *testing.T, base, name, want string) error {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/acme/demo/ubuntu/pool/jammy/main/x/"+url.PathEscape(name), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || string(body) != want {
		return fmt.Errorf("%s: %s from %s, %d bytes, %w", name, resp.Status, resp.Request.URL, len(body), err)
	}
	if _, p, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition")); err != nil || p["filename"] != name {
		return fmt.Errorf("%s is called %q by %s", name, resp.Header.Get("Content-Disposition"), resp.Request.URL)
	}
	if last := path.Base(resp.Request.URL.Path); last != name && last != path.Base(repo.PackageKey("", name)) {
		return fmt.Errorf("%s is at %s", name, resp.Request.URL)
	}
	return nil
}

// TestOwnObjects takes over what an older program left, where one object stood
// for all names of its bytes, while clients download everything all the time and
// the process that copies is killed after each copy. Nobody sees a gap, or a name
// that is not the one asked for; in the end every file has an object of its own,
// and what no name has any more is collected.
func TestOwnObjects(t *testing.T) {
	stores := map[string]func(*testing.T) []string{
		"folder": func(*testing.T) []string { return nil },
		"S3":     func(t *testing.T) []string { return s3test.New(t).Environ() },
	}
	databases := map[string]func(*testing.T) []string{
		"SQLite":     func(*testing.T) []string { return nil },
		"PostgreSQL": func(t *testing.T) []string { return []string{"PACKAGECLOUD_DATABASE_URL=" + dbtest.PostgresURL(t)} },
	}
	for store, storeEnv := range stores {
		for database, databaseEnv := range databases {
			t.Run(store+" "+database, func(t *testing.T) {
				env := append(append(storeEnv(t), databaseEnv(t)...), "PACKAGECLOUD_DATA_DIRECTORY="+t.TempDir())
				c, err := config.Load("", env)
				if err != nil {
					t.Fatal(err)
				}
				old(t, c)
				testOwnObjects(t, c)
			})
		}
	}
}

func testOwnObjects(t *testing.T, c *config.Config) {
	n, err := node.Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	server := httptest.NewServer(Handler(n))
	defer server.Close()
	fetchAll := func() {
		for i, s := range shared {
			for _, name := range s.names {
				if err := named(t, server.URL, name, sharedBody(i)); err != nil {
					t.Error(err)
				}
			}
		}
	}
	fetchAll()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				fetchAll()
			}
		}
	})
	collector := collect.Collector{DB: n.DB, Blobs: n.Blobs, IndexGrace: time.Hour, PackageGrace: time.Hour, Log: n.Log, Now: time.Now}
	tidy := func() {
		t.Helper()
		if _, err := collector.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := collector.Collect(t.Context()); err != nil {
			t.Error(err)
		}
	}
	finished := false
	for kill := int64(1); !finished; kill++ {
		if kill > 20 {
			t.Fatal("it does not come to an end")
		}
		ctx, cancel := context.WithCancel(t.Context())
		k := &killed{Store: n.Blobs, end: cancel}
		k.copies.Store(kill)
		u := upload.Uploader{DB: n.DB, Formats: n.Formats, Now: time.Now}
		u.Blobs = k
		if r, ok := n.Blobs.(blob.Restamper); ok {
			u.Blobs = restamping{k, r}
		}
		_, err := u.Own(ctx)
		if ctx.Err() == nil && err != nil {
			t.Error(err)
		}
		finished = ctx.Err() == nil
		cancel()
		tidy()
	}
	if left, err := n.DB.BorrowedBlobs(t.Context(), db.Blob{}, 10); err != nil || len(left) > 0 {
		t.Errorf("these still borrow an object: %v, %v", left, err)
	}
	close(stop)
	wg.Wait()
	// The objects that were left are found, doomed, and removed.
	now := time.Now()
	for _, wait := range []time.Duration{3 * 24 * time.Hour, 2 * time.Hour} {
		now = now.Add(wait)
		if err := n.DB.Update(t.Context(), func(tx *db.Tx) error { return tx.MoveGraceClock(t.Context(), now, wait) }); err != nil {
			t.Fatal(err)
		}
		tidy()
	}
	objects := 0
	for info, err := range n.Blobs.List(t.Context(), "packages/") {
		if err != nil {
			t.Fatal(err)
		}
		objects++
		if strings.HasSuffix(info.Key, "/gone_1_amd64.deb") || strings.HasSuffix(info.Key, "/doomed_1_amd64.deb") {
			t.Errorf("%s is left", info.Key)
		}
	}
	if want := 10; objects != want {
		t.Errorf("%d objects are left, and not %d", objects, want)
	}
	fresh := httptest.NewServer(Handler(n)) // without what the first one remembers
	defer fresh.Close()
	server = fresh
	fetchAll()
}
