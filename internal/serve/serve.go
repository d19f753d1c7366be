// Package serve runs a node: the HTTP server, the workers that publish, and
// the collection of what is not needed any more.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"packagecloud/internal/auth"
	"packagecloud/internal/blob"
	"packagecloud/internal/clock"
	"packagecloud/internal/collect"
	"packagecloud/internal/config"
	"packagecloud/internal/db"
	"packagecloud/internal/node"
	"packagecloud/internal/pace"
	"packagecloud/internal/repo"
	"packagecloud/internal/server"
	"packagecloud/internal/server/api"
	"packagecloud/internal/server/download"
	"packagecloud/internal/server/install"
	"packagecloud/internal/server/native"
)

const (
	// collectInterval is how often old files are removed.
	collectInterval = 5 * time.Minute
	// reloadInterval is how often distributions that were added are looked for.
	reloadInterval = time.Second
	// shutdownTime is how long requests under way may take when the server is
	// stopped.
	shutdownTime = 30 * time.Second
)

// Handler puts the HTTP side of a node together.
func Handler(n *node.Node) http.Handler {
	c := n.Config
	downloads := download.New(download.Handler{
		DB: n.DB, Auth: n.Auth, Blobs: n.Blobs, Formats: n.Formats, Publisher: n.Worker, Keys: n.Keys, Log: n.Log,
		Catalog: func() download.Catalog { return n.Catalog() }, Redirect: n.Redirect, DirectLimit: c.DirectMetadataSize,
		URL: c.ExternalURL,
	})
	n.Worker.Flipped = downloads.Flipped
	passwords := auth.NewPasswords(n.DB, n.Sealer)
	s := &server.Server{
		Auth: n.Auth, Repositories: downloads, Log: n.Log, TrustedProxies: c.TrustedProxies,
		API: api.New(api.API{
			DB: n.DB, Auth: n.Auth, Sealer: n.Sealer, Passwords: passwords, Uploader: n.Uploader, Publisher: n.Worker, Keys: n.Keys,
			Catalog: func() api.Catalog { return n.Catalog() }, URL: c.ExternalURL, Log: n.Log, Now: clock.Now,
		}),
		Uploads: &native.Handler{
			DB: n.DB, Auth: n.Auth, Passwords: passwords, Uploader: n.Uploader, Publisher: n.Worker, Formats: n.Formats, Log: n.Log, Now: clock.Now,
			Catalog: func() native.Catalog { return n.Catalog() }, URL: c.ExternalURL,
		},
		Install: &install.Handler{
			DB: n.DB, Auth: n.Auth, Sealer: n.Sealer, Catalog: func() install.Catalog { return n.Catalog() },
			URL: c.ExternalURL, Now: clock.Now, Forget: n.Auth.Forget,
		},
		Ready: func(ctx context.Context) error {
			_, err := n.DB.StorageIdentity(ctx) // one row, however much waits
			return err
		},
		Warnings: n.ClockWarnings,
	}
	return s.Handler()
}

// Run serves until the context ends, then lets requests under way finish. It
// tells people on out where the server is.
func Run(ctx context.Context, n *node.Node, out io.Writer, version string) error {
	c := n.Config
	lock, err := n.Lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := n.ClaimStorage(ctx); err != nil {
		return err
	}
	handler := Handler(n)
	listener, err := bind(ctx, c.ListenAddress, "choose another by listen_address, and tell clients of it by external_url (PACKAGECLOUD_LISTEN_ADDRESS, PACKAGECLOUD_EXTERNAL_URL)")
	if err != nil {
		return err
	}
	forget, err := writePID(c.PIDFile)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer forget()
	first, err := firstStart(ctx, n)
	if err != nil {
		return errors.Join(err, listener.Close())
	}

	if !n.DB.Shared() { // nobody else publishes
		if err := n.DB.Update(ctx, func(tx *db.Tx) error { return tx.DropLeases(ctx) }); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	if err := errors.Join(n.RecordServer(ctx, listener.Addr().String()), n.Worker.Recheck(ctx), n.Worker.Relocate(ctx)); err != nil {
		return errors.Join(err, listener.Close())
	}
	clashes, err := n.Clashes(ctx)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	for _, c := range clashes {
		n.Log.Warn("a name that other URLs begin with: what has it may be out of reach", "name", c)
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { n.Worker.Run(background, c.IndexWorkers) })
	wg.Go(func() {
		collector := collect.Collector{
			DB: n.DB, Blobs: n.Blobs, IndexGrace: c.IndexGracePeriod, PackageGrace: c.PackageGracePeriod, Log: n.Log, Now: clock.Now,
		}
		collector.Run(background, collectInterval)
	})
	wg.Go(func() { reload(background, n) })
	wg.Go(func() { tidy(background, n) })
	wg.Go(func() { n.WatchClock(background) })
	wg.Go(func() { n.Uploader.Owning(background, func(files int, err error) { ownReport(n.Log, files, err) }) })
	wg.Go(func() {
		n.Uploader.ReadingContents(background, func(p *repo.Package, err error) { contentsReport(background, n, p, err) })
	})
	defer wg.Wait()
	defer stop()

	fmt.Fprintf(out, "packagecloud %s serves %s (%s, data in %s)\n", version, c.ExternalURL, n.DB.Engine(), c.DataDirectory)
	if first != nil {
		first.print(out, c.ExternalURL.String())
	}
	return listen(ctx, c, n.Log, handler, listener, nil)
}

// bind listens on an address. Where another program does so already, the error
// tells people what they can do about it.
func bind(ctx context.Context, address, remedy string) (net.Listener, error) {
	l, err := pace.Listen(ctx, address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("another program listens on %s: end it, or %s", address, remedy)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}

// listen serves HTTP until the context ends. quicken, which may be nil, is for
// connections without TLS.
func listen(ctx context.Context, c *config.Config, log *slog.Logger, handler http.Handler, l net.Listener, quicken func(*http.Server, net.Listener) net.Listener) error {
	s := pace.NewServer(handler)
	s.ConnContext = download.ConnContext
	s.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	if quicken != nil && c.TLSCertificateFile == "" {
		l = quicken(s, l)
	}
	failed := make(chan error, 1)
	go func() {
		if c.TLSCertificateFile != "" {
			failed <- s.ServeTLS(l, c.TLSCertificateFile, c.TLSKeyFile)
			return
		}
		failed <- s.Serve(l)
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	log.Info("stopping")
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := s.Shutdown(end); err != nil {
		return errors.Join(fmt.Errorf("stop: requests were cut off after %s", shutdownTime), s.Close())
	}
	return nil
}

// reload takes in distributions that an administrator adds.
func reload(ctx context.Context, n *node.Node) {
	ticker := time.NewTicker(reloadInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := n.ReloadCatalog(ctx); err != nil && ctx.Err() == nil {
			n.Log.Log(ctx, repo.LogLevel(err), "cannot read the distributions", "error", err)
		}
	}
}

// tidy has the storage forget what killed processes left, now and once a day.
func tidy(ctx context.Context, n *node.Node) {
	store, ok := n.Blobs.(blob.Tidier)
	if !ok {
		return
	}
	ticker := time.NewTicker(24 * time.Hour)
	defer ticker.Stop()
	for {
		if err := store.Tidy(ctx); err != nil && ctx.Err() == nil {
			n.Log.Warn("cannot tidy the storage", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// ownReport tells that package files of an older program got objects of their own.
func ownReport(log *slog.Logger, files int, err error) {
	if files > 0 {
		log.Info("package files that shared an object with another name have their own now", "files", files)
	}
	if err != nil {
		log.Error("some package files have no object of their own yet, which is tried again", "error", err)
	}
}

// contentsReport tells why the files of a package, or of some, are not listed.
func contentsReport(ctx context.Context, n *node.Node, p *repo.Package, err error) {
	if p == nil {
		n.Log.ErrorContext(ctx, "the files of some packages could not be read to be listed, which is tried again", "error", err)
		return
	}
	repository := fmt.Sprint(p.RepositoryID)
	if r, rerr := n.DB.RepositoryByID(ctx, p.RepositoryID); rerr == nil {
		repository = r.FullName()
	}
	n.Log.WarnContext(ctx, "the files of a package cannot be listed: Contents is without them", "repository", repository,
		"distribution", p.Distro.String(), "file", p.Filename(), "reason", err)
}

// writePID writes the process id where packagecloud-ctl restart looks for it.
func writePID(path string) (forget func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	text := strconv.Itoa(os.Getpid()) + "\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("write the pid file: %w", err)
	}
	return func() {
		if have, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(have)) == strings.TrimSpace(text) {
			_ = os.Remove(path)
		}
	}, nil
}
