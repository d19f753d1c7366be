package cli

import (
	"context"

	"github.com/spf13/cobra"

	"packagecloud/internal/client"
)

func yankCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "yank user/repo[/os/version] FILE",
		Short: "Delete a package",
		Long: `Delete a package. Its file name is free again at once; package managers stop
seeing it when the server has rebuilt its indexes.

FILE is the name that the server shows. An npm package with a scope is
@scope/FILE, a Java package group/FILE.`,
		Example: `  package_cloud yank acme/tools/ubuntu/jammy hello_1.0_amd64.deb
  package_cloud yank acme/tools/el/9 hello-1.0-1.x86_64.rpm`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return c.yank(cmd.Context(), args[0], args[1]) },
	}
}

func (c *cli) yank(ctx context.Context, where, file string) error {
	t, err := parseTarget(where)
	if err != nil {
		return err
	}
	p, err := t.place(file)
	if err != nil {
		return err
	}
	api, r, err := c.open(ctx, t.repository)
	if err != nil {
		return err
	}
	c.say("Attempting to yank package at %s/%s/%s...", t.repository, p.Distro, file)
	if err := placed(ctx, api, p, func(p client.Place) error { return api.Delete(ctx, r, p) }); err != nil {
		return c.failed(err)
	}
	c.say("done!\n")
	if p.Distro == "node/1" {
		c.say("WARNING: Deleting Node.js packages can have unexpected side effects with dist tags.\n")
	}
	if c.json {
		return c.result(map[string]string{"file": file, "status": "yanked"}, nil)
	}
	return nil
}
