package ctl

import (
	"fmt"
	"io"
	"regexp"

	"github.com/spf13/cobra"

	"packagecloud/internal/clock"
	"packagecloud/internal/db"
	"packagecloud/internal/node"
)

var originHost = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$`)

func setOriginCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "set-origin USER/REPOSITORY HOST",
		Short: "Change the Origin that a repository names to apt",
		Long: `Change the host in the Origin that a repository names to apt. It is that of
external_url when the repository was published first, and stays when external_url
changes: apt compares it with what it knows. When it changes, apt-get update fails
on every machine that is set up, until somebody runs there
apt-get update --allow-releaseinfo-change, and preferences that pin the old Origin
do not apply any more.`,
		Args: cobra.ExactArgs(2),
		RunE: o.with(func(cmd *cobra.Command, args []string, n *node.Node) error {
			rp, err := repositoryOf(cmd.Context(), n, args[0])
			if err != nil {
				return err
			}
			if !originHost.MatchString(args[1]) {
				return fmt.Errorf("%q is no host name, with a port or without", args[1])
			}
			var changed []int64
			err = n.DB.Update(cmd.Context(), func(tx *db.Tx) (err error) {
				if changed, err = tx.SetOrigin(cmd.Context(), rp.ID, args[1]); err != nil {
					return err
				}
				for _, id := range changed {
					if err := tx.AddChange(cmd.Context(), id, db.Refresh, 0, clock.Now()); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			return o.result(cmd, map[string]any{"origin": args[1], "distributions": len(changed)}, func(w io.Writer) {
				fmt.Fprintf(w, "%d distributions of %s are published with the Origin %s/%s.\n", len(changed), rp.FullName(), args[1], rp.FullName())
			})
		}),
	}
}
