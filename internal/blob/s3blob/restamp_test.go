package s3blob

import (
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/blob"
)

// TestRestampKeeps: what a copy loses is kept, whether one request copies the
// object or many do.
func TestRestampKeeps(t *testing.T) {
	c, b := config(t)
	s := openStore(t, c)
	for name, size := range map[string]int64{"small": 10, "large": 12 << 20} {
		t.Run(name, func(t *testing.T) {
			key := "packages/" + name
			_, err := b.Client.PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: &b.Name, Key: &key, Body: io.NewSectionReader(zerosAt{}, 0, size), CacheControl: aws.String("max-age=60"),
				ContentLanguage: aws.String("de"), Metadata: map[string]string{"origin": "elsewhere"},
				Tagging: aws.String("team=a+b&note=x%2By"),
			})
			if err != nil {
				t.Fatal(err)
			}
			if changed, err := s.Restamp(t.Context(), key, blob.Attributes{ContentType: "application/x-new", ContentEncoding: "gzip", Filename: "x.deb", Class: blob.Package}); err != nil || !changed {
				t.Fatalf("changed is %t, %v", changed, err)
			}
			have, err := b.Client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b.Name, Key: &key})
			if err != nil {
				t.Fatal(err)
			}
			tagged, err := b.Client.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: &b.Name, Key: &key})
			if err != nil {
				t.Fatal(err)
			}
			tags := map[string]string{}
			for _, tag := range tagged.TagSet {
				tags[*tag.Key] = *tag.Value
			}
			type kept struct {
				Size                        int64
				Type, Cache, Encoding, Lang string
				Metadata, Tags              map[string]string
			}
			want := kept{
				size, "application/x-new", "public, max-age=31536000, immutable", "gzip", "de",
				map[string]string{"origin": "elsewhere"}, map[string]string{"team": "a b", "note": "x+y"},
			}
			got := kept{
				*have.ContentLength, aws.ToString(have.ContentType), aws.ToString(have.CacheControl), aws.ToString(have.ContentEncoding), aws.ToString(have.ContentLanguage),
				have.Metadata, tags,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("object (-want +got):\n%s", diff)
			}
			if left := b.Uploads(t); len(left) > 0 {
				t.Errorf("uploads under way: %v", left)
			}
		})
	}
}

type zerosAt struct{}

func (zerosAt) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}
