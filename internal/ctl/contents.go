package ctl

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"packagecloud/internal/node"
)

func setContentsCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "set-contents USER/REPOSITORY on|off",
		Short: "Choose whether apt-file can search the files of a repository's packages",
		Long: `Choose whether the Debian distributions of a repository have the listings
Contents-<architecture>, which tell apt-file and command-not-found what files each
package installs. They are off at first, because each package must be unpacked for
them, and they may be larger than all other listings.

The servers that run read the packages that there are, in the background, and list
more of them with each second; what is left to do is kept in the database. Off
takes the listings away and keeps what was read for the next time.`,
		Example: "  packagecloud-ctl set-contents acme/tools on",
		Args:    cobra.ExactArgs(2),
		RunE: o.with(func(cmd *cobra.Command, args []string, n *node.Node) error {
			rp, err := repositoryOf(cmd.Context(), n, args[0])
			if err != nil {
				return err
			}
			if args[1] != "on" && args[1] != "off" {
				return fmt.Errorf("%q is neither on nor off", args[1])
			}
			changed, err := n.Uploader.SetContents(cmd.Context(), rp, args[1] == "on")
			if err != nil {
				return err
			}
			return o.result(cmd, map[string]any{"contents": args[1], "changed": changed}, func(w io.Writer) {
				if !changed {
					fmt.Fprintf(w, "Contents of %s are %s already.\n", rp.FullName(), args[1])
					return
				}
				fmt.Fprintf(w, "Contents of %s are %s. A server that runs publishes that.\n", rp.FullName(), args[1])
			})
		}),
	}
}
