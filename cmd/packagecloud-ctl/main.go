// Command packagecloud-ctl administers a packagecloud server.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"packagecloud/internal/ctl"
	"packagecloud/internal/printable"
	"packagecloud/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := ctl.Command(version.Get()).ExecuteContext(ctx)
	if err == nil {
		return
	}
	if !errors.Is(err, ctl.ErrFound) {
		printable.Error(os.Stderr, "packagecloud-ctl", err)
	}
	os.Exit(1)
}
