package ctl

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"packagecloud/internal/node"
	"packagecloud/internal/sign"
)

func importKeyCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "import-key USER/REPOSITORY FILE",
		Short: "Sign a repository's metadata with a key of your own",
		Long: `Sign a repository's metadata with an OpenPGP key of your own from now on: the file
is what gpg --export-secret-keys writes. A passphrase is asked for. The key is
kept encrypted to the master key.

Everything is signed anew at once. Clients that trust only the key before it
refuse the repository until they have the new one.`,
		Args: cobra.ExactArgs(2),
		RunE: o.with(func(cmd *cobra.Command, args []string, n *node.Node) error {
			owner, name, ok := strings.Cut(args[0], "/")
			if !ok {
				return fmt.Errorf("%q is no USER/REPOSITORY", args[0])
			}
			rp, err := n.DB.Repository(cmd.Context(), owner, name)
			if err != nil {
				return err
			}
			data, err := os.ReadFile(args[1])
			if err != nil {
				return fmt.Errorf("read the key: %w", err)
			}
			k, err := sign.ParsePrivate(data, func() ([]byte, error) {
				secret, err := passwordOf(cmd, nil)
				return []byte(secret), err
			})
			if err != nil {
				return err
			}
			row, err := n.Keys.Import(cmd.Context(), rp, k)
			if err != nil {
				return err
			}
			return o.result(cmd, map[string]string{"name": row.Name, "fingerprint": row.Fingerprint}, func(w io.Writer) {
				fmt.Fprintf(w, "%s is signed by %s from now on.\n", rp.FullName(), row.Fingerprint)
			})
		}),
	}
}
