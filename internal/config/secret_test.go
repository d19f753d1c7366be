package config

import (
	"strings"
	"testing"

	"packagecloud/internal/edge"
)

// TestSecretLengths: what the configuration takes for a secret of links, whoever
// signs and checks them takes as well.
func TestSecretLengths(t *testing.T) {
	for length, want := range map[int]string{edge.MinSecret - 1: "is too short", edge.MinSecret: "", edge.MaxSecret: "", edge.MaxSecret + 1: "is too long"} {
		secret := strings.Repeat("x", length)
		_, err := Load("", []string{"PACKAGECLOUD_CLOUDFRONT_SECRET=" + secret})
		if _, eerr := edge.NewKeys(secret); (err == nil) != (eerr == nil) {
			t.Errorf("%d characters: the configuration says %v, the signer %v", length, err, eerr)
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d characters: %v, want %q", length, err, want)
		}
	}
}
