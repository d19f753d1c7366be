package ctl

import (
	"io"

	"github.com/spf13/cobra"

	"packagecloud/internal/provision"
)

func setupCloudFrontCommand(o *options) *cobra.Command {
	co := &cloudFrontOptions{options: o}
	c := &cobra.Command{
		Use:   "setup-cloudfront",
		Short: "Set up or update everything for CloudFront",
		Long: `Do what bootstrap-cloudfront and reconfigure-cloudfront-distribution do, one
after the other, and print the lines to add to the configuration. Use it for the
first set-up, and after a change of secrets, of the version of this program, or
of what the configuration says of CloudFront.

It can be stopped at any moment and run again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := co.runner(cmd)
			if err != nil {
				return err
			}
			return co.apply(cmd, r, provision.Everything, func(w io.Writer, result *provision.Result) { o.printLines(cmd, w, result) })
		},
	}
	co.planFlag(c)
	co.accessFlag(c)
	return c
}
