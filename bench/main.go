// Command bench measures what the README claims and prints it as a table, each
// figure beside a peer or a limit that was measured in the same run.
//
// Packages are synthetic and made on the fly, with control data of a realistic
// size. Everything runs in one process, on SQLite and a folder.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"time"

	"packagecloud/internal/config"
	"packagecloud/internal/node"
)

var (
	sizes = flag.String("sizes", "1000,10000,100000", "numbers of packages that a repository holds")
	only  = flag.String("only", "", "measure only the parts whose names contain this: publish, versions, push, upload, download, bucket, sign, lambda, edge")
	types = flag.String("types", "deb,rpm,py,npm,generic", "types of package that are published")
	large = flag.Int64("large", 1<<30, "bytes of the large upload")
)

// row is a line of the table.
type row struct{ what, figure, beside string }

func main() {
	flag.Parse()
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	parts := []struct {
		name string
		run  func(context.Context) ([]row, error)
	}{{"publish", benchPublish}, {"versions", benchVersions}, {"push", benchPush}, {"upload", benchUpload}, {"download", benchDownload}, {"bucket", benchBucket}, {"sign", benchSign}, {"lambda", benchLambda}, {"edge", benchEdge}}
	var rows []row
	for _, p := range parts {
		if !strings.Contains(p.name, *only) {
			continue
		}
		more, err := p.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		rows = append(rows, more...)
	}
	fmt.Printf("%s, %s, %d × %s, Linux %s\n\n", time.Now().UTC().Format("2 January 2006"), runtime.Version(), runtime.NumCPU(), processor(), release())
	fmt.Println("| what | figure | beside |\n|---|---|---|")
	for _, r := range rows {
		fmt.Printf("| %s | %s | %s |\n", r.what, r.figure, r.beside)
	}
	return nil
}

// benchNode is a node in a new folder, which forget removes.
type benchNode struct {
	*node.Node
	forget func()
}

// open opens a node. The environment adds to its configuration.
func open(ctx context.Context, environment ...string) (*benchNode, error) {
	dir, err := os.MkdirTemp("", "packagecloud-bench-")
	if err != nil {
		return nil, err
	}
	environment = append(environment, "PACKAGECLOUD_DATA_DIRECTORY="+dir, "PACKAGECLOUD_EXTERNAL_URL=http://localhost", "PACKAGECLOUD_MAX_UPLOAD_SIZE=100GiB")
	c, err := config.Load("", environment)
	if err != nil {
		return nil, err
	}
	n, err := node.Open(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return &benchNode{n, func() {
		_ = n.Close()
		_ = os.RemoveAll(dir)
	}}, nil
}

// say tells people what takes so long.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
