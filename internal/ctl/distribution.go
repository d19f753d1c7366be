package ctl

import (
	"fmt"
	"io"
	"regexp"

	"github.com/spf13/cobra"

	"packagecloud/internal/db"
	"packagecloud/internal/node"
	"packagecloud/internal/printable"
	"packagecloud/internal/repo"
)

var indexName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func addDistributionCommand(o *options) *cobra.Command {
	v := db.AddedRelease{}
	c := &cobra.Command{
		Use:   "add-distribution OS VERSION",
		Short: "Add a distribution version that this program does not know",
		Long: `Add a distribution version that this program does not know, so that packages can
be pushed to it at once. Servers that run take it in within seconds.`,
		Example: `  packagecloud-ctl add-distribution ubuntu zebra --number 28.04 --name "28.04 Zebra"
  packagecloud-ctl add-distribution mylinux 1 --format rpm --os-name "My Linux"`,
		Args: cobra.ExactArgs(2),
		RunE: o.with(func(cmd *cobra.Command, args []string, n *node.Node) error {
			v.OS, v.IndexName = args[0], args[1]
			if err := complete(&v, n); err != nil {
				return err
			}
			err := n.DB.Update(cmd.Context(), func(tx *db.Tx) error { return tx.AddRelease(cmd.Context(), &v) })
			if err != nil {
				return err
			}
			return o.result(cmd, map[string]any{"id": v.ID, "distribution": v.OS + "/" + v.IndexName}, func(w io.Writer) {
				printable.Fprintf(w, "%s/%s was added, its distro_version_id is %d.\n", v.OS, v.IndexName, v.ID)
			})
		}),
	}
	f := c.Flags()
	f.StringVar(&v.Format, "format", "", "deb or rpm; not needed for a distribution that is known")
	f.StringVar(&v.OSDisplay, "os-name", "", "the distribution's name for people")
	f.StringVar(&v.DisplayName, "name", "", "the version's name for people")
	f.StringVar(&v.Number, "number", "", "the version's number, such as 24.04")
	return c
}

// complete checks a release and fills in what follows from its distribution.
func complete(v *db.AddedRelease, n *node.Node) error {
	for _, name := range []string{v.OS, v.IndexName} {
		if !indexName.MatchString(name) {
			return fmt.Errorf("%q cannot be a name in URLs: use lower-case letters, digits, dots, dashes and underscores", name)
		}
	}
	for field, name := range map[string]string{"os-name": v.OSDisplay, "name": v.DisplayName, "number": v.Number} {
		if err := repo.ValidateName(field, name); err != nil {
			return err
		}
	}
	if _, ok := n.Catalog().Find(v.OS, v.IndexName); ok {
		return repo.Taken(v.OS + "/" + v.IndexName)
	}
	for _, key := range []string{"deb", "rpm"} {
		for _, d := range n.Catalog().List(key) {
			if d.IndexName != v.OS {
				continue
			}
			if v.Format != "" && v.Format != key {
				return fmt.Errorf("%s takes %s packages, not %s", v.OS, key, v.Format)
			}
			v.Format, v.OSDisplay = key, d.DisplayName
		}
	}
	if v.Format != "deb" && v.Format != "rpm" {
		return fmt.Errorf("%s is new: say with --format whether it takes deb or rpm packages", v.OS)
	}
	if err := repo.ValidateDistribution(v.OS, v.IndexName, v.Format); err != nil {
		return err
	}
	if v.OSDisplay == "" {
		v.OSDisplay = v.OS
	}
	if v.DisplayName == "" {
		v.DisplayName = v.IndexName
	}
	return nil
}
