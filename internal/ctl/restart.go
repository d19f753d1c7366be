package ctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"packagecloud/internal/config"
	"packagecloud/internal/node"
)

const (
	// unit is the name of the service in systemd.
	unit = "packagecloud.service"
	// restartTime is how long a restart may take: requests under way have half
	// a minute.
	restartTime = time.Minute
)

func restartCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "restart",
		Short: "Restart the server on this machine",
		Long: `Check the configuration, restart the server on this machine, and wait until it
answers. Requests under way are finished first.

If systemd runs packagecloud.service it restarts that. Otherwise it signals the
process of the pid file, which then starts itself anew under the same process
id, so that whoever supervises it sees no end.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(o.config, os.Environ())
			if err != nil {
				return fmt.Errorf("the server was left as it is, because it would not start again: %w", err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), restartTime)
			defer cancel()
			if exec.CommandContext(ctx, "systemctl", "is-active", "--quiet", unit).Run() == nil {
				out, err := exec.CommandContext(ctx, "systemctl", "restart", unit).CombinedOutput()
				if err != nil {
					return fmt.Errorf("systemctl restart %s: %w\n%s", unit, err, out)
				}
			} else if err := signalServer(ctx, c.PIDFile); err != nil {
				return err
			}
			if err := awaitServer(ctx, c); err != nil {
				return err
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "The server was restarted, and answers.")
			return nil
		},
	}
}

// signalServer has the process of a pid file start itself anew, and waits until
// it did: it writes its pid file again.
func signalServer(ctx context.Context, path string) error {
	before, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the server does not run: systemd has no active %s, and there is no pid file %s. Start it with: packagecloud serve", unit, path)
	}
	if err != nil {
		return fmt.Errorf("read the pid file: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the pid file: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 2 {
		return fmt.Errorf("the pid file %s holds no process id: remove it and start the server", path)
	}
	if command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && !strings.Contains(string(command), "packagecloud") {
		return fmt.Errorf("the process %d of the pid file %s is another program: the server ended without removing the file. Start it with: packagecloud serve", pid, path)
	}
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		return fmt.Errorf("signal the process %d of the pid file %s: %w", pid, path, err)
	}
	for {
		if now, err := os.Stat(path); err == nil && !now.ModTime().Equal(before.ModTime()) {
			return nil
		}
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return errors.New("the server ended and did not start again: see its log")
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("the server did not start anew within %s: see its log", restartTime)
		}
	}
}

// awaitServer waits until the server answers.
func awaitServer(ctx context.Context, c *config.Config) error {
	for {
		answer := askAt(ctx, node.Configured(c))
		if answer == nil {
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("the server was restarted, but does not answer (%w): see its log", answer)
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(100 * time.Millisecond):
		return nil
	}
}
