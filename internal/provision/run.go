package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// patience is how long what passes may take to pass, with no progress in
	// between.
	patience = 3 * time.Minute
	// deployTime is how long CloudFront may take to deploy a change.
	deployTime = 45 * time.Minute
	// deployPoll is how often it is asked.
	deployPoll = 20 * time.Second
)

// Runner carries out what is planned.
type Runner struct {
	AWS      *AWS
	Settings Settings
	// Say tells a person what happens, a line at a time; nil for nobody.
	Say func(line string)
	// Sleep waits; nil for real time.
	Sleep func(context.Context, time.Duration) error

	observer observer
	made     madeCode
}

// madeCode is the code of the function made in this run, so that the secrets are
// encrypted once.
type madeCode struct {
	fingerprint string
	zip         []byte
}

// Result is what a run came to.
type Result struct {
	// Version is the ARN of the right version of the function, empty if the
	// scope has none.
	Version string `json:"function_version,omitempty"`
	// DistributionID and Domain are those of the distribution.
	DistributionID string   `json:"distribution_id,omitempty"`
	Domain         string   `json:"domain,omitempty"`
	Done           []Action `json:"done"`
	Notices        []string `json:"notices"`
}

func (r *Runner) say(format string, args ...any) {
	if r.Say != nil {
		r.Say(fmt.Sprintf(format, args...))
	}
}

func (r *Runner) sleep(ctx context.Context, d time.Duration) error {
	if r.Sleep != nil {
		return r.Sleep(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Observe reads what is. If AWS refuses that the error is a
// *RefusalsError.
func (r *Runner) Observe(ctx context.Context, scope Scope) (*Observed, error) {
	r.observer.AWS, r.observer.settings = r.AWS, &r.Settings
	return r.observer.observe(ctx, scope)
}

// Plan is what Run would do.
func (r *Runner) Plan(ctx context.Context, scope Scope) (*Plan, error) {
	o, err := r.Observe(ctx, scope)
	if err != nil {
		return nil, err
	}
	return NewPlan(&r.Settings, o, scope)
}

// Run does what is planned until nothing is left. Run again after any error it
// takes up the work where it ended.
func (r *Runner) Run(ctx context.Context, scope Scope) (*Result, error) {
	if err := r.Settings.check(scope); err != nil {
		return nil, err
	}
	result := &Result{Done: []Action{}}
	o, plan, err := r.look(ctx, scope)
	if err != nil {
		return nil, err
	}
	if len(plan.Actions) > 0 {
		if err := r.allowed(ctx, o, scope); err != nil {
			return nil, err
		}
	}
	var last Action
	waited := time.Duration(0)
	for len(plan.Actions) > 0 {
		next := plan.Actions[0]
		why := "AWS does not show it yet"
		if !same(next, last) { // else it was done, and only cannot be seen
			r.say("%s: %s", next, next.Reason)
			for _, c := range next.Changes {
				r.say("  %s", c)
			}
			if err := r.do(ctx, o, next, scope); err == nil {
				last, waited = next, 0
				result.Done = append(result.Done, next)
				why = ""
			} else if why, err = r.passes(err, next, waited); err != nil {
				return nil, err
			}
		}
		if why != "" {
			if waited >= patience {
				return nil, fmt.Errorf("%s: %s, for %s now. Run the command again later", next, why, patience)
			}
			pause := min(max(time.Second, waited/2), 15*time.Second)
			r.say("  %s: waiting %s", why, pause.Round(time.Second))
			if err := r.sleep(ctx, pause); err != nil {
				return nil, err
			}
			waited += pause
		}
		if o, plan, err = r.look(ctx, scope); err != nil {
			return nil, err
		}
	}
	result.Notices = plan.Notices
	return result, r.finish(result, o, scope)
}

func same(a, b Action) bool {
	return a.Verb == b.Verb && a.Name == b.Name && slices.Equal(a.Changes, b.Changes)
}

func (r *Runner) look(ctx context.Context, scope Scope) (*Observed, *Plan, error) {
	o, err := r.Observe(ctx, scope)
	if err != nil {
		return nil, nil, err
	}
	plan, err := NewPlan(&r.Settings, o, scope)
	return o, plan, err
}

// passes tells why an error will pass, or returns it.
func (r *Runner) passes(err error, a Action, waited time.Duration) (string, error) {
	why, ok := transient(err)
	if !ok {
		return "", fmt.Errorf("%s: %w", a, err)
	}
	if waited >= patience {
		return "", fmt.Errorf("%s: %s, for %s now: %w", a, why, patience, err)
	}
	return why, nil
}

// finish tells what there is now.
func (r *Runner) finish(result *Result, o *Observed, scope Scope) error {
	result.Version = r.Settings.FunctionVersion
	if scope&Function != 0 {
		version, err := rightVersion(&r.Settings, o)
		if err != nil {
			return err
		}
		result.Version = version
	}
	if scope&Distribution == 0 {
		return nil
	}
	if o.Distribution == nil {
		return errors.New("there is no distribution after all: run the command again")
	}
	result.DistributionID, result.Domain = o.Distribution.ID, o.Distribution.Domain
	if r.Settings.Domain != "" {
		result.Domain = r.Settings.Domain
	}
	return nil
}
