package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"packagecloud/internal/printable"
)

func keyCommand(c *cli) *cobra.Command {
	key := &cobra.Command{Use: "gpg_key", Short: "Manage the public keys of a repository", Args: cobra.NoArgs, RunE: help}
	var yes bool
	destroy := &cobra.Command{
		Use:   "destroy user/repo NAME",
		Short: "Remove a public key",
		Long: `Remove a public key that packages are signed with. The key that signs the
repository stays.`,
		Example: "  package_cloud gpg_key destroy acme/tools acme-tools-0123456789ABCDEF.pub.gpg",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.destroyKey(cmd.Context(), args[0], args[1], yes)
		},
	}
	destroy.Flags().BoolVar(&yes, "yes", false, "do not ask")
	key.AddCommand(
		&cobra.Command{
			Use:     "list user/repo",
			Short:   "List the public keys of a repository",
			Example: "  package_cloud gpg_key list acme/tools",
			Args:    cobra.ExactArgs(1),
			RunE:    func(cmd *cobra.Command, args []string) error { return c.listKeys(cmd.Context(), args[0]) },
		},
		&cobra.Command{
			Use:     "create user/repo FILE",
			Short:   "Add the public key that packages are signed with",
			Example: "  package_cloud gpg_key create acme/tools packagers.pub.gpg",
			Args:    cobra.ExactArgs(2),
			RunE:    func(cmd *cobra.Command, args []string) error { return c.createKey(cmd.Context(), args[0], args[1]) },
		}, destroy)
	return key
}

func (c *cli) listKeys(ctx context.Context, name string) error {
	api, r, err := c.open(ctx, name)
	if err != nil {
		return err
	}
	keys, err := api.Keys(ctx, r)
	if err != nil {
		return fmt.Errorf("list the keys of %s: %w", name, err)
	}
	return c.result(keys, func(w io.Writer) {
		printable.Fprintf(w, "GPG keys for %s:\n\n", name)
		for _, k := range keys {
			printable.Fprintf(w, "    %s (%s)\n    fingerprint: %s\n    download: %s\n\n", k.Name, k.Type, k.Fingerprint, k.DownloadURL)
		}
	})
}

func (c *cli) createKey(ctx context.Context, name, path string) error {
	api, r, err := c.open(ctx, name)
	if err != nil {
		return err
	}
	c.say("Uploading GPG key %s... ", path)
	k, err := api.CreateKey(ctx, r, path)
	if err != nil {
		return c.failed(err)
	}
	c.say("success!\n")
	return c.result(k, func(w io.Writer) { printable.Fprintf(w, "    %s\n    fingerprint: %s\n", k.Name, k.Fingerprint) })
}

func (c *cli) destroyKey(ctx context.Context, name, keyName string, yes bool) error {
	api, r, err := c.open(ctx, name)
	if err != nil {
		return err
	}
	keys, err := api.Keys(ctx, r)
	if err != nil {
		return fmt.Errorf("list the keys of %s: %w", name, err)
	}
	for _, k := range keys {
		if k.Name == keyName {
			return c.destroy(ctx, "GPG key "+k.Name, yes, func() error { return api.DeleteKey(ctx, &k) })
		}
	}
	return &exitError{statusNotFound, fmt.Errorf("couldn't find GPG key named %s", keyName)}
}
