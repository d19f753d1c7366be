package s3blob

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"
)

// TestV2 has the example of Amazon's documentation, and links that botocore
// 1.43 signed (HmacV1QueryAuth).
func TestV2(t *testing.T) {
	const id, secret = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	for name, test := range map[string]struct {
		config  Config
		token   string
		key     string
		expires int64
		want    string
	}{
		"Amazon's example": {
			Config{Bucket: "johnsmith", Region: "us-east-1"}, "", "photos/puppy.jpg", 1175139620,
			"https://johnsmith.s3.us-east-1.amazonaws.com/photos/puppy.jpg?AWSAccessKeyId=" + id + "&Expires=1175139620&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D",
		},
		"path style": {
			Config{Bucket: "packages", Endpoint: "https://s3.example.com/", PathStyle: true}, "", "packages/abcd/libstdc__6_1.deb", 1780000000,
			"https://s3.example.com/packages/packages/abcd/libstdc__6_1.deb?AWSAccessKeyId=" + id + "&Signature=%2FCRiZfqXVk9D4ywGSaPG%2B%2B450jQ%3D&Expires=1780000000",
		},
		"credentials of a role": {
			Config{Bucket: "packages", Endpoint: "https://s3.example.com", PathStyle: true}, "TOKEN+/x==", "packages/abcd/libstdc__6_1.deb", 1780000000,
			"https://s3.example.com/packages/packages/abcd/libstdc__6_1.deb?AWSAccessKeyId=" + id + "&Signature=QPRXAoaTx18lVouRFAW7ZHii1vM%3D&x-amz-security-token=TOKEN%2B%2Fx%3D%3D&Expires=1780000000",
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := newV2(credentials.NewStaticCredentialsProvider(id, secret, test.token), test.config, test.config.Endpoint, func() time.Time { return time.Unix(test.expires-60, 0) })
			if err != nil {
				t.Fatal(err)
			}
			got, err := v.link(t.Context(), test.key, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(parse(t, test.want), parse(t, got)); diff != "" {
				t.Errorf("link (-want +got):\n%s", diff)
			}
		})
	}
}

// parse takes a link apart: the order of its parameters does not matter.
func parse(t *testing.T, link string) map[string][]string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	parts := u.Query()
	u.RawQuery = ""
	parts.Set("URL", u.String())
	return parts
}

// TestLinkV4: links name the public endpoint, live for seven days at most, and
// have a query that a proxy or an old apt can take apart and put together.
func TestLinkV4(t *testing.T) {
	c, _ := config(t)
	c.PublicEndpoint = "https://downloads.example.com"
	s := openStore(t, c)
	for life, want := range map[time.Duration]string{time.Hour: "3600", 30 * 24 * time.Hour: "604800", 0: "1"} {
		link, err := s.Link(t.Context(), "packages/abcd/x.deb", life)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(link, "https://downloads.example.com/"+c.Bucket+"/packages/abcd/x.deb?") {
			t.Errorf("the link is %s", link)
		}
		parts := parse(t, link)
		if got := parts["X-Amz-Expires"]; len(got) != 1 || got[0] != want {
			t.Errorf("a life of %s became %v seconds", life, got)
		}
		if strings.Contains(link, "+") || len(link) > 600 {
			t.Errorf("the link is %s", link)
		}
	}
}
