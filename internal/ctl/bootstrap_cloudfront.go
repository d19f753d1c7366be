package ctl

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"packagecloud/internal/provision"
)

func bootstrapCloudFrontCommand(o *options) *cobra.Command {
	co := &cloudFrontOptions{options: o}
	c := &cobra.Command{
		Use:   "bootstrap-cloudfront",
		Short: "Make the function that checks download links",
		Long: `Make in AWS what the check of download links needs: a key of KMS, a role of IAM
with its policy, and the Lambda function ` + provision.OldName + `_BUCKET,
published as a numbered version. If cloudfront_check is 'cloudfront-function': a
key value store with the secrets, and the CloudFront function of that name, tested
and published. Print the command to run next. An earlier version of this program
left _BUCKET out of the names; a distribution that runs such a function keeps it,
unless another one does as well.

What is there already stays; what differs is told and changed, if it carries the
tag ` + provision.Tag + `. Nothing is deleted. Run it again after any failure.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := co.runner(cmd)
			if err != nil {
				return err
			}
			return co.apply(cmd, r, provision.Function, func(w io.Writer, result *provision.Result) {
				fmt.Fprintln(cmd.ErrOrStderr(), "The function is ready. Now run:")
				fmt.Fprintln(cmd.ErrOrStderr())
				fmt.Fprintln(w, o.again("reconfigure-cloudfront-distribution "+result.Version))
			})
		},
	}
	co.planFlag(c)
	return c
}
