// Command package_cloud pushes packages to a packagecloud server and manages
// its repositories.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"packagecloud/internal/cli"
	"packagecloud/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := cli.Run(ctx, version.Get(), os.Args[1:])
	stop()
	os.Exit(status)
}
