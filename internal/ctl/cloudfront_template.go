package ctl

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"packagecloud/internal/provision"
)

func cloudFrontTemplateCommand(o *options) *cobra.Command {
	co := &cloudFrontOptions{options: o}
	format, key, oldNames := "", "", false
	c := &cobra.Command{
		Use:   "cloudfront-template",
		Short: "Print what setup-cloudfront makes as Terraform or CloudFormation",
		Long: `Print a template with everything that setup-cloudfront would make for a new
set-up, the code of the function included, for those who change AWS by Terraform
or CloudFormation only. Nothing is changed, and no secret is in it.

The secrets are encrypted with a key that the template makes: apply it for the
key first, run this command with --encrypt and the ARN of the key, and give what
it prints to the template. If cloudfront_check is 'cloudfront-function', apply it
and run bootstrap-cloudfront. The head of the template has the commands.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.unfinished()
			if err != nil {
				return err
			}
			if key != "" {
				r, err := co.runner(cmd)
				if err != nil {
					return err
				}
				r.Settings.OldNames = oldNames
				text, err := r.Ciphertext(cmd.Context(), key)
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), text)
				}
				return err
			}
			s := provisionSettings(c)
			s.OldNames = oldNames
			if s.Access, err = parseAccess(co.access); err != nil {
				return err
			}
			write, ok := map[string]func(*provision.Settings) ([]byte, error){"terraform": provision.Terraform, "cloudformation": provision.CloudFormation}[format]
			if !ok {
				return errors.New("choose --format terraform or --format cloudformation")
			}
			text, err := write(&s)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	c.Flags().StringVar(&format, "format", "", "terraform or cloudformation")
	c.Flags().StringVar(&key, "encrypt", "", "ARN of the key: print the secrets of the configuration, encrypted with it")
	c.Flags().BoolVar(&oldNames, "old-names", false, "name everything "+provision.OldName+", as templates of earlier versions did: for where one was applied")
	co.accessFlag(c)
	return c
}
