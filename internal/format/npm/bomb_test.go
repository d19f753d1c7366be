package npm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"strings"
	"testing"

	"packagecloud/internal/format"
	"packagecloud/internal/format/npm/npmtest"
)

// bomb is a tarball whose file of zeros unpacks to n MiB.
func bomb(n int) []byte { return append(header(n), zeros(n)...) }

// header is a tarball that ends where such a file should begin.
func header(n int) []byte {
	var head bytes.Buffer
	z := gzip.NewWriter(&head)
	_ = tar.NewWriter(z).WriteHeader(&tar.Header{Name: "package/zeros", Typeflag: tar.TypeReg, Size: int64(n) << 20})
	_ = z.Close()
	return head.Bytes()
}

// zeros are n MiB of them, as gzip members.
func zeros(n int) []byte {
	var member bytes.Buffer
	z := gzip.NewWriter(&member)
	_, _ = z.Write(make([]byte, 1<<20))
	_ = z.Close()
	return bytes.Repeat(member.Bytes(), n)
}

// TestBomb gives up at the limit, and when the client has gone.
func TestBomb(t *testing.T) {
	const limit = 64 << 20
	unpack := func(ctx context.Context, body []byte) error {
		_, err := readTarball(ctx, format.Upload{Content: bytes.NewReader(body), Size: int64(len(body))}, limit)
		return err
	}
	for name, body := range map[string][]byte{
		"a header tells":  bomb(70),
		"no header tells": append(npmtest.Package{}.Build(), zeros(70)...),
		"a header lies":   header(1 << 42),
	} {
		if err := unpack(t.Context(), body); err == nil || !strings.Contains(err.Error(), "unpacks to more than 64 MiB") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := unpack(ctx, bomb(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}
