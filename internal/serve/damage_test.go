package serve_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packagecloud/internal/blob/s3blob/s3test"
	"packagecloud/internal/db"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/node"
	"packagecloud/internal/repo"
	"packagecloud/internal/serve/servetest"
	"packagecloud/internal/verify"
)

// verified are the problems that verify finds.
func verified(t *testing.T, s *servetest.Server) (problems []string) {
	t.Helper()
	n := s.Node
	v := verify.Verifier{DB: n.DB, Blobs: n.Blobs, Formats: n.Formats, Origin: n.Config.ExternalURL.Host, URL: n.Config.ExternalURL.String()}
	if _, err := v.Run(t.Context(), func(p verify.Problem) { problems = append(problems, p.Object+" "+p.What) }); err != nil {
		t.Fatal(err)
	}
	return problems
}

// TestFlippedBytes: verify finds a package file of the right size whose bytes are
// other ones, in every store. In a folder it is whole again when somebody pushes
// the same file. A bucket looks after its bytes itself.
func TestFlippedBytes(t *testing.T) {
	body := debtest.Package{Name: "flipped", Version: "1.0", Architecture: "amd64"}.Build()
	flipped := bytes.Clone(body)
	flipped[len(flipped)/2] ^= 1
	for _, store := range []string{"folder", "S3"} {
		t.Run(store, func(t *testing.T) {
			var o servetest.Options
			damage := func(s *servetest.Server, key string) error {
				step := strings.Split(key, "/")
				return os.WriteFile(filepath.Join(node.StorageDirectory(s.Node.Config), step[0], step[1][:2], step[1]+"_"+step[2]), flipped, 0o600)
			}
			if store == "S3" {
				bucket := s3test.New(t)
				o.Environment = bucket.Environ()
				damage = func(_ *servetest.Server, key string) error {
					_, err := bucket.Client.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &bucket.Name, Key: &key, Body: bytes.NewReader(flipped)})
					return err
				}
			}
			s := servetest.StartWith(t, o)
			s.Push("alice/public", "ubuntu/jammy", "x.deb", body, nil).Is(201)
			blobs, err := s.Node.DB.Blobs(t.Context(), db.Blob{}, 10)
			if err != nil || len(blobs) != 1 {
				t.Fatal(blobs, err)
			}
			if err := damage(s, blobs[0].Object); err != nil {
				t.Fatal(err)
			}
			if found := verified(t, s); !slices.ContainsFunc(found, func(p string) bool { return strings.Contains(p, "its bytes have changed") }) {
				t.Errorf("verify finds %q", found)
			}
			s.Push("alice/public", "ubuntu/jammy", "x.deb", body, nil).Is(422).Has(repo.TakenMessage)
			if store == "S3" {
				return
			}
			s.Push("alice/private", "ubuntu/jammy", "x.deb", body, nil).Is(201)
			if found := verified(t, s); len(found) > 0 {
				t.Errorf("after it was pushed again verify finds %q", found)
			}
		})
	}
}
