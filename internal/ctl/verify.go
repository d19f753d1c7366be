package ctl

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"packagecloud/internal/node"
	"packagecloud/internal/printable"
	"packagecloud/internal/verify"
)

func verifyCommand(o *options) *cobra.Command {
	var quick bool
	c := &cobra.Command{
		Use:   "verify",
		Short: "Prove that what is stored and served is what the database says",
		Long: `Compare the database with what is stored: the bytes of every package file, every
live index with the packages it must list, and every signature with its key.
Problems are printed one to a line; the command exits with 1 if there is any.

It reads only, and may run beside a working server.`,
		Args: cobra.NoArgs,
		RunE: o.beside(func(cmd *cobra.Command, _ []string, n *node.Node) error {
			if err := n.CheckStorage(cmd.Context()); err != nil {
				return err
			}
			step, end := progress(cmd.ErrOrStderr(), "verifying")
			v := verify.Verifier{DB: n.DB, Blobs: n.Blobs, Formats: n.Formats, Origin: n.Config.ExternalURL.Host, URL: n.Config.ExternalURL.String(), Quick: quick, Progress: step}
			problems := []verify.Problem{}
			summary, err := v.Run(cmd.Context(), func(p verify.Problem) { problems = append(problems, p) })
			end()
			if err != nil {
				return err
			}
			warnings, err := clockAndKeys(cmd.Context(), n, func(p verify.Problem) {
				problems = append(problems, p)
				summary.Problems++
			})
			if err != nil {
				return err
			}
			result := struct {
				verify.Summary
				List     []verify.Problem `json:"list"`
				Warnings []verify.Problem `json:"warnings"`
			}{summary, problems, warnings}
			err = o.result(cmd, result, func(w io.Writer) {
				for _, p := range warnings {
					printable.Fprintf(w, "warning: %s: %s\n", p.Object, p.What)
				}
				for _, p := range problems {
					printable.Fprintf(w, "%s: %s\n", p.Object, p.What)
				}
				printable.Fprintf(w, "%d files (%d bytes), %d distributions, %d indexes, %d signatures: %d problems\n",
					summary.Files, summary.Bytes, summary.Scopes, summary.Documents, summary.Signatures, summary.Problems)
			})
			if err == nil && len(problems) > 0 {
				return ErrFound
			}
			return err
		}),
	}
	c.Flags().BoolVar(&quick, "quick", false, "compare the sizes of package files, and do not read them")
	return c
}

// clockAndKeys reports what time makes wrong, and returns what it will make wrong.
func clockAndKeys(ctx context.Context, n *node.Node, report func(verify.Problem)) (warnings []verify.Problem, err error) {
	wrong, err := n.CheckClock(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range wrong {
		report(verify.Problem{Object: "clock", What: w})
	}
	expiring, err := n.Keys.Expiring(ctx)
	if err != nil {
		return nil, err
	}
	warnings = []verify.Problem{}
	for _, e := range expiring {
		p := verify.Problem{Object: e.Repository.FullName(), What: e.Words()}
		if e.Expired {
			report(p)
		} else {
			warnings = append(warnings, p)
		}
	}
	return warnings, nil
}
