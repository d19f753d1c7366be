package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"packagecloud/internal/tooltest"
)

// faulty is a proxy before the server that spoils the answers to requests for
// some path, in one way or another.
type faulty struct {
	next http.Handler

	mu         sync.Mutex
	path, kind string // "" spoils nothing
}

// A page that portals, proxies and load balancers send with status 200.
const portal = "<!DOCTYPE html>\n<html><head><title>Log in</title></head><body>Log in to use this network.</body></html>\n"

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/fault" { // the script wants another fault
		f.mu.Lock()
		defer f.mu.Unlock()
		f.path, f.kind = r.URL.Query().Get("path"), r.URL.Query().Get("kind")
		return
	}
	f.mu.Lock()
	path, kind := f.path, f.kind
	f.mu.Unlock()
	if path == "" || !strings.HasSuffix(r.URL.Path, path) {
		f.next.ServeHTTP(w, r)
		return
	}
	switch kind {
	case "portal":
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, portal)
	case "empty":
		w.WriteHeader(http.StatusOK)
	case "500", "503", "404", "401", "204":
		var status int
		_, _ = fmt.Sscan(kind, &status)
		w.WriteHeader(status)
	case "longer", "shorter": // than the answer says that it is
		f.misstate(w, r, kind)
	case "loop":
		http.Redirect(w, r, r.URL.String(), http.StatusFound)
	case "stall":
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "-----BEGIN PGP PUBLIC KEY BLOCK-----\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	default: // cut-N: the first bytes alone, and nothing says that there are more
		f.cut(w, r, kind)
	}
}

// misstate sends the answer with a wrong Content-Length.
func (f *faulty) misstate(w http.ResponseWriter, r *http.Request, kind string) {
	recorded, connection := f.take(w, r)
	defer connection.Close()
	length := recorded.body.Len() + 7
	if kind == "shorter" {
		length = recorded.body.Len() - 7
	}
	_, _ = fmt.Fprintf(connection, "HTTP/1.1 %d OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", recorded.status, length, recorded.body.String())
}

// take has the server answer, and gives the connection to whoever sends that on.
func (f *faulty) take(w http.ResponseWriter, r *http.Request) (*recorder, net.Conn) {
	r.Header.Del("If-Modified-Since")
	recorded := &recorder{header: make(http.Header), status: http.StatusOK}
	f.next.ServeHTTP(recorded, r)
	connection, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	return recorded, connection
}

func (f *faulty) cut(w http.ResponseWriter, r *http.Request, kind string) {
	var length int
	if _, err := fmt.Sscanf(kind, "cut-%d", &length); err != nil {
		panic(err)
	}
	recorded, connection := f.take(w, r)
	defer connection.Close()
	_, _ = fmt.Fprintf(connection, "HTTP/1.0 %d OK\r\nConnection: close\r\n\r\n%s", recorded.status, recorded.body.String()[:min(length, recorded.body.Len())])
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// startFaulty starts a server behind a faulty proxy, and returns the URL that
// machines know.
func startFaulty(t *testing.T) (*instance, string) {
	t.Helper()
	var server atomic.Pointer[instance] // the proxy is there before it
	f := &faulty{next: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", strings.TrimPrefix(server.Load().URL, "http://"), r.In.Host
	}}}
	url := "http://" + listen(t, f, "127.0.0.1:0")
	s := start(t, "PACKAGECLOUD_EXTERNAL_URL="+url)
	server.Store(s)
	return s, url
}

// releasesLine names the releases of Debian that a script runs on. "this" is that
// of this machine.
var releasesLine = regexp.MustCompile(`(?m)^# releases: (.*)$`)

// root is the folder of the root file system of a release; "" is this machine's.
func root(t *testing.T, release string) string {
	t.Helper()
	if release == "this" {
		return ""
	}
	return tooltest.Output(t, "debian-root", release)
}

// TestMachines sets machines of several releases up by install scripts, while
// the server answers well, badly or not at all, and where much is not as usual.
// The proxy's faults are chosen by the scripts.
func TestMachines(t *testing.T) {
	for _, name := range []string{"machine-deb.sh", "machine-rpm.sh", "machine-user.sh"} {
		eachRelease(t, name, func(t *testing.T, environment string) {
			s, url := startFaulty(t)
			s.script(t.Context(), t, name, environment, "PRIVATE=1", "URL="+url)
		})
	}
}

// TestReleases tells the stories of clients on the releases that they name, with
// a private repository.
func TestReleases(t *testing.T) {
	scripts, err := filepath.Glob("testdata/client-*.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range scripts {
		eachRelease(t, filepath.Base(path), func(t *testing.T, environment string) {
			s := start(t)
			s.script(t.Context(), t, filepath.Base(path), environment, "PRIVATE=1")
		})
	}
}

// eachRelease runs a test for each release that a script names.
func eachRelease(t *testing.T, name string, run func(t *testing.T, environment string)) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	m := releasesLine.FindSubmatch(text)
	if m == nil {
		return
	}
	for release := range strings.FieldsSeq(string(m[1])) {
		t.Run(strings.TrimSuffix(name, ".sh")+"/"+release, func(t *testing.T) {
			needTools(t)
			_, err := exec.LookPath("mmdebstrap")
			tooltest.Need(t, "mmdebstrap", err == nil)
			base := root(t, release)
			t.Parallel()
			run(t, "SANDBOX_BASE="+base)
		})
	}
}
