package npm_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/format"
	"packagecloud/internal/format/npm"
	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/repo"
)

// registry is a repository with two versions of @a/b.
type registry struct{}

var there = format.List{
	Versions: []format.Version{
		{Name: "@a/b", Version: "1.0.0", Filename: "b-1.0.0.tgz", Attributes: map[string]string{npm.Deprecated: "old"}},
		{Name: "@a/b", Version: "1.1.0", Filename: "b-1.1.0.tgz"},
	},
	Tags: map[string]string{"latest": "1.1.0", "old": "1.0.0"},
}

func (registry) Look(_ context.Context, os, version, list string) (format.List, error) {
	if os+"/"+version != "node/1" {
		return format.List{}, fmt.Errorf("scope %s/%s", os, version)
	}
	if list != "@a/b" {
		return format.List{}, nil
	}
	return there, nil
}

func (registry) Entry(_ context.Context, os, version string, t format.Target, kind string) ([]byte, error) {
	return fmt.Appendf(nil, "\n,%q:{%q:%q}", "version", "says", strings.Join([]string{os, version, t.Namespace, t.Filename, kind}, " ")), nil
}

func (registry) Search(_ context.Context, s format.Search) ([]repo.Package, int64, error) {
	return []repo.Package{{Name: "@a/b", Version: "1.1.0", Summary: strings.Join(s.Words, "+"), Uploader: "alice", Licenses: []string{"MIT"}, CreatedAt: time.Unix(0, 0)}},
		int64(s.From + s.Size), nil
}

// atOnce has all the memory there is.
func atOnce(ctx context.Context, _ int64, read func(context.Context) error) error { return read(ctx) }

// call sends a request of alice and tells in a line what it asks for.
func call(t *testing.T, method, path, body string) string {
	t.Helper()
	path, query, _ := strings.Cut(path, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	if npm.New().Receives(method, path) == format.NoAccess {
		return "no access"
	}
	a, err := npm.New().Receive(t.Context(), format.Call{
		Method: method, Path: path, Query: values, Body: strings.NewReader(body), User: "alice", Time: time.Unix(0, 0), Lookup: registry{}, Scratch: npmtest.Scratch, Within: atOnce,
		Keep: func(_ context.Context, name string, r io.Reader) (format.Upload, error) {
			content, err := io.ReadAll(r)
			return upload(name, content), err
		},
	})
	var invalid *repo.InvalidError
	switch {
	case errors.As(err, &invalid):
		return "invalid: " + invalid.Error()
	case errors.Is(err, format.ErrStale):
		return "stale"
	case errors.Is(err, repo.ErrNotFound):
		return "not found"
	case err != nil:
		return "error: " + err.Error()
	case a.OS != "node" || a.Version != "1":
		return "scope " + a.OS + "/" + a.Version
	}
	return told(t, a)
}

func told(t *testing.T, a format.Action) string {
	var said []string
	value := func(v *string) string {
		if v == nil {
			return "gone"
		}
		return *v
	}
	for _, r := range a.Remove {
		said = append(said, "remove "+r.Namespace+" "+r.Filename)
	}
	for _, p := range a.Push {
		said = append(said, fmt.Sprintf("push %s %v", p.File.Filename, p.Tags))
		p.File.Fields = p.Fields
		if _, err := npm.New().Parse(t.Context(), p.File); err != nil {
			said = append(said, err.Error())
		}
	}
	for _, m := range a.Amend {
		said = append(said, "amend "+m.Target.Namespace+" "+m.Target.Filename+" "+value(m.Attributes[npm.Deprecated]))
	}
	for _, x := range a.Tag {
		said = append(said, "tag "+x.List+" "+x.Tag+"="+value(x.Value))
	}
	if l := a.Login; l != nil {
		said = append(said, "login "+l.Name+" "+l.Password+" "+string(l.Answer("TOKEN").Body))
	} else if body := string(a.Answer.Body); body != `{"ok":true}` {
		said = append(said, body)
	}
	return strings.Join(said, "; ")
}

func TestReceive(t *testing.T) {
	rev := npm.Revision(there.Versions, there.Tags)
	body := npmtest.Package{Name: "@a/b", Version: "2.0.0", Fields: `"dependencies":{"x":"1"}`}.Build()
	attachment := func(name string) string {
		return `"_attachments":{"` + name + `":{"content_type":"application/octet-stream","data":"` + base64.StdEncoding.EncodeToString(body) + `","length":` + fmt.Sprint(len(body)) + `}}`
	}
	publish := func(tags, version, manifest, file string) string {
		return `{"_id":"@a/b","name":"@a/b","dist-tags":{` + tags + `},"versions":{"` + version + `":{` + manifest + `}},"access":null,` + attachment(file) + `}`
	}
	gyp := func(fields, scripts string) string {
		body := npmtest.Package{Name: "@a/b", Version: "2.0.0", Fields: fields, Files: map[string][]byte{"binding.gyp": nil}}.Build()
		return `{"versions":{"2.0.0":{"scripts":` + scripts + `}},"_attachments":{"b-2.0.0.tgz":{"data":"` + base64.StdEncoding.EncodeToString(body) + `"}}}`
	}
	bundles := func(fields, said string) string {
		body := npmtest.Package{Name: "@a/b", Version: "2.0.0", Fields: fields, Files: map[string][]byte{"node_modules/x/package.json": []byte("{}")}}.Build()
		return `{"versions":{"2.0.0":{` + said + `}},"_attachments":{"b-2.0.0.tgz":{"data":"` + base64.StdEncoding.EncodeToString(body) + `"}}}`
	}
	const manifest = `"name":"@a/b","version":"2.0.0","dependencies":{"x":"1"}`
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "npm/-/whoami", "", `{"username":"alice"}`},
		{"HEAD", "npm/-/whoami", "", `{"username":"alice"}`},
		{"GET", "npm/-/v1/search?text=some%20words&size=5&from=3", "", `{"objects":[{"package":{"date":"1970-01-01T00:00:00.000Z","description":"some+words","keywords":[],"license":"MIT","links":{},` +
			`"maintainers":[{"username":"alice"}],"name":"@a/b","publisher":{"username":"alice"},"scope":"a","version":"1.1.0"},` +
			`"score":{"detail":{"maintenance":1,"popularity":1,"quality":1},"final":1},"searchScore":1}],"time":"1970-01-01T00:00:00.000Z","total":8}`},
		{"GET", "npm/-/_view/starredByUser?key=%22alice%22", "", `{"offset":0,"rows":[],"total_rows":0}`},
		{"GET", "npm/-/user/v1/star", "", `[]`},
		{"PUT", "npm/-/user/v1/star", `{"name":"a"}`, `{"error":"this registry has no stars"}`},
		{"POST", "npm/-/npm/v1/security/advisories/bulk", `{}`, `{"error":"this registry has no audit"}`},
		{"GET", "npm/-/package/@a/b/collaborators", ``, `{"error":"this registry has no collaborators of packages: the repository has them"}`},
		{"POST", "npm/-/package/@a/b/trust", ``, `{"error":"this registry has no trusted publishing"}`},
		{"POST", "npm/-/stage/package/@a/b", ``, `{"error":"this registry has no staged publishing: publish without a stage"}`},
		{"GET", "npm/-/user/org.couchdb.user:bob", ``, `{"error":"this registry has no users to look up: who may publish is said by the repository's collaborators"}`},
		{"GET", "npm/-/nothing", ``, `{"error":"not_found"}`},
		{"GET", "npm/", ``, `{"error":"not_found"}`},
		{"GET", "npm/.x", ``, `{"error":"not_found"}`},
		{"GET", "npm/-/v1/search?size=x", "", `invalid: size: "x" is no number`},
		{"PUT", "npm/-/user/org.couchdb.user:alice", `{"_id":"org.couchdb.user:alice","name":"alice","password":"pw","type":"user","roles":[]}`, `login alice pw {"id":"org.couchdb.user:alice","ok":true,"token":"TOKEN"}`},
		{"PUT", "npm/-/user/org.couchdb.user:alice", `{"name":"bob","password":"pw"}`, `invalid: name: the request is about "alice", and what it says about "bob"`},
		{"PUT", "npm/-/user/org.couchdb.user:alice", `{"name":"alice","password":"` + strings.Repeat("x", 1<<17) + `"}`, `invalid: body: it says too much beside the package`},
		{"DELETE", "npm/-/user/token/0123", "", ""},
		{"POST", "npm/-/v1/login", "{}", `{"error":"this registry has no login in a browser: use npm login --auth-type=legacy"}`},

		{"GET", "npm/@a/b/1.0.0", "", `{"says":"node 1 @a b-1.0.0.tgz full"}`},
		{"HEAD", "npm/@a/b/1.0.0", "", `{"says":"node 1 @a b-1.0.0.tgz full"}`},
		{"GET", "npm/@a/b/v1.0.0+build", "", `{"says":"node 1 @a b-1.0.0.tgz full"}`},
		{"GET", "npm/@a/b/latest", "", `{"says":"node 1 @a b-1.1.0.tgz full"}`},
		{"GET", "npm/@a/b/old", "", `{"says":"node 1 @a b-1.0.0.tgz full"}`},
		{"GET", "npm/@a/b/1.0", "", "not found"},
		{"GET", "npm/@a/b/none", "", "not found"},
		{"GET", "npm/@a/c/1.0.0", "", "not found"},
		{"GET", "npm/@a/b/1.0.0/x", "", `{"error":"not_found"}`},
		{"GET", "npm/@a/b/1.0.0/-rev/1", "", `{"error":"not_found"}`},
		{"GET", "npm/@a/b/-", "", `{"error":"not_found"}`},
		{"GET", "npm/-/package/@a/b/dist-tags", "", `{"latest":"1.1.0","old":"1.0.0"}`},
		{"GET", "npm/-/package/@a/c/dist-tags", "", "not found"},
		{"GET", "npm/-/package/@a/b/dist-tags/old", "", `"1.0.0"`},
		{"GET", "npm/-/package/@a/b/dist-tags/none", "", "not found"},
		{"PUT", "npm/-/package/@a/b/dist-tags/beta", `"1.0.0"`, "tag @a/b beta=1.0.0"},
		{"POST", "npm/-/package/@a/b/dist-tags/beta", `"1.0.0"`, "tag @a/b beta=1.0.0"},
		{"PUT", "npm/-/package/@a/b/dist-tags/beta", `"9.9.9"`, `invalid: dist-tags: there is no @a/b@"9.9.9" to be tagged beta`},
		{"PUT", "npm/-/package/@a/b/dist-tags/1.x", `"1.0.0"`, `invalid: dist-tags: a tag must not look like a version or a range of versions, as "1.x" does`},
		{"PUT", "npm/-/package/@a/b/dist-tags/beta", `1.0.0`, `invalid: body: it is not valid JSON: "1.0.0" is no value`},
		{"PUT", "npm/-/package/@a/b/dist-tags/beta", `"1.0.0" x`, `invalid: body: it is not valid JSON: 'x' follows its end`},
		{"PUT", "npm/-/package/@a/c/dist-tags/beta", `"1.0.0"`, "not found"},
		{"DELETE", "npm/-/package/@a/b/dist-tags/old", "", "tag @a/b old=gone"},
		{"DELETE", "npm/-/package/@a/b/dist-tags/none", "", "not found"},
		{"DELETE", "npm/-/package/@a/b/dist-tags/latest", "", "invalid: dist-tags: a package always has a latest version"},
		{"POST", "npm/-/package/@a/b/dist-tags", `{"p":"1.0.0","q":"1.1.0"}`, "tag @a/b p=1.0.0; tag @a/b q=1.1.0"},
		{"PUT", "npm/-/package/@a/b/dist-tags", `{"latest":"1.0.0"}`, "tag @a/b latest=1.0.0; tag @a/b old=gone"},
		{"PUT", "npm/-/package/@a/b/dist-tags", `{"p":"1.0.0"}`, "invalid: dist-tags: a package always has a latest version"},
		{"DELETE", "npm/-/package/@a/b/dist-tags", "", `{"error":"not_found"}`},

		{"PUT", "npm/@a/b", publish(`"latest":"2.0.0"`, "2.0.0", manifest, "@a/b-2.0.0.tgz"), "push b-2.0.0.tgz [latest]"},
		{"PUT", "npm/@a/b", publish(`"next":"2.0.0","beta":"2.0.0"`, "2.0.0", manifest, "b-2.0.0.tgz"), "push b-2.0.0.tgz [beta next]"},
		{"PUT", "npm/@a/b", publish(``, "2.0.0", manifest, "b-2.0.0.tgz"), "push b-2.0.0.tgz []"},
		{"PUT", "npm/@a/c", publish(``, "2.0.0", manifest, "b-2.0.0.tgz"), `invalid: name: the request is about "@a/c", and what it says about "@a/b"`},
		{"PUT", "npm/@a/b", publish(`"latest":"1.0.0"`, "2.0.0", manifest, "b-2.0.0.tgz"), `invalid: dist-tags: the tag latest is to be "1.0.0", and the tarball is of 2.0.0`},
		{"PUT", "npm/@a/b", publish(`"1":"2.0.0"`, "2.0.0", manifest, "b-2.0.0.tgz"), `invalid: dist-tags: a tag must not look like a version or a range of versions, as "1" does`},
		{"PUT", "npm/@a/b", publish(``, "2.0.0", manifest, "other-2.0.0.tgz"), `invalid: _attachments: "other-2.0.0.tgz" is not the tarball of @a/b@2.0.0`},
		{"PUT", "npm/@a/b", publish(``, "2.0.0", manifest, "../../b-2.0.0.tgz"), "push b-2.0.0.tgz []"},
		{"PUT", "npm/@a/b", publish(``, "../2", manifest, "b-2.0.0.tgz"), `invalid: versions: its version "../2" is no semantic version`},
		{"PUT", "npm/@a/b", publish(``, "2.0.1", manifest, "b-2.0.1.tgz"), `push b-2.0.1.tgz []; package_file: "b-2.0.1.tgz" is not a valid npm package: the request is about version "2.0.1", and package.json in the tarball says "2.0.0"`},
		{"PUT", "npm/@a/b", publish(``, "2.0.0", `"dependencies":{}`, "b-2.0.0.tgz"), `push b-2.0.0.tgz []; package_file: "b-2.0.0.tgz" is not a valid npm package: its dependencies differ from those in the request: "x"`},
		// What yarn 1 makes of an optional dependency that is a plain one too.
		{"PUT", "npm/@a/b", `{"dist-tags":{},"versions":{"2.0.0":{"name":"@a/b","version":"2.0.0","dependencies":{},"optionalDependencies":{"x":"2"}}},"_attachments":{"b-2.0.0.tgz":{"data":"` +
			base64.StdEncoding.EncodeToString(npmtest.Package{Name: "@a/b", Version: "2.0.0", Fields: `"dependencies":{"x":"1"},"optionalDependencies":{"x":"2"}`}.Build()) + `"}}}`, "push b-2.0.0.tgz []"},
		// What npm states of a bundled package that is no dependency otherwise; bun and yarn do not.
		{"PUT", "npm/@a/b", bundles(`"bundleDependencies":["x"]`, `"dependencies":{"x":"*"}`), "push b-2.0.0.tgz []"},
		{"PUT", "npm/@a/b", bundles(`"bundledDependencies":["x"]`, `"bundledDependencies":["x"]`), "push b-2.0.0.tgz []"},
		{"PUT", "npm/@a/b", bundles(`"bundleDependencies":["x"],"optionalDependencies":{"x":"1"}`, `"dependencies":{"x":"*"},"optionalDependencies":{"x":"1"}`), "push b-2.0.0.tgz []"},
		{"PUT", "npm/@a/b", bundles(`"bundleDependencies":["x"]`, `"dependencies":{"x":"*","y":"*"}`), `push b-2.0.0.tgz []; package_file: "b-2.0.0.tgz" is not a valid npm package: its dependencies differ from those in the request: "y"`},
		{"PUT", "npm/@a/b", bundles(`"bundleDependencies":["x"]`, `"dependencies":{"x":"1"}`), `push b-2.0.0.tgz []; package_file: "b-2.0.0.tgz" is not a valid npm package: its dependencies differ from those in the request: "x"`},
		// What bun does not state of a package with a gyp file, and yarn 1 does though it must not.
		{"PUT", "npm/@a/b", gyp(``, `{}`), "push b-2.0.0.tgz []"},
		{"PUT", "npm/@a/b", gyp(``, `{"install":"node-gyp rebuild"}`), "push b-2.0.0.tgz []"},
		{"PUT", "npm/@a/b", gyp(`"gypfile":false`, `{"install":"node-gyp rebuild"}`), "push b-2.0.0.tgz []"},
		{"PUT", "npm/@a/b", gyp(``, `{"install":"evil"}`), `push b-2.0.0.tgz []; package_file: "b-2.0.0.tgz" is not a valid npm package: its scripts differ from those in the request: "install"`},
		// What yarn 4 and bun send of a version with build metadata.
		{"PUT", "npm/@a/b", publish(`"latest":"2.0.0+b.7"`, "2.0.0+b.7", `"name":"@a/b","version":"2.0.0+b.7","dependencies":{"x":"1"}`, "@a/b-2.0.0+b.7.tgz"), "push b-2.0.0+b.7.tgz [latest]"},
		{"PUT", "npm/@a/b", publish(`"latest":"2.0.0"`, "2.0.0", manifest, "@a/b-2.0.0+b.7.tgz"), "push b-2.0.0+b.7.tgz [latest]"},
		{"PUT", "npm/@a/b", publish(`"latest":"2.0.0+x"`, "2.0.0", manifest, "b-v2.0.0+b.7.tgz"), "push b-v2.0.0+b.7.tgz [latest]"},
		{"PUT", "npm/@a/b", publish(``, "2.0.0", manifest, "b-2.0.0+b/../x.tgz"), `invalid: _attachments: "b-2.0.0+b/../x.tgz" is not the tarball of @a/b@2.0.0`},
		{"PUT", "npm/@a/b", publish(``, "2.0.0", manifest, "b-2.0.0.sigstore"), `invalid: _attachments: this registry keeps no provenance: publish without --provenance`},
		{"PUT", "npm/@a/b", `{"versions":{},` + attachment("b-2.0.0.tgz") + `}`, "invalid: versions: one tarball came, and the request speaks of 0 versions"},
		{"PUT", "npm/@a/b", `{`, "error: unexpected EOF"},
		{"PUT", "npm/..", `{}`, `{"error":"not_found"}`},

		{"PUT", "npm/@a/b", `{"_rev":"` + rev + `","versions":{"1.0.0":{"deprecated":"old"},"1.1.0":{"deprecated":"too"}}}`, "amend @a b-1.1.0.tgz too"},
		{"PUT", "npm/@a/b", `{"versions":{"1.0.0":{"deprecated":""}}}`, "amend @a b-1.0.0.tgz gone"},
		{"PUT", "npm/@a/b", `{"versions":{"1.0.0":{"deprecated":""},"3.0.0":{}}}`, `invalid: versions: there is no @a/b@"3.0.0", and no tarball of it came along`},
		{"PUT", "npm/@a/b", `{"versions":{"1.0.0":{}},"dist-tags":{"latest":"1.0.0"}}`, "invalid: dist-tags: tags are changed with npm dist-tag"},
		{"PUT", "npm/@a/b", `{"_id":"@a/b","_rev":"` + rev + `","users":{"alice":true}}`, "invalid: base: this registry has no stars"},
		{"PUT", "npm/@a/b", `{"_id":"@a/b","_rev":"` + rev + `","users":{}}`, "invalid: base: this registry has no stars"},
		{"PUT", "npm/@a/b/-rev/" + rev, `{"_id":"@a/b","_rev":"` + rev + `","maintainers":[{"name":"bob"}]}`, "invalid: base: this registry has no owners of packages: the repository has collaborators"},
		{"PUT", "npm/@a/b", `{"_rev":"1-x","versions":{}}`, "stale"},
		{"PUT", "npm/@a/b", `{"versions":{}}`, "invalid: versions: a packument without versions: to remove all of them, delete it"},
		{"PUT", "npm/@a/c", `{"versions":{}}`, "not found"},
		{"PUT", "npm/@a/b/-rev/" + rev, `{"_rev":"` + rev + `","versions":{"1.1.0":{}}}`, "remove @a b-1.0.0.tgz"},
		{"PUT", "npm/@a/b/-rev/1-x", `{"versions":{"1.1.0":{}}}`, "stale"},
		{"PUT", "npm/@a/b/-rev/" + rev, `{}`, "invalid: versions: a packument without versions: to remove all of them, delete it"},
		{"DELETE", "npm/@a/b/-rev/" + rev, ``, "remove @a b-1.0.0.tgz; remove @a b-1.1.0.tgz"},
		{"DELETE", "npm/@a/b/-rev/1-x", ``, "stale"},
		{"DELETE", "npm/@a/b", ``, `{"error":"not_found"}`},
		{"DELETE", "npm/@a/b/-/b-1.0.0.tgz/-rev/1-x", ``, "remove @a b-1.0.0.tgz"},
		{"DELETE", "npm/@a/b/-/r0123456789abcdef/b-1.0.0.tgz/-rev/1-x", ``, "remove @a b-1.0.0.tgz"},
		{"DELETE", "npm/@a/b/-/b-9.0.0.tgz/-rev/1-x", ``, ""},
		{"DELETE", "npm/@a/b/-/other.tgz/-rev/1-x", ``, `{"error":"not_found"}`},
		{"PATCH", "npm/@a/b", ``, `{"error":"not_found"}`},
		{"PUT", "other/b", ``, "no access"},
	} {
		if got := call(t, c.method, c.path, c.body); got != c.want {
			t.Errorf("%s %s %.60s:\n%s, not\n%s", c.method, c.path, c.body, got, c.want)
		}
	}
}

// TestAccess has who may do what.
func TestAccess(t *testing.T) {
	for _, c := range []struct {
		method, path string
		want         format.Access
	}{
		{"GET", "npm/-/whoami", format.ReadAccess}, {"GET", "npm/-/v1/search", format.ReadAccess}, {"GET", "npm/-/package/a/dist-tags", format.ReadAccess},
		{"GET", "npm/a/1.0.0", format.ReadAccess}, {"GET", "npm/@a/b/latest", format.ReadAccess}, {"GET", "npm/@a/b", format.NoAccess},
		{"PUT", "npm/-/user/org.couchdb.user:a", format.OpenAccess},
		{"PUT", "npm/a", format.WriteAccess}, {"PUT", "npm/a/-rev/1", format.WriteAccess}, {"DELETE", "npm/a/-rev/1", format.WriteAccess},
		{"DELETE", "npm/a/-/a-1.0.0.tgz/-rev/1", format.WriteAccess}, {"PUT", "npm/-/package/a/dist-tags/x", format.WriteAccess}, {"DELETE", "npm/-/package/a/dist-tags/x", format.WriteAccess},
		{"POST", "npm/-/package/a/dist-tags", format.WriteAccess}, {"GET", "npm/a", format.NoAccess}, {"GET", "npm/a/-/a-1.0.0.tgz", format.NoAccess},
	} {
		if got := npm.New().Receives(c.method, c.path); got != c.want {
			t.Errorf("%s %s: %v, not %v", c.method, c.path, got, c.want)
		}
	}
}

// TestReadFails hands a failure of the storage on as it is.
func TestReadFails(t *testing.T) {
	_, err := npm.New().Receive(t.Context(), format.Call{
		Method: "PUT", Path: "npm/a", Body: strings.NewReader(`{"_attachments":{"a-1.0.0.tgz":{"data":"aGVsbG8="}}}`), Lookup: registry{}, Scratch: npmtest.Scratch,
		Keep: func(context.Context, string, io.Reader) (format.Upload, error) { return format.Upload{}, errFire },
	})
	var invalid *repo.InvalidError
	if !errors.Is(err, errFire) || errors.As(err, &invalid) {
		t.Errorf("the error is %v", err)
	}
}

func TestRefusal(t *testing.T) {
	a := npm.New().Refusal(422, `it is "bad"`)
	if a.Status != 422 || a.ContentType != "application/json" || !bytes.Equal(a.Body, []byte(`{"error":"it is \"bad\""}`)) {
		t.Errorf("%+v", a)
	}
}
