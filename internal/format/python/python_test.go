package python_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"mime/multipart"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/format"
	"packagecloud/internal/format/python"
	"packagecloud/internal/format/python/pytest"
	"packagecloud/internal/repo"
	"packagecloud/internal/serve/servetest"
)

func parse(t testing.TB, filename string, body []byte, fields map[string]string) (format.Parsed, error) {
	t.Helper()
	return python.New().Parse(t.Context(), format.Upload{Filename: filename, Content: bytes.NewReader(body), Size: int64(len(body)), Fields: fields})
}

// accept parses an upload, and has the gate judge what lists it.
func accept(t testing.TB, filename string, body []byte, fields map[string]string) (*repo.Package, error) {
	t.Helper()
	p, err := parse(t, filename, body, fields)
	if err != nil {
		return nil, err
	}
	pkg := p.Package()
	pkg.Files[0].Path = python.New().Path(pkg, pkg.Filename(), repo.DistroVersion{}, "")
	entries, err := p.Entries(format.Listing{Files: pkg.Files, Time: time.Unix(0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return pkg, format.Check(python.New(), pkg, entries)
}

func TestParse(t *testing.T) {
	meta := pytest.Metadata("Zope.Interface", "1.0", "License: ZPL 2.1\nRequires-Python: >=3.8\nRequires-Dist: six (>=1.0)\nRequires-Dist: attrs; extra == 'test'\nProvides-Extra: test\n")
	wheel := pytest.WheelOf("zope_interface-1.0.dist-info/", meta)
	sdist := pytest.TarGz("zope.interface-1.0/PKG-INFO", meta, "zope.interface-1.0/src/zope.egg-info/PKG-INFO", "Name: other\n")
	want := &repo.Package{
		Type: repo.Python, Name: "Zope.Interface", Version: "1.0", List: "zope-interface", Summary: "a test", Description: "A description.",
		Licenses: []string{"ZPL 2.1"}, Dependencies: []repo.Dependencies{
			{Context: "requires-dist", Names: []string{"six (>=1.0)", "attrs; extra == 'test'"}},
			{Context: "requires-extra", Names: []string{"test"}},
			{Context: "requires-python", Names: []string{">=3.8"}},
		},
	}
	for filename, body := range map[string][]byte{
		"zope_interface-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl": wheel,
		"zope.interface-1.0.0-1build-py2.py3-none-any.whl":                              wheel,
		"zope.interface-1.0.tar.gz":                                                     sdist,
		"Zope-Interface-1.0.tgz":                                                        sdist,
		"zope.interface-1.0.zip":                                                        pytest.Zip("zope.interface-1.0/PKG-INFO", meta),
		"zope.interface-1.0-py3.11-linux-x86_64.egg":                                    pytest.Zip("EGG-INFO/PKG-INFO", meta),
		"zope.interface-1.0-py3.11.egg-info":                                            []byte(meta),
	} {
		p, err := parse(t, filename, body, map[string]string{"name": "zope_interface", "version": "v1"})
		if err != nil {
			t.Errorf("%s: %v", filename, err)
			continue
		}
		want.Files = []repo.File{{Name: filename, Size: int64(len(body))}}
		if diff := cmp.Diff(want, p.Package()); diff != "" {
			t.Errorf("%s: %s", filename, diff)
		}
		if derived := p.(format.Deriving).Derived(); strings.HasSuffix(filename, ".whl") != (len(derived) == 1) || len(derived) == 1 && string(derived[0].Body) != meta {
			t.Errorf("%s: derived %v", filename, derived)
		}
	}
}

// TestFolder: old tools wrote the name and the version of a dist-info folder in
// spellings of their own, of which pip reads some.
func TestFolder(t *testing.T) {
	meta := pytest.Metadata("Zope.Interface", "1.0-1", "")
	for folder, want := range map[string]bool{
		"zope_interface-1.0.post1": true, "Zope.Interface-1.0-1": true, "ZOPE_interface-1.post1": true,
		"zope.interface-1.0_1": false, "ZOPE-INTERFACE-1.post1": false, "zope_interface": false,
	} {
		if _, err := parse(t, "zope_interface-1.0.post1-py3-none-any.whl", pytest.WheelOf(folder+".dist-info/", meta), nil); (err == nil) != want {
			t.Errorf("%s: %v", folder, err)
		}
	}
}

// TestHostile is refused with a reason.
func TestHostile(t *testing.T) {
	meta := pytest.Metadata("p", "1", "")
	wheel := func(files ...string) []byte { return pytest.WheelOf("p-1.dist-info/", meta, files...) }
	of := func(lines string) []byte { return pytest.WheelOf("p-1.dist-info/", pytest.Metadata("p", "1", lines)) }
	sdist := pytest.TarGz("p-1/PKG-INFO", meta)
	twine := map[string]string{"name": "p", "version": "1", "filename": "x"}
	const name = "p-1-py3-none-any.whl"
	const info, record, head = "p-1.dist-info/WHEEL", "p-1.dist-info/RECORD", "Wheel-Version: 1.0\n"
	for what, c := range map[string]struct {
		filename string
		body     []byte
		fields   map[string]string
		says     string
	}{
		"not a package":               {name, []byte("nothing"), nil, "no Python package"},
		"nothing":                     {"p-1.tar.gz", nil, nil, "no Python package"},
		"cut off":                     {name, wheel()[:100], nil, "no sound zip file"},
		"cut off, tar":                {"p-1.tar.gz", sdist[:60], nil, "cannot be"},
		"a zip by another name":       {"p-1.tar.gz", wheel(), twine, "as a .whl file"},
		"another project":             {"q-1-py3-none-any.whl", wheel(), twine, "not the name of p 1"},
		"another version":             {"p-2-py3-none-any.whl", wheel(), twine, "not the name of p 1"},
		"another sdist":               {"q-1.tar.gz", sdist, twine, "not the name of p 1"},
		"no wheel name":               {"p-1.whl", wheel(), twine, "not the name of p 1"},
		"a path":                      {"../p-1-py3-none-any.whl", wheel(), twine, "not the name of p 1"},
		"an egg by another name":      {"upload", pytest.Zip("EGG-INFO/PKG-INFO", meta), nil, "must be that of an egg"},
		"xz":                          {"p-1.tar.xz", []byte("\xfd7zXZ\x00"), nil, "push a wheel"},
		"compress":                    {"p-1.tar.Z", []byte("\x1f\x9d"), nil, "push a wheel"},
		"zstd":                        {"p-1.tar.zst", []byte("\x28\xb5\x2f\xfd"), nil, "push a wheel"},
		"an installer":                {"p-1.exe", []byte("MZ"), nil, "push a wheel"},
		"xz by another name":          {"p-1.tar.gz", []byte("\xfd7zXZ\x00"), nil, "no Python package"},
		"gzip by another name":        {"p-1.tar.bz2", sdist, twine, "as a .tar.gz file"},
		"bzip2 by another name":       {"p-1.tar.gz", []byte("BZh9"), nil, "cannot be unpacked"},
		"tar by another name":         {"p-1.tar.gz", pytest.Tar("p-1/PKG-INFO", meta), twine, "as a .tar file"},
		"another's folder":            {name, pytest.WheelOf("q-1.dist-info/", meta), nil, "not the folder of p 1"},
		"a folder of another version": {name, pytest.WheelOf("p-2.dist-info/", meta), nil, "not the folder of p 1"},
		"a folder without version":    {name, pytest.WheelOf("p.dist-info/", meta), nil, "not the folder of p 1"},
		"a folder of an archive":      {name, pytest.WheelOf("p-1.zip.dist-info/", meta), nil, "not the folder of p 1"},
		"twine's name lies":           {name, wheel(), map[string]string{"name": "q"}, "not what the metadata"},
		"twine's version lies":        {name, wheel(), map[string]string{"version": "2"}, "not what the metadata"},
		"traversal":                   {name, wheel("../../etc/cron.d/x", ""), nil, "unpacked elsewhere"},
		"traversal, windows":          {name, wheel(`..\..\x`, ""), nil, "unpacked elsewhere"},
		"absolute":                    {name, wheel("/etc/passwd", ""), nil, "unpacked elsewhere"},
		"absolute, tar":               {"p-1.tar.gz", pytest.TarGz("p-1/PKG-INFO", meta, "/etc/passwd", ""), nil, "unpacked elsewhere"},
		"metadata twice":              {name, wheel("p-1.dist-info/METADATA", pytest.Metadata("q", "1", "")), nil, "twice"},
		"a file twice":                {name, wheel("p.py", "1", "p.py", "2"), nil, "twice"},
		"two dist-infos":              {name, wheel("q-1.dist-info/x", meta), nil, "2 folders"},
		"metadata twice, tar":         {"p-1.tar.gz", pytest.TarGz("p-1/PKG-INFO", meta, "q-1/PKG-INFO", meta), nil, "twice"},
		"no metadata":                 {name, pytest.Zip("p.py", ""), nil, "has no metadata"},
		"no WHEEL":                    {name, pytest.Zip("p-1.dist-info/METADATA", meta), nil, "no file WHEEL"},
		"no RECORD":                   {name, pytest.Zip("p-1.dist-info/METADATA", meta, info, head), nil, "no file RECORD"},
		"a WHEEL of nothing":          {name, pytest.Zip("p-1.dist-info/METADATA", meta, info, "", record, ""), nil, "Wheel-Version"},
		"a WHEEL to come":             {name, pytest.Zip("p-1.dist-info/METADATA", meta, info, "Wheel-Version: 2.0\n", record, ""), nil, "Wheel-Version"},
		"two names":                   {name, pytest.WheelOf("p-1.dist-info/", "Name: p\nName: q\nVersion: 1\n"), nil, "two values"},
		"no name":                     {name, pytest.WheelOf("p-1.dist-info/", "Version: 1\n"), nil, "is no name"},
		"no version":                  {name, pytest.WheelOf("p-1.dist-info/", "Name: p\n"), nil, "which is none"},
		"a legacy version":            {"p-2004d.tar.gz", pytest.TarGz("p-2004d/PKG-INFO", pytest.Metadata("p", "2004d", "")), nil, "which is none"},
		"a version of 70 bits":        {"p-1.tar.gz", pytest.TarGz("p-1/PKG-INFO", pytest.Metadata("p", "1.1234567890123456789012", "")), nil, "which is none"},
		"a folded name":               {name, pytest.WheelOf("p-1.dist-info/", "Name:\n p\nVersion: 1\n"), nil, "is no name"},
		"a blank behind the name":     {name, pytest.WheelOf("p-1.dist-info/", "Name: p \nVersion: 1\n"), nil, "is no name"},
		"Latin-1":                     {name, of("Author: Andr\xe9\n"), nil, "not UTF-8"},
		"a byte order mark":           {name, pytest.WheelOf("p-1.dist-info/", "\xef\xbb\xbf"+meta), nil, "byte order mark"},
		"Requires-Dist":               {name, of("Requires-Dist: foo>=1.x\n"), nil, "Requires-Dist"},
		"a marker of two strings":     {name, of("Requires-Dist: six; 'a'=='b'\n"), nil, "two strings"},
		"Requires-Dist, folded":       {name, of("Requires-Dist: foo\n >=1\n"), nil, "control character"},
		"a Requires-Python of words":  {name, of("Requires-Python: three\n"), nil, "Requires-Python"},
		"Requires-Python":             {name, of("Requires-Python: ===1.²\n"), nil, "Requires-Python"},
		"a bomb, zip":                 {name, of(strings.Repeat("x", 5<<20)), nil, "larger than"},
		"a bomb, tar":                 {"p-1.tar.gz", pytest.TarGz("p-1/PKG-INFO", meta, "p-1/bomb", strings.Repeat("x", 65<<20)), nil, "unpacks to more than"},
	} {
		_, err := accept(t, c.filename, c.body, c.fields)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, and not %q", what, err, c.says)
		}
	}
}

// TestZipOfManyFiles has a directory that would fill the memory.
func TestZipOfManyFiles(t *testing.T) {
	var files []string
	for i := range 40_000 {
		files = append(files, fmt.Sprintf("%0200d", i), "")
	}
	if _, err := parse(t, "p-1-py3-none-any.whl", pytest.Zip(files...), nil); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a directory of %d files: %v", len(files)/2, err)
	}
}

func FuzzParse(f *testing.F) {
	meta := pytest.Metadata("p", "1", "Requires-Python: >=3\n")
	f.Add("p-1-py3-none-any.whl", pytest.WheelOf("p-1.dist-info/", meta))
	f.Add("a random name", pytest.WheelOf("p-1.dist-info/", meta))
	f.Add("p-1.tar.gz", pytest.TarGz("p-1/PKG-INFO", meta))
	f.Add("p-1-py3.egg-info", []byte(meta))
	f.Add("p-1-py3.egg-info", []byte("Name: p\nVersion: 1\nLicense: x\n  y\nnonsense\n\n\xff"))
	f.Fuzz(func(t *testing.T, filename string, body []byte) {
		p, err := parse(t, filename, body, nil)
		if err != nil {
			return
		}
		pkg := p.Package()
		path := python.New().Path(pkg, pkg.Filename(), repo.DistroVersion{}, "")
		if r, ok := python.New().Resolve(format.Query{Path: path}); !ok || r.Paths[0] != path || strings.Contains(path, "..") && strings.Contains(path, "/..") {
			t.Fatalf("%s resolves to %+v", path, r)
		}
		pkg.Files[0].Path = path
		entries, err := p.Entries(format.Listing{Files: pkg.Files, Time: time.Unix(0, 0)})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			frame := format.Framing{Kind: e.Kind, List: pkg.List, Entries: 1, First: e.Text}
			head, tail := python.New().Frame(frame)
			if text := append(head, tail...); e.Kind == "json" && !json.Valid(text) {
				t.Fatalf("no JSON: %s", text)
			}
			if e.Kind == "html" && (bytes.Count(e.Text, []byte("<")) != 3 || bytes.Count(e.Text, []byte(">")) != 3) {
				t.Fatalf("markup got through: %s", e.Text)
			}
		}
	})
}

// upload is what twine sends.
func upload(s *servetest.Server, r servetest.Request, filename string, body []byte, fields ...string) servetest.Answer {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for i := 0; i < len(fields); i += 2 {
		_ = w.WriteField(fields[i], fields[i+1])
	}
	part, _ := w.CreateFormFile("content", filename)
	_, _ = part.Write(body)
	_ = w.Close()
	r.Method, r.Body, r.Header = "POST", form.Bytes(), map[string]string{"Content-Type": w.FormDataContentType()}
	return s.Do(r)
}

// TestRandomNames: a file whose name is that of nothing, or of something else, gets
// one that its metadata makes.
func TestRandomNames(t *testing.T) {
	meta := pytest.Metadata("Zope.Interface", "v1.0-RC.1", "")
	info := "zope_interface-1.0rc1.dist-info/"
	tagged := func(lines string) []byte {
		return pytest.Zip(info+"METADATA", meta, info+"RECORD", "", info+"WHEEL", "Wheel-Version: 1.0\n"+lines)
	}
	sdist := pytest.TarGz("zope.interface-1.0rc1/PKG-INFO", meta)
	for _, c := range []struct {
		filename string
		body     []byte
		want     string
	}{
		{"b1946ac9-2d4a-4f0e-8f0b-0d6a3f3f7c11", tagged("Tag: py3-none-any\n"), "zope_interface-1.0rc1-py3-none-any.whl"},
		{"", tagged("Tag: py3-none-any\nTag: py2-none-any\n"), "zope_interface-1.0rc1-py2.py3-none-any.whl"},
		{"upload (1).whl", tagged("Tag: cp36-abi3-manylinux_2_17_x86_64\nTag: cp36-abi3-manylinux2014_x86_64\nBuild: 3x\n"), "zope_interface-1.0rc1-3x-cp36-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"},
		{"other-2.0-py3-none-any.whl", tagged("Tag: py3-none-any\n"), "zope_interface-1.0rc1-py3-none-any.whl"},
		{"zope-interface-1.0rc1-py3-none-any.whl", tagged("Tag: py3-none-any\n"), "zope_interface-1.0rc1-py3-none-any.whl"},
		{"zope_interface-1.0rc1-py3-none-any.WHL", tagged("Tag: py3-none-any\n"), "zope_interface-1.0rc1-py3-none-any.whl"},
		{"../\x00<b>é", sdist, "zope_interface-1.0rc1.tar.gz"},
		{"zope.interface-1.0rc1.zip", sdist, "zope_interface-1.0rc1.tar.gz"},
		{"b1946ac9-2d4a-4f0e-8f0b-446655440000.tgz", sdist, "zope_interface-1.0rc1.tgz"},
		{"x", pytest.Tar("x/PKG-INFO", meta), "zope_interface-1.0rc1.tar"},
		{"x", pytest.Zip("x/PKG-INFO", meta), "zope_interface-1.0rc1.zip"},
		{"zope.interface-1.0.pre01.tar.gz", sdist, "zope.interface-1.0.pre01.tar.gz"}, // stays
	} {
		p, err := accept(t, c.filename, c.body, nil)
		if err != nil {
			t.Errorf("%q: %v", c.filename, err)
			continue
		}
		if got := p.Filename(); got != c.want {
			t.Errorf("%q becomes %s, want %s", c.filename, got, c.want)
		}
	}
	for _, lines := range []string{"", "Tag: py3-none\n", "Tag: py2-none-any\nTag: py3-abi3-any\n", "Tag: py3-none-a ny\n", "Tag: py3-none-any\nBuild: x\n"} {
		if p, err := accept(t, "x", tagged(lines), nil); err == nil {
			t.Errorf("a wheel with the tags %q becomes %s", lines, p.Filename())
		}
	}
}

// TestUploadsAreListed: who uploads a file finds it in the page right away, also as
// the last of many.
func TestUploadsAreListed(t *testing.T) {
	s := servetest.Start(t, nil)
	twine := servetest.Request{Path: "/alice/public/pypi/legacy/", User: "__token__", Pass: s.Token}
	for i := range 3 {
		name := fmt.Sprintf("hello-%d.0-py3-none-any.whl", i)
		upload(s, twine, name, pytest.Wheel("hello", fmt.Sprintf("%d.0", i), ""), ":action", "file_upload").Is(200)
		s.Get("/alice/public/pypi/simple/hello/").Is(200).Has(name)
	}
}

// TestHTTP is the life of a project as clients see it.
func TestHTTP(t *testing.T) {
	s := servetest.Start(t, nil)
	const index = "/alice/public/pypi/simple/"
	twine := servetest.Request{Path: "/alice/public/pypi/legacy/", User: "__token__", Pass: s.Token}
	action := []string{":action", "file_upload", "protocol_version", "1"}
	jsonType := map[string]string{"Accept": "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"}

	s.Get(index).Is(200).Says("Content-Type", "text/html; charset=utf-8").Lacks("<a")
	one, two := pytest.Wheel("My_Lib", "1.0", "Requires-Python: >=3.8,<4\n"), pytest.Wheel("My_Lib", "2.0", "")
	upload(s, servetest.Request{Path: twine.Path}, "My_Lib-1.0-py3-none-any.whl", one, action...).Is(401).Says("WWW-Authenticate", `Basic realm="packagecloud"`)
	upload(s, twine, "My_Lib-1.0-py3-none-any.whl", one).Is(422)
	upload(s, twine, "My_Lib-1.0-py3-none-any.whl", one, append(action, "sha256_digest", strings.Repeat("0", 64))...).Is(422)
	upload(s, twine, "My_Lib-1.1-py3-none-any.whl", one, action...).Is(422).Has("is not the name of My_Lib 1.0")
	s.Settle()
	s.Get(index).Is(200).Lacks("<a") // nothing of that was stored
	upload(s, twine, "My_Lib-1.0-py3-none-any.whl", one, append(action, "name", "my-lib", "version", "1.0")...).Is(200)
	upload(s, twine, "My_Lib-1.0-py3-none-any.whl", one, action...).Is(200)                               // again
	upload(s, twine, "My_Lib-1.0-py3-none-any.whl", pytest.Wheel("My_Lib", "1.0", ""), action...).Is(409) // other bytes
	s.Push("alice/public", "166", "My_Lib-2.0-py3-none-any.whl", two, nil).Is(201).Has(`"distro_version":"python"`).Has(`"name":"My_Lib"`)
	s.Push("alice/public", "python/1", "my_lib-2.0.tar.gz", pytest.TarGz("my_lib-2.0/PKG-INFO", pytest.Metadata("My_Lib", "2.0", "Requires-Dist: six\n")), nil).Is(201).Has(`"context":"requires-dist"`)

	// Pages.
	s.Get(index).Has(`<a href="my-lib/">my-lib</a>`)
	s.Do(servetest.Request{Path: index, Header: jsonType}).Is(200).Says("Content-Type", "application/vnd.pypi.simple.v1+json").Says("Vary", "Accept, Accept-Encoding").Has(`{"name":"my-lib"}`)
	s.Get("/alice/public/pypi/simple").Is(301).Says("Location", index)
	s.Get(index+"My.Lib/").Is(301).Says("Location", index+"my-lib/")
	s.Get(index+"my-lib").Is(301).Says("Location", index+"my-lib/")
	s.Get(index + "other/").Is(404)
	page := s.Get(index + "my-lib/").Is(200).Has(`data-requires-python="&gt;=3.8,&lt;4"`).Has("data-core-metadata=").Body
	var project struct {
		Meta struct {
			APIVersion string `json:"api-version"`
		}
		Name     string
		Versions []string
		Files    []struct {
			Filename, URL string
			Hashes        map[string]string
			Size          int
			UploadTime    time.Time         `json:"upload-time"`
			Metadata      map[string]string `json:"core-metadata"`
			Yanked        any
		}
	}
	read := func() {
		t.Helper()
		body := s.Do(servetest.Request{Path: index + "my-lib/", Header: jsonType}).Is(200).Body
		project.Files = nil
		if err := json.Unmarshal([]byte(body), &project); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
	}
	read()
	if project.Meta.APIVersion != "1.1" || project.Name != "my-lib" || fmt.Sprint(project.Versions) != "[1.0 2.0]" || len(project.Files) != 3 {
		t.Fatalf("the project is %+v", project)
	}
	first := project.Files[0]
	if first.Filename != "My_Lib-1.0-py3-none-any.whl" || first.Size != len(one) || time.Since(first.UploadTime) > time.Minute || !strings.Contains(page, first.URL+"#sha256="+first.Hashes["sha256"]) {
		t.Errorf("the first file is %+v", first)
	}
	where, absolute := strings.CutPrefix(first.URL, s.URL)
	if !absolute {
		t.Errorf("the URL %s is relative", first.URL)
	}
	s.Get(where).Is(200).Has(string(one))
	s.Get(where + ".metadata").Is(200).Has("Name: My_Lib\nVersion: 1.0\n")

	// Yanking.
	const api = "/api/v1/repos/alice/public"
	attribute := servetest.Request{Method: "PUT", Path: api + "/python/1/My_Lib-1.0-py3-none-any.whl/attributes/yanked", User: s.Token, Body: []byte(`{"value":"broken <b>"}`), Header: map[string]string{"Content-Type": "application/json"}}
	s.Do(attribute).Is(200)
	s.Settle()
	s.Get(index + "my-lib/").Has(`data-yanked="broken &lt;b&gt;"`)
	if read(); project.Files[0].Yanked != "broken <b>" || project.Files[1].Yanked != nil {
		t.Errorf("after yanking: %+v", project.Files)
	}
	attribute.Path = strings.Replace(attribute.Path, "yanked", "loved", 1)
	s.Do(attribute).Is(422)
	s.Do(servetest.Request{Method: "DELETE", Path: api + "/pypi/1/My_Lib-1.0-py3-none-any.whl/attributes/yanked", User: s.Token}).Is(200)
	s.Settle()
	s.Get(index + "my-lib/").Lacks("data-yanked")

	// The API.
	ask := func(method, path string) servetest.Answer {
		t.Helper()
		return s.Do(servetest.Request{Method: method, Path: path, User: s.Token})
	}
	ask("GET", api+"/package/python/My_Lib/versions.json").Is(200).Has(`"version":"1.0"`).Has(`"version":"2.0"`)
	ask("GET", api+"/package/python/My_Lib/1.0.json").Is(200).Has(`"requires-python"`)
	ask("GET", api+"/search.json?q=my_lib&filter=python").Is(200).Has(`"destroy_url":"/api/v1/repos/alice/public/python/1/My_Lib-1.0-py3-none-any.whl"`)
	s.Get("/alice/public/packages/python/1/My_Lib-1.0-py3-none-any.whl/download.whl?distro_version_id=166").Is(200).Has(string(one))
	ask("DELETE", api+"/pypi/1/My_Lib-1.0-py3-none-any.whl").Is(200)
	ask("DELETE", api+"/python/1/My_Lib-2.0-py3-none-any.whl").Is(200)
	ask("DELETE", api+"/python/1/my_lib-2.0.tar.gz").Is(200)
	s.Settle()
	s.Get(index + "my-lib/").Is(404)

	// A private repository.
	twine.Path = "/alice/private/pypi/"
	upload(s, twine, "My_Lib-1.0-py3-none-any.whl", one, action...).Is(200)
	s.Settle()
	s.Get("/alice/private/pypi/simple/my-lib/").Is(401)
	s.Do(servetest.Request{Path: "/alice/private/pypi/simple/my-lib/", User: s.ReadToken}).Is(200).Says("Cache-Control", "private, no-cache")
}

var update = flag.Bool("update", false, "write the goldens anew")

// TestDocuments compares each document with its golden.
func TestDocuments(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	texts := map[string][]byte{}
	first := map[string][]byte{}
	for i, w := range []struct{ version, more string }{{"1.0", "Requires-Python: >=3.8,<4\n"}, {"1.0+local", ""}, {"2.0", ""}} {
		body := pytest.Wheel("My_Lib", w.version, w.more)
		p, err := parse(t, "My_Lib-"+w.version+"-py3-none-any.whl", body, nil)
		if err != nil {
			t.Fatal(err)
		}
		pkg := p.Package()
		pkg.Files[0].SHA256 = strings.Repeat(fmt.Sprint(i), 64)
		pkg.Files[0].Path = python.New().Path(pkg, pkg.Filename(), repo.DistroVersion{}, "")
		if i == 0 {
			pkg.Files = append(pkg.Files, repo.File{Digests: repo.Digests{SHA256: strings.Repeat("a", 64)}})
		}
		pkg.Files[0].Size = 1000 // a zip file's differs with the program that made it
		entries, err := p.Entries(format.Listing{Files: pkg.Files, Time: at})
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			if entries, err = python.New().Amend(entries, map[string]string{"yanked": `it "broke" <b>`}); err != nil {
				t.Fatal(err)
			}
		}
		for _, e := range entries {
			if i == 0 && e.Kind == "json" {
				first[e.Kind] = e.Text
			} else {
				texts[e.Kind] = append(texts[e.Kind], e.Text...)
			}
		}
	}
	for i, name := range []string{"my-lib", "other"} {
		for _, kind := range []string{"names.html", "names.json"} {
			text := python.New().NameEntry(kind, name)
			if i == 0 && kind == "names.json" {
				first[kind] = text
			} else {
				texts[kind] = append(texts[kind], text...)
			}
		}
	}
	for kind, text := range texts {
		head, tail := python.New().Frame(format.Framing{
			Kind: kind, List: "my-lib", Entries: 3, First: first[kind],
			Versions: []format.Version{{Version: "1.0"}, {Version: "1.0+local"}, {Version: "1"}, {Version: "2.0"}},
		})
		got := slices.Concat(head, text, tail)
		golden := filepath.Join("testdata", "document."+kind)
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s: %s", golden, diff)
		}
	}
}

// goldens are those of TestDocuments, by their kind.
func goldens(t *testing.T) map[string]string {
	all := make(map[string]string)
	for _, kind := range []string{"html", "json", "names.html", "names.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", "document."+kind))
		if err != nil {
			t.Fatal(err)
		}
		all[kind] = string(text)
	}
	return all
}

// TestUploadTime: clients take one number of digits behind the second, whatever the
// time is.
func TestUploadTime(t *testing.T) {
	p, err := parse(t, "p-1-py3-none-any.whl", pytest.Wheel("p", "1", ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	files := p.Package().Files
	files[0].Path = "pypi/packages/p/p-1-py3-none-any.whl"
	for milli, want := range map[int64]string{0: ".000000Z", 1: ".001000Z", 490: ".490000Z", 400: ".400000Z", 678: ".678000Z"} {
		entries, err := p.Entries(format.Listing{Files: files, Time: time.UnixMilli(milli).In(time.FixedZone("elsewhere", 3600))})
		if err != nil {
			t.Fatal(err)
		}
		if want = `"upload-time":"1970-01-01T00:00:00` + want + `"`; !strings.Contains(string(entries[1].Text), want) {
			t.Errorf("%s is not in %s", want, entries[1].Text)
		}
	}
}

// TestRealPackages takes what real projects published, and names it as it is.
func TestRealPackages(t *testing.T) {
	out, err := exec.Command("../../../scripts/python-clients").Output()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("scripts/python-clients: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "packages", "*"))
	if err != nil || len(files) < 50 {
		t.Fatalf("there are %d packages, %v", len(files), err)
	}
	for _, path := range files {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		p, err := parse(t, filepath.Base(path), body, nil)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
			continue
		}
		if pkg := p.Package(); pkg.Summary == "" || pkg.List == "" || strings.HasSuffix(path, ".whl") != (len(p.(format.Deriving).Derived()) == 1) {
			t.Errorf("%s is read as %+v", filepath.Base(path), pkg)
		}
	}
}

// TestVersions has the examples of PEP 440.
func TestVersions(t *testing.T) {
	meta := func(version string) []byte { return []byte(pytest.Metadata("p", version, "")) }
	for _, same := range [][2]string{
		{"1.1RC1", "1.1rc1"}, {"00", "0"}, {"09000", "9000"}, {"1.0+foo0100", "1.0+FOO0100"}, {"1.1.a1", "1.1a1"}, {"1.1a.1", "1.1a1"},
		{"1.1alpha1", "1.1a1"}, {"1.1beta2", "1.1b2"}, {"1.1c3", "1.1rc3"}, {"1.1pre3", "1.1rc3"}, {"1.2a", "1.2a0"}, {"1.2.post2", "1.2_post2"},
		{"1.2post2", "1.2.post2"}, {"1.0.rev4", "1.0.post4"}, {"1.2.post", "1.2.post0"}, {"1.2.dev2", "1.2_dev2"}, {"1.2.dev", "1.2.dev0"},
		{"1.0+ubuntu_1", "1.0+ubuntu.1"}, {"v1.0", "1.0"}, {"1.0.0", "1"}, {"1!1.0", "1!1"}, {"1.0a1.post2.dev3", "1.0.alpha1.post2.dev3"},
	} {
		if _, err := parse(t, "p-"+same[0]+".egg-info", meta(same[1]), nil); err != nil {
			t.Errorf("%s is not %s: %v", same[0], same[1], err)
		}
	}
	for _, other := range [][2]string{{"1.0", "1.0.1"}, {"1.0a1", "1.0b1"}, {"1.0", "1.0.post0"}, {"1.0", "1.0.dev0"}, {"1.0", "1!1.0"}, {"1.0+a", "1.0+b"}, {"1.0-1", "1.0"}} {
		if _, err := parse(t, "p-"+other[0]+".tar.gz", pytest.TarGz("p/PKG-INFO", string(meta(other[1]))), map[string]string{"filename": "x"}); err == nil {
			t.Errorf("%s passes for %s", other[0], other[1])
		}
	}
}
