package redact

import (
	"bytes"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"packagecloud/internal/edge"
	"packagecloud/internal/repo"
)

var (
	token  = strings.Repeat("0123abcd", repo.TokenLength/8)
	digest = strings.Repeat("0123abcd", 8)
)

// TestText hides secrets wherever they stand in a text, and nothing else.
func TestText(t *testing.T) {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(token+":irrelevant"))
	for text, want := range map[string]string{
		"/priv/" + token + "/alice/private/gpgkey":                    "/priv/[secret]/alice/private/gpgkey",
		"/priv/anything/alice/private/gpgkey":                         "/priv/[secret]/alice/private/gpgkey",
		"/priv/" + token:                                              "/priv/[secret]",
		"/priv/":                                                      "/priv/[secret]",
		`Get "https://host:8080/priv/any/alice": refused`:             `Get "https://host:8080/priv/[secret]/alice": refused`,
		"/alice/priv/ubuntu/dists/jammy/InRelease":                    "/alice/priv/ubuntu/dists/jammy/InRelease",
		"/api/v1/repos/a/b/master_tokens/" + token + "/read_tokens":   "/api/v1/repos/a/b/master_tokens/[secret]/read_tokens",
		"/a/b/x%3A" + token + ".deb":                                  "/a/b/x%[secret].deb",
		"GET https://" + token + ":irrelevant@host/a: refused":        "GET https://[secret]@host/a: refused",
		"postgres://me:secret@db/packages":                            "postgres://[secret]@db/packages",
		"/npm/@acme/hello and https://host/npm/@acme/hello":           "/npm/@acme/hello and https://host/npm/@acme/hello",
		"mail alice@example.com":                                      "mail alice@example.com",
		"open packages/" + digest + "/a.deb: no such file":            "open packages/" + digest + "/a.deb: no such file",
		"open packages/" + digest + digest + "/a.deb: no such file":   "open packages/" + digest + digest + "/a.deb: no such file",
		"two: " + token + " " + strings.ToUpper(token):                "two: [secret] [secret]",
		basic + " was refused":                                        "Basic [secret] was refused",
		"authorization: bearer " + token:                              "authorization: bearer [secret]",
		"Bearer npm_abc, then":                                        "Bearer [secret], then",
		"invalid basic constraints":                                   "invalid basic constraints",
		"https://b.s3/k?X-Amz-Credential=AK%2F1&X-Amz-Signature=0f&a": "https://b.s3/k?X-Amz-Credential=[secret]&X-Amz-Signature=[secret]&a",
		`{"name":"alice","password":"hunter2","date":1}`:              `{"name":"alice","password":"[secret]","date":1}`,
		"user[password]=hunter2&x=1":                                  "user[password]=[secret]&x=1",
		"the password is wrong":                                       "the password is wrong",
		"/api/v1/repos/a/b":                                           "/api/v1/repos/a/b",
	} {
		if got := Text(text); got != want {
			t.Errorf("Text(%q) is %q, want %q", text, got, want)
		}
	}
}

// TestLink hides the signature of a download link, and leaves what tells it from
// others: its expiry and the id of its key.
func TestLink(t *testing.T) {
	keys, err := edge.NewKeys(strings.Repeat("k", edge.MinSecret))
	if err != nil {
		t.Fatal(err)
	}
	signed := (&edge.Signer{Origin: "https://packages.example.com", Keys: keys}).URL("packages/"+digest+"/a.deb", 1)
	clean := Text(signed)
	begin, signature := signed[:len(signed)-43], signed[len(signed)-43:]
	if clean != begin+Hidden || strings.Contains(clean, signature) {
		t.Errorf("%s becomes %s", signed, clean)
	}
}

// TestHandler hides secrets in all that a log record has room for.
func TestHandler(t *testing.T) {
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			log := slog.New(Handler(handler(&b)))
			log.With("with", token).WithGroup("group").Info("message "+token, "string", token, "error", errors.New(token),
				"bytes", []byte(token), "struct", struct{ Value, Password string }{token, "hunter2"}, "list", []string{token},
				slog.Group("inner", "value", token), "valuer", late(token), token, "key")
			slog.NewLogLogger(log.Handler(), slog.LevelError).Printf("http: panic serving /priv/%s/a", token)
			if text := b.String(); strings.Contains(text, token) || strings.Contains(text, "hunter2") || strings.Count(text, Hidden) != 12 {
				t.Errorf("logged %s", text)
			}
			b.Reset()
			log.Info("counters", "answers", struct{ Served int }{7}, "nothing", nil)
			if text := b.String(); !strings.Contains(text, "Served:7") && !strings.Contains(text, `{"Served":7}`) {
				t.Errorf("logged %s", text)
			}
		})
	}
}

// late is a value that is made when it is written.
type late string

// LogValue implements slog.LogValuer.
func (l late) LogValue() slog.Value { return slog.StringValue(string(l)) }
