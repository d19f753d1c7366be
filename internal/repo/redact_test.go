package repo

import (
	"strings"
	"testing"
)

// TestRedact hides tokens wherever they stand in what is logged.
func TestRedact(t *testing.T) {
	token := strings.Repeat("0123abcd", 6)
	digest := strings.Repeat("0123abcd", 8)
	for text, want := range map[string]string{
		"/priv/" + token + "/alice/private/gpgkey":                  "/priv/[token]/alice/private/gpgkey",
		"/priv/anything/alice/private/gpgkey":                       "/priv/[token]/alice/private/gpgkey",
		"/priv/" + token:                                            "/priv/[token]/",
		"/priv/":                                                    "/priv/[token]/",
		"/api/v1/repos/a/b/master_tokens/" + token:                  "/api/v1/repos/a/b/master_tokens/[token]",
		"/api/v1/repos/a/b/master_tokens/" + token + "/read_tokens": "/api/v1/repos/a/b/master_tokens/[token]/read_tokens",
		"GET https://" + token + ":x@host/a: refused":               "GET https://[token]:x@host/a: refused",
		"open packages/" + digest + "/a.deb: no such file":          "open packages/" + digest + "/a.deb: no such file",
		"/api/v1/repos/a/b":                                         "/api/v1/repos/a/b",
		"two: " + token + " " + strings.ToUpper(token):              "two: [token] [token]",
	} {
		if got := Redact(text); got != want {
			t.Errorf("Redact(%q) is %q, want %q", text, got, want)
		}
	}
}
