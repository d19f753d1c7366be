package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"packagecloud/internal/clock"
	"packagecloud/internal/config"
	"packagecloud/internal/edge"
	"packagecloud/internal/provision"
)

func rotateCloudFrontSecretCommand(o *options) *cobra.Command {
	r := &rotator{cloudFrontOptions: &cloudFrontOptions{options: o}}
	c := &cobra.Command{
		Use:   "rotate-cloudfront-secret",
		Short: "Replace the secret that signs download links, without an outage",
		Long: `Replace the secret that signs download links. Run it, do what it says, and run it
again, until it says that the replacement is complete: it sees how far it is.

  1. It makes a secret, gives it to the edges beside the one in use, waits until
     all have it, and prints two lines for the configuration.
  2. With these lines in the configuration it waits for a day: links of the
     former secret are still good.
  3. After that it takes the former secret from the edges, and says which line
     to remove.

It can be stopped at any moment and run again. The new secret is kept in the
data folder, sealed to the master key, so run it on the same server each time.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd, clock.Now()) },
	}
	r.planFlag(c)
	c.Flags().BoolVar(&r.now, "now", false, "do not wait for a day before the former secret is taken from the edges, as when it leaked: its links end")
	return c
}

// rotator does what the stage of a rotation asks for.
type rotator struct {
	*cloudFrontOptions
	now bool
}

// rotationResult is what a run came to.
type rotationResult struct {
	Stage rotationStage      `json:"stage"`
	Done  []provision.Action `json:"done"`
	Plan  *provision.Plan    `json:"plan,omitempty"`
	// Lines are to be in the configuration in place of those that are there,
	// and Remove is the key to be removed.
	Lines  []string   `json:"lines,omitempty"`
	Remove string     `json:"remove,omitempty"`
	After  *time.Time `json:"run_again_after,omitempty"`
	next   string     // for people
}

func (o *rotator) run(cmd *cobra.Command, now time.Time) error {
	c, err := o.unfinished()
	if err != nil {
		return err
	}
	if !c.CloudFrontEnabled || c.CloudFrontSecret == "" || c.CloudFrontDistributionID == "" {
		return fmt.Errorf("CloudFront is not set up: run %s first", o.again("setup-cloudfront"))
	}
	file := rotationOf(c)
	r, err := file.load()
	if err != nil {
		return err
	}
	stage, err := r.stage(c, now, o.now)
	if err != nil {
		return err
	}
	if stage == stageBegin && o.plan {
		r = &rotation{Secret: edge.GenerateSecret()} // any other one
	} else if stage == stageBegin {
		if r, err = file.begin(c.CloudFrontSecret.Reveal()); err != nil {
			return err
		}
		stage = stageAnnounce
	}
	result := &rotationResult{Stage: stage, Done: []provision.Action{}}
	if err := o.edges(cmd, c, r, result); err != nil {
		return err
	}
	if !o.plan {
		if err := o.advance(c, file, r, result, now); err != nil {
			return err
		}
	}
	return o.tell(cmd, result)
}

// edges gives the edges the secrets that they must have at a stage.
func (o *rotator) edges(cmd *cobra.Command, c *config.Config, r *rotation, result *rotationResult) error {
	secrets := map[rotationStage][]string{
		stageBegin:    {c.CloudFrontSecret.Reveal(), r.Secret},
		stageAnnounce: {c.CloudFrontSecret.Reveal(), r.Secret},
		stageDrop:     {r.Secret},
	}[result.Stage]
	// While links drain, edges that somebody else changed get both again. Without
	// the former secret they keep what they have.
	if second := c.CloudFrontSecondSecret.Reveal(); result.Stage == stageDrain && edge.KeyID(second) == r.Former {
		secrets = []string{r.Secret, second}
	}
	if secrets == nil {
		return nil
	}
	runner, err := o.runner(cmd)
	if err != nil {
		return err
	}
	runner.Settings.Secrets = secrets
	if o.plan {
		result.Plan, err = runner.Plan(cmd.Context(), provision.Everything)
		return err
	}
	done, err := runner.Run(cmd.Context(), provision.Everything)
	if errors.Is(err, context.Canceled) {
		return errors.New("stopped: run the same command again, and it goes on where it was")
	}
	if err != nil {
		return err
	}
	result.Done = done.Done
	return nil
}

// advance remembers what the edges have now, and says what is next.
func (o *rotator) advance(c *config.Config, file rotationFile, r *rotation, result *rotationResult, now time.Time) error {
	var err error
	switch result.Stage {
	case stageAnnounce:
		if r.Dropped || !r.Swapped.IsZero() { // the configuration was put back
			r.Dropped, r.Swapped = false, time.Time{}
			err = file.save(r)
		}
		result.Lines = []string{setting("cloudfront_secret", r.Secret), setting("cloudfront_second_secret", c.CloudFrontSecret.Reveal())}
		result.next = fmt.Sprintf("The edges know the new secret. Put these lines into %s in place of those that\nare there, on every server; run %s and\n%s there, and then this command again:\n",
			o.file(), o.again("reconfigure"), o.again("restart"))
	case stageDrain:
		if r.Swapped.IsZero() {
			r.Swapped = now
			err = file.save(r)
		}
		after := r.Swapped.Add(drain).UTC().Round(time.Second)
		result.After = &after
		result.next = fmt.Sprintf("The configuration has the new secret. Links of the former one are still good. When\nall servers have been restarted with it, run this command again after %s.", after.Format(time.RFC3339))
	case stageDrop:
		if r.Swapped.IsZero() {
			r.Swapped = now
		}
		r.Dropped = true
		err = file.save(r)
		fallthrough
	case stageCleanUp:
		result.Remove = "cloudfront_second_secret"
		result.next = fmt.Sprintf("The edges know the new secret alone. Remove the line of cloudfront_second_secret from\n%s, run %s and %s,\nand then this command a last time.", o.file(), o.again("reconfigure"), o.again("restart"))
	case stageComplete:
		err = file.forget()
		result.next = "The secret was replaced. The next run begins another replacement."
	}
	return err
}

// tell prints the lines, and nothing else, to standard output.
func (o *rotator) tell(cmd *cobra.Command, result *rotationResult) error {
	return o.result(cmd, result, func(w io.Writer) {
		if o.plan {
			fmt.Fprintf(w, "Stage: %s.\n", result.Stage)
			if result.Plan != nil {
				result.Plan.Write(w)
			}
			return
		}
		talk := cmd.ErrOrStderr()
		if len(result.Done) == 0 {
			fmt.Fprintln(talk, "Nothing was changed in AWS.")
		}
		fmt.Fprintln(talk, result.next)
		for _, line := range result.Lines {
			fmt.Fprintln(w, line)
		}
	})
}

// setting is a line of the configuration.
func setting(key, value string) string {
	return fmt.Sprintf("packagecloud_rails['%s'] = '%s'", key, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value))
}
