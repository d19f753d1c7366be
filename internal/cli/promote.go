package cli

import (
	"context"

	"github.com/spf13/cobra"

	"packagecloud/internal/client"
)

func promoteCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "promote user/repo[/os/version] FILE user/destination",
		Short: "Move a package to another repository",
		Long: `Move a package to another repository, into the same distribution. It leaves the
first one.`,
		Example: "  package_cloud promote acme/testing/ubuntu/jammy hello_1.0_amd64.deb acme/stable",
		Args:    cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.promote(cmd.Context(), args[0], args[1], args[2])
		},
	}
}

func (c *cli) promote(ctx context.Context, where, file, to string) error {
	source, err := parseTarget(where)
	if err != nil {
		return err
	}
	p, err := source.place(file)
	if err != nil {
		return err
	}
	destination, err := parseTarget(to)
	if err != nil {
		return err
	}
	api, err := c.connect(ctx)
	if err != nil {
		return err
	}
	r, err := c.repository(ctx, api, "source ", source.repository)
	if err != nil {
		return err
	}
	if _, err := c.repository(ctx, api, "destination ", destination.repository); err != nil {
		return err
	}
	c.say("Attempting to promote %s/%s/%s to %s...", source.repository, p.Distro, file, destination.repository)
	var moved *client.Package
	err = placed(ctx, api, p, func(p client.Place) (err error) {
		moved, err = api.Promote(ctx, r, p, destination.repository)
		return err
	})
	if err != nil {
		return c.failed(err)
	}
	c.say("done!\n")
	if p.Distro == "node/1" {
		c.say("WARNING: This Node.js package will NOT be downloadable by clients until a dist tag is created.\n")
	}
	if c.json {
		return c.result(moved, nil)
	}
	return nil
}
