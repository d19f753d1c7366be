// Command packagecloud is the package repository server.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"packagecloud/internal/printable"
	"packagecloud/internal/serve"
)

// version is set when a release is built.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := serve.Command(version).ExecuteContext(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		printable.Error(os.Stderr, "packagecloud", err)
		os.Exit(1)
	}
}
