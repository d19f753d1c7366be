// Package node opens what a configuration describes: database, storage, keys
// and the parts that work on them. The server and the administrator's commands
// both stand on it.
package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"packagecloud/internal/auth"
	"packagecloud/internal/blob"
	"packagecloud/internal/blob/fileblob"
	"packagecloud/internal/blob/s3blob"
	"packagecloud/internal/clock"
	"packagecloud/internal/config"
	"packagecloud/internal/db"
	"packagecloud/internal/distro"
	"packagecloud/internal/format"
	"packagecloud/internal/format/all"
	"packagecloud/internal/keyring"
	"packagecloud/internal/publish"
	"packagecloud/internal/repo"
	"packagecloud/internal/seal"
	"packagecloud/internal/sign"
	"packagecloud/internal/upload"
)

// Node is an open system, before anything runs in it.
type Node struct {
	Config   *config.Config
	DB       *db.DB
	Blobs    blob.Store
	Redirect Redirect // nil where the server sends all bytes
	Sealer   *seal.Sealer
	Auth     *auth.Auth
	Keys     *keyring.Ring
	Formats  []format.Format
	Worker   *publish.Worker
	Uploader *upload.Uploader
	Log      *slog.Logger

	catalog       catalog
	clockWarnings atomic.Pointer[[]string]
}

// Open opens a node, and makes what a first start needs: the data folder, the
// master key, the tables.
func Open(ctx context.Context, c *config.Config, log *slog.Logger) (_ *Node, err error) {
	if err := os.MkdirAll(c.DataDirectory, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	n := &Node{Config: c, Log: log, Formats: all.Formats()}
	if n.DB, err = db.Open(ctx, DatabaseURL(c)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.DB.Close())
		}
	}()
	if err := n.DB.Migrate(ctx); err != nil {
		return nil, err
	}
	if n.Sealer, err = n.openSealer(ctx); err != nil {
		return nil, err
	}
	if n.Blobs, err = openBlobs(ctx, c); err != nil {
		return nil, err
	}
	if n.Redirect, err = openRedirect(c, n.Blobs); err != nil {
		return nil, err
	}
	if err := n.catalog.load(ctx, n.DB); err != nil {
		return nil, err
	}
	n.Auth = auth.New(n.DB)
	n.Keys = keyring.New(n.DB, n.Sealer, sign.Algorithm(c.SigningKeyAlgorithm))
	n.Worker = &publish.Worker{
		DB: n.DB, Blobs: n.Blobs, Formats: n.Formats, Origin: c.ExternalURL.Host, URL: c.ExternalURL.String(), Log: log, Now: clock.Now,
		Signer:  func(ctx context.Context, r repo.Repository) (publish.Signer, error) { return n.Keys.Signers(ctx, r) },
		MakeKey: n.Keys.MakeOne,
	}
	n.Uploader = &upload.Uploader{DB: n.DB, Blobs: n.Blobs, Formats: n.Formats, MaxSize: c.MaxUploadSize, Parallel: c.ParallelUploads, Recorded: n.Worker.Wake, Now: clock.Now}
	return n, nil
}

// Close closes the node.
func (n *Node) Close() error { return n.DB.Close() }

// DatabaseURL is what db.Open gets.
func DatabaseURL(c *config.Config) string {
	if url := c.DatabaseURL.Reveal(); url != "" {
		return url
	}
	return filepath.Join(c.DataDirectory, "packagecloud.db")
}

// StorageDirectory is where packages and indexes are kept.
func StorageDirectory(c *config.Config) string { return filepath.Join(c.DataDirectory, "storage") }

// openBlobs opens the storage that a configuration names.
func openBlobs(ctx context.Context, c *config.Config) (blob.Store, error) {
	if c.S3Bucket == "" {
		return OpenFolder(c)
	}
	return OpenBucket(ctx, c)
}

// OpenFolder opens the storage in the data folder, used or not.
func OpenFolder(c *config.Config) (*fileblob.Store, error) { return fileblob.New(StorageDirectory(c)) }

// OpenBucket opens the bucket of a configuration that has one.
func OpenBucket(ctx context.Context, c *config.Config) (*s3blob.Store, error) {
	return s3blob.Open(ctx, s3blob.Config{
		Bucket: c.S3Bucket, Region: c.S3Region, Endpoint: c.S3Endpoint, PublicEndpoint: c.S3PublicEndpoint, PathStyle: c.S3PathStyle,
		AccessKey: c.AWSAccessKey, SecretKey: c.AWSSecretKey.Reveal(), SignatureVersion: c.S3SignatureVersion,
		Staging: filepath.Join(c.DataDirectory, "staging"),
	})
}

// openSealer opens the master key. It makes one for an empty database only: to
// a database that is in use a new key is of no help, and would hide what is
// wrong.
func (n *Node) openSealer(ctx context.Context) (*seal.Sealer, error) {
	path := n.Config.MasterKeyFile
	s, err := seal.Open(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	accounts, err := n.DB.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	if len(accounts) > 0 {
		return nil, fmt.Errorf("the master key %s is missing, and the database holds keys and tokens that only it opens: restore it from a backup or copy it from another node", path)
	}
	return seal.OpenOrCreate(path)
}

// Catalog is the list of distributions as of the last reload.
func (n *Node) Catalog() *distro.Catalog { return n.catalog.get() }

// ReloadCatalog takes in distributions that were added.
func (n *Node) ReloadCatalog(ctx context.Context) error { return n.catalog.load(ctx, n.DB) }

// catalog is the built-in list with what an administrator added, as of the last
// load: a server loads it every second. An older one is safe, because packages
// that were pushed are found by the rows of their scopes, and not by it.
type catalog struct {
	mu      sync.Mutex
	current *distro.Catalog
	added   []db.AddedRelease
}

func (c *catalog) get() *distro.Catalog {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

func (c *catalog) load(ctx context.Context, d *db.DB) error {
	releases, err := d.AddedReleases(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && slices.Equal(releases, c.added) {
		return nil
	}
	added := make([]distro.Added, 0, len(releases))
	for _, r := range releases {
		added = append(added, distro.Added{OS: r.OS, OSDisplay: r.OSDisplay, Format: r.Format, Release: r.Release})
	}
	c.current, c.added = distro.Builtin().With(added), releases
	return nil
}
