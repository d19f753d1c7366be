package serve

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"packagecloud/internal/blob"
	"packagecloud/internal/config"
	"packagecloud/internal/db/dbtest"
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
