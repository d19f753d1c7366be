package ctl

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"packagecloud/internal/provision"
)

func migrateCloudFrontAccessCommand(o *options) *cobra.Command {
	co := &cloudFrontOptions{options: o}
	removeOld := false
	c := &cobra.Command{
		Use:   "migrate-cloudfront-access oac|oai",
		Short: "Change how CloudFront reads the bucket, without an outage",
		Long: `Change a distribution to origin access control (oac) or to an origin access
identity (oai). First the bucket allows both, then the distribution is changed,
then the command waits until all edges have it. The statement for the former
way stays in the policy of the bucket, so that there is a way back; with
--remove-old it is taken out when no edge needs it any more.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return errors.New("choose oac or oai")
			}
			co.access = args[0]
			r, err := co.runner(cmd)
			if err != nil {
				return err
			}
			r.Settings.Migrate, r.Settings.RemoveOld = true, removeOld
			return co.apply(cmd, r, provision.Distribution, func(_ io.Writer, result *provision.Result) {
				fmt.Fprintf(cmd.ErrOrStderr(), "The distribution %s reads the bucket by %s.\n", result.DistributionID, args[0])
			})
		},
	}
	c.Flags().BoolVar(&removeOld, "remove-old", false, "take the statement for the former way out of the policy of the bucket, at the end")
	co.planFlag(c)
	return c
}
