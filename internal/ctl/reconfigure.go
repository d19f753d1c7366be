package ctl

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"packagecloud/internal/node"
)

func reconfigureCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "reconfigure",
		Short: "Check the configuration and apply it",
		Long: `Check the whole configuration and tell all mistakes at once; make the data folder
and the master key if they are missing; bring the database up to this version.

A server that is running reads its configuration when it starts: restart it
afterwards.`,
		Args: cobra.NoArgs,
		RunE: o.with(func(cmd *cobra.Command, _ []string, n *node.Node) error {
			c := n.Config
			result := struct {
				URL       string `json:"external_url"`
				Data      string `json:"data_directory"`
				Engine    string `json:"database"`
				MasterKey string `json:"master_key_file"`
			}{c.ExternalURL.String(), c.DataDirectory, n.DB.Engine(), c.MasterKeyFile}
			return o.result(cmd, result, func(w io.Writer) {
				fmt.Fprintf(w, "The configuration is valid and applied.\n  URL       %s\n  data      %s\n  database  %s, up to date\n  key       %s (keep a copy of it in a safe place)\n",
					result.URL, result.Data, result.Engine, result.MasterKey)
				fmt.Fprintln(cmd.ErrOrStderr(), "Restart the server for the changes to take effect.")
			})
		}),
	}
}
