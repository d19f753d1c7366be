package serve_test

import (
	"encoding/json"
	"maps"
	"net/url"
	"strings"
	"testing"

	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/serve/servetest"
)

// TestNpmPromote moves versions from one registry to another one. Each finds in
// its own what there is to install: the tags stay behind, and the destination's
// latest is the first that came.
func TestNpmPromote(t *testing.T) {
	s := servetest.Start(t, nil)
	source, destination := registry{s, "/alice/public/npm/"}, registry{s, "/alice/private/npm/"}
	const name = "@acme/tools"
	for _, version := range []string{"1.0.0", "1.5.0", "2.0.0"} {
		s.Push("alice/public", "191", "x.tgz", npmtest.Package{Name: name, Version: version}.Build(), nil).Is(201)
	}
	for tag, version := range map[string]string{"beta": "2.0.0", "old": "1.5.0"} {
		source.bearer("PUT", "-/package/@acme%2ftools/dist-tags/"+tag, s.Token, `"`+version+`"`).Is(200)
	}
	is := func(r registry, tags map[string]string, versions ...string) {
		t.Helper()
		if len(versions) == 0 {
			r.bearer("GET", url.PathEscape(name), s.Token, "").Is(404)
			return
		}
		d := r.packument(t, name)
		if !maps.Equal(d.Tags, tags) || len(d.Versions) != len(versions) {
			t.Fatalf("%s has %v and %d versions, and not %v and %v", r.base, d.Tags, len(d.Versions), tags, versions)
		}
		for _, v := range versions {
			var dist struct{ Tarball string }
			if err := json.Unmarshal(d.Versions[v]["dist"], &dist); err != nil {
				t.Fatal(err)
			}
			path, ok := strings.CutPrefix(dist.Tarball, s.URL+r.base)
			if !ok {
				t.Fatalf("%s has a tarball at %s", r.base, dist.Tarball)
			}
			r.bearer("GET", path, s.Token, "").Is(200)
		}
	}
	promote := func(version string) {
		t.Helper()
		body := url.Values{"destination": {"alice/private"}, "scope": {"@acme"}}.Encode()
		s.Do(servetest.Request{
			Method: "POST", Path: "/api/v1/repos/alice/public/node/1/tools-" + version + ".tgz/promote.json?wait=indexed", User: s.Token, Body: []byte(body),
			Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
		}).Is(200).Has(`"scope":"@acme"`).Has(`"promote_url":"/api/v1/repos/alice/private/node/1/tools-` + version + `.tgz/promote.json?scope=%40acme"`)
		s.Settle()
	}
	s.Do(servetest.Request{Method: "POST", Path: "/api/v1/repos/alice/public/node/1/tools-1.0.0.tgz/promote.json?destination=alice/private", User: s.Token}).Is(404).Has(`{"filename":["not found"]}`)

	promote("1.5.0")
	is(source, map[string]string{"latest": "2.0.0", "beta": "2.0.0"}, "1.0.0", "2.0.0")
	is(destination, map[string]string{"latest": "1.5.0"}, "1.5.0")
	promote("2.0.0")
	is(source, map[string]string{"latest": "1.0.0"}, "1.0.0")
	is(destination, map[string]string{"latest": "1.5.0"}, "1.5.0", "2.0.0")
	promote("1.0.0")
	is(source, nil)
	is(destination, map[string]string{"latest": "1.5.0"}, "1.0.0", "1.5.0", "2.0.0")
}
