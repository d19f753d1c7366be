package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"packagecloud/internal/client"
	"packagecloud/internal/printable"
)

func masterTokenCommand(c *cli) *cobra.Command {
	master := &cobra.Command{Use: "master_token", Short: "Manage master tokens", Args: cobra.NoArgs, RunE: help}
	var yes bool
	destroy := &cobra.Command{
		Use:   "destroy user/repo NAME",
		Short: "Revoke a master token and all its read tokens",
		Long: `Revoke a master token and all its read tokens: machines that use these can no
longer read the repository. The token named default gets a new value.`,
		Example: "  package_cloud master_token destroy acme/tools build-farm",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.destroyMasterToken(cmd.Context(), args[0], args[1], yes)
		},
	}
	destroy.Flags().BoolVar(&yes, "yes", false, "do not ask")
	master.AddCommand(
		&cobra.Command{
			Use:     "list user/repo",
			Short:   "List the master tokens of a repository, with their read tokens",
			Example: "  package_cloud master_token list acme/tools",
			Args:    cobra.ExactArgs(1),
			RunE:    func(cmd *cobra.Command, args []string) error { return c.listMasterTokens(cmd.Context(), args[0]) },
		},
		&cobra.Command{
			Use:     "create user/repo NAME",
			Short:   "Create a master token",
			Example: "  package_cloud master_token create acme/tools build-farm",
			Args:    cobra.ExactArgs(2),
			RunE: func(cmd *cobra.Command, args []string) error {
				return c.createMasterToken(cmd.Context(), args[0], args[1])
			},
		}, destroy)
	return master
}

func readTokenCommand(c *cli) *cobra.Command {
	read := &cobra.Command{Use: "read_token", Short: "Manage read tokens", Args: cobra.NoArgs, RunE: help}
	var yes bool
	destroy := &cobra.Command{
		Use:     "destroy user/repo MASTER/READ",
		Short:   "Revoke a read token",
		Long:    "Revoke a read token, by the name of its master token and its own.",
		Example: "  package_cloud read_token destroy acme/tools default/web01.example.com",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.destroyReadToken(cmd.Context(), args[0], args[1], yes)
		},
	}
	destroy.Flags().BoolVar(&yes, "yes", false, "do not ask")
	read.AddCommand(
		&cobra.Command{
			Use:     "list user/repo [MASTER]",
			Short:   "List the read tokens of a repository, or of one master token",
			Example: "  package_cloud read_token list acme/tools default",
			Args:    cobra.RangeArgs(1, 2),
			RunE: func(cmd *cobra.Command, args []string) error {
				return c.listReadTokens(cmd.Context(), args[0], args[1:])
			},
		}, destroy)
	return read
}

func (c *cli) listMasterTokens(ctx context.Context, name string) error {
	api, r, err := c.open(ctx, name)
	if err != nil {
		return err
	}
	tokens, err := api.MasterTokens(ctx, r)
	if err != nil {
		return fmt.Errorf("list the tokens of %s: %w", name, err)
	}
	return c.result(tokens, func(w io.Writer) {
		printable.Fprintf(w, "Tokens for %s:\n\n", name)
		for _, t := range tokens {
			printable.Fprintf(w, "    %s (%s)\n    read tokens:\n", t.Name, t.Value)
			for _, rt := range t.ReadTokens {
				printable.Fprintf(w, "        %s (%s)\n", rt.Name, rt.Value)
			}
			fmt.Fprintln(w)
		}
	})
}

func (c *cli) createMasterToken(ctx context.Context, name, tokenName string) error {
	api, r, err := c.open(ctx, name)
	if err != nil {
		return err
	}
	c.say("Creating master token for %s... ", name)
	t, err := api.CreateMasterToken(ctx, r, tokenName)
	if err != nil {
		return c.failed(err)
	}
	c.say("success!\n")
	return c.result(t, func(w io.Writer) {
		printable.Fprintf(w, "Master token %s with value %s created\n", t.Name, t.Value)
	})
}

// masterToken finds a token by its name, or its value.
func (c *cli) masterToken(ctx context.Context, api *client.Client, r *client.Repository, name string) (*client.MasterToken, error) {
	tokens, err := api.MasterTokens(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("list the tokens: %w", err)
	}
	for _, t := range tokens {
		if t.Name == name || t.Value == name {
			return &t, nil
		}
	}
	return nil, &exitError{statusNotFound, fmt.Errorf("couldn't find master token named %s", name)}
}

func (c *cli) destroyMasterToken(ctx context.Context, name, tokenName string, yes bool) error {
	api, r, err := c.open(ctx, name)
	if err != nil {
		return err
	}
	t, err := c.masterToken(ctx, api, r, tokenName)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("master token %s and its %d read tokens", t.Name, len(t.ReadTokens))
	return c.destroy(ctx, what, yes, func() error { return api.DeleteMasterToken(ctx, t) })
}

func (c *cli) listReadTokens(ctx context.Context, name string, master []string) error {
	api, r, err := c.open(ctx, name)
	if err != nil {
		return err
	}
	tokens, err := api.MasterTokens(ctx, r)
	if err != nil {
		return fmt.Errorf("list the tokens of %s: %w", name, err)
	}
	type readToken struct {
		Master string `json:"master_token"`
		client.ReadToken
	}
	list, found := []readToken{}, len(master) == 0
	for _, t := range tokens {
		if len(master) > 0 && t.Name != master[0] {
			continue
		}
		found = true
		for _, rt := range t.ReadTokens {
			list = append(list, readToken{t.Name, rt})
		}
	}
	if !found {
		return &exitError{statusNotFound, fmt.Errorf("couldn't find master token named %s", master[0])}
	}
	return c.result(list, func(w io.Writer) {
		printable.Fprintf(w, "Read tokens for %s:\n\n", name)
		for _, t := range list {
			printable.Fprintf(w, "    %s/%s (%s)\n", t.Master, t.Name, t.Value)
		}
	})
}

func (c *cli) destroyReadToken(ctx context.Context, name, tokenName string, yes bool) error {
	masterName, readName, ok := strings.Cut(tokenName, "/")
	if !ok || masterName == "" || readName == "" {
		return fmt.Errorf("%q names no read token: write the name of its master token, a slash, and its own", tokenName)
	}
	api, r, err := c.open(ctx, name)
	if err != nil {
		return err
	}
	t, err := c.masterToken(ctx, api, r, masterName)
	if err != nil {
		return err
	}
	for _, rt := range t.ReadTokens {
		if rt.Name == readName || rt.Value == readName {
			return c.destroy(ctx, "read token "+tokenName, yes, func() error { return api.DeleteReadToken(ctx, t, rt.ID) })
		}
	}
	return &exitError{statusNotFound, fmt.Errorf("couldn't find read token named %s of master token %s", readName, masterName)}
}

// destroy asks, and does it.
func (c *cli) destroy(ctx context.Context, what string, yes bool, do func() error) error {
	if !yes {
		ok, err := c.in.confirm(ctx, "Are you sure you want to destroy "+what+"?")
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("aborting: %s stays", what)
		}
	}
	c.say("Destroying %s... ", what)
	if err := do(); err != nil {
		return c.failed(err)
	}
	c.say("success!\n")
	if c.json {
		return c.result(map[string]string{"status": "destroyed"}, nil)
	}
	return nil
}
