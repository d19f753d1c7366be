package ctl

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"packagecloud/internal/node"
	"packagecloud/internal/printable"
	"packagecloud/internal/repo"
	"packagecloud/internal/sign"
)

// repositoryOf finds USER/REPOSITORY.
func repositoryOf(ctx context.Context, n *node.Node, name string) (repo.Repository, error) {
	owner, name, ok := strings.Cut(name, "/")
	if !ok {
		return repo.Repository{}, fmt.Errorf("%q is no USER/REPOSITORY", owner)
	}
	return n.DB.Repository(ctx, owner, name)
}

func importKeyCommand(o *options) *cobra.Command {
	var alone bool
	c := &cobra.Command{
		Use:   "import-key USER/REPOSITORY FILE",
		Short: "Sign a repository's metadata with a key of your own",
		Long: `Sign a repository's metadata with an OpenPGP key of your own from now on: the file
is what gpg --export-secret-keys writes. A passphrase is asked for. The key is
kept encrypted to the master key.

Everything is signed anew at once, servers that run need no restart. The key
before it goes on signing beside the new one, so that machines that are set up
keep working, and machines that are set up from now on get both keys. When every
machine has the new key, end the old one by retire-key.

A key that was stolen must not go on: --alone ends it at once. Then machines that
have only the old key refuse the repository until they have the new one.`,
		Args: cobra.ExactArgs(2),
		RunE: o.with(func(cmd *cobra.Command, args []string, n *node.Node) error {
			rp, err := repositoryOf(cmd.Context(), n, args[0])
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
			row, err := n.Keys.Import(cmd.Context(), rp, k, alone)
			if err != nil {
				return err
			}
			return o.result(cmd, map[string]string{"name": row.Name, "fingerprint": row.Fingerprint}, func(w io.Writer) {
				printable.Fprintf(w, "%s is signed by %s from now on.\n", rp.FullName(), row.Fingerprint)
				if warning := k.Warning(); warning != "" {
					printable.Fprintf(w, "Warning: %s.\n", warning)
				}
				if expires := k.Expires(); !expires.IsZero() {
					printable.Fprintf(w, "This key expires on %s: import it again, prolonged, before that day.\n", expires.Format(time.DateOnly))
				}
				if !alone {
					printable.Fprintf(w, "The key before it signs beside it until you run: packagecloud-ctl retire-key %s\n", rp.FullName())
				}
			})
		}),
	}
	c.Flags().BoolVar(&alone, "alone", false, "end the keys before it at once")
	return c
}

func retireKeyCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "retire-key USER/REPOSITORY",
		Short: "End the keys that sign a repository's metadata beside its newest one",
		Long: `End the keys that sign a repository's metadata beside its newest one, after
import-key. Everything is signed anew at once, without them. Machines that have
only an ended key refuse the repository until they have the new one.

The public parts of ended keys stay where they can be fetched.`,
		Args: cobra.ExactArgs(1),
		RunE: o.with(func(cmd *cobra.Command, args []string, n *node.Node) error {
			rp, err := repositoryOf(cmd.Context(), n, args[0])
			if err != nil {
				return err
			}
			ended, err := n.Keys.Retire(cmd.Context(), rp)
			if err != nil {
				return err
			}
			prints := make([]string, 0, len(ended))
			for _, k := range ended {
				prints = append(prints, k.Fingerprint)
			}
			return o.result(cmd, map[string][]string{"retired": prints}, func(w io.Writer) {
				if len(prints) == 0 {
					printable.Fprintf(w, "%s is signed by one key: there is none to end.\n", rp.FullName())
				}
				for _, p := range prints {
					printable.Fprintf(w, "%s is not signed by %s any more.\n", rp.FullName(), p)
				}
			})
		}),
	}
}
