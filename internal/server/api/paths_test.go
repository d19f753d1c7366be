package api_test

import (
	"strings"
	"testing"

	"packagecloud/internal/format/npm/npmtest"
)

// TestPathsOfPackages names packages in every way that clients do. Where there is
// none, packagecloud's own client walks through the fields of the answer, and dies
// of one that has none.
func TestPathsOfPackages(t *testing.T) {
	s := newSystem(t)
	s.create("demo", false)
	s.create("other", false)
	const r, missing = "/api/v1/repos/alice/demo", `{"filename":["not found"]}`
	for _, file := range []string{
		"gems/f-1.0.gem", "python/f-1.0.whl", "python/1/f-1.0.whl", "pypi/1/f-1.0.whl", "java/maven2/com.example/f-1.0.jar", "java/maven2/f-1.0.jar",
		"node/1/f-1.0.0.tgz", "node/1/f-1.0.0.tgz?scope=%40a", "helm/v1/f-1.0.tgz", "anyfile/1/f.zip", "alpine/v3.20/f.apk", "ubuntu/jammy/f.deb",
		"el/9/f.rpm", "ubuntu/f.deb", "nothing/f", "nothing/1/f", "anyfile/1/f.json",
	} {
		path, query, _ := strings.Cut(file, "?")
		for _, suffix := range []string{"", ".json"} {
			s.want(request{method: "DELETE", path: r + "/" + path + suffix + "?" + query, user: s.alice}, 404, missing)
			promote := request{method: "POST", path: r + "/" + path + "/promote" + suffix + "?destination=alice/other&" + query, user: s.alice}
			s.want(promote, 404, missing)
		}
	}

	// There it is found.
	push := func(distro string, body string, name string) map[string]any {
		return s.mustPush("demo", distro, name, []byte(body))
	}
	push("anyfile/1", "one", "x")
	push("anyfile/1", "two", "x.json")
	push("anyfile/1", "three", "y")
	push("node/1", string(npmtest.Package{Name: "@acme/tool"}.Build()), "x.tgz")
	for _, c := range []struct{ path, left string }{
		{"/anyfile/1/x.json", "x y @acme/tool"}, // the file, not x
		{"/anyfile/1/x.json", "y @acme/tool"},   // x, as every path works with .json
		{"/anyfile/y", "@acme/tool"},            // there is but one version
		{"/node/1/@acme/tool-1.0.0.tgz", ""},    // the scope as a folder
	} {
		s.want(request{method: "DELETE", path: r + c.path, user: s.alice}, 200, "{}")
		var names []string
		for _, v := range decode[[]struct{ Name string }](t, s.do(request{path: r + "/packages", user: s.alice})) {
			names = append(names, v.Name)
		}
		if got := strings.Join(names, " "); got != c.left {
			t.Errorf("DELETE %s leaves %q, not %q", c.path, got, c.left)
		}
	}
}
