//go:build !linux

package pace

import "syscall"

// limitUnsent leaves it at what the kernel holds.
func limitUnsent(syscall.Conn) { _ = unsent }
