package db

import (
	"context"
	"fmt"
	"time"
)

// Server is how a server runs on a machine.
type Server struct {
	Host          string // the name of the machine
	ExternalURL   string
	ListenAddress string
	TLS           bool
	StartedAt     time.Time
}

// maxServers bounds the machines that are remembered: containers have a new name at
// each start.
const maxServers = 1000

// RecordServer notes that a server has started on a machine, in place of the one
// before it.
func (t *Tx) RecordServer(ctx context.Context, s Server) error {
	_, err := t.q.ExecContext(ctx, `
		INSERT INTO servers (host, external_url, listen_address, tls, started_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (host) DO UPDATE SET external_url = excluded.external_url, listen_address = excluded.listen_address, tls = excluded.tls, started_at = excluded.started_at`,
		s.Host, s.ExternalURL, s.ListenAddress, s.TLS, millis(s.StartedAt))
	if err == nil {
		_, err = t.q.ExecContext(ctx, `DELETE FROM servers WHERE host NOT IN (SELECT host FROM servers ORDER BY started_at DESC, host LIMIT $1)`, maxServers)
	}
	if err != nil {
		return fmt.Errorf("record the server on %s: %w", s.Host, err)
	}
	return nil
}

const serverColumns = `SELECT host, external_url, listen_address, tls, started_at FROM servers`

// LastServer is the server that started last, on any machine.
func (r Reader) LastServer(ctx context.Context) (Server, error) {
	v, err := scanServer(r.q.QueryRowContext(ctx, serverColumns+` ORDER BY started_at DESC, host LIMIT 1`))
	return v, found(err, "server")
}

// ServerOn is the server that started last on a machine.
func (r Reader) ServerOn(ctx context.Context, host string) (Server, error) {
	v, err := scanServer(r.q.QueryRowContext(ctx, serverColumns+` WHERE host = $1`, host))
	return v, found(err, "server on "+host)
}

func scanServer(s scanner) (v Server, err error) {
	var started int64
	err = s.Scan(&v.Host, &v.ExternalURL, &v.ListenAddress, &v.TLS, &started)
	v.StartedAt = fromMillis(started)
	return v, err
}
