package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"packagecloud/internal/client"
	"packagecloud/internal/printable"
	"packagecloud/internal/redact"
	"packagecloud/internal/repo"
)

// pushOptions are the flags of push.
type pushOptions struct {
	skipErrors     bool
	skipExisting   bool
	yes            bool
	skipValidation bool
	coordinates    string
	jobs           int
	wait           bool
	noProgress     bool
}

// maxJobs bounds parallel uploads: more only make each other slow.
const maxJobs = 64

func pushCommand(c *cli) *cobra.Command {
	var o pushOptions
	cmd := &cobra.Command{
		Use:   "push user/repo[/os/version] FILE...",
		Short: "Upload packages",
		Long: `Upload packages. All files of a push have the same extension. The version of a
distribution is its name or its number: ubuntu/jammy or ubuntu/22.04.

A .dsc takes the files that it lists along; they lie beside it.

After the first file that is refused no other is begun, unless --skip-errors is
given: then all are tried, and the status is 1 if any was refused for another reason
than that its name is taken. Files that the server has with the same bytes are passed
over with --skip-existing. With --wait all files are pushed first. A connection that breaks is tried again; a package that is on the server
then counts as pushed if it has the same bytes.`,
		Example: `  package_cloud push acme/tools/ubuntu/jammy hello_1.0_amd64.deb
  package_cloud push acme/tools/el/9 --jobs 8 --skip-errors *.rpm
  package_cloud push acme/tools/debian/bookworm --wait hello_1.0-1.dsc`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return c.push(cmd.Context(), o, args[0], args[1:]) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.skipErrors, "skip-errors", false, "go on after a file that is refused, and exit with 0 if the names of all those were taken")
	flags.BoolVar(&o.skipExisting, "skip-existing", false, "pass over files that the server has, with the same bytes")
	flags.BoolVar(&o.yes, "yes", false, "push several gems without asking")
	flags.BoolVar(&o.skipValidation, "skip-file-ext-validation", false, "push files with an extension that is not known, too")
	flags.StringVar(&o.coordinates, "coordinates", "", "Maven coordinates `group:artifact:version` of a Java package")
	flags.IntVarP(&o.jobs, "jobs", "j", 4, "number of files to upload at the same time")
	flags.BoolVar(&o.wait, "wait", false, "end only when all the packages can be installed")
	flags.BoolVar(&o.noProgress, "no-progress", false, "show no progress bars")
	return cmd
}

// extensions say which kinds of package, keys of distributions.json, a file
// may be.
var extensions = map[string][]string{
	"deb": {"deb"}, "dsc": {"dsc"}, "rpm": {"rpm"}, "apk": {"alpine"}, "gem": {}, "tgz": {"node", "helm"},
	"jar": {"jar"}, "aar": {"jar"}, "war": {"jar"},
	"whl": {"py"}, "egg": {"py"}, "egg-info": {"py"}, "zip": {"py"}, "tar": {"py"}, "gz": {"py"}, "bz2": {"py"}, "z": {"py"},
}

func extension(path string) string {
	return strings.ToLower(strings.TrimPrefix(filepath.Ext(path), "."))
}

// kinds checks the files' extensions, and tells which kinds of package they
// may be.
func (o pushOptions) kinds(t target, files []string) ([]string, error) {
	if strings.HasPrefix(t.distro, "anyfile/") {
		return []string{"anyfile"}, nil
	}
	ext := extension(files[0])
	if slices.ContainsFunc(files, func(f string) bool { return extension(f) != ext }) {
		return nil, errors.New("you can't push multiple packages of different types at the same time.\nFor example, use *.deb to push all your debs at once")
	}
	kinds, known := extensions[ext]
	if !known && !o.skipValidation {
		return nil, fmt.Errorf("push: I don't know how to push these packages:\n\n  %s\n\npackage_cloud only supports node.js, deb, gem, java, python, rpm, alpine or helm packages", strings.Join(files, "\n  "))
	}
	if !known && t.distro != "" {
		kinds = []string{"deb", "rpm", "py", "jar", "node", "alpine", "anyfile", "helm"}
	}
	if slices.Equal(kinds, []string{"jar"}) && slices.ContainsFunc(files, func(f string) bool { return strings.Contains(f, "-SNAPSHOT") }) {
		return nil, errors.New("SNAPSHOT uploads are not supported by the CLI, please use Maven instead")
	}
	return kinds, nil
}

func (c *cli) push(ctx context.Context, o pushOptions, where string, files []string) error {
	t, err := parseTarget(where)
	if err != nil {
		return err
	}
	if o.jobs < 1 || o.jobs > maxJobs {
		return fmt.Errorf("--jobs %d: give a number from 1 to %d", o.jobs, maxJobs)
	}
	kinds, err := o.kinds(t, files)
	if err != nil {
		return err
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil {
			return err
		} else if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no regular file", f)
		}
	}
	if extension(files[0]) == "gem" && len(files) > 1 && !o.yes {
		if ok, err := c.in.confirm(ctx, fmt.Sprintf("Are you sure you want to push %d packages?", len(files))); err != nil || !ok {
			return errors.Join(err, errors.New("aborting"))
		}
	}
	api, err := c.connect(ctx)
	if err != nil {
		return err
	}
	all, err := api.Distributions(ctx)
	if err != nil {
		return fmt.Errorf("list the distributions: %w", err)
	}
	var to choice
	if len(kinds) > 0 {
		if to, err = c.choose(ctx, all, kinds, t.distro); err != nil {
			return err
		}
	}
	r, err := c.repository(ctx, api, "", t.repository)
	if err != nil {
		return err
	}
	if o.coordinates != "" && slices.Equal(kinds, []string{"jar"}) {
		c.say("Using coordinates %s\n", o.coordinates)
	}
	p := &pusher{cli: c, options: o, api: api, repository: r, to: to, board: newBoard(c, o.noProgress), several: len(files) > 1}
	return p.all(ctx, files)
}

// pusher uploads files to one place.
type pusher struct {
	*cli
	options    pushOptions
	api        *client.Client
	repository *client.Repository
	to         choice
	board      *board
	several    bool // files are pushed

	stopped atomic.Bool // after a failure no other file is begun
}

// pushed is how it went with a file: the document of --json.
type pushed struct {
	File    string              `json:"file"`
	Status  string              `json:"status"` // pushed, existing, refused, failed, or "not pushed"
	Package *client.Package     `json:"package,omitempty"`
	Errors  map[string][]string `json:"errors,omitempty"`
	Error   string              `json:"error,omitempty"`

	talk strings.Builder
}

// all uploads the files, several at a time, and tells of each when it is done.
// An upload under way is never cut off because another one failed.
func (p *pusher) all(ctx context.Context, files []string) error {
	results := make([]*pushed, len(files))
	var group errgroup.Group
	group.SetLimit(p.options.jobs)
	for i, f := range files {
		group.Go(func() error {
			results[i] = &pushed{File: f, Status: "not pushed"}
			if !p.stopped.Load() && ctx.Err() == nil {
				p.one(ctx, results[i])
			}
			if !p.waitsForAll() || results[i].Status != "pushed" {
				p.board.tell(results[i])
			}
			return nil
		})
	}
	_ = group.Wait() // the results tell
	if p.waitsForAll() {
		p.await(ctx, results)
	}
	if len(files) > 1 {
		p.say("%s\n", summary(results))
	}
	return p.verdict(results)
}

// waitsForAll reports whether the end waits for several files at once. The server
// publishes them together: to wait for each would take as many publications. A single
// file is answered by the server when it is published.
func (p *pusher) waitsForAll() bool { return p.options.wait && p.several }

// await waits until all that was pushed can be installed, and tells of each.
func (p *pusher) await(ctx context.Context, results []*pushed) {
	for _, r := range results {
		if r.Status != "pushed" {
			continue
		}
		if err := p.api.Await(ctx, r.Package); err != nil {
			r.Status, r.Error = "failed", err.Error()
			printable.Fprintf(&r.talk, "%s cannot be installed yet: failed!\n", r.File)
		}
		p.board.tell(r)
	}
}

// verdict is the error that a push ends with. What is refused because its name is
// taken is what --skip-errors is for; anything else that is refused was not pushed,
// and somebody has to look at it.
func (p *pusher) verdict(results []*pushed) error {
	var failures []error
	told := false
	for _, r := range results {
		switch r.Status {
		case "failed":
			failures = append(failures, fmt.Errorf("push %s: %s", r.File, r.Error))
		case "not pushed":
			told = true
		case "refused":
			told = told || !p.options.skipErrors || !repo.IsTaken(&repo.InvalidError{Fields: r.Errors})
		}
	}
	if len(failures) == 0 && told {
		return errTold
	}
	return errors.Join(failures...)
}

// summary counts how it went.
func summary(results []*pushed) string {
	count := make(map[string]int)
	for _, r := range results {
		count[r.Status]++
	}
	text := fmt.Sprintf("Of %d files, %d pushed", len(results), count["pushed"])
	for _, status := range []string{"existing", "refused", "failed", "not pushed"} {
		if n := count[status]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, status)
		}
	}
	return text + "."
}

// one uploads a file.
func (p *pusher) one(ctx context.Context, r *pushed) {
	push := client.Push{Path: r.File, DistroID: p.to.id, Distro: p.to.name, Coordinates: p.options.coordinates, Wait: p.options.wait && !p.waitsForAll()}
	var err error
	if p.options.skipExisting {
		if r.Package, err = p.api.Existing(ctx, p.repository, push); err == nil && r.Package != nil {
			r.Status = "existing"
			printable.Fprintf(&r.talk, "Pushing %s... exists (skipping)\n", r.File)
			return
		}
	}
	if err == nil && extension(r.File) == "dsc" {
		printable.Fprintf(&r.talk, "Checking source package %s... ", r.File)
		push.Sources, err = p.sources(ctx, r, push)
	}
	if err == nil {
		printable.Fprintf(&r.talk, "Pushing %s... ", r.File)
		var end func()
		push.Progress, end = p.board.upload(filepath.Base(r.File))
		r.Package, err = p.api.Push(ctx, p.repository, push)
		end()
	}
	if err == nil {
		r.Status = "pushed"
		r.talk.WriteString("success!\n")
		return
	}
	invalid, ok := errors.AsType[*repo.InvalidError](err)
	if !ok {
		r.Status, r.Error = "failed", redact.Text(err.Error())
		r.talk.WriteString("failed!\n")
		p.stopped.Store(true)
		return
	}
	r.Status, r.Errors = "refused", invalid.Fields
	if p.options.skipErrors {
		r.talk.WriteString("error (skipping):\n")
	} else {
		r.talk.WriteString("error:\n")
		p.stopped.Store(true)
	}
	listFields(&r.talk, r.Errors)
}

// sources finds the files that a .dsc lists, beside it.
func (p *pusher) sources(ctx context.Context, r *pushed, push client.Push) ([]string, error) {
	files, err := p.api.Contents(ctx, p.repository, push.Path, push.DistroID)
	if err != nil {
		return nil, err
	}
	r.talk.WriteString("success!\n")
	listed, err := listedFiles(push.Path)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, f := range files {
		// The server does not choose what else of this machine is sent.
		if f.Filename != filepath.Base(f.Filename) || !listed[f.Filename] {
			return nil, fmt.Errorf("the server asks for %q, which %s does not list", f.Filename, push.Path)
		}
		path := filepath.Join(filepath.Dir(push.Path), f.Filename)
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return nil, fmt.Errorf("unable to find file name: %s for source package: %w", f.Filename, err)
		case info.Size() != f.Size:
			return nil, fmt.Errorf("file %s has size: %d, expected: %d", f.Filename, info.Size(), f.Size)
		}
		printable.Fprintf(&r.talk, "Found DSC package file %s for upload\n", f.Filename)
		paths = append(paths, path)
	}
	return paths, nil
}

// maxDsc bounds a .dsc, in bytes, as the server does.
const maxDsc = 2 << 20

// listedFiles are the names in the fields of a .dsc that list files: each stands
// on a line of its own behind a digest and a size (dsc(5)).
func listedFiles(path string) (map[string]bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxDsc))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	listed := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) == 3 && line[0] == ' ' {
			listed[words[2]] = true
		}
	}
	return listed, nil
}

// text is what is said about a file, in whole lines.
func (r *pushed) text(asJSON bool) []byte {
	if !asJSON {
		if r.Status == "not pushed" {
			return fmt.Appendf(nil, "Not pushing %s\n", r.File)
		}
		return []byte(r.talk.String())
	}
	document, _ := json.Marshal(r) // strings and numbers always marshal
	return append(document, '\n')
}
