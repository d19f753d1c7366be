package ctl

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"packagecloud/internal/clock"
	"packagecloud/internal/db"
	"packagecloud/internal/node"
	"packagecloud/internal/printable"
)

func reindexEverythingCommand(o *options) *cobra.Command {
	var workers int
	c := &cobra.Command{
		Use:   "reindex-everything",
		Short: "Make every index again from the database, and refresh what is stored",
		Long: `Make every index of every repository again from the database, and sign it anew.
Clients go on working: each index is replaced when its new one is whole.

In a bucket, all objects also get the headers that they must have, in place, and
keep everything else: Content-Type, Content-Disposition and Cache-Control. A
bucket with versions keeps the old ones.

The work is done by this command and by the servers that run. What is left to do
is kept in the database: interrupt the command when you like, and run it again
to go on where it stopped.`,
		Args: cobra.NoArgs,
		RunE: o.beside(func(cmd *cobra.Command, _ []string, n *node.Node) error {
			if err := n.CheckStorage(cmd.Context()); err != nil {
				return err
			}
			left, total, err := order(cmd.Context(), n.DB)
			if err != nil {
				return err
			}
			if left < total {
				printable.Fprintf(cmd.ErrOrStderr(), "Going on: %d of %d distributions are left from an earlier run.\n", left, total)
			}
			step, end := progress(cmd.ErrOrStderr(), "reindexing")
			err = reindex(cmd.Context(), n, workers, left, step)
			end()
			if err != nil {
				return err
			}
			printable.Fprintf(cmd.ErrOrStderr(), "%d distributions were indexed.\n", left)
			return refresh(cmd, n)
		}),
	}
	c.Flags().IntVar(&workers, "workers", 2, "how many distributions to index at the same time")
	return c
}

// refresh brings the headers of stored objects up to date, where there are any.
func refresh(cmd *cobra.Command, n *node.Node) error {
	step, end := progress(cmd.ErrOrStderr(), "refreshing")
	changed, total, err := restamp(cmd.Context(), n, step)
	end()
	if err != nil {
		return fmt.Errorf("refresh the headers of what is stored (%d were changed, run the command again to go on): %w", changed, err)
	}
	if total > 0 {
		printable.Fprintf(cmd.ErrOrStderr(), "%d of %d stored objects got other headers.\n", changed, total)
	}
	return nil
}

// order records that everything is to be made again, unless a run that was
// interrupted has done so. left of total distributions are to be done.
func order(ctx context.Context, d *db.DB) (left, total int, err error) {
	err = d.Update(ctx, func(tx *db.Tx) error {
		scopes, err := tx.Scopes(ctx)
		if err != nil {
			return err
		}
		waiting, err := tx.RebuildingScopes(ctx)
		if err != nil {
			return err
		}
		if left, total = len(waiting), len(scopes); left > 0 {
			return nil
		}
		left = total
		for _, s := range scopes {
			if err := tx.AddChange(ctx, s.ID, db.Rebuild, 0, clock.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	return left, total, err
}

// reindex works until nothing of the order is left.
func reindex(ctx context.Context, n *node.Node, workers, total int, step func(done, total int)) error {
	work, stop := context.WithCancel(ctx)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		n.Worker.Run(work, workers)
	}()
	defer func() {
		stop()
		<-finished
	}()
	for {
		waiting, err := n.DB.RebuildingScopes(ctx)
		if err != nil {
			return err
		}
		step(total-len(waiting), total)
		if len(waiting) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("interrupted with %d of %d distributions left: run the command again to go on", len(waiting), total)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
