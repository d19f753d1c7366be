package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"packagecloud/internal/config"
	"packagecloud/internal/edge"
	"packagecloud/internal/edge/function"
	"packagecloud/internal/provision"
)

// cloudFrontOptions are common to the commands that change something in AWS.
type cloudFrontOptions struct {
	*options
	plan   bool
	access string
}

func (o *cloudFrontOptions) planFlag(c *cobra.Command) {
	c.Flags().BoolVar(&o.plan, "plan", false, "tell what would be done and why, and do nothing")
}

func (o *cloudFrontOptions) accessFlag(c *cobra.Command) {
	c.Flags().StringVar(&o.access, "origin-access", "", "how CloudFront reads the bucket: oac (origin access control, the default of a new distribution) or oai (origin access identity)")
}

// unfinished loads the configuration for a command that makes what is missing
// in it.
func (o *options) unfinished() (*config.Config, error) {
	return config.LoadUnfinished(o.config, os.Environ())
}

// runner prepares a run in AWS.
func (o *cloudFrontOptions) runner(cmd *cobra.Command) (*provision.Runner, error) {
	c, err := o.unfinished()
	if err != nil {
		return nil, err
	}
	s := provisionSettings(c)
	if s.Access, err = parseAccess(o.access); err != nil {
		return nil, err
	}
	announced, err := rotationOf(c).announced(c)
	if err != nil {
		return nil, err
	}
	if announced != "" {
		s.Secrets = append(s.Secrets, announced)
	}
	account, err := openAWS(cmd.Context(), c)
	if err != nil {
		return nil, err
	}
	return &provision.Runner{
		AWS: account, Settings: s,
		Say: func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) },
	}, nil
}

func parseAccess(s string) (provision.Access, error) {
	switch a := provision.Access(s); a {
	case "", provision.AccessControl, provision.AccessIdentity:
		return a, nil
	}
	return "", fmt.Errorf("%q is no kind of origin access: choose oac or oai", s)
}

// openAWS connects to AWS as a configuration says.
func openAWS(ctx context.Context, c *config.Config) (*provision.AWS, error) {
	return provision.Open(ctx, provision.Connection{
		AccessKey: c.AWSAccessKey, SecretKey: c.AWSSecretKey.Reveal(),
		BucketRegion: c.S3Region, BucketEndpoint: c.S3Endpoint, PathStyle: c.S3PathStyle,
	})
}

// provisionSettings is what a configuration says of CloudFront.
func provisionSettings(c *config.Config) provision.Settings {
	s := provision.Settings{
		Bucket: c.S3Bucket, Region: c.S3Region, DistributionID: c.CloudFrontDistributionID,
		Check: provision.Check(c.CloudFrontCheck), Edge: provision.EdgeFunction{Code: function.CloudFront(), KeyID: edge.KeyID, Probe: function.Probe},
		Plaintext: function.Plaintext, Context: function.Context,
		Code: func(name, keyARN string, ciphertext []byte, secrets ...string) ([]byte, error) {
			return function.Zip(function.NewConfig(name, keyARN, ciphertext, secrets...))
		},
		CertificateARN: c.CloudFrontCertificateARN, PriceClass: c.CloudFrontPriceClass,
		LogBucket: c.CloudFrontLogBucket, IPv6: c.CloudFrontIPv6, HTTP3: c.CloudFrontHTTP3,
	}
	for _, secret := range []config.Secret{c.CloudFrontSecret, c.CloudFrontSecondSecret} {
		if secret != "" {
			s.Secrets = append(s.Secrets, secret.Reveal())
		}
	}
	if !strings.HasSuffix(c.CloudFrontPackagesDomain, ".cloudfront.net") {
		s.Domain = c.CloudFrontPackagesDomain
	}
	return s
}

// apply plans or runs a scope. done tells people what there is now.
func (o *cloudFrontOptions) apply(cmd *cobra.Command, r *provision.Runner, scope provision.Scope, done func(w io.Writer, result *provision.Result)) error {
	if o.plan {
		plan, err := r.Plan(cmd.Context(), scope)
		if err != nil {
			return err
		}
		return o.result(cmd, plan, plan.Write)
	}
	result, err := r.Run(cmd.Context(), scope)
	if errors.Is(err, context.Canceled) {
		return errors.New("stopped: run the same command again, and it goes on where it was")
	}
	if err != nil {
		return err
	}
	talk := cmd.ErrOrStderr()
	if len(result.Done) == 0 {
		fmt.Fprintln(talk, "Everything is as it should be: nothing was changed.")
	}
	for _, n := range result.Notices {
		fmt.Fprintln(talk, "Note:", n)
	}
	return o.result(cmd, result, func(w io.Writer) { done(w, result) })
}

// again is how the administrator calls another command with the same
// configuration.
func (o *options) again(command string) string {
	if o.config == "" {
		return "packagecloud-ctl " + command
	}
	return "packagecloud-ctl --config '" + strings.ReplaceAll(o.config, "'", `'\''`) + "' " + command
}

// file is where lines are to be added.
func (o *options) file() string {
	if o.config == "" {
		return config.DefaultPath
	}
	return o.config
}

// printLines writes what belongs into the configuration, and nothing else, to
// standard output.
func (o *options) printLines(cmd *cobra.Command, w io.Writer, r *provision.Result) {
	fmt.Fprintf(cmd.ErrOrStderr(), "Add these lines to %s in place of those that may be there, then run\n%s and\n%s:\n\n",
		o.file(), o.again("reconfigure"), o.again("restart"))
	fmt.Fprintln(w, "packagecloud_rails['cloudfront_enabled'] = true")
	fmt.Fprintf(w, "packagecloud_rails['cloudfront_distribution_id'] = '%s'\n", r.DistributionID)
	fmt.Fprintf(w, "packagecloud_rails['cloudfront_packages_domain'] = '%s'\n", r.Domain)
}
