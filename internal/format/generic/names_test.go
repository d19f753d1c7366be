package generic_test

import (
	"bufio"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"packagecloud/internal/serve/servetest"
	"packagecloud/internal/tooltest"
)

// TestNames puts files of odd names and fetches them with curl and wget, by their
// URLs and by the names that come along.
func TestNames(t *testing.T) {
	for _, tool := range []string{"curl", "wget", "sha256sum"} {
		_, err := exec.LookPath(tool)
		tooltest.Need(t, tool, err == nil)
	}
	s := servetest.Start(t, nil)
	home := t.TempDir()
	for i, c := range []struct {
		name, file string
		refused    int // 0 if it is taken
	}{
		{"plain", "tool.tar.gz", 0},
		{"composed", "\u00e9.txt", 0},
		{"decomposed, another file", "e\u0301.txt", 0},
		{"of other scripts", "日本語 текст.bin", 0},
		{"a picture", "😀.bin", 0},
		{"plus", "a+b.deb", 0},
		{"percent", "100%.txt", 0},
		{"an escape", "a%20b.txt", 0},
		{"an escape of a slash", "a%2fb.txt", 0},
		{"an escape of dots", "%2e%2e", 0},
		{"quotes", `a"b'c.txt`, 0},
		{"a semicolon", "a;b=c.txt", 0},
		{"what URLs are made of", "a?b#c&d=e@f:g[h].txt", 0},
		{"what shells are made of", "$(x) `y` *|<>!.txt", 0},
		{"a hyphen in front", "-rf", 0},
		{"a dot in front", ".htaccess", 0},
		{"a dot behind", "a.", 0},
		{"dots inside", "a..b...c", 0},
		{"a blank inside", "a  b", 0},
		{"255 bytes", strings.Repeat("x", 251) + ".bin", 0},
		{"254 bytes of other scripts", strings.Repeat("é", 127), 0},
		{"a name of Windows", "CON", 0},
		{"like a page", "index.html", 0},
		{"like a script", "x.svg", 0},
		{"like a digest of another", "tool.tar.gz.sha256", 0},
		{"a suffix alone", ".sha256", 0},
		{"words of ours", "packages", 0},
		{"like an API", "packages.json", 0},
		{"like a folder of revisions", "r0123456789abcdef", 0},
		{"like a stored object", strings.Repeat("0123456789abcdef", 2) + "-x", 0},
		{"256 bytes", strings.Repeat("x", 256), http.StatusUnprocessableEntity},
		{"a blank in front", " a", http.StatusUnprocessableEntity},
		{"a blank behind", "a ", http.StatusUnprocessableEntity},
		{"a control character", "a\x1bb", http.StatusNotFound},
		{"a line break", "a\nb", http.StatusNotFound},
		{"another order", "a\u202etxt.exe", http.StatusNotFound},
		{"a backslash", `a\b`, http.StatusUnprocessableEntity},
		{"no UTF-8", "a\xffb", http.StatusNotFound},
		{"a NUL", "a\x00b", http.StatusNotFound},
		{"dots alone", "...", http.StatusUnprocessableEntity},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := fmt.Sprintf("the bytes of %d", i)
			for _, folder := range []string{"", "tool/1.0/"} {
				at := "/alice/public/generic/" + folder + url.PathEscape(c.file)
				put := s.Do(servetest.Request{Method: "PUT", Path: at, User: s.Token, Body: []byte(body)})
				if c.refused != 0 {
					put.Is(c.refused)
					s.Get(at).Is(http.StatusNotFound)
					continue
				}
				put.Is(http.StatusCreated)
				got := s.Get(at).Is(http.StatusOK)
				if got.Body != body {
					t.Errorf("%s has the bytes %q", at, got.Body)
				}
				safe(t, got.Header, c.file)
				fetch(t, home, s.URL+at, c.file, body)
				s.Do(servetest.Request{Method: "DELETE", Path: at, User: s.Token}).Is(http.StatusNoContent)
				s.Get(at).Is(http.StatusNotFound)
			}
		})
	}
}

// safe expects that a browser keeps a file and shows nothing of it.
func safe(t *testing.T, h http.Header, name string) {
	t.Helper()
	disposition, parameters, err := mime.ParseMediaType(h.Get("Content-Disposition"))
	if err != nil || disposition != "attachment" || parameters["filename"] != name {
		t.Errorf("it comes as %q, %v", h.Get("Content-Disposition"), err)
	}
	if got := h.Get("Content-Type"); got != "application/octet-stream" && got != "application/vnd.debian.binary-package" {
		t.Errorf("it comes as %q", got)
	}
	if h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("a browser may show it: %v", h)
	}
}

// fetch has curl and wget fetch a file, and its digest.
func fetch(t *testing.T, home, at, name, body string) {
	t.Helper()
	dir, err := os.MkdirTemp(home, "")
	if err != nil {
		t.Fatal(err)
	}
	run := func(command ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), command[0], command[1:]...)
		c.Dir, c.Env = dir, append(os.Environ(), "HOME="+home, "LC_ALL=C.UTF-8", "no_proxy=127.0.0.1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v: %v: %s", command, err, out)
		}
	}
	run("curl", "-sSfg", "-o", "curl", at)
	run("wget", "-q", "-O", "wget", at)
	for _, tool := range []string{"curl", "wget"} {
		if got, err := os.ReadFile(filepath.Join(dir, tool)); err != nil || string(got) != body {
			t.Errorf("%s has %q, %v", tool, got, err)
		}
	}
	// The name that a client would give it. curl takes it from the URL if it is not
	// ASCII, with its escapes.
	named := filepath.Join(dir, "named")
	if err := os.Mkdir(named, 0o755); err != nil {
		t.Fatal(err)
	}
	if escaped := path.Base(at); len(escaped) <= 255 {
		run("curl", "-sSfgOJ", "--output-dir", named, at)
		files, err := os.ReadDir(named)
		if err != nil || len(files) != 1 || files[0].Name() != name && files[0].Name() != escaped {
			t.Errorf("curl saved %v, %v", files, err)
		}
	}
	// What sha256sum says of the file under its own name.
	if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	run("curl", "-sSfg", "-o", "sum", at+".sha256")
	run("sha256sum", "--quiet", "-c", "sum")
}

// TestShadow has names that stand for a file and a folder at once, which they may.
func TestShadow(t *testing.T) {
	s := servetest.Start(t, nil)
	for i, path := range []string{"tool", "tool/1.0/tool", "tool/1.0/1.0", "1.0/tool/tool", "generic", "generic/generic/generic"} {
		s.Do(servetest.Request{Method: "PUT", Path: "/alice/public/generic/" + path, User: s.Token, Body: fmt.Append(nil, i)}).Is(201)
	}
	for i, path := range []string{"tool", "tool/1.0/tool", "tool/1.0/1.0", "1.0/tool/tool", "generic", "generic/generic/generic"} {
		if got := s.Get("/alice/public/generic/" + path).Is(200).Body; got != fmt.Sprint(i) {
			t.Errorf("%s has the bytes of %s", path, got)
		}
	}
	for _, path := range []string{"", "tool/", "tool/1.0", "tool/1.0/", "tool/1.0/tool/x", "tool//tool", "tool/../tool/1.0/tool/x"} {
		if got := s.Do(servetest.Request{Method: "PUT", Path: "/alice/public/generic/" + path, User: s.Token, Body: []byte("x")}); got.Status < 300 || got.Status >= 500 {
			t.Errorf("PUT %q is answered %d", path, got.Status)
		}
		if got := s.Get("/alice/public/generic/" + path); got.Status == 200 || got.Status >= 500 {
			t.Errorf("GET %q is answered %d", path, got.Status)
		}
	}
}

// TestEmpty has files of no bytes.
func TestEmpty(t *testing.T) {
	s := servetest.Start(t, nil)
	const path = "/alice/public/generic/empty"
	s.Do(servetest.Request{Method: "PUT", Path: path, User: s.Token}).Is(201)
	s.Do(servetest.Request{Method: "PUT", Path: path, User: s.Token}).Is(200)
	s.Do(servetest.Request{Method: "PUT", Path: path, User: s.Token, Body: []byte("x")}).Is(409)
	s.Get(path).Is(200).Says("Content-Length", "0").Says("Etag", `"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`)
	s.Do(servetest.Request{Method: "HEAD", Path: path}).Is(200).Says("Content-Length", "0")
	s.Get(path + ".sha256").Is(200).Has("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  empty\n")
}

// TestCutPut breaks off in the middle of a PUT: nothing of it is kept, and the next
// one has the name.
func TestCutPut(t *testing.T) {
	s := servetest.Start(t, nil)
	const path = "/alice/public/generic/tool/1.0/cut.bin"
	request := func(body string) string {
		return "PUT " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + s.Token + "\r\nConnection: close\r\n" + body
	}
	for name, text := range map[string]string{
		"of a length":         request("Content-Length: 1000000\r\n\r\n" + strings.Repeat("x", 1000)),
		"of chunks":           request("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
		"of a chunk":          request("Transfer-Encoding: chunked\r\n\r\n1000\r\nhello"),
		"of a chunk too long": request("Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n"),
	} {
		connection, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := connection.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := connection.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		// The server closes the connection when it is done.
		if answer, err := http.ReadResponse(bufio.NewReader(connection), nil); err == nil && answer.StatusCode < 400 {
			t.Errorf("%s: %d", name, answer.StatusCode)
		}
		_ = connection.Close()
		s.Get(path).Is(404)
	}
	s.Do(servetest.Request{Method: "PUT", Path: path, User: s.Token, Body: []byte("whole")}).Is(201)
	s.Get(path).Is(200).Has("whole")
}
