package serve_test

import (
	"log/slog"
	"testing"

	"packagecloud/internal/config"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/format/python/pytest"
	"packagecloud/internal/node"
	"packagecloud/internal/serve/servetest"
	"packagecloud/internal/verify"
)

// TestSettingsOfServer runs verify as a shell does that has none of the variables of
// the server: the pages of Python and npm, whose links have its URL, are right. What
// the shell publishes has the URL of the server, too.
func TestSettingsOfServer(t *testing.T) {
	test := func(t *testing.T, environment ...string) {
		s := servetest.StartWith(t, servetest.Options{Environment: environment})
		if err := s.Node.RecordServer(t.Context(), "127.0.0.1:1"); err != nil {
			t.Fatal(err)
		}
		s.Push("alice/public", "python/1", "outage-1.0-py3-none-any.whl", pytest.Wheel("outage", "1.0", ""), nil).Is(201)
		p := npmtest.Package{Name: "outage", Version: "1.0.0"}
		s.Do(servetest.Request{Method: "PUT", Path: "/alice/public/npm/outage", User: s.Token, Body: []byte(publication(t, p, `{"latest":"1.0.0"}`))}).Is(201)
		s.Settle()

		c, err := config.Load("", append(environment, "PACKAGECLOUD_DATA_DIRECTORY="+s.Node.Config.DataDirectory))
		if err != nil {
			t.Fatal(err)
		}
		shell, err := node.Open(t.Context(), c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer shell.Close()
		if c.ExternalURL.String() == s.URL {
			t.Fatal("the shell has the setting")
		}
		// What is recorded with the scopes is enough for their documents.
		check := func() {
			t.Helper()
			v := verify.Verifier{DB: shell.DB, Blobs: shell.Blobs, Formats: shell.Formats, Origin: c.ExternalURL.Host, URL: c.ExternalURL.String()}
			if _, err := v.Run(t.Context(), func(p verify.Problem) { t.Errorf("%s: %s", p.Object, p.What) }); err != nil {
				t.Fatal(err)
			}
		}
		check()
		if err := shell.AsServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := c.ExternalURL.String(); got != s.URL || shell.Worker.URL != s.URL || shell.Worker.Origin != c.ExternalURL.Host {
			t.Errorf("the shell works with %s, and the server with %s", got, s.URL)
		}
		check()
		s.Get("/alice/public/pypi/simple/outage/").Is(200).Has(s.URL + "/alice/public/")
		s.Get("/alice/public/npm/outage").Is(200).Has(s.URL + "/alice/public/")
	}
	t.Run("SQLite", func(t *testing.T) { test(t) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, "PACKAGECLOUD_DATABASE_URL="+dbtest.PostgresURL(t)) })
}
