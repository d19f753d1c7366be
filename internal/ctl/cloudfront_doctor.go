package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"packagecloud/internal/blob/s3blob"
	"packagecloud/internal/config"
	"packagecloud/internal/doctor"
	"packagecloud/internal/edge"
	"packagecloud/internal/node"
	"packagecloud/internal/printable"
	"packagecloud/internal/provision"
)

func cloudFrontDoctorCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "cloudfront-doctor",
		Short: "Find out what is wrong with downloads through CloudFront",
		Long: `Store a package and an index that nobody else knows, ask CloudFront for them as
clients do and as they must not, and remove them again. What is wrong is named,
with what to do about it. Exits with 1 if something is.

More can be told if the AWS credentials may read the configuration of the
distribution (cloudfront-permissions prints what setup-cloudfront needs); without
that, requests alone have to do. Nothing in AWS is changed.`,
		Args: cobra.NoArgs,
		RunE: o.with(func(cmd *cobra.Command, _ []string, n *node.Node) error {
			d, err := newDoctor(n)
			if err != nil {
				return err
			}
			report, err := d.Examine(cmd.Context())
			if err != nil {
				return err
			}
			if err := o.result(cmd, report, func(w io.Writer) { printReport(w, report) }); err != nil {
				return err
			}
			if len(report.Faults) > 0 {
				return ErrFound
			}
			return nil
		}),
	}
}

// newDoctor makes one that examines what a node is configured for.
func newDoctor(n *node.Node) (*doctor.Doctor, error) {
	c := n.Config
	bucket, ok := n.Blobs.(*s3blob.Store)
	if !ok {
		return nil, errNoBucket
	}
	if !c.CloudFrontEnabled {
		return nil, errors.New("cloudfront_enabled is not true: clients do not download through CloudFront. Run packagecloud-ctl setup-cloudfront, and add the lines that it prints")
	}
	signer := func(secret config.Secret) (*edge.Signer, error) {
		keys, err := edge.NewKeys(secret.Reveal())
		return &edge.Signer{Origin: "https://" + c.CloudFrontPackagesDomain, Keys: keys}, err
	}
	first, err := signer(c.CloudFrontSecret)
	if err != nil {
		return nil, fmt.Errorf("cloudfront_secret: %w", err)
	}
	d := &doctor.Doctor{
		Domain: c.CloudFrontPackagesDomain, Store: bucket, Signer: first, Facts: factsReader(c),
		Client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	if c.CloudFrontSecondSecret != "" {
		if d.Second, err = signer(c.CloudFrontSecondSecret); err != nil {
			return nil, fmt.Errorf("cloudfront_second_secret: %w", err)
		}
	}
	return d, nil
}

// factsReader reads how CloudFront is configured, without the function if only
// that may not be read.
func factsReader(c *config.Config) func(context.Context) (*provision.Facts, error) {
	return func(ctx context.Context) (*provision.Facts, error) {
		account, err := openAWS(ctx, c)
		if err != nil {
			return nil, err
		}
		r := &provision.Runner{AWS: account, Settings: provisionSettings(c)}
		scope := provision.Everything
		o, err := r.Observe(ctx, scope)
		if _, ok := errors.AsType[*provision.RefusalsError](err); ok {
			scope = provision.Distribution
			o, err = r.Observe(ctx, scope)
		}
		if err != nil {
			return nil, err
		}
		return r.Settings.Facts(o, scope)
	}
}

func printReport(w io.Writer, r *doctor.Report) {
	for _, c := range r.Checks {
		verdict := "ok     "
		if !c.OK {
			verdict = "not so "
		}
		printable.Fprintf(w, "%s  %s: %s\n", verdict, c.What, c.Detail)
	}
	for _, n := range r.Notes {
		fmt.Fprintln(w, "Note:", n)
	}
	for _, f := range r.Faults {
		printable.Fprintf(w, "BROKEN   %s: %s. To do: %s\n", f.Name, f.What, f.Do)
	}
	if len(r.Faults) == 0 {
		fmt.Fprintln(w, "All is well.")
	}
}
