package s3blob

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"packagecloud/internal/blob"
	"packagecloud/internal/repo"
)

// TestPassing: what a busy or broken store answers, or does not, is told from what
// it refuses, in every operation.
func TestPassing(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		code   string
		passes bool
	}{
		"slow down":      {503, "SlowDown", true},
		"internal error": {500, "InternalError", true},
		"gateway":        {502, "", true},
		"too many":       {429, "TooManyRequests", true},
		"cut off":        {0, "", true},
		"denied":         {403, "AccessDenied", false},
		"no bucket":      {404, "NoSuchBucket", false},
	} {
		t.Run(name, func(t *testing.T) {
			broken := false
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				switch {
				case !broken:
					_, _ = io.WriteString(w, `<ListBucketResult></ListBucketResult>`)
				case test.status == 0:
					panic(http.ErrAbortHandler)
				default:
					w.WriteHeader(test.status)
					if test.code != "" && r.Method != http.MethodHead {
						_, _ = io.WriteString(w, `<Error><Code>`+test.code+`</Code></Error>`)
					}
				}
			}))
			defer server.Close()
			s := openStore(t, Config{
				Bucket: "b", Region: "us-east-1", Endpoint: server.URL, PathStyle: true, AccessKey: "a", SecretKey: "s",
				SignatureVersion: 4, Staging: t.TempDir(), attempts: 1,
			})
			broken = true
			const key = "packages/x/y"
			_, openErr := s.Open(t.Context(), key)
			_, statErr := s.Stat(t.Context(), key)
			var listErr error
			for _, err := range s.List(t.Context(), "packages/") {
				listErr = err
			}
			for act, err := range map[string]error{
				"put": s.Put(t.Context(), key, []byte("x"), blob.Attributes{}), "open": openErr, "stat": statErr, "list": listErr,
				"copy": s.Copy(t.Context(), key, key+"2", blob.Attributes{}), "delete": s.Delete(t.Context(), key),
				"compose": s.Compose(t.Context(), key, []blob.Part{{Body: []byte(strings.Repeat("x", 10))}}, blob.Attributes{}),
			} {
				if test.code == "NoSuchBucket" && (act == "stat" || act == "copy" || act == "compose" || act == "delete") {
					continue // an answer to HEAD has no code
				}
				if err == nil || errors.Is(err, repo.ErrUnavailable) != test.passes {
					t.Errorf("%s: passes is %t: %v", act, !test.passes, err)
				}
			}
		})
	}
}
