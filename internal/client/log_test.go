package client

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestLogHidesTokens logs a request whose URL and error have a token in them, as
// those of install scripts do.
func TestLogHidesTokens(t *testing.T) {
	token := strings.Repeat("0123abcd", 6)
	for _, url := range []string{"http://" + token + ":irrelevant@host/install/repositories/a/b/script.deb.sh", "http://host/api/v1/repos/a/b/master_tokens/" + token, "http://host/a?token=" + token} {
		var logged bytes.Buffer
		c := Client{Log: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		c.log(httptest.NewRequestWithContext(t.Context(), "GET", url, nil), nil, errors.New("no answer from "+url), 0)
		if text := logged.String(); strings.Contains(text, token) || strings.Count(text, "[token]") != 2 {
			t.Errorf("%s is logged as %s", url, text)
		}
	}
}
