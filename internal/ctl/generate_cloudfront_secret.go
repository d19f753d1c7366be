package ctl

import (
	"fmt"

	"github.com/spf13/cobra"

	"packagecloud/internal/edge"
)

func generateCloudFrontSecretCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "generate-cloudfront-secret",
		Short: "Make a secret that signs download links",
		Long: `Make a secret that signs download links through CloudFront, and print the line
to add to the configuration. Nothing is changed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintf(cmd.ErrOrStderr(), "Add this line to %s, then run %s and %s:\n\n",
				o.file(), o.again("reconfigure"), o.again("bootstrap-cloudfront"))
			fmt.Fprintf(cmd.OutOrStdout(), "packagecloud_rails['cloudfront_secret'] = '%s'\n", edge.GenerateSecret())
			return nil
		},
	}
}
