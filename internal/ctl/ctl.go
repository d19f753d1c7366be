// Package ctl is the administrator's command line, packagecloud-ctl: one file a
// command. Results go to standard output, talk and progress to standard error.
package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"packagecloud/internal/config"
	"packagecloud/internal/node"
	"packagecloud/internal/redact"
	"packagecloud/internal/version"
)

// ErrFound says that a command worked and found something wrong, which it has
// told already.
var ErrFound = errors.New("problems were found")

// options are common to all commands.
type options struct {
	config string
	json   bool
}

// Command is the command line.
func Command(build version.Info) *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:   "packagecloud-ctl",
		Short: "Administer a packagecloud server",
		Long: `packagecloud-ctl administers the server that a configuration describes. It works
on the same database and storage, and may run beside a working server.`,
		Version:       build.String(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&o.config, "config", "", "configuration file (default "+config.DefaultPath+", if it exists)")
	root.PersistentFlags().BoolVar(&o.json, "json", false, "write results as JSON")
	root.AddCommand(
		reconfigureCommand(o), statusCommand(o), loadUsersCommand(o), encryptPasswordCommand(), resetPasswordCommand(o),
		resetTokenCommand(o), reindexEverythingCommand(o), verifyCommand(o), addDistributionCommand(o), importKeyCommand(o), retireKeyCommand(o), setOriginCommand(o), setContentsCommand(o), restartCommand(o),
		generateCloudFrontSecretCommand(o), bootstrapCloudFrontCommand(o), reconfigureCloudFrontDistributionCommand(o),
		setupCloudFrontCommand(o), migrateCloudFrontAccessCommand(o), cloudFrontPermissionsCommand(o),
		checkStorageCommand(o), migrateStorageCommand(o),
		cloudFrontTemplateCommand(o), cloudFrontDoctorCommand(o), rotateCloudFrontSecretCommand(o), versionCommand(o, build),
	)
	return root
}

// with opens the node for a command.
func (o *options) with(run func(cmd *cobra.Command, args []string, n *node.Node) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := config.Load(o.config, os.Environ())
		if err != nil {
			return err
		}
		log := slog.New(redact.Handler(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})))
		n, err := node.Open(cmd.Context(), c, log)
		if err != nil {
			return err
		}
		return errors.Join(run(cmd, args, n), n.Close())
	}
}

// beside opens the node for a command that works as the servers do, whatever the
// shell knows of their settings.
func (o *options) beside(run func(cmd *cobra.Command, args []string, n *node.Node) error) func(*cobra.Command, []string) error {
	return o.with(func(cmd *cobra.Command, args []string, n *node.Node) error {
		if err := n.AsServer(cmd.Context()); err != nil {
			return err
		}
		return run(cmd, args, n)
	})
}

// result writes what a command found out, as JSON or for people.
func (o *options) result(cmd *cobra.Command, v any, people func(w io.Writer)) error {
	if !o.json {
		people(cmd.OutOrStdout())
		return nil
	}
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// progress shows how far a long command is: a bar on a terminal, else nothing.
func progress(w io.Writer, what string) (step func(done, total int), end func()) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func(int, int) {}, func() {}
	}
	p := mpb.New(mpb.WithOutput(f))
	bar := p.AddBar(0,
		mpb.PrependDecorators(decor.Name(what+" "), decor.CountersNoUnit("%d / %d")),
		mpb.AppendDecorators(decor.Percentage(), decor.Name(" "), decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO), "done")))
	return func(done, total int) {
			bar.SetTotal(int64(total), false)
			bar.SetCurrent(int64(done))
		}, func() {
			bar.SetTotal(-1, true)
			p.Wait()
		}
}

func versionCommand(o *options, build version.Info) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version, commit and date", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.result(cmd, build, func(w io.Writer) { fmt.Fprintln(w, "packagecloud-ctl "+build.String()) })
		},
	}
}
