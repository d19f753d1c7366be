package serve

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// onHangup is a context that ends with its parent or by SIGHUP. asked reports,
// before stop is called, whether SIGHUP came and nobody wants the end.
func onHangup(parent context.Context) (ctx context.Context, asked func() bool, stop func()) {
	ctx, stop = signal.NotifyContext(parent, syscall.SIGHUP)
	return ctx, func() bool { return ctx.Err() != nil && parent.Err() == nil }, stop
}

// restart puts the program, as it is on disk, in the place of this process. A
// supervisor sees the same process go on. It only returns on failure.
func restart() error {
	program, err := exec.LookPath(os.Args[0])
	if err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	if err := syscall.Exec(program, os.Args, os.Environ()); err != nil {
		return fmt.Errorf("restart %s: %w", program, err)
	}
	return nil
}
