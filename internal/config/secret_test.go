package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	const text = "hunter2"
	c := &Config{DatabaseURL: text, CloudFrontSecret: text}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("test", "secret", c.DatabaseURL, "config", c)
	}
	marshalled, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	outputs := []string{log.String(), string(marshalled), fmt.Sprint(c.DatabaseURL), c.DatabaseURL.String()}
	for _, verb := range []string{"%s", "%v", "%+v", "%#v", "%q", "%x", "%X", "%d", "%10s", "%t"} {
		outputs = append(outputs, fmt.Sprintf(verb, c.DatabaseURL), fmt.Sprintf(verb, *c), fmt.Sprintf(verb, []Secret{text}))
	}
	for _, out := range outputs {
		if strings.Contains(out, text) || strings.Contains(strings.ToLower(out), fmt.Sprintf("%x", text)) {
			t.Errorf("the secret is in %q", out)
		}
		if !strings.Contains(out, hidden) {
			t.Errorf("%q does not say that there is a secret", out)
		}
	}
	if c.DatabaseURL.Reveal() != text {
		t.Errorf("Reveal() = %q", c.DatabaseURL.Reveal())
	}
}
