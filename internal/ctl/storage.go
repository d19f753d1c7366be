package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"packagecloud/internal/blob"
	"packagecloud/internal/blob/s3blob"
	"packagecloud/internal/db"
	"packagecloud/internal/migrate"
	"packagecloud/internal/node"
	"packagecloud/internal/printable"
	"packagecloud/internal/publish"
	"packagecloud/internal/repo"
	"packagecloud/internal/upload"
)

// errNoBucket says that a command is about a bucket and there is none.
var errNoBucket = errors.New("s3_bucket is not set: name the bucket in the configuration (servers that run go on with their storage until they are restarted)")

func checkStorageCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "check-storage",
		Short: "Try what the bucket can, and tell what is done without",
		Long: `Try everything that the server does with its bucket, on a few objects that are
removed again. Tells what works, what is missing and what follows from it; exits
with 1 if the bucket cannot be used, or if it is public.

Run it when the bucket is set up, and when it moves to another service. It sends
about 20 MiB.`,
		Args: cobra.NoArgs,
		RunE: o.with(func(cmd *cobra.Command, _ []string, n *node.Node) error {
			bucket, ok := n.Blobs.(*s3blob.Store)
			if !ok {
				return errNoBucket
			}
			findings := bucket.Probe(cmd.Context())
			if err := o.result(cmd, findings, func(w io.Writer) { printFindings(w, findings) }); err != nil {
				return err
			}
			for _, f := range findings {
				if !f.OK && f.Needed {
					return ErrFound
				}
			}
			return nil
		}),
	}
}

func printFindings(w io.Writer, findings []s3blob.Finding) {
	for _, f := range findings {
		verdict := "ok     "
		switch {
		case !f.OK && f.Needed:
			verdict = "BROKEN "
		case !f.OK:
			verdict = "missing"
		}
		printable.Fprintf(w, "%s  %s\n", verdict, f.What)
		if f.Detail != "" {
			printable.Fprintf(w, "         %s\n", f.Detail)
		}
	}
}

func migrateStorageCommand(o *options) *cobra.Command {
	var to string
	m := migrate.Migration{}
	c := &cobra.Command{
		Use:   "migrate-storage --to s3|local",
		Short: "Copy everything that is stored to the bucket, or back to the data folder",
		Long: `Copy all packages and indexes from the data folder to the bucket of the
configuration, or from the bucket to the data folder, and read each copy back to
prove it. The source stays as it is.

Servers may go on working with the source. Interrupt the command when you like,
and run it again: it goes on where it stopped, and copies only what is new.`,
		Example: "  packagecloud-ctl migrate-storage --to s3\n  packagecloud-ctl migrate-storage --to local",
		Args:    cobra.NoArgs,
		RunE: o.with(func(cmd *cobra.Command, _ []string, n *node.Node) error {
			bucket, ok := n.Blobs.(*s3blob.Store)
			if !ok {
				return errNoBucket
			}
			folder, err := node.OpenFolder(n.Config)
			if err != nil {
				return err
			}
			switch to {
			case "s3":
				m.From, m.To = folder, bucket
			case "local":
				m.From, m.To = bucket, folder
			default:
				return fmt.Errorf("--to is %q: write s3 or local", to)
			}
			m.Journal = filepath.Join(n.Config.DataDirectory, "migration-"+n.Config.S3Bucket+"-to-"+to)
			m.Attributes = func(ctx context.Context, key string) (blob.Attributes, error) { return attributes(ctx, n.DB, key) }
			return runMigration(cmd, o, &m, nextSteps(to, node.StorageDirectory(n.Config)))
		}),
	}
	c.Flags().StringVar(&to, "to", "", "where to copy to: s3 or local")
	c.Flags().IntVar(&m.Workers, "workers", 8, "how many objects to copy at the same time")
	c.Flags().BoolVar(&m.Quick, "quick", false, "compare sizes, and do not read back what was copied")
	return c
}

func runMigration(cmd *cobra.Command, o *options, m *migrate.Migration, next string) error {
	step, end := progress(cmd.ErrOrStderr(), "copying")
	m.Progress = step
	summary, problems, err := m.Run(cmd.Context())
	end()
	if err != nil {
		return fmt.Errorf("the migration has stopped, run the command again to go on: %w", err)
	}
	result := struct {
		migrate.Summary
		Problems []migrate.Problem `json:"problems"`
	}{summary, append([]migrate.Problem{}, problems...)}
	err = o.result(cmd, result, func(w io.Writer) {
		for _, p := range problems {
			printable.Fprintf(w, "%s: %s\n", p.Object, p.What)
		}
		printable.Fprintf(w, "%d objects (%d bytes) were copied, %d were there: %d problems\n", summary.Copied, summary.Bytes, summary.Present, len(problems))
	})
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return ErrFound
	}
	fmt.Fprint(cmd.ErrOrStderr(), next)
	return nil
}

func nextSteps(to, folder string) string {
	if to == "s3" {
		return `
Next:
  1. Stop the servers and run this command again, for what came in the meantime.
  2. Start them: with s3_bucket in their configuration they use the bucket.
  3. packagecloud-ctl reindex-everything, then packagecloud-ctl verify.
  4. When all is well, ` + folder + ` may be removed.
`
	}
	return `
Next:
  1. Stop the servers and run this command again, for what came in the meantime.
  2. Remove s3_bucket from their configuration and start them.
  3. packagecloud-ctl verify.
  4. When all is well, the bucket may be emptied.
`
}

// attributes are those that a stored object must have. The type is "" where
// nothing is recorded any more that tells it.
func attributes(ctx context.Context, d *db.DB, key string) (blob.Attributes, error) {
	switch kind, _, _ := strings.Cut(key, "/"); kind {
	case "packages":
		name, err := d.StoredName(ctx, key)
		if name == "" { // deleted, and still fetchable for a while
			name = path.Base(key)
		}
		return upload.Attributes(name), err
	case "indexes":
		f, err := d.FileByObject(ctx, key)
		if errors.Is(err, repo.ErrNotFound) { // collected since it was listed
			return blob.Attributes{Class: blob.Index}, nil
		}
		return publish.Attributes(f), err
	}
	return blob.Attributes{ContentType: "application/octet-stream", Class: blob.Index}, nil
}

// restampWorkers is how many objects are refreshed at the same time: most only
// need to be looked at.
const restampWorkers = 32

// restamp gives all stored objects the attributes that they must have. It is
// resumed by looking again: what has them is left alone.
func restamp(ctx context.Context, n *node.Node, step func(done, total int)) (changed, total int, err error) {
	store, ok := n.Blobs.(blob.Restamper)
	if !ok {
		return 0, 0, nil
	}
	for _, err := range n.Blobs.List(ctx, "") {
		if err != nil {
			return 0, 0, err
		}
		total++
	}
	var mu sync.Mutex
	done := 0
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(restampWorkers)
	for info, err := range n.Blobs.List(groupCtx, "") {
		if err != nil {
			return changed, total, errors.Join(err, group.Wait())
		}
		group.Go(func() error {
			a, err := attributes(groupCtx, n.DB, info.Key)
			if err != nil {
				return err
			}
			was, err := store.Restamp(groupCtx, info.Key, a)
			if err != nil && !errors.Is(err, blob.ErrNotFound) { // deleted since it was listed
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if was {
				changed++
			}
			done++
			step(done, max(done, total))
			return nil
		})
	}
	return changed, total, group.Wait()
}
