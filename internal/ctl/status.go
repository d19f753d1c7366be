package ctl

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"packagecloud/internal/db"
	"packagecloud/internal/node"
	"packagecloud/internal/printable"
	"packagecloud/internal/repo"
	"packagecloud/internal/verify"
)

// status is what the command tells.
type status struct {
	Server       string        `json:"server"` // "ok", or why it does not answer
	URL          string        `json:"external_url"`
	Database     string        `json:"database"`
	Storage      string        `json:"storage"` // "ok", or what is wrong with it
	Repositories int           `json:"repositories"`
	Waiting      int64         `json:"changes_waiting"`
	OldestWait   string        `json:"oldest_change_waits,omitempty"`
	Failing      []failingJSON `json:"failing"`
	Clock        []string      `json:"clock"` // what is wrong with clocks
	Keys         []keyJSON     `json:"keys"`  // those that expire within 30 days, or have
	// Withheld are the first of the packages that no index lists because
	// clients would not bear them.
	Withheld      []withheldJSON `json:"withheld"`
	WithheldCount int64          `json:"withheld_count"`
	// Clashes are names of an older program that other URLs begin with.
	Clashes []string `json:"clashes"`
}

// maxWithheld bounds the withheld packages that status names; verify names all.
const maxWithheld = 20

type withheldJSON struct {
	Repository   string `json:"repository"`
	Distribution string `json:"distribution"`
	Filename     string `json:"filename"`
	Reason       string `json:"reason"`
	Remove       string `json:"remove"` // the command that deletes it
}

type keyJSON struct {
	Repository  string    `json:"repository"`
	Fingerprint string    `json:"fingerprint"`
	Expires     time.Time `json:"expires"`
	Expired     bool      `json:"expired"`
	Words       string    `json:"words"`
}

type failingJSON struct {
	Repository   string `json:"repository"`
	Distribution string `json:"distribution"`
	Failures     int64  `json:"failures"`
	Error        string `json:"error"`
}

func statusCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Tell whether the server works, and what waits to be published",
		Long:  "Tell whether the server answers, what waits to be published, what cannot be, and\nwhich packages are withheld because clients would not bear them.\nExits with 1 if something is wrong. That a signing key expires within 30 days is\na warning alone.",
		Args:  cobra.NoArgs,
		RunE: o.beside(func(cmd *cobra.Command, _ []string, n *node.Node) error {
			s, err := readStatus(cmd.Context(), n)
			if err != nil {
				return err
			}
			if err := o.result(cmd, s, s.print); err != nil {
				return err
			}
			if !s.sound() {
				return ErrFound
			}
			return nil
		}),
	}
}

// sound reports whether nothing is wrong. A key that expires soon is a warning.
func (s *status) sound() bool {
	return s.Server == "ok" && s.Storage == "ok" && len(s.Failing) == 0 && s.WithheldCount == 0 && len(s.Clock) == 0 && !slices.ContainsFunc(s.Keys, func(k keyJSON) bool { return k.Expired })
}

// readClockAndKeys reads what time makes wrong.
func (s *status) readClockAndKeys(ctx context.Context, n *node.Node) error {
	if s.Storage == "ok" { // CheckClock asks the bucket
		wrong, err := n.CheckClock(ctx)
		if err != nil {
			return err
		}
		s.Clock = append(s.Clock, wrong...)
	}
	expiring, err := n.Keys.Expiring(ctx)
	if err != nil {
		return err
	}
	for _, e := range expiring {
		s.Keys = append(s.Keys, keyJSON{e.Repository.FullName(), e.Fingerprint, e.At, e.Expired, e.Words()})
	}
	return nil
}

func readStatus(ctx context.Context, n *node.Node) (*status, error) {
	s := &status{Server: ask(ctx, n), URL: n.Config.ExternalURL.String(), Database: n.DB.Engine(), Failing: []failingJSON{}, Clock: []string{}, Keys: []keyJSON{}, Withheld: []withheldJSON{}}
	s.Storage = "ok"
	if err := n.CheckStorage(ctx); err != nil {
		s.Storage = err.Error()
	}
	if err := s.readClockAndKeys(ctx, n); err != nil {
		return nil, err
	}
	repositories, err := n.DB.Repositories(ctx)
	if err != nil {
		return nil, err
	}
	s.Repositories = len(repositories)
	waiting, since, err := n.DB.Backlog(ctx)
	if err != nil {
		return nil, err
	}
	if s.Waiting = waiting; waiting > 0 {
		s.OldestWait = time.Since(since).Round(time.Second).String()
	}
	scopes, err := n.DB.Scopes(ctx)
	if err != nil {
		return nil, err
	}
	byID := make(map[int64]repo.Repository, len(repositories))
	for _, r := range repositories {
		byID[r.ID] = r
	}
	for _, scope := range scopes {
		if scope.Failures > 0 {
			s.Failing = append(s.Failing, failingJSON{byID[scope.RepositoryID].FullName(), scope.Distro.String(), scope.Failures, scope.LastError})
		}
	}
	if s.WithheldCount, err = n.DB.CountWithheld(ctx); err != nil {
		return nil, err
	}
	clashes, err := n.Clashes(ctx)
	if err != nil {
		return nil, err
	}
	s.Clashes = append([]string{}, clashes...)
	withheld, err := n.DB.Withheld(ctx, maxWithheld)
	if err != nil {
		return nil, err
	}
	for i := range withheld {
		p := &withheld[i]
		r := byID[p.RepositoryID]
		s.Withheld = append(s.Withheld, withheldJSON{r.FullName(), p.Distro.String(), p.Filename(), p.Withheld, verify.Removal(r, p)})
	}
	return s, nil
}

// ask asks the server on this machine for its health.
func ask(ctx context.Context, n *node.Node) string {
	server, err := n.LocalServer(ctx)
	if err != nil {
		return err.Error()
	}
	if err := askAt(ctx, server); err != nil {
		return fmt.Sprintf("does not answer on %s: %v. Start it; if it listens elsewhere, set listen_address (PACKAGECLOUD_LISTEN_ADDRESS) here as for the server",
			server.ListenAddress, err)
	}
	return "ok"
}

func askAt(ctx context.Context, server db.Server) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	host, port, err := net.SplitHostPort(server.ListenAddress)
	if err != nil {
		return err
	}
	if host == "" || net.ParseIP(host).IsUnspecified() {
		host = "localhost"
	}
	scheme, transport := "http", &http.Transport{}
	if server.TLS {
		scheme = "https"
		// Its certificate is for the name by which clients know it.
		if u, err := url.Parse(server.ExternalURL); err == nil {
			transport.TLSClientConfig = &tls.Config{ServerName: u.Hostname()}
		}
	}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

func (s *status) print(w io.Writer) {
	printable.Fprintf(w, "server        %s (%s)\ndatabase      %s\nrepositories  %d\nwaiting       %d changes", s.Server, s.URL, s.Database, s.Repositories, s.Waiting)
	if s.OldestWait != "" {
		printable.Fprintf(w, ", the oldest for %s", s.OldestWait)
	}
	fmt.Fprintln(w)
	if s.Storage != "ok" {
		fmt.Fprintf(w, "STORAGE       %s\n", s.Storage)
	}
	for _, c := range s.Clock {
		printable.Fprintf(w, "CLOCK         %s\n", c)
	}
	for _, k := range s.Keys {
		printable.Fprintf(w, "KEY           %s: %s\n", k.Repository, k.Words)
	}
	for _, f := range s.Failing {
		printable.Fprintf(w, "FAILING       %s/%s, %d times: %s\n", f.Repository, f.Distribution, f.Failures, f.Error)
	}
	for _, c := range s.Clashes {
		printable.Fprintf(w, "NAME          %s\n", c)
	}
	for _, p := range s.Withheld {
		printable.Fprintf(w, "WITHHELD      %s/%s: %s is in no index: %s\n              remove it: %s\n", p.Repository, p.Distribution, p.Filename, p.Reason, p.Remove)
	}
	if more := s.WithheldCount - int64(len(s.Withheld)); more > 0 {
		printable.Fprintf(w, "              and %d more: packagecloud-ctl verify names them\n", more)
	}
}
