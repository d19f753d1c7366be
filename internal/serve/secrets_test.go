package serve_test

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"packagecloud/internal/config"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/node"
	"packagecloud/internal/serve"
	"packagecloud/internal/serve/servetest"
)

// TestSecretsStayHidden asks every route with secrets of each kind wherever a
// request has room for one, of a server that works and of one whose database fails.
// None of them is in the log of either format, nor in an answer that refuses.
func TestSecretsStayHidden(t *testing.T) {
	var logged servetest.Log
	logger := func(format string) slog.Handler {
		return serve.Logger(&config.Config{LogLevel: slog.LevelDebug, LogFormat: format}, &logged).Handler()
	}
	s := servetest.StartWith(t, servetest.Options{Log: slog.New(slog.NewMultiHandler(logger("text"), logger("json")))})
	s.Push("alice/public", "ubuntu/jammy", "x.deb", debtest.Package{Name: "hello"}.Build(), nil).Is(http.StatusCreated)
	secrets := secretsOf(t, s)
	ask := func(repositories ...string) map[int]int {
		statuses := make(map[int]int)
		for _, r := range routes(t, s.Node.Formats) {
			for _, repository := range repositories {
				for _, q := range carriers(r, repository, secrets) {
					a := s.Do(q)
					statuses[a.Status]++
					if what := exposed(a, secrets); what != "" {
						t.Errorf("%.100s with a body of %q answers %d with the %s: %v %s", a.What, q.Header["Content-Type"], a.Status, what, a.Header, a.Body)
					}
				}
			}
		}
		return statuses
	}
	if got := ask("alice/private", "alice/public"); got[200] == 0 || got[201] == 0 || got[401] == 0 || got[404] == 0 || got[422] == 0 {
		t.Errorf("not every status was seen: %v", got)
	}
	raw, err := sql.Open("sqlite", node.DatabaseURL(s.Node.Config))
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"packages", "files", "documents", "master_tokens", "keys", "scopes"} {
		if _, err := raw.ExecContext(t.Context(), "ALTER TABLE "+table+" RENAME TO gone_"+table); err != nil {
			t.Fatal(err)
		}
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	if got := ask("alice/private"); got[500] < 100 {
		t.Errorf("the database fails, and the answers are %v", got)
	}
	text := logged.Text()
	for what, secret := range secrets {
		for line := range strings.Lines(text) {
			if strings.Contains(line, secret) {
				t.Errorf("the %s is logged: %s", what, line)
				break
			}
		}
	}
	if !strings.Contains(text, "level=ERROR") || !strings.Contains(text, `"level":"ERROR"`) {
		t.Error("the log has no failure in both formats")
	}
}

// password is one that somebody has typed into a form. It has no shape of its own.
const password = "correct-horse"

// secretsOf are the secrets of a server, by what they are. Of each there is the form
// that a field Authorization has.
func secretsOf(t *testing.T, s *servetest.Server) map[string]string {
	t.Helper()
	var masters []struct{ Value string }
	if err := json.Unmarshal([]byte(s.Do(servetest.Request{Path: "/api/v1/repos/alice/private/master_tokens", User: s.Token}).Is(200).Body), &masters); err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{
		"API token": s.Token, "master token": masters[0].Value, "read token": s.ReadToken, "token of somebody else": s.Stranger, "unknown token": strings.Repeat("0f", 24),
		"signature of a link": strings.Repeat("Sig-", 10) + "xyz", "password": password,
	}
	for _, what := range slices.Collect(maps.Keys(secrets)) {
		for _, password := range []string{"", "irrelevant"} {
			secrets[what+" with the password "+password+" in base64"] = base64.StdEncoding.EncodeToString([]byte(secrets[what] + ":" + password))
		}
	}
	return secrets
}

// carriers are requests of a route that hold secrets: one of each kind in the place
// of the credentials, and others wherever there is room beside.
func carriers(r route, repository string, secrets map[string]string) []servetest.Request {
	var all []servetest.Request
	other := secrets["unknown token"]
	path := strings.Replace(r.path, repositoryInPath, repository, 1)
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	query := separator + url.Values{
		"token": {other}, "t": {"1893456000_01234567_" + secrets["signature of a link"]}, "X-Amz-Signature": {secrets["signature of a link"]}, "password": {password},
		"os": {other}, "name": {other}, "q": {other}, "destination": {"alice/" + other}, "page": {other},
	}.Encode()
	bodies := bodiesWith(other)
	if r.method == http.MethodGet || r.method == http.MethodHead {
		bodies = bodies[:1]
	}
	for _, what := range []string{"API token", "master token", "read token", "unknown token"} {
		for i, body := range bodies {
			header := map[string]string{
				"Authorization": "Basic " + secrets[what+" with the password irrelevant in base64"], "Cookie": "session=" + other, "X-Token": other,
				"User-Agent": "curl/8 (" + other + ")", "Referer": "https://" + other + ":irrelevant@host/priv/" + other + "/a", "Content-Type": body.kind,
			}
			if i%2 == 1 {
				header["Authorization"] = "Bearer " + secrets[what]
			}
			all = append(all, servetest.Request{Method: r.method, Path: path + query, Header: header, Body: body.text})
		}
		if native, ok := strings.CutPrefix(path, "/alice/"); ok {
			all = append(all, servetest.Request{Method: r.method, Path: "/priv/" + secrets[what] + "/alice/" + native})
		}
		if strings.Contains(path, "hello") || strings.Contains(path, "jammy") || strings.Contains(path, "/1") {
			named := strings.NewReplacer("hello", secrets[what], "jammy", secrets[what], "/1", "/"+secrets[what]).Replace(path)
			all = append(all, servetest.Request{Method: r.method, Path: named, User: secrets["API token"]})
		}
	}
	return all
}

type kindOfBody struct {
	kind string
	text []byte
}

// bodiesWith are a form, JSON and a multipart body with a secret in each field, good
// ones and broken ones.
func bodiesWith(secret string) []kindOfBody {
	fields := map[string]string{"name": secret, "password": password, "master_token[name]": secret + "\x00", "read_token[name]": secret, "destination": secret, "package[distro_version_id]": secret, "distro": secret}
	form := url.Values{}
	object := map[string]any{"date": secret, "_id": "org.couchdb.user:" + secret}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, value := range fields {
		form.Set(name, value)
		object[name] = value
		_ = w.WriteField(name, value)
	}
	for _, name := range []string{"package[package_file]", "content", "gpg_key[keydata]"} {
		f, _ := w.CreateFormFile(name, secret+".deb")
		_, _ = f.Write([]byte(secret))
	}
	_ = w.Close()
	document, _ := json.Marshal(object)
	return []kindOfBody{
		{"application/x-www-form-urlencoded", []byte(form.Encode())}, {"application/json", document},
		{"application/json", fmt.Appendf(nil, "{%q: %q", secret, secret)}, {"application/x-www-form-urlencoded", []byte("a=" + secret + "%zz")},
		{w.FormDataContentType(), b.Bytes()}, {"multipart/form-data; boundary=" + secret, []byte(secret)}, {"text/" + secret, []byte(secret)},
	}
}

// exposed is which secret an answer shows that should show none: one that refuses or
// fails, and the headers of any. A client that is redirected within /priv/ goes by
// the path that it came from, and a file may have any name.
func exposed(a servetest.Answer, secrets map[string]string) string {
	text := ""
	if a.Status >= 400 {
		text = a.Body
	}
	for name, values := range a.Header {
		if name != "Content-Disposition" && (name != "Location" || !strings.Contains(a.What, " /priv/")) {
			text += name + ": " + strings.Join(values, ", ")
		}
	}
	for what, secret := range secrets {
		if strings.Contains(text, secret) {
			return what
		}
	}
	return ""
}
