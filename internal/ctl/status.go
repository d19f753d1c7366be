package ctl

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"packagecloud/internal/config"
	"packagecloud/internal/node"
)

// status is what the command tells.
type status struct {
	Server       string        `json:"server"` // "ok", or why it does not answer
	URL          string        `json:"external_url"`
	Database     string        `json:"database"`
	Repositories int           `json:"repositories"`
	Waiting      int64         `json:"changes_waiting"`
	OldestWait   string        `json:"oldest_change_waits,omitempty"`
	Failing      []failingJSON `json:"failing"`
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
		Long:  "Tell whether the server answers, what waits to be published and what cannot be.\nExits with 1 if something is wrong.",
		Args:  cobra.NoArgs,
		RunE: o.with(func(cmd *cobra.Command, _ []string, n *node.Node) error {
			s, err := readStatus(cmd.Context(), n)
			if err != nil {
				return err
			}
			if err := o.result(cmd, s, s.print); err != nil {
				return err
			}
			if s.Server != "ok" || len(s.Failing) > 0 {
				return ErrFound
			}
			return nil
		}),
	}
}

func readStatus(ctx context.Context, n *node.Node) (*status, error) {
	s := &status{Server: ask(ctx, n.Config), URL: n.Config.ExternalURL.String(), Database: n.DB.Engine(), Failing: []failingJSON{}}
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
	names := make(map[int64]string, len(repositories))
	for _, r := range repositories {
		names[r.ID] = r.FullName()
	}
	for _, scope := range scopes {
		if scope.Failures > 0 {
			s.Failing = append(s.Failing, failingJSON{names[scope.RepositoryID], scope.Distro.String(), scope.Failures, scope.LastError})
		}
	}
	return s, nil
}

// ask asks the server on this machine for its health.
func ask(ctx context.Context, c *config.Config) string {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	host, port, err := net.SplitHostPort(c.ListenAddress)
	if err != nil {
		return err.Error()
	}
	if host == "" || net.ParseIP(host).IsUnspecified() {
		host = "localhost"
	}
	scheme := "http"
	if c.TLSCertificateFile != "" {
		scheme = "https"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return err.Error()
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return answer.Status
	}
	return "ok"
}

func (s *status) print(w io.Writer) {
	fmt.Fprintf(w, "server        %s (%s)\ndatabase      %s\nrepositories  %d\nwaiting       %d changes", s.Server, s.URL, s.Database, s.Repositories, s.Waiting)
	if s.OldestWait != "" {
		fmt.Fprintf(w, ", the oldest for %s", s.OldestWait)
	}
	fmt.Fprintln(w)
	for _, f := range s.Failing {
		fmt.Fprintf(w, "FAILING       %s/%s, %d times: %s\n", f.Repository, f.Distribution, f.Failures, f.Error)
	}
}
