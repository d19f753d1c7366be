package serve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/blob/s3blob/s3test"
	"packagecloud/internal/config"
	"packagecloud/internal/edge"
	"packagecloud/internal/node"
)

// The command as configured: it delivers what is in a bucket, goes on without
// the bucket for what it has, and ends when it is told to.
func TestEdge(t *testing.T) {
	const secret = "MDI2ZDhhYmMxYthiMjVmMTBlODM4OWNmZWZiZmI2NWI"
	bucket := s3test.New(t)
	dir := t.TempDir()
	c, err := config.Load("", append(bucket.Environ(), "PACKAGECLOUD_DATA_DIRECTORY="+dir, "PACKAGECLOUD_EDGE_LISTEN_ADDRESS=127.0.0.1:0",
		"PACKAGECLOUD_CLOUDFRONT_SECRET="+strings.Repeat("n", 40), "PACKAGECLOUD_CLOUDFRONT_SECOND_SECRET="+secret))
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := node.OpenBucket(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("package "), 100_000)
	key := fmt.Sprintf("packages/%x/a_1.0_b_amd64.deb", sha256.Sum256(body))
	a := blob.Attributes{ContentType: "application/vnd.debian.binary-package", Filename: "a_1.0+b_amd64.deb", Class: blob.Package}
	if err := blobs.Put(t.Context(), key, body, a); err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	said, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- runEdge(ctx, c, slog.New(slog.DiscardHandler), out, "test") }()
	line := make([]byte, 1000)
	n, err := said.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	_, address, _ := strings.Cut(string(line[:n]), " on ")
	address, _, _ = strings.Cut(address, " ")
	keys, err := edge.NewKeys(secret)
	if err != nil {
		t.Fatal(err)
	}
	s := edge.Signer{Origin: "http://" + address, Keys: keys}
	for _, want := range []string{"Miss", "Hit"} {
		r, err := http.Get(s.URL(key, 1))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != http.StatusOK || !bytes.Equal(got, body) || r.Header.Get("X-Cache") != want ||
			r.Header.Get("Content-Type") != a.ContentType || !strings.Contains(r.Header.Get("Content-Disposition"), a.Filename) {
			t.Errorf("want a %s: %v %v, %d bytes, %v", want, r.Status, r.Header, len(got), err)
		}
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if found, _ := filepath.Glob(filepath.Join(c.EdgeCacheDirectory, "objects", "*", "*")); len(found) == 1 {
				break
			}
		}
		// From here on it must do without the bucket.
		if err := blobs.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error(errors.New("it does not end"))
	}
}
