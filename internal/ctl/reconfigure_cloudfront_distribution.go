package ctl

import (
	"io"

	"github.com/spf13/cobra"

	"packagecloud/internal/provision"
)

func reconfigureCloudFrontDistributionCommand(o *options) *cobra.Command {
	co := &cloudFrontOptions{options: o}
	c := &cobra.Command{
		Use:   "reconfigure-cloudfront-distribution FUNCTION_ARN",
		Short: "Put the function into a CloudFront distribution for the bucket",
		Long: `Make or change the CloudFront distribution of the bucket so that the version of
the Lambda function, or the CloudFront function, as bootstrap-cloudfront prints
it, checks every request; let
CloudFront, and nobody else, read the bucket. Wait until all edges have it, and
print the lines to add to the configuration.

The policy and tags of the bucket and the configuration of the distribution are
read, merged and written back: what others put there stays. Nothing is deleted.
Run it again after any failure.`,
		Example: "  packagecloud-ctl reconfigure-cloudfront-distribution arn:aws:lambda:us-east-1:999999999999:function:packagecloud_cloudfront_auth:1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			version, err := provision.ParseVersion(args[0])
			if err != nil {
				return err
			}
			r, err := co.runner(cmd)
			if err != nil {
				return err
			}
			r.Settings.FunctionVersion = version
			return co.apply(cmd, r, provision.Distribution, func(w io.Writer, result *provision.Result) { o.printLines(cmd, w, result) })
		},
	}
	co.planFlag(c)
	co.accessFlag(c)
	return c
}
