package blob_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"testing"

	"packagecloud/internal/blob"
	"packagecloud/internal/repo"
)

// TestJudge tells errors of the file system that pass, and those of a full disk,
// from what somebody must see to first.
func TestJudge(t *testing.T) {
	for err, want := range map[error]error{
		syscall.EIO: repo.ErrStorage, syscall.ESTALE: repo.ErrStorage, syscall.ETIMEDOUT: repo.ErrStorage, syscall.ENOTCONN: repo.ErrStorage,
		syscall.EROFS: repo.ErrStorage, syscall.EHOSTDOWN: repo.ErrStorage, syscall.EMFILE: repo.ErrStorage,
		syscall.ENOSPC: repo.ErrFull, syscall.EDQUOT: repo.ErrFull,
		syscall.EACCES: nil, syscall.EPERM: nil, syscall.EISDIR: nil, syscall.ENOENT: nil, syscall.ENAMETOOLONG: nil, io.EOF: nil,
	} {
		wrapped := fmt.Errorf("read it: %w", &fs.PathError{Op: "read", Path: "/x", Err: err})
		got := blob.Judge(wrapped)
		if !errors.Is(got, err) {
			t.Errorf("%v: the error is hidden: %v", err, got)
		}
		for _, kind := range []error{repo.ErrStorage, repo.ErrUnavailable, repo.ErrFull} {
			if is := errors.Is(got, kind); is != (want != nil && errors.Is(want, kind)) {
				t.Errorf("%v: that it is %q is %t", err, kind, is)
			}
		}
	}
	if blob.Judge(nil) != nil || blob.Judge(io.EOF) != io.EOF {
		t.Error("what says nothing of the storage is changed")
	}
}
