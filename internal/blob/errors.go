package blob

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"packagecloud/internal/repo"
)

// passing are errors of the system that may be gone when the request is repeated:
// those of a disk, and of a folder that comes over the network and is away.
var passing = []syscall.Errno{
	syscall.EIO, syscall.ESTALE, syscall.ETIMEDOUT, syscall.ENOTCONN, syscall.EROFS, syscall.EAGAIN, syscall.EINTR,
	syscall.ECONNABORTED, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.ENETUNREACH,
	syscall.ENXIO, syscall.ENODEV, syscall.ESHUTDOWN, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOLCK, syscall.EBUSY,
}

// Judge notes in an error of the file system what kind of failure it is: one that
// passes is a repo.ErrStorage, and that of a full disk a repo.ErrFull. What is
// neither stays as it is: no permission, say, which somebody must give first.
func Judge(err error) error {
	var number syscall.Errno
	switch {
	case err == nil, errors.Is(err, repo.ErrUnavailable), !errors.As(err, &number):
		return err
	case number == syscall.ENOSPC, number == syscall.EDQUOT:
		return fmt.Errorf("%w: %w", repo.ErrFull, err)
	case slices.Contains(passing, number):
		return fmt.Errorf("%w: %w", repo.ErrStorage, err)
	}
	return err
}
