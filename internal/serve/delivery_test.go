package serve_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	forms "mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/format/python/pytest"
	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/serve/servetest"
)

const yesterday, tomorrow = "Mon, 02 Jan 2006 15:04:05 GMT", "Fri, 31 Dec 2060 23:59:59 GMT"

// file is something that clients ask for. What stands at the path of a live one
// changes.
type file struct {
	name, path, fields string
	live               bool
	undated            bool // it has no Last-Modified
}

const bigOne = "big+one_2.0~rc1+b1_amd64.deb"

// stored are the files that every server has. BYHASH and PRIMARY are found in the
// metadata.
var stored = []file{
	{"deb", "ubuntu/pool/jammy/main/b/big+one/" + bigOne, "", false, false},
	{"dsc", "ubuntu/pool/jammy/main/s/source/source_1.0.dsc", "", false, false},
	{"source", "ubuntu/pool/jammy/main/s/source/source_1.0.tar.gz", "", false, false},
	{"rpm", "el/9/noarch/hello-1.0-1.noarch.rpm", "", false, false},
	{"wheel", "pypi/packages/hello-world/hello_world-1.0-py3-none-any.whl", "", false, false},
	{"wheel metadata", "pypi/packages/hello-world/hello_world-1.0-py3-none-any.whl.metadata", "", false, false},
	{"npm", "npm/@acme/hello/-/hello-1.0.0.tgz", "", false, false},
	{"file", "generic/tool/1.0/a b+c~d.bin", "", false, false},
	{"replaced file", "generic/latest.bin", "", true, false},
	{"checksum", "generic/latest.bin.sha256", "", true, true},
	{"InRelease", "ubuntu/dists/jammy/InRelease", "", true, false},
	{"Release.gpg", "ubuntu/dists/jammy/Release.gpg", "", true, false},
	{"Packages", "ubuntu/dists/jammy/main/binary-amd64/Packages", "", true, false},
	{"Packages.gz", "ubuntu/dists/jammy/main/binary-amd64/Packages.gz", "", true, false},
	{"by-hash", "ubuntu/dists/jammy/main/binary-amd64/by-hash/SHA256/BYHASH", "", false, false},
	{"repomd", "el/9/x86_64/repodata/repomd.xml", "", true, false},
	{"primary", "el/9/x86_64/PRIMARY", "", false, false},
	{"packument", "npm/@acme/hello", "", true, false},
	{"abbreviated", "npm/@acme/hello", "Accept: application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8", true, false},
	{"simple HTML", "pypi/simple/hello-world/", "", true, false},
	{"simple JSON", "pypi/simple/hello-world/", "Accept: application/vnd.pypi.simple.v1+json", true, false},
	{"simple list", "pypi/simple/", "", true, false},
	{"simple gzip", "pypi/simple/hello-world/", "Accept-Encoding: gzip", true, false},
	{"packument gzip", "npm/@acme/hello", "Accept-Encoding: gzip", true, false},
	{"key", "gpgkey", "", true, true},
}

// stock pushes what the files are.
func stock(t *testing.T, s *servetest.Server) {
	t.Helper()
	s.Node.Uploader.Now = func() time.Time { return time.Now().Add(-time.Minute) } // a name has no date in its first seconds
	deb := debtest.Package{Name: "big+one", Version: "1:2.0~rc1+b1", Architecture: "amd64", Files: map[string][]byte{"/usr/share/noise": noise(100_000)}}.Build()
	push := func(repository, distro, name string, content []byte, sources map[string][]byte) {
		t.Helper()
		var body bytes.Buffer
		w := forms.NewWriter(&body)
		part := func(field, name string, content []byte) {
			p, err := w.CreateFormFile(field, name)
			if err == nil {
				_, err = p.Write(content)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		part("package[package_file]", name, content)
		for name, content := range sources {
			part("package[source_files][]", name, content)
		}
		if err := errors.Join(w.WriteField("package[distro_version_id]", distro), w.Close()); err != nil {
			t.Fatal(err)
		}
		header := map[string]string{"Content-Type": w.FormDataContentType()}
		s.Do(servetest.Request{Method: "POST", Path: "/api/v1/repos/" + repository + "/packages.json", User: s.Token, Body: body.Bytes(), Header: header}).Is(201)
	}
	put := func(path string, content []byte) {
		t.Helper()
		s.Do(servetest.Request{Method: "PUT", Path: "/alice/public/generic/" + path, User: s.Token, Body: content}).Is(201)
	}
	dsc, sources := debtest.Source("source", "1.0")
	push("alice/public", "ubuntu/jammy", "x.deb", deb, nil)
	push("alice/public", "ubuntu/jammy", "source_1.0.dsc", dsc, sources)
	push("alice/public", "el/9", "x.rpm", rpmtest.Package{Name: "hello"}.Build(), nil)
	push("alice/public", "python/", "hello_world-1.0-py3-none-any.whl", pytest.Wheel("Hello_World", "1.0", ""), nil)
	push("alice/public", "node/1", "x.tgz", npmtest.Package{Name: "@acme/hello"}.Build(), nil)
	push("alice/private", "ubuntu/jammy", "x.deb", deb, nil)
	put("tool/1.0/a%20b%2Bc~d.bin", []byte("0123456789"))
	put("latest.bin", []byte("the first one"))
	s.Do(servetest.Request{Method: "DELETE", Path: "/alice/public/generic/latest.bin", User: s.Token}).Is(204)
	put("latest.bin", []byte("the second one"))
	s.Settle()
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(2 * time.Second))) // now is later than any Last-Modified
}

// noise is bytes that do not compress, the same every time.
func noise(size int) []byte {
	out := make([]byte, 0, size+sha256.Size)
	for sum := sha256.Sum256(nil); len(out) < size; sum = sha256.Sum256(sum[:]) {
		out = append(out, sum[:]...)
	}
	return out[:size]
}

// conditions are asked about every file, with the status of the answer: that about
// a live one, if it is another. TAG and TIME are the Etag and the Last-Modified of
// a GET before.
var conditions = []struct {
	method, fields string
	status, live   int
}{
	{"GET", "", 200, 0},
	{"HEAD", "", 200, 0},
	{"GET", "If-None-Match: TAG", 304, 0},
	{"GET", `If-None-Match: "x", TAG`, 304, 0},
	{"GET", `If-None-Match: W/TAG`, 304, 0},
	{"GET", "If-None-Match: *", 304, 0},
	{"GET", `If-None-Match: "x"`, 200, 0},
	{"GET", `If-None-Match: "x"|If-Modified-Since: TIME`, 200, 0},
	{"HEAD", "If-None-Match: HEADTAG", 304, 0},
	{"GET", "If-None-Match: HEADTAG", 304, 0},
	{"GET", "If-Match: TAG", 200, 0},
	{"GET", "If-Match: HEADTAG", 200, 0},
	{"GET", `If-Match: "x"`, 412, 0},
	{"GET", "If-Modified-Since: TIME", 304, 0},
	{"GET", "If-Modified-Since: " + yesterday, 200, 0},
	{"GET", "If-Modified-Since: " + tomorrow, 200, 0},
	{"GET", "If-Modified-Since: NOW", 200, 0},
	{"GET", "If-Modified-Since: never", 200, 0},
	{"GET", "If-Unmodified-Since: TIME", 200, 0},
	{"GET", "If-Unmodified-Since: " + yesterday, 412, 0},
	{"GET", "Range: bytes=0-3", 206, 200},
	{"GET", "Range: bytes=5-", 206, 200},
	{"GET", "Range: bytes=-4", 206, 200},
	{"GET", "Range: bytes=0-1,4-5", 206, 200},
	{"GET", "Range: bytes=99999999-", 416, 200},
	{"GET", "Range: items=0-1", 200, 0},
	{"GET", "Range: bytes=4-2", 200, 0},
	{"HEAD", "Range: bytes=0-3", 200, 0},
	{"GET", "Range: bytes=5-|If-Range: TAG", 206, 0},
	{"GET", "Range: bytes=5-|If-Range: HEADTAG", 206, 0},
	{"GET", "Range: bytes=5-|If-Range: TIME", 206, 0},
	{"GET", `Range: bytes=5-|If-Range: "x"`, 200, 0},
	{"GET", "Range: bytes=5-|If-Range: " + yesterday, 200, 0},
	{"GET", "Range: bytes=99999999-|If-Range: HEADTAG", 416, 0},
	{"GET", "Accept-Encoding: gzip, deflate, br, zstd", 200, 0},
	{"HEAD", "Accept-Encoding: gzip, deflate, br, zstd", 200, 0},
}

// targets are asked for as they stand here, below the server's URL.
var targets = []struct {
	target, user, fields string
	status               int
}{
	// However a client writes a name.
	{"/alice/public/ubuntu/pool/jammy/main/b/big%2Bone/big%2Bone_2.0%7Erc1%2bb1_amd64.deb", "", "", 200},
	{"/alice/public/ubuntu/pool/jammy/main/b/big%2bone/big%2bone_2%2E0~rc1+b1_amd64.deb?a=b&c", "", "", 200},
	{"/alice/public/ubuntu%2Fpool%2fjammy%2Fmain%2Fb%2Fbig+one%2F" + bigOne, "", "", 200},
	{"/alice/public/generic/tool/1.0/a%20b+c%7ed.bin", "", "", 200},
	{"/alice/public/npm/@acme%2fhello", "", "", 200},
	{"/alice/public/npm/%40acme%2Fhello/-/@acme/hello-1.0.0.tgz", "", "", 200},
	{"/alice/public/pypi/simple", "", "", 200}, // by a redirect
	{"/alice/public/pypi/simple/Hello.World", "", "", 200},
	{"/alice/public/packages/ubuntu/jammy/big%2Bone_2.0~rc1%2Bb1_amd64.deb/download", "", "", 200},
	{"/alice/public/npm/-/ping", "", "", 200},
	{"/alice/public/", "", "", 200},
	{"/alice/public", "", "", 200},
	// What names nothing.
	{"/alice/public/ubuntu/pool/jammy/main/b/big+one/" + bigOne + "/", "", "", 404},
	{"/alice/public/ubuntu//pool/jammy/main/b/big+one/" + bigOne, "", "", 404},
	{"//alice/public/ubuntu/dists/jammy/InRelease", "", "", 401},
	{"/alice/public/ubuntu/x/../pool/jammy/main/b/big+one/" + bigOne, "", "", 404},
	{"/alice/public/ubuntu/%2e%2e/ubuntu/dists/jammy/InRelease", "", "", 404},
	{"/alice/public/ubuntu/./dists/jammy/InRelease", "", "", 404},
	{"/alice/public/ubuntu/pool/jammy/main/b/big+one/big%20one_2.0~rc1+b1_amd64.deb", "", "", 404},
	{"/alice/public/ubuntu/pool/jammy/main/b/big+one/big%252Bone_2.0~rc1+b1_amd64.deb", "", "", 404},
	{"/alice/public/ubuntu/pool/jammy/a%00b.deb", "", "", 404},
	{"/alice/public/ubuntu/pool/jammy/a%ff%feb.deb", "", "", 404},
	{"/alice/public/ubuntu/pool/jammy/a\xffb.deb", "", "", 404},
	{"/alice/public/ubuntu/pool/jammy/a%0d%0ab.deb", "", "", 404},
	{"/alice/public/ubuntu/pool/jammy/%zz.deb", "", "", 400},
	{"/alice/public/ubuntu/pool/jammy/" + strings.Repeat("a", 300) + ".deb", "", "", 404},
	{"/alice/public/ubuntu/pool/jammy/" + strings.Repeat("a/", 10_000), "", "", 404},
	{"/alice/public/ubuntu/dists/jammy/InRelease?a=%00", "", "", 422},
	{"/alice/public/ubuntu/dists/jammy/InRelease?a=%zz", "", "", 422},
	{"/alice/public/ubuntu/dists/nothing/InRelease", "", "", 404},
	{"/alice/public/ubuntu/dists/jammy/main/binary-amd64/by-hash/SHA256/" + strings.Repeat("0", 64), "", "", 404},
	{"/alice/public/el/9/x86_64/nothing-1-1.noarch.rpm", "", "", 404},
	{"/alice/public/npm/nothing", "", "", 404},
	{"/alice/public/pypi/simple/nothing/", "", "", 404},
	{"/alice/public/generic/nothing/1.0/x", "", "Range: bytes=0-1", 404},
	// Who may not read is told the same, whether there is something or not.
	{"/alice/private/ubuntu/dists/jammy/InRelease", "", "", 401},
	{"/alice/nothing/ubuntu/dists/jammy/InRelease", "", "", 401},
	{"/alice/private/ubuntu/pool/jammy/main/b/big+one/" + bigOne, "", `If-None-Match: *`, 401},
	{"/alice/private/ubuntu/pool/jammy/main/b/big+one/" + bigOne, "STRANGER", "Range: bytes=0-1", 404},
	{"/alice/nothing/ubuntu/pool/jammy/main/b/big+one/" + bigOne, "STRANGER", "", 404},
	{"/alice/private/npm/nothing", "STRANGER", "", 404},
	{"/priv/0123/alice/private/ubuntu/dists/jammy/InRelease", "", "", 404},
	{"/alice/private/ubuntu/pool/jammy/main/b/big+one/" + bigOne, "READER", "", 200},
	{"/priv/READER/alice/private/ubuntu/pool/jammy/main/b/big+one/" + bigOne, "", "", 200},
	{"/alice/private/ubuntu/dists/jammy/InRelease", "READER", "", 200},
	{"/priv/READER/alice/private/ubuntu/dists/jammy/InRelease", "", "", 200},
	{"/alice/private/pypi/simple/", "READER", "", 200},
	{"/alice/private/pypi/simple/", "READER", "Accept-Encoding: gzip", 200},
	{"/alice/private/gpgkey", "READER", "", 200},
	// However a client names its encodings.
	{"/alice/public/pypi/simple/hello-world/", "", "Accept-Encoding: GZip", 200},
	{"/alice/public/pypi/simple/hello-world/", "", "Accept-Encoding: *", 200},
	{"/alice/public/pypi/simple/hello-world/", "", "Accept-Encoding: gzip;q=0, *", 200},
	{"/alice/public/pypi/simple/hello-world/", "", "Accept-Encoding: gzip;q=0.001, identity;q=0", 200},
	{"/alice/public/pypi/simple/hello-world/", "", "Accept-Encoding: ,, br ,", 200},
	{"/alice/public/pypi/simple/hello-world/", "", "Accept-Encoding: x-gzip", 200},
	{"/alice/public/pypi/simple/hello-world/", "", "Accept: text/html;q=0.1, application/vnd.pypi.simple.v1+json;q=0.2", 200},
	{"/alice/public/pypi/simple/hello-world/", "", "Accept: image/png", 200},
}

// compared are the parts of an answer beside its status and its bytes.
var compared = []string{
	"Content-Type", "Content-Length", "Content-Encoding", "Content-Disposition", "Content-Range", "Accept-Ranges", "Etag", "Last-Modified",
	"Cache-Control", "Vary", "X-Content-Type-Options", "Content-Security-Policy", "Www-Authenticate", "Location", "Retry-After",
}

// difference is what deliveries answer in their own way: some parts, where the name
// of the question matches.
type difference struct {
	direct     bool // in answers of the server itself; else in those that it sends clients to
	deliveries string
	questions  string
	parts      string
	why        string
}

// everything is all that an answer has, but for its status.
const everything = "body Content-Type Content-Length Content-Encoding Content-Disposition Content-Range Accept-Ranges Etag Last-Modified"

// differences are all that there are. Every other answer is the same. The bucket of
// the tests is versitygw.
var differences = []difference{
	{false, "S3 CloudFront", "", "Content-Security-Policy X-Content-Type-Options", "S3 has none; nobody logs in at its host"},
	{false, "S3 CloudFront", "", "Etag", "S3 tags by MD5"},
	{false, "S3 CloudFront edge", "", "Cache-Control", "it is of an object, which never changes; the way to it is never stored"},
	{false, "S3 CloudFront edge", "", "Vary", "a link leads to one form"},
	{false, "S3 CloudFront", " (304|412|416)$", everything, "these are answers of stores in words of their own"},
	{false, "S3 CloudFront", "If-Modified-Since: (NOW|Fri).* 200$", "status " + everything, "stores answer 304 to any date after their own: the client has the bytes, which never change"},
	{false, "S3", `If-(Modified|Unmodified)-Since: TIME`, "status " + everything, "versitygw compares parts of seconds"},
	{false, "S3", `If-None-Match: ("x", |W/)TAG`, "status " + everything, "versitygw compares one tag, and strongly"},
	{false, "S3", `If-Range: ("x"|Mon).* 200$`, "status " + everything, "versitygw does not know If-Range; these bytes never change"},
	{false, "S3", "Range: bytes=0-1,4-5.* 206$", "status " + everything, "S3 sends everything to who asks for several ranges"},
	{false, "edge", "gzip|GZip|Encoding: \\*", "Etag", "the edge knows the SHA-256 of the encoded bytes"},
	{true, "S3 CloudFront", `If-Range: TAG`, "status " + everything, "the server does not know the tags of the store, and sends everything"},
	{true, "edge", `gzip .*If-Range: TAG`, "status " + everything, "likewise"},
	{false, "S3 CloudFront edge", "(private/pypi/simple/|simple list).*gzip", "Content-Encoding", "a short listing is sent as it is; its only object is encoded"},
	{true, "S3 CloudFront edge", "private/pypi/simple/", "Last-Modified", "it is that of the object, which is made when somebody is sent there"},
	{true, "S3 CloudFront edge", "replaced file", "Last-Modified", "the clock of a store could give two files of a name the same date"},
	{true, "S3 CloudFront edge", "replaced file .*Since: TIME|replaced file .*If-Range: TIME|replaced file If-Unmodified", "status " + everything, "likewise: so no date decides"},
}

// question is what a client asks, and the status that it expects.
type question struct {
	name, method, target, user, fields string
	status                             int
	whole                              string // the name of the question that is answered with all bytes
}

// questions are all that is asked of a server.
func questions(found func(string) string) []question {
	var all []question
	for _, f := range stored {
		target := (&url.URL{Path: "/alice/public/" + found(f.path)}).EscapedPath()
		for _, c := range conditions {
			if f.undated && (strings.Contains(c.fields, "TIME") || strings.Contains(c.fields, "If-Unmodified-Since")) {
				continue
			}
			status := c.status
			if f.live && c.live != 0 {
				status = c.live
			}
			fields := strings.Trim(c.fields+"|"+f.fields, "|")
			if strings.HasPrefix(c.fields, "Accept-") { // the last one counts
				fields = f.fields + "|" + c.fields
			}
			all = append(all, question{name: c.method + " " + f.name + " " + c.fields, method: c.method, target: target, fields: fields, status: status, whole: "GET " + f.name + " "})
		}
	}
	for _, r := range targets {
		name := strings.TrimSpace(fmt.Sprintf("%.120q %s %s", r.target, r.user, r.fields))
		all = append(all, question{name: name, method: "GET", target: r.target, user: r.user, fields: r.fields, status: r.status})
	}
	return all
}

// TestDeliveries sends the same requests to every delivery on both databases, and
// follows redirects as clients do. The answers are those of a folder on SQLite, but
// for the differences.
func TestDeliveries(t *testing.T) {
	var mu sync.Mutex
	all := map[string]map[string]parts{}
	t.Run("ask", func(t *testing.T) {
		for _, delivery := range deliveries {
			for database, environment := range databases {
				t.Run(delivery+" "+database, func(t *testing.T) {
					t.Parallel()
					s, _ := delivered(t, delivery, environment(t)...)
					stock(t, s)
					got := answers(t, s)
					mu.Lock()
					defer mu.Unlock()
					all[delivery+" "+database] = got
				})
			}
		}
	})
	for _, q := range questions(strings.Clone) {
		if got := all["folder SQLite"][q.name]["status"]; got != fmt.Sprint(q.status) {
			t.Errorf("%s: %s, and not %d", q.name, got, q.status)
		}
	}
	for server, got := range all {
		delivery, _, _ := strings.Cut(server, " ")
		for name, want := range all["folder SQLite"] {
			for part := range merge(want, got[name]) {
				if part != elsewhere && want[part] != got[name][part] && !excused(delivery, name+" "+want["status"], part, got[name][elsewhere] != "") {
					t.Errorf("%s: %s: the %s is %.300q, and not %.300q", server, name, part, got[name][part], want[part])
				}
			}
		}
	}
}

// parts are those of an answer by their names.
type parts map[string]string

// elsewhere is the part that an answer has if it is not of the server itself.
const elsewhere = "redirect"

func merge(a, b parts) parts {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// excused reports whether a delivery answers in its own way.
func excused(delivery, question, part string, redirected bool) bool {
	return slices.ContainsFunc(differences, func(d difference) bool {
		return d.direct != redirected && slices.Contains(strings.Fields(d.deliveries), delivery) && regexp.MustCompile(d.questions).MatchString(question) && slices.Contains(strings.Fields(d.parts), part)
	})
}

// answers asks a server everything. The parts of the answers are in words that do
// not depend on times, keys and ports.
func answers(t *testing.T, s *servetest.Server) map[string]parts {
	t.Helper()
	client := anyone()
	defer client.CloseIdleConnections()
	get := func(path string) answer {
		return ask(t, client, s, question{method: "GET", target: "/alice/public/" + path})
	}
	byHash := fmt.Sprintf("%x", sha256.Sum256([]byte(get("ubuntu/dists/jammy/main/binary-amd64/Packages.gz").body)))
	primary := regexp.MustCompile(`repodata/[0-9a-f]{64}-primary.xml.gz`).FindString(get("el/9/x86_64/repodata/repomd.xml").body)
	found := strings.NewReplacer("BYHASH", byHash, "PRIMARY", primary)
	for _, f := range stored { // what is stored when somebody asks
		ask(t, client, s, question{method: "GET", target: "/alice/public/" + found.Replace(f.path), fields: f.fields + "|Accept-Encoding: gzip"})
	}
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(2 * time.Second))) // later than any Last-Modified
	now := time.Now().UTC().Format(http.TimeFormat)
	wholes, heads := map[string]answer{}, map[string]answer{}
	all := map[string]parts{}
	for _, q := range questions(found.Replace) {
		whole, known := wholes[q.whole]
		head := heads[q.whole]
		q.fields = strings.NewReplacer("HEADTAG", head.header.Get("Etag"), "TAG", whole.header.Get("Etag"), "TIME", whole.header.Get("Last-Modified"), "NOW", now).Replace(q.fields)
		a := ask(t, client, s, q)
		switch {
		case q.method == "HEAD" && head.header == nil:
			heads[q.whole] = a
		case !known:
			whole = a
			wholes[q.name] = a
		}
		if err := a.check(q, whole); err != nil {
			t.Errorf("%s: %v", q.name, err)
		}
		all[q.name] = a.parts(s, whole)
	}
	return all
}

type answer struct {
	status int
	header http.Header
	body   string
	host   string // that answered
}

func ask(t *testing.T, client *http.Client, s *servetest.Server, q question) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), q.method, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Opaque = strings.ReplaceAll(q.target, "READER", s.ReadToken) // sent as it is
	r.Header.Set("Accept-Encoding", "identity")
	for field := range strings.SplitSeq(q.fields, "|") {
		if name, value, ok := strings.Cut(field, ": "); ok {
			r.Header.Set(name, value)
		}
	}
	switch q.user {
	case "READER":
		r.SetBasicAuth(s.ReadToken, "")
	case "STRANGER":
		r.SetBasicAuth(s.Stranger, "")
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body), resp.Request.URL.Host}
}

// check compares an answer with that to a GET of the same.
func (a answer) check(q question, whole answer) error {
	length := fmt.Sprint(len(a.body))
	if q.method == http.MethodHead {
		length = fmt.Sprint(len(whole.body))
	}
	switch {
	case a.status == 200 && q.method == http.MethodGet && q.whole != "" && a.header.Get("Content-Encoding") == whole.header.Get("Content-Encoding") && a.body != whole.body:
		return errors.New("other bytes")
	case a.status == 200 && a.header.Get("Content-Encoding") == whole.header.Get("Content-Encoding") && a.header.Get("Content-Length") != length:
		return fmt.Errorf("the length %s, and not %s", a.header.Get("Content-Length"), length)
	case a.status == 206:
		return a.checkParts(whole.body)
	}
	return nil
}

// checkParts looks whether each part is what stands at its place.
func (a answer) checkParts(whole string) error {
	kind, parameters, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	if kind != "multipart/byteranges" {
		return isPart(a.header.Get("Content-Range"), a.body, whole)
	}
	r := forms.NewReader(strings.NewReader(a.body), parameters["boundary"])
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		body, err := io.ReadAll(p)
		if err := errors.Join(err, isPart(p.Header.Get("Content-Range"), string(body), whole)); err != nil {
			return err
		}
	}
}

func isPart(contentRange, part, whole string) error {
	var from, to, size int
	if _, err := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &from, &to, &size); err != nil || size != len(whole) || to >= size || part != whole[from:to+1] {
		return fmt.Errorf("%d bytes are not %q of %d", len(part), contentRange, len(whole))
	}
	return nil
}

// parts are the parts of an answer that are compared.
func (a answer) parts(s *servetest.Server, whole answer) parts {
	all := parts{"status": fmt.Sprint(a.status), "body": a.text(s)}
	if "http://"+a.host != s.URL {
		all[elsewhere] = a.host
	}
	for _, name := range compared {
		value := strings.Join(a.header.Values(name), ", ")
		switch {
		case value == "":
			continue
		case name == "Last-Modified":
			value = "a time"
		case name == "Content-Length" && a.status < 300, name == "Content-Range":
			value = "checked"
		}
		sum := sha256.Sum256([]byte(whole.body))
		all[name] = random.Replace(strings.ReplaceAll(value, hex.EncodeToString(sum[:]), "SHA-256"))
	}
	return all
}

// replacements are regular expressions and what stands for whatever they match.
type replacements []struct {
	is *regexp.Regexp
	by string
}

func (all replacements) Replace(text string) string {
	for _, r := range all {
		text = r.is.ReplaceAllString(text, r.by)
	}
	return text
}

// random is what no two servers have in common.
var random = replacements{
	{regexp.MustCompile(`(?s)-----BEGIN PGP (SIGNATURE|PUBLIC KEY BLOCK)-----.*?-----END PGP`), "PGP"},
	{regexp.MustCompile(`[0-9a-f]{32,128}`), "HEX"},
	{regexp.MustCompile(`boundary=\S+`), "boundary=B"},
	{regexp.MustCompile(`(?m)^--B?[0-9a-f]{32,}(--)?\r?$`), "--B"},
	{regexp.MustCompile(`[A-Z][a-z]{2}, \d\d? [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (\+0000|GMT|UTC)`), "DATE"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+Z`), "DATE"},
	{regexp.MustCompile(`\d{10,}`), "NUMBER"},
	{regexp.MustCompile(`(?m)( HEX) +\d+ (\S+\.gz)$`), "$1 SIZE $2"},
	{regexp.MustCompile(`<size>\d+</size>`), "SIZE"},
}

// text is the body of an answer that is no part: listings are unpacked, and the
// bytes of packages stand for themselves.
func (a answer) text(s *servetest.Server) string {
	if a.status == http.StatusPartialContent {
		return "checked"
	}
	body := a.body
	if z, err := gzip.NewReader(strings.NewReader(body)); err == nil && !strings.Contains(a.header.Get("Content-Disposition"), "attachment") {
		if text, err := io.ReadAll(z); err == nil {
			body = string(text)
		}
	}
	if strings.Contains(a.header.Get("Content-Disposition"), "attachment") {
		sum := sha256.Sum256([]byte(body))
		return "bytes with the SHA-256 " + hex.EncodeToString(sum[:8])
	}
	return random.Replace(strings.ReplaceAll(body, strings.TrimPrefix(s.URL, "http://"), "HOST"))
}
