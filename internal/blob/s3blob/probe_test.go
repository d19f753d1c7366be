package s3blob

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProbe: what works is told as working, what a proxy refuses as missing, and
// nothing is left.
func TestProbe(t *testing.T) {
	for name, test := range map[string]struct {
		refuse func(*http.Request) bool
		want   []string // the abilities that are missing
	}{
		"everything works": {func(*http.Request) bool { return false }, nil},
		"no copies": {
			func(r *http.Request) bool { return r.Header.Get("X-Amz-Copy-Source") != "" },
			[]string{"compose from ranges (UploadPartCopy)", "refresh attributes in place (CopyObject)"},
		},
		"no parts": {
			func(r *http.Request) bool { return r.URL.Query().Has("uploads") && r.Method == http.MethodPost },
			[]string{"store in parts", "the same for parts", "compose from ranges (UploadPartCopy)", "list and abort uploads"},
		},
		"no links": {
			func(r *http.Request) bool { return r.URL.Query().Has("X-Amz-Signature") },
			[]string{"links that clients can use"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, b := config(t)
			c.attempts = 1
			c.Endpoint = proxy(t, b.Endpoint, func(r *http.Request) fault {
				if test.refuse(r) {
					return refuse
				}
				return none
			})
			s := openStore(t, c)
			var missing []string
			for _, f := range s.Probe(t.Context()) {
				if !f.OK {
					missing = append(missing, f.What)
					if f.Detail == "" {
						t.Errorf("it is not said why %s fails", f.What)
					}
				}
			}
			if diff := cmp.Diff(test.want, missing); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
			nothing(t, s)
		})
	}
}
