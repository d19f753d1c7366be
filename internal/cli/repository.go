package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"packagecloud/internal/printable"
	"packagecloud/internal/repo"
)

func repositoryCommand(c *cli) *cobra.Command {
	repository := &cobra.Command{Use: "repository", Short: "Manage repositories", Args: cobra.NoArgs, RunE: help}
	var private bool
	create := &cobra.Command{
		Use:     "create NAME",
		Short:   "Create a repository",
		Long:    "Create a repository of your own. NAME is its name without yours.",
		Example: "  package_cloud repository create tools --private",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.createRepository(cmd.Context(), args[0], private)
		},
	}
	create.Flags().BoolVar(&private, "private", false, "only machines with a read token may read it")
	repository.AddCommand(create,
		&cobra.Command{
			Use:     "list",
			Short:   "List the repositories that you may push to",
			Example: "  package_cloud repository list",
			Args:    cobra.NoArgs,
			RunE:    func(cmd *cobra.Command, _ []string) error { return c.listRepositories(cmd.Context()) },
		},
		&cobra.Command{
			Use:   "install user/repo TYPE",
			Short: "Make this machine use a repository",
			Long: `Make this machine use a repository: fetch the server's install script for
packages of a type (deb, rpm, gem) and run it with /bin/bash. Only that for gem
works without being root.`,
			Example: "  sudo package_cloud repository install acme/tools deb",
			Args:    cobra.ExactArgs(2),
			RunE:    func(cmd *cobra.Command, args []string) error { return c.install(cmd.Context(), args[0], args[1]) },
		})
	return repository
}

func (c *cli) createRepository(ctx context.Context, name string, private bool) error {
	api, err := c.connect(ctx)
	if err != nil {
		return err
	}
	c.say("Creating repository %s... ", name)
	url, err := api.CreateRepository(ctx, name, private)
	if err != nil {
		return c.failed(err)
	}
	c.say("success!\n")
	return c.result(map[string]string{"url": url}, func(w io.Writer) {
		printable.Fprintf(w, "Your repository has been created at:\n    %s\n", url)
	})
}

func (c *cli) listRepositories(ctx context.Context) error {
	api, err := c.connect(ctx)
	if err != nil {
		return err
	}
	list, err := api.Repositories(ctx)
	if err != nil {
		return fmt.Errorf("list your repositories: %w", err)
	}
	return c.result(list, func(w io.Writer) {
		if len(list) == 0 {
			fmt.Fprintln(w, "You have no repositories: create one with package_cloud repository create NAME")
			return
		}
		fmt.Fprint(w, "Your repositories:\n\n")
		for _, r := range list {
			access := "public"
			if r.Private {
				access = "private"
			}
			printable.Fprintf(w, "    %s (%s)\n    last push: %s | packages: %s\n\n", r.FullName, access, r.LastPush, r.PackageCount)
		}
	})
}

// install runs the install script of a repository.
func (c *cli) install(ctx context.Context, name, packageType string) error {
	if packageType != "gem" && os.Geteuid() != 0 {
		return fmt.Errorf("installing a repository changes this machine: run it as root, with sudo package_cloud repository install %s %s", name, packageType)
	}
	api, r, err := c.open(ctx, name)
	if err != nil {
		return err
	}
	c.say("Fetching the install script for %s... ", packageType)
	script, err := api.InstallScript(ctx, r, packageType)
	if errors.Is(err, repo.ErrNotFound) {
		c.say("failed!\n")
		return fmt.Errorf("the server has no install script for packages of type %s", packageType)
	}
	if err != nil {
		return c.failed(err)
	}
	c.say("success!\n")
	return c.run(ctx, script)
}

// run runs a script, from a file: its standard input is the user's.
func (c *cli) run(ctx context.Context, script []byte) (err error) {
	dir, err := os.MkdirTemp("", "package_cloud-") // with mode 0700
	if err != nil {
		return fmt.Errorf("run the install script: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "install.sh")
	if err := os.WriteFile(path, script, 0o600); err != nil {
		return fmt.Errorf("run the install script: %w", err)
	}
	command := exec.CommandContext(ctx, "/bin/bash", path)
	// Killing it at once could leave half of its changes.
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	command.Stdin, command.Stdout, command.Stderr = c.in.in, c.out, c.err
	if c.json {
		command.Stdout = c.err
	}
	if err := command.Run(); err != nil {
		return fmt.Errorf("run the install script: %w", err)
	}
	return nil
}
