package staging

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// temporary makes a file without a name, which the kernel removes when the
// process ends, however it ends; one with a name on file systems that cannot.
func temporary(dir string) (f *os.File, named bool, err error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) {
		return temporaryNamed(dir)
	}
	if err != nil {
		return nil, false, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), dir), false, nil
}

// name gives a temporary file a name.
func name(f *os.File, path string) error {
	if strings.Contains(f.Name(), "/upload-") {
		return os.Link(f.Name(), path)
	}
	err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	if errors.Is(err, unix.ENOENT) {
		var stat unix.Stat_t
		if unix.Fstat(int(f.Fd()), &stat) == nil && stat.Nlink == 0 {
			if _, serr := os.Stat(path[:strings.LastIndexByte(path, '/')]); serr == nil {
				return ErrUnlinkable
			}
		}
	}
	if err != nil {
		return &os.LinkError{Op: "link", Old: f.Name(), New: path, Err: err}
	}
	return nil
}

// writeOut makes the kernel begin to write a part of a file to disk, without
// waiting for it: else a large file is written only when it is synced.
func writeOut(f *os.File, offset, n int64) {
	// It changes when bytes are written, not whether: an error says that this
	// file system cannot.
	_ = unix.SyncFileRange(int(f.Fd()), offset, n, unix.SYNC_FILE_RANGE_WRITE)
}
