// Package cli is the command line client package_cloud: one file a command.
//
// Scripts read what it says, so its words are those of packagecloud's own
// client, on standard output. With --json, standard output has JSON alone and
// the talk goes to standard error.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"packagecloud/internal/client"
	"packagecloud/internal/printable"
	"packagecloud/internal/redact"
	"packagecloud/internal/repo"
	"packagecloud/internal/version"
)

// The exit statuses beside 0.
const (
	statusFailed = 1
	// statusInterrupted is what shells make of a program that Ctrl-C ended.
	statusInterrupted = 130
	statusNotFound    = 127 // a repository, token or key that does not exist
)

// exitError ends a command with a status. Without err, the user was told why.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// errTold ends a command that has told its failure.
var errTold = &exitError{status: statusFailed}

// Run runs a command and returns the exit status.
func Run(ctx context.Context, build version.Info, args []string) int {
	root := command(build)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	exit, ok := errors.AsType[*exitError](err)
	switch {
	case ok && exit.err == nil:
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "package_cloud: interrupted")
	default:
		printable.Error(os.Stderr, "package_cloud", err)
	}
	if ctx.Err() != nil {
		return statusInterrupted
	}
	if ok {
		return exit.status
	}
	return statusFailed
}

// cli is what the commands share.
type cli struct {
	version version.Info
	config  string
	url     string
	verbose bool
	json    bool

	out io.Writer // results, and talk unless they are JSON
	err *os.File
	in  *prompt
}

// command is the command line.
func command(build version.Info) *cobra.Command {
	c := &cli{version: build, out: os.Stdout, err: os.Stderr, in: newPrompt(os.Stdin, os.Stderr)}
	root := &cobra.Command{
		Use:   "package_cloud",
		Short: "Push packages to a packagecloud server and manage its repositories",
		Long: `package_cloud pushes packages to a packagecloud server and manages its
repositories, tokens and keys.

The API token comes from the file of --config; else from PACKAGECLOUD_TOKEN, with
the server's URL in PACKAGECLOUD_URL; else from the file ~/.packagecloud; else you
are asked for e-mail address and password, and that file is written. --url goes
before all other URLs.

Exit status: 0 on success; 1 if something was refused or failed; 127 if the
repository, token or key does not exist; 130 if you interrupted it.`,
		Version:       build.String(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          help,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&c.config, "config", "", "configuration `file` (default ~/.packagecloud)")
	flags.StringVar(&c.url, "url", "", "`URL` of the server, whatever environment and file say")
	flags.BoolVar(&c.verbose, "verbose", false, "tell each request on standard error")
	flags.BoolVar(&c.json, "json", false, "write results as JSON, and everything else to standard error")
	root.AddCommand(
		pushCommand(c), yankCommand(c), promoteCommand(c), repositoryCommand(c), distroCommand(c),
		masterTokenCommand(c), readTokenCommand(c), keyCommand(c), versionCommand(c),
	)
	return root
}

// help answers a command that only has commands.
func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

func versionCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version, commit and date",
		Example: "  package_cloud version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return c.result(c.version, func(w io.Writer) {
				fmt.Fprintln(w, "package_cloud CLI "+c.version.String())
			})
		},
	}
}

// connect makes the client of a configuration.
func (c *cli) connect(ctx context.Context) (*client.Client, error) {
	api := &client.Client{UserAgent: "package_cloud/" + c.version.Version}
	if c.verbose {
		api.Log = slog.New(redact.Handler(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: slog.LevelDebug})))
	}
	return api, c.configure(ctx, api)
}

// say tells the user how it goes.
func (c *cli) say(format string, args ...any) { printable.Fprintf(c.talk(), format, args...) }

// talk is where the user is told how it goes.
func (c *cli) talk() io.Writer {
	if c.json {
		return c.err
	}
	return c.out
}

// result writes what a command found out, as JSON or for people.
func (c *cli) result(v any, people func(w io.Writer)) error {
	if !c.json {
		people(c.out)
		return nil
	}
	encoder := json.NewEncoder(c.out)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// repository finds the repository of a command. The kind is a word before
// "repository": "source ".
func (c *cli) repository(ctx context.Context, api *client.Client, kind, name string) (*client.Repository, error) {
	c.say("Looking for %srepository at %s... ", kind, name)
	r, err := api.Repository(ctx, name)
	if err != nil {
		c.say("failed!\n")
		if errors.Is(err, repo.ErrNotFound) {
			return nil, &exitError{statusNotFound, fmt.Errorf("there is no repository %s on %s that this token may see", name, api.URL)}
		}
		return nil, err
	}
	c.say("success!\n")
	return r, nil
}

// open connects and finds the repository of a command, "user/repo".
func (c *cli) open(ctx context.Context, name string) (*client.Client, *client.Repository, error) {
	api, err := c.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	r, err := c.repository(ctx, api, "", name)
	return api, r, err
}

// refusal is what a server said against a request, by field; nil if an error
// is something else.
func refusal(err error) map[string][]string {
	if invalid, ok := errors.AsType[*repo.InvalidError](err); ok {
		return invalid.Fields
	}
	if missing, ok := errors.AsType[*client.NotFoundError](err); ok {
		if len(missing.Fields) == 0 {
			return map[string][]string{"error": {"not_found"}}
		}
		return missing.Fields
	}
	return nil
}

// listFields writes a refusal as scripts know it.
func listFields(w io.Writer, fields map[string][]string) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		printable.Fprintf(w, "\t%s: %s\n", name, strings.Join(fields[name], ", "))
	}
}

// failed tells that the step just begun failed, and what a server has against
// it.
func (c *cli) failed(err error) error {
	fields := refusal(err)
	if fields == nil {
		c.say("failed!\n")
		return err
	}
	c.say("error:\n")
	listFields(c.talk(), fields)
	return errTold
}
