package node

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"packagecloud/internal/clock"
	"packagecloud/internal/config"
	"packagecloud/internal/db"
	"packagecloud/internal/repo"
)

// RecordServer keeps in the database with which settings the server on this machine
// runs, and on which address it listens.
func (n *Node) RecordServer(ctx context.Context, address string) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("find the name of this machine: %w", err)
	}
	s := Configured(n.Config)
	s.Host, s.ListenAddress = host, address
	return n.DB.Update(ctx, func(tx *db.Tx) error {
		if s.StartedAt, err = tx.Clock(ctx, clock.Now()); err != nil {
			return err
		}
		return tx.RecordServer(ctx, s)
	})
}

// AsServer has a command work with the external_url of the servers, whatever it was
// run with: an administrator's shell may lack the variables that configure a server,
// and what the command publishes and expects would name a host that does not exist.
// A URL that was changed counts from the next start of a server on.
func (n *Node) AsServer(ctx context.Context) error {
	s, err := n.DB.LastServer(ctx)
	if errors.Is(err, repo.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	u, err := url.Parse(s.ExternalURL)
	if err != nil {
		return fmt.Errorf("read external_url of the server on %s: %w", s.Host, err)
	}
	n.Config.ExternalURL = u
	n.Worker.Origin, n.Worker.URL = u.Host, u.String()
	return nil
}

// Configured is the server that a configuration describes.
func Configured(c *config.Config) db.Server {
	return db.Server{ExternalURL: c.ExternalURL.String(), ListenAddress: c.ListenAddress, TLS: c.TLSCertificateFile != ""}
}

// LocalServer is the server of this machine: the one that started last, or else the
// one that the configuration describes.
func (n *Node) LocalServer(ctx context.Context) (db.Server, error) {
	host, err := os.Hostname()
	if err != nil {
		return db.Server{}, fmt.Errorf("find the name of this machine: %w", err)
	}
	s, err := n.DB.ServerOn(ctx, host)
	if errors.Is(err, repo.ErrNotFound) {
		return Configured(n.Config), nil
	}
	return s, err
}
