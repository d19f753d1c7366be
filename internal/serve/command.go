package serve

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"packagecloud/internal/config"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/node"
	"packagecloud/internal/redact"
	"packagecloud/internal/version"
)

// Command is the command line of the server.
func Command(build version.Info) *cobra.Command {
	root := &cobra.Command{
		Use:   "packagecloud",
		Short: "A package repository server",
		Long: `packagecloud serves package repositories to apt, dnf, zypper and others.

Without any configuration it listens on localhost and keeps everything in the
folder ./data. Administer it with packagecloud-ctl, push with package_cloud.`,
		Version:       build.String(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(serveCommand(build.String()), edgeCommand(build.String()), sampleCommand(), versionCommand(build))
	return root
}

func serveCommand(version string) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server until it is interrupted. SIGHUP restarts it under the same process
id, with the configuration and the program as they are then.

The configuration is read from ` + config.DefaultPath + ` if that exists, or from
the file given by --config. Environment variables named PACKAGECLOUD_<KEY>
override it. docs/configuration.md lists every key.`,
		Example: "  packagecloud serve\n  PACKAGECLOUD_LISTEN_ADDRESS=:8080 PACKAGECLOUD_EXTERNAL_URL=http://packages.example.com packagecloud serve",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(path, os.Environ())
			if err != nil {
				return err
			}
			ctx, hungUp, stop := onHangup(cmd.Context())
			defer stop()
			n, err := node.Open(ctx, c, Logger(c, cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			err = Run(ctx, n, cmd.OutOrStdout(), version)
			if cerr := n.Close(); err == nil {
				err = cerr
			}
			if err == nil && hungUp() {
				return restart()
			}
			return err
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration file (default "+config.DefaultPath+", if it exists)")
	return c
}

// Logger makes the logger of a configuration. No secret gets through it.
func Logger(c *config.Config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(redact.Handler(slog.NewJSONHandler(w, options)))
	}
	return slog.New(redact.Handler(slog.NewTextHandler(w, options)))
}

func sampleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "sample [FOLDER]",
		Short: "Write two small packages to try the server with",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			files := samples()
			for _, name := range slices.Sorted(maps.Keys(files)) {
				body := files[name]
				if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil {
					return fmt.Errorf("write a sample package: %w", err)
				}
				fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(dir, name))
			}
			return nil
		},
	}
}

// samples are two packages that say hello.
func samples() map[string][]byte {
	script := []byte("#!/bin/sh\necho Hello from your package repository.\n")
	d := debtest.Package{Name: "hello-packagecloud", Files: map[string][]byte{"usr/bin/hello-packagecloud": script}}
	r := rpmtest.Package{Name: "hello-packagecloud", Files: map[string][]byte{"/usr/bin/hello-packagecloud": script}}
	return map[string][]byte{d.Filename(): d.Build(), r.Filename(): r.Build()}
}

func versionCommand(build version.Info) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version, commit and date", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), "packagecloud "+build.String()) },
	}
}
