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
	"packagecloud/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := serve.Command(version.Get()).ExecuteContext(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		printable.Error(os.Stderr, "packagecloud", err)
		os.Exit(1)
	}
}
