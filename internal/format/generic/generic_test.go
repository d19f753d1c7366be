package generic_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"packagecloud/internal/format"
	"packagecloud/internal/format/generic"
	"packagecloud/internal/repo"
	"packagecloud/internal/serve/servetest"
)

func TestParse(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, c := range []struct {
		filename string
		fields   map[string]string
		path     string // "" if it is refused
	}{
		{"model.bin", nil, "generic/model.bin"},
		{"any name", map[string]string{"filename": "model.bin"}, "generic/model.bin"},
		{"m", map[string]string{"name": "tool", "version": "1.0+a~b"}, "generic/tool/1.0+a~b/m"},
		{"übung (2).tar.gz", nil, "generic/übung (2).tar.gz"},
		{"m", map[string]string{"name": "tool"}, ""},
		{"m", map[string]string{"version": "1"}, ""},
		{"", nil, ""},
		{"..", nil, ""},
		{"a/b", nil, ""},
		{"../etc/passwd", nil, ""},
		{`a\b`, nil, ""},
		{"a\nb", nil, ""},
		{"a\x00b", nil, ""},
		{" a", nil, ""},
		{"a\u202eb", nil, ""},
		{"\xff", nil, ""},
		{long, nil, ""},
		{"m", map[string]string{"name": "..", "version": "1"}, ""},
		{"m", map[string]string{"name": "tool", "version": "r0123456789abcdef"}, ""},
		{"m", map[string]string{"name": "a/b", "version": "1"}, ""},
	} {
		p, err := generic.New().Parse(t.Context(), format.Upload{Filename: c.filename, Content: bytes.NewReader(nil), Fields: c.fields})
		if c.path == "" {
			if err == nil {
				t.Errorf("%q %v is taken", c.filename, c.fields)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q %v: %v", c.filename, c.fields, err)
			continue
		}
		pkg := p.Package()
		for _, revision := range []string{"", "r0123456789abcdef"} {
			path := generic.New().Path(pkg, pkg.Filename(), repo.DistroVersion{}, revision)
			if revision == "" && path != c.path {
				t.Errorf("%q %v is at %s and not %s", c.filename, c.fields, path, c.path)
			}
			r, ok := generic.New().Resolve(format.Query{Path: path})
			if !ok || r.Namespace != pkg.Namespace || r.Filename != pkg.Filename() || (r.Kind == format.PackageFile) != (revision != "") {
				t.Errorf("%s resolves to %+v", path, r)
			}
		}
	}
}

// FuzzPath: what can be pushed is found under its path, and nothing else is.
func FuzzPath(f *testing.F) {
	f.Add("file", "name", "1.0")
	f.Add("a.sha256", "", "")
	f.Add("..", "r0123456789abcdef", "/")
	f.Fuzz(func(t *testing.T, file, name, version string) {
		p, err := generic.New().Parse(t.Context(), format.Upload{Filename: file, Fields: map[string]string{"name": name, "version": version}})
		if err != nil {
			return
		}
		path := generic.New().Path(p.Package(), p.Package().Filename(), repo.DistroVersion{}, "")
		r, ok := generic.New().Resolve(format.Query{Path: path})
		if !ok || r.Kind != format.NamedFile || r.Namespace != p.Package().Namespace || r.Filename != file {
			t.Fatalf("%q resolves to %+v, %v", path, r, ok)
		}
		if strings.Contains(path, "//") || strings.Contains(path, "/../") || strings.HasSuffix(path, "/..") {
			t.Fatalf("%q is no plain path", path)
		}
	})
}

// TestHTTP is the life of a file as clients see it.
func TestHTTP(t *testing.T) {
	s := servetest.Start(t, nil)
	const path = "/alice/public/generic/tool/1.0/tool.tar.gz"
	body := bytes.Repeat([]byte("0123456789"), 1000)
	sum := fmt.Sprintf("%x", sha256.Sum256(body))
	tag := `"` + sum + `"`
	put := func(body []byte, header map[string]string) servetest.Answer {
		t.Helper()
		return s.Do(servetest.Request{Method: "PUT", Path: path, User: s.Token, Body: body, Header: header})
	}
	get := func(path string, header map[string]string) servetest.Answer {
		t.Helper()
		return s.Do(servetest.Request{Path: path, Header: header})
	}

	get(path, nil).Is(404)
	put(body, map[string]string{"X-Checksum-Sha256": strings.Repeat("0", 64)}).Is(422)
	put(body, map[string]string{"Repr-Digest": "sha-256=:" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + ":"}).Is(422)
	put(body, map[string]string{"Content-MD5": base64.StdEncoding.EncodeToString(make([]byte, 16))}).Is(422)
	put(body, map[string]string{"Content-Range": "bytes 0-9/10"}).Is(422)
	put(body, map[string]string{"If-Match": "*"}).Is(412)
	get(path, nil).Is(404) // nothing of that was stored
	md := md5.Sum(body)
	put(body, map[string]string{"If-None-Match": "*", "X-Checksum-Sha256": sum, "Content-MD5": base64.StdEncoding.EncodeToString(md[:])}).Is(201).Says("Etag", tag)
	put(body, map[string]string{"If-None-Match": "*"}).Is(412)
	put(body, nil).Is(200).Says("Etag", tag) // the same again
	put([]byte("other"), nil).Is(409)

	get(path, nil).Is(200).Says("Etag", tag).Says("X-Checksum-Sha256", sum).Says("Content-Length", "10000").Says("Accept-Ranges", "bytes").Has(string(body))
	get(path, map[string]string{"If-None-Match": `"x", ` + tag}).Is(304)
	get(path, map[string]string{"If-Match": `"x"`}).Is(412)
	get(path, map[string]string{"Range": "bytes=9990-"}).Is(206).Says("Content-Range", "bytes 9990-9999/10000").Has("0123456789")
	get(path, map[string]string{"Range": "bytes=9990-", "If-Range": tag}).Is(206)
	get(path, map[string]string{"Range": "bytes=9990-", "If-Range": `"x"`}).Is(200)
	get(path, map[string]string{"Range": "bytes=10000-"}).Is(416)
	s.Do(servetest.Request{Method: "HEAD", Path: path}).Is(200).Says("Content-Length", "10000").Says("Etag", tag)
	get(path+".sha256", nil).Is(200).Has(sum + "  tool.tar.gz\n")
	get(path+".md5", nil).Is(200).Has(fmt.Sprintf("%x  tool.tar.gz\n", md))
	get(path+".sha3", nil).Is(404)

	// A file that somebody pushed is before what would be made.
	s.Do(servetest.Request{Method: "PUT", Path: path + ".sha256", User: s.Token, Body: []byte("mine")}).Is(201)
	get(path+".sha256", nil).Is(200).Has("mine")

	// Another file in its place; whoever has read the old one resumes at nothing.
	put([]byte("other"), map[string]string{"If-Match": tag}).Is(201)
	get(path, nil).Is(200).Has("other")
	get(path, map[string]string{"Range": "bytes=5000-", "If-Range": tag}).Is(200)
	s.Do(servetest.Request{Method: "DELETE", Path: path, User: s.Token, Header: map[string]string{"If-Match": tag}}).Is(412)

	// The API.
	const api = "/api/v1/repos/alice/public"
	ask := func(method, path string) servetest.Answer {
		t.Helper()
		return s.Do(servetest.Request{Method: method, Path: path, User: s.Token})
	}
	s.Push("alice/public", "230", "model.bin", body, nil).Is(201).Has(`"filename":"model.bin"`).Has(`"distro_version":"anyfile/1"`).Has(`"type":"anyfile"`)
	s.Push("alice/public", "230", "model.bin", []byte("other"), nil).Is(422).Has(`{"filename":["has already been taken"]}`)
	s.Push("alice/public", "anyfile/1", "tool.tar.gz", body, map[string]string{"name": "tool", "version": "2.0"}).Is(201).Has(`"scope":"tool/2.0"`)
	s.Push("alice/public", "anyfile/1", "../x", body, map[string]string{"filename": "../x"}).Is(422)
	get("/alice/public/generic/model.bin", nil).Is(200)
	get("/alice/public/generic/tool/2.0/tool.tar.gz", nil).Is(200)
	get("/alice/public/packages/anyfile/1/model.bin/download.bin?distro_version_id=230", nil).Is(200).Has(string(body))
	get("/alice/public/packages/anyfile/1/tool.tar.gz/download.gz?distro_version_id=230&scope=tool%2F2.0", nil).Is(200).Has(string(body))
	ask("GET", api+"/package/anyfile/model.bin/1.json").Is(200).Has(`"sha256sum":"` + sum + `"`)
	ask("GET", api+"/package/anyfile/tool/versions.json").Is(200).Has(`"version":"1.0"`).Has(`"version":"2.0"`)
	ask("GET", api+"/search.json?q=tool.tar&filter=anyfile").Is(200).Has(`"scope":"tool/1.0"`).Lacks("model.bin")
	ask("GET", api+"/search.json?q=&dist=anyfile/1").Is(200).Has("model.bin")
	ask("GET", api+"/packages/anyfile.json").Is(200).Has(`"name":"tool"`)
	ask("DELETE", api+"/anyfile/1/tool.tar.gz").Is(404)
	ask("DELETE", api+"/anyfile/1/tool.tar.gz?scope=tool%2F2.0").Is(200)
	get("/alice/public/generic/tool/2.0/tool.tar.gz", nil).Is(404)
	ask("DELETE", path).Is(204)
	ask("DELETE", path).Is(404)
	ask("DELETE", api+"/anyfile/1/model.bin").Is(200)
}
