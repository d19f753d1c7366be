package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"packagecloud/internal/blob"
	"packagecloud/internal/config"
	"packagecloud/internal/edge/diskcache"
	"packagecloud/internal/edge/proxy"
	"packagecloud/internal/node"
)

// countInterval is how often the edge logs what it has done.
const countInterval = 5 * time.Minute

func edgeCommand(version string) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "edge",
		Short: "Run an edge: deliver packages from a cache near the clients",
		Long: `Run an edge until it is interrupted: it delivers what signed links name, package
files from a cache on its disk, and everything else from the bucket.

It needs s3_bucket and cloudfront_secret of the configuration, and neither the
database nor the master key. The server sends clients to it when its edge_url
is set. To replace the secret, add the new one as cloudfront_second_secret and
restart the edges; then swap the two at the server, and at last remove the old
one everywhere.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(path, os.Environ())
			if err != nil {
				return err
			}
			return runEdge(cmd.Context(), c, Logger(c, cmd.ErrOrStderr()), cmd.OutOrStdout(), version)
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration file (default "+config.DefaultPath+", if it exists)")
	return c
}

func runEdge(ctx context.Context, c *config.Config, log *slog.Logger, out io.Writer, version string) (err error) {
	if c.S3Bucket == "" || c.CloudFrontSecret.Reveal() == "" {
		return errors.New("an edge needs s3_bucket and cloudfront_secret: set both as they are at the server")
	}
	keys, err := node.EdgeKeys(c)
	if err != nil {
		return err
	}
	bucket, err := node.OpenBucket(ctx, c)
	if err != nil {
		return err
	}
	cache, err := diskcache.Open(c.EdgeCacheDirectory, c.EdgeCacheSize, bucket, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cache.Close()) }()
	listener, err := bind(ctx, c.EdgeListenAddress, "choose another by edge_listen_address (PACKAGECLOUD_EDGE_LISTEN_ADDRESS)")
	if err != nil {
		return err
	}
	h := &proxy.Handler{Keys: keys, Cache: cache, Log: log, Memory: c.EdgeMemorySize, Now: bucket.Now}
	counting, stop := context.WithCancel(ctx)
	defer stop()
	go count(counting, h, log)
	go hear(counting, bucket)
	fmt.Fprintf(out, "packagecloud %s delivers packages on %s (bucket %s, cache in %s)\n", version, listener.Addr(), c.S3Bucket, c.EdgeCacheDirectory)
	return listen(ctx, c, log, h, listener, h.Quicken)
}

// hearInterval is how often the bucket is asked for its time.
const hearInterval = time.Minute

// hear asks the bucket now and then: each of its answers tells its clock, by which
// links are signed (node.openEdge) and checked here.
func hear(ctx context.Context, bucket blob.Store) {
	ticker := time.NewTicker(hearInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		_, _ = bucket.Stat(ctx, blob.IdentityKey) // whatever it answers has a date
	}
}

// count logs the counters now and then.
func count(ctx context.Context, h *proxy.Handler, log *slog.Logger) {
	ticker := time.NewTicker(countInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			log.Info("edge", "answers", h.Counters(), "cache", h.Cache.Stats())
		}
	}
}
