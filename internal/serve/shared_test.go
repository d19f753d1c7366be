package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/blob/s3blob/s3test"
	"packagecloud/internal/config"
	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/migrate"
	"packagecloud/internal/node"
)

func openNode(t *testing.T, environment ...string) *node.Node {
	t.Helper()
	c, err := config.Load("", append(environment, "PACKAGECLOUD_LISTEN_ADDRESS=127.0.0.1:0", "PACKAGECLOUD_EXTERNAL_URL=http://127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// TestStorageOfOthers: of nodes with one database, only those start that share
// one storage, also if all of them start for the first time at once.
func TestStorageOfOthers(t *testing.T) {
	database := "PACKAGECLOUD_DATABASE_URL=" + dbtest.PostgresURL(t)
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	nodes := make([]*node.Node, len(dirs))
	for i, dir := range dirs {
		nodes[i] = openNode(t, database, "PACKAGECLOUD_DATA_DIRECTORY="+dir)
	}
	claims := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { claims[i] = n.ClaimStorage(t.Context()) })
	}
	all.Wait()
	first := -1
	for i, err := range claims {
		switch {
		case err == nil && first < 0:
			first = i
		case !errors.Is(err, node.ErrOtherStorage) || !strings.Contains(err.Error(), dirs[i]):
			t.Errorf("node %d: %v", i, err)
		}
	}
	if first < 0 {
		t.Fatalf("no node starts: %v", claims)
	}
	for range 2 {
		again := openNode(t, database, "PACKAGECLOUD_DATA_DIRECTORY="+dirs[first])
		if err := errors.Join(again.ClaimStorage(t.Context()), again.CheckStorage(t.Context())); err != nil {
			t.Error(err)
		}
	}
	other := nodes[(first+1)%len(nodes)]
	if err := other.CheckStorage(t.Context()); !errors.Is(err, node.ErrOtherStorage) {
		t.Errorf("status does not see it: %v", err)
	}
	if err := Run(t.Context(), other, io.Discard, "test"); !errors.Is(err, node.ErrOtherStorage) {
		t.Errorf("the server starts: %v", err)
	}
	// A storage that is empty is another one, too: that of a node without its mount.
	if err := other.Blobs.Delete(t.Context(), blob.IdentityKey); err != nil {
		t.Fatal(err)
	}
	if err := other.ClaimStorage(t.Context()); !errors.Is(err, node.ErrOtherStorage) || !strings.Contains(err.Error(), "says nothing") {
		t.Errorf("an empty storage: %v", err)
	}
}

// TestSecondServer: a folder with SQLite has one server, and the next one can
// start when that has ended.
func TestSecondServer(t *testing.T) {
	dir := "PACKAGECLOUD_DATA_DIRECTORY=" + t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	said, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, openNode(t, dir), out, "test") }()
	if _, err := said.Read(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, said) }()
	second := openNode(t, dir) // a command beside the server does this
	if err := Run(t.Context(), second, io.Discard, "test"); err == nil || !strings.Contains(err.Error(), "another server works on the data folder") {
		t.Errorf("a second server: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	lock, err := second.Lock()
	if err != nil {
		t.Fatal(err)
	}
	lock.Close()
}

// TestUsedStorage: a new database does not take over what another one has stored,
// which it would sweep two days later. It starts when somebody has removed that.
func TestUsedStorage(t *testing.T) {
	key := "packages/" + strings.Repeat("a", 64) + "/x_1.deb"
	for name, environment := range map[string]func(*testing.T) []string{
		"folder": func(*testing.T) []string { return nil },
		"S3":     func(t *testing.T) []string { return s3test.New(t).Environ() },
	} {
		for _, used := range [][]string{{blob.IdentityKey}, {key}, {blob.IdentityKey, key}, {"segments/1/2"}} {
			t.Run(fmt.Sprint(name, used), func(t *testing.T) {
				dir := t.TempDir()
				n := openNode(t, append(environment(t), "PACKAGECLOUD_DATA_DIRECTORY="+dir)...)
				for _, key := range used {
					if err := n.Blobs.Put(t.Context(), key, []byte("x"), blob.Attributes{Class: blob.Package}); err != nil {
						t.Fatal(err)
					}
				}
				for _, start := range []func() error{func() error { return n.ClaimStorage(t.Context()) }, func() error { return Run(t.Context(), n, io.Discard, "test") }} {
					if err := start(); !errors.Is(err, node.ErrUsedStorage) || !strings.Contains(err.Error(), "restore it from a backup") {
						t.Errorf("it starts: %v", err)
					}
				}
				if identity, err := n.DB.StorageIdentity(t.Context()); identity != "" || err != nil {
					t.Errorf("the database has the identity %q, %v", identity, err)
				}
				for _, key := range used {
					if err := n.Blobs.Delete(t.Context(), key); err != nil {
						t.Fatal(err)
					}
				}
				if err := n.ClaimStorage(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestIdentityMoves: what migrate-storage copied is the storage of the same
// database, there and back, and the storage of another database is refused.
func TestIdentityMoves(t *testing.T) {
	environ := s3test.New(t).Environ()
	data := "PACKAGECLOUD_DATA_DIRECTORY=" + t.TempDir()
	folder := openNode(t, data)
	stored := "packages/" + strings.Repeat("a", 64) + "/x_1.deb"
	if err := folder.ClaimStorage(t.Context()); err != nil {
		t.Fatal(err)
	}
	bucket := openNode(t, append(environ, data)...)
	if err := bucket.ClaimStorage(t.Context()); !errors.Is(err, node.ErrOtherStorage) || !strings.Contains(err.Error(), "migrate-storage") {
		t.Errorf("a bucket to which nothing was copied: %v", err)
	}
	move := func(from, to *node.Node) error {
		m := migrate.Migration{From: from.Blobs, To: to.Blobs, Journal: filepath.Join(t.TempDir(), "journal"), Quick: true}
		m.Attributes = func(context.Context, string) (blob.Attributes, error) { return blob.Attributes{Class: blob.Index}, nil }
		_, problems, err := m.Run(t.Context())
		if len(problems) > 0 {
			t.Error(problems)
		}
		return err
	}
	for range 2 {
		if err := errors.Join(move(folder, bucket), bucket.ClaimStorage(t.Context()), bucket.CheckStorage(t.Context())); err != nil {
			t.Error(err)
		}
		if err := errors.Join(move(bucket, folder), folder.ClaimStorage(t.Context())); err != nil {
			t.Error(err)
		}
	}
	other := openNode(t, "PACKAGECLOUD_DATA_DIRECTORY="+t.TempDir())
	if err := other.ClaimStorage(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := other.Blobs.Put(t.Context(), stored, []byte("x"), blob.Attributes{Class: blob.Package}); err != nil {
		t.Fatal(err)
	}
	if err := move(other, bucket); !errors.Is(err, migrate.ErrOtherStorage) {
		t.Errorf("into the storage of another database: %v", err)
	}
	if _, err := bucket.Blobs.Stat(t.Context(), stored); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("it was copied: %v", err)
	}
}

// TestOldDatabase: a database of a program that knew no identities keeps its
// storage.
func TestOldDatabase(t *testing.T) {
	n := openNode(t, "PACKAGECLOUD_DATA_DIRECTORY="+t.TempDir())
	key := "packages/" + strings.Repeat("a", 64) + "/x_1.deb"
	err := n.Blobs.Put(t.Context(), key, []byte("x"), blob.Attributes{Class: blob.Package})
	if err == nil {
		err = n.DB.Update(t.Context(), func(tx *db.Tx) error {
			return tx.AdoptOrphan(t.Context(), strings.Repeat("a", 64), "x_1.deb", key, time.Now())
		})
	}
	if err := errors.Join(err, n.ClaimStorage(t.Context()), n.CheckStorage(t.Context())); err != nil {
		t.Error(err)
	}
}
