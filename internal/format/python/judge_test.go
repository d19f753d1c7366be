package python_test

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"packagecloud/internal/format"
	"packagecloud/internal/format/python"
	"packagecloud/internal/format/python/pytest"
	"packagecloud/internal/repo"
	"packagecloud/internal/tooltest"
)

// client is a program that reads our pages, on a release of Python.
type client struct {
	name    string // pip-VERSION, uv, or packaging-VERSION
	root    string // a release of Debian, for its Python; "" is that of this machine
	version string // of that Python
}

// clients are old and new ones.
var clients = []client{
	{"pip-20.3.4", "bullseye", "3.9"}, {"pip-23.0.1", "", ""}, {"pip-26.0.1", "bullseye", "3.9"},
	{"pip-24.3.1", "trixie", "3.13"}, {"pip-26.3", "sid", "3.14"}, {"uv", "", ""},
}

// command runs Python with the client in its path. Another release of Debian is not
// entered: its loader runs its Python where we are.
func (c client) command(t testing.TB, arguments ...string) *exec.Cmd {
	t.Helper()
	tools := tooltest.Output(t, "python-clients")
	run := []string{filepath.Join(tools, "bin", "python")}
	environment := append(os.Environ(), "PYTHONPATH="+filepath.Join(tools, c.name), "PYTHONDONTWRITEBYTECODE=1", "PYTHONIOENCODING=utf-8",
		"PIP_CONFIG_FILE=/dev/null", "PIP_RETRIES=0", "UV="+filepath.Join(tools, "bin", "uv"), "UV_NO_PROGRESS=1", "TMPDIR="+t.TempDir())
	if c.root != "" {
		root := tooltest.Output(t, "debian-root", c.root)
		libraries := root + "/lib/x86_64-linux-gnu:" + root + "/usr/lib/x86_64-linux-gnu"
		run = []string{root + "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "--library-path", libraries, root + "/usr/bin/python" + c.version}
		environment = append(environment, "PYTHONHOME="+root+"/usr")
	}
	run = append(run, arguments...)
	command := exec.CommandContext(t.Context(), run[0], run[1:]...)
	command.Env = environment
	return command
}

// odd is a wheel that a judge is asked about.
type odd struct {
	Key         string `json:"key"`
	Requirement string `json:"requirement"`
	Filename    string `json:"filename"`
	Folder      string `json:"folder"`   // of a file that we refuse
	Metadata    string `json:"metadata"` // the path of its METADATA
	metadata    string
	body        []byte
	refusal     error
}

// judge lets a client judge, and returns what it does not take.
func (c client) judge(t testing.TB, index string, listed, refused []odd) map[string]string {
	t.Helper()
	program, _, _ := strings.Cut(c.name, "-")
	order, err := json.Marshal(map[string]any{
		"client": program, "index": index, "work": t.TempDir(), "listed": listed, "refused": refused,
		"uv": filepath.Join(tooltest.Output(t, "python-clients"), "bin", "uv"),
	})
	if err != nil {
		t.Fatal(err)
	}
	command := c.command(t, "testdata/judge.py")
	command.Stdin = bytes.NewReader(order)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	var wrong map[string]string
	if err == nil {
		err = json.Unmarshal(out, &wrong)
	}
	if err != nil {
		t.Fatalf("%s: %v: %s", c.name, err, stderr.String())
	}
	return wrong
}

// shelf serves the pages of what was accepted.
type shelf struct {
	t     testing.TB
	url   string
	pages map[string][]byte // by path
	texts map[string]map[string][][]byte
}

func newShelf(t testing.TB) *shelf {
	s := &shelf{t: t, pages: map[string][]byte{}, texts: map[string]map[string][][]byte{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if strings.HasSuffix(path, "/") {
		path += "index.html"
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if strings.Contains(r.Header.Get("Accept"), "v1+json") {
			path = strings.Replace(path, ".html", ".json", 1)
			w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
		}
	}
	body, ok := s.pages[path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(body)
}

// add lists a file, if the gate lets it.
func (s *shelf) add(filename string, body []byte, at time.Time) (*repo.Package, error) {
	p, err := parse(s.t, filename, body, nil)
	if err != nil {
		return nil, err
	}
	pkg := p.Package()
	derived := p.(format.Deriving).Derived()
	for _, d := range derived {
		pkg.Files = append(pkg.Files, repo.File{Name: d.Name})
	}
	for i, content := range [][]byte{body, slices.Concat(bodies(derived)...)}[:len(pkg.Files)] {
		f := &pkg.Files[i]
		f.SHA256, f.Size, f.Path = sha(content), int64(len(content)), python.New().Path(pkg, f.Name, repo.DistroVersion{}, "")
		s.pages["/r/"+f.Path] = content
	}
	entries, err := p.Entries(format.Listing{Files: pkg.Files, Time: at})
	if err != nil {
		return nil, err
	}
	if err := format.Check(python.New(), pkg, entries); err != nil {
		return nil, err
	}
	for _, e := range entries {
		if s.texts[pkg.List] == nil {
			s.texts[pkg.List] = map[string][][]byte{}
		}
		s.texts[pkg.List][e.Kind] = append(s.texts[pkg.List][e.Kind], python.New().Locate(e.Text, s.url+"/r"))
	}
	return pkg, nil
}

func bodies(derived []format.Derived) (all [][]byte) {
	for _, d := range derived {
		all = append(all, d.Body)
	}
	return all
}

// render writes the pages.
func (s *shelf) render() string {
	for list, kinds := range s.texts {
		for kind, texts := range kinds {
			framing := format.Framing{Kind: kind, List: list, Entries: int64(len(texts))}
			if kind == "json" {
				framing.First, texts = texts[0], texts[1:]
			}
			head, tail := python.New().Frame(framing)
			s.pages["/r/pypi/simple/"+list+"/index."+kind] = slices.Concat(head, slices.Concat(texts...), tail)
		}
	}
	return s.url + "/r/pypi/simple/"
}

// TestClients runs one story of each client on the Pythons that it is for: the
// newest version and an older one, of a project with files pushed at any fraction of
// a second, and with one that is for no Python of today.
func TestClients(t *testing.T) {
	s := newShelf(t)
	for i, milli := range []int64{0, 1, 490, 400, 678} {
		version := fmt.Sprintf("1.%d", i)
		if _, err := s.add("hello-"+version+"-py3-none-any.whl", pytest.Wheel("hello", version, "Requires-Python: >=3.6\n"), time.UnixMilli(milli)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.add("hello-2.0-py3-none-any.whl", pytest.Wheel("hello", "2.0", "Requires-Python: >=4,!=4.0.*\n"), time.UnixMilli(20)); err != nil {
		t.Fatal(err)
	}
	index := s.render()
	for _, c := range clients {
		t.Run(c.name+" on "+cmp.Or(c.version, "this Python"), func(t *testing.T) {
			for key, reason := range c.judge(t, index, []odd{{Key: "newest", Requirement: "hello"}, {Key: "older", Requirement: "hello==1.2"}}, nil) {
				t.Errorf("the %s: %s", key, reason)
			}
		})
	}
}

// judgedVariable and seedVariable say how many files TestJudges makes, and from which
// seed; make soak sets them.
const (
	judgedVariable = "PACKAGECLOUD_JUDGED"
	seedVariable   = "PACKAGECLOUD_SEED"
)

// variable is a number from the environment.
func variable(t testing.TB, name string, usual uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestJudges makes odd wheels. What we accept, every client installs, and with it the
// plain file of the same project; what we refuse, some client or the library
// packaging does not take either.
func TestJudges(t *testing.T) {
	cases, seed := int(variable(t, judgedVariable, 60)), variable(t, seedVariable, 11)
	t.Logf("the seed is %d", seed)
	m := &maker{Rand: rand.New(rand.NewPCG(seed, 1)), real: realMetadata(t)}
	s := newShelf(t)
	var listed, refused []odd
	for i := range cases {
		project := fmt.Sprintf("odd%d", i/10)
		if i%10 == 0 {
			if _, err := s.add(project+"-0.1-py3-none-any.whl", pytest.Wheel(project, "0.1", ""), time.UnixMilli(0)); err != nil {
				t.Fatal(err)
			}
			listed = append(listed, odd{Key: project + " 0.1", Requirement: project + "==0.1"})
		}
		o := m.wheel(project, i)
		if _, o.refusal = s.add(o.Filename, o.body, time.UnixMilli(int64(i))); o.refusal == nil {
			listed = append(listed, o)
		} else if !documented(o.refusal) {
			refused = append(refused, o.store(t))
		}
	}
	index := s.render()
	t.Logf("%d are accepted and %d refused", len(listed), len(refused))
	rejected := make(map[string]bool)
	var mu sync.Mutex
	t.Run("judges", func(t *testing.T) {
		for _, c := range append([]client{{name: "packaging-26.4"}}, clients...) {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				mine := listed
				if c.name == "packaging-26.4" {
					mine = nil
				}
				wrong := c.judge(t, index, mine, refused)
				for _, o := range mine {
					if reason, ok := wrong[o.Key]; ok {
						t.Errorf("we accept %s (%s), and %s does not: %s\n%.500q", o.Key, o.Filename, c.name, reason, o.metadata)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				for _, o := range refused {
					rejected[o.Key] = rejected[o.Key] || wrong[o.Key] != ""
				}
			})
		}
	})
	for _, o := range refused {
		if !rejected[o.Key] {
			t.Errorf("we refuse %s (%v), and every client takes it\n%.500q", o.Key, o.refusal, o.metadata)
		}
	}
}

// documented reports whether a refusal is a limit that docs/formats.md names.
func documented(err error) bool {
	for _, limit := range []string{"longer than", "larger than", "more than", "64 bits", "two values", "is no name", "not the folder", "beside those of ASCII"} {
		if strings.Contains(err.Error(), limit) {
			return true
		}
	}
	return false
}

// store writes a file where clients look for it without a page of ours.
func (o odd) store(t testing.TB) odd {
	t.Helper()
	o.Folder = t.TempDir()
	o.Metadata = filepath.Join(t.TempDir(), "METADATA")
	for path, body := range map[string][]byte{filepath.Join(o.Folder, o.Filename): o.body, o.Metadata: []byte(o.metadata)} {
		if err := os.WriteFile(path, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// realMetadata are the fields of what real projects publish, without the names.
func realMetadata(t testing.TB) (all []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(tooltest.Output(t, "python-clients"), "packages", "*.whl"))
	if err != nil || len(files) < 20 {
		t.Fatalf("there are %d wheels, %v", len(files), err)
	}
	for _, path := range files {
		z, err := zip.OpenReader(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			if !strings.HasSuffix(f.Name, ".dist-info/METADATA") {
				continue
			}
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			var kept []string
			for line := range strings.Lines(string(text)) {
				if !strings.HasPrefix(line, "Name:") && !strings.HasPrefix(line, "Version:") && !strings.HasPrefix(line, "Requires-Python:") {
					kept = append(kept, line)
				}
			}
			all = append(all, strings.Join(kept, ""))
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
