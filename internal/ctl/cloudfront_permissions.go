package ctl

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"packagecloud/internal/provision"
)

func cloudFrontPermissionsCommand(o *options) *cobra.Command {
	account := ""
	c := &cobra.Command{
		Use:   "cloudfront-permissions",
		Short: "Print the IAM policy that the set-up of CloudFront needs",
		Long: `Print the least that the AWS credentials must be allowed for setup-cloudfront, as
a policy of IAM, for the check that cloudfront_check names. The server itself
needs none of it. The account is that of the credentials, if there are any, and if
they may read the distribution, the policy is for the functions that it runs.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.unfinished()
			if err != nil {
				return err
			}
			if c.S3Bucket == "" {
				return errors.New("there is no bucket: set packagecloud_rails['s3_bucket']")
			}
			s := provisionSettings(c)
			var names []string
			if account == "" && c.AWSAccessKey != "" {
				a, err := openAWS(cmd.Context(), c)
				if err != nil {
					return err
				}
				if account, _, err = a.Caller(cmd.Context()); err != nil {
					return fmt.Errorf("%w: or give --account", err)
				}
				if names, err = (&provision.Runner{AWS: a, Settings: s}).Names(cmd.Context()); err != nil {
					return err
				}
			}
			policy := s.Permissions(account, provision.Everything, names...)
			return o.result(cmd, policy, func(w io.Writer) { fmt.Fprintln(w, policy) })
		},
	}
	c.Flags().StringVar(&account, "account", "", "number of the AWS account")
	return c
}
