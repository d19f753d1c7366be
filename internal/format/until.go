package format

import (
	"context"
	"io"
)

// Until gives a reader of r that fails when the context ends: parsing an upload
// may take long, and nobody may wait for it any more.
func Until(ctx context.Context, r io.Reader) io.Reader { return until{ctx, r} }

type until struct {
	ctx context.Context // of what the reading is a part of
	io.Reader
}

func (u until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.Reader.Read(p)
}
