package deb_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/tooltest"
)

// The tests of this file ask other programs what they make of packages that
// nobody would think of: dpkg, apt-ftparchive, and apt and python3-apt of four
// releases. What the gate accepts they must all read. What it refuses one of them
// must refuse, warn of, or be unable to read.

// TestJudges asks about a few hundred packages, or as many as PACKAGECLOUD_JUDGED
// says. PACKAGECLOUD_SEED makes it others.
func TestJudges(t *testing.T) {
	number := func(variable string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
			return n
		}
		return otherwise
	}
	cases, seed := number("PACKAGECLOUD_JUDGED", 300), uint64(number("PACKAGECLOUD_SEED", 1))
	t.Logf("PACKAGECLOUD_SEED=%d", seed)
	g := generator{rand.New(rand.NewPCG(seed, 0)), realControls(t)}
	for done := 0; done < cases; done += 1000 {
		j := newJudgement(t)
		for i := range min(1000, cases-done) {
			j.add(g.shape(g.control(done + i)))
		}
		j.judge()
	}
}

// TestJudgedBefore has what the judges found wrong at some time.
func TestJudgedBefore(t *testing.T) {
	j := newJudgement(t)
	for i, text := range []string{
		"Depends: foo>=1.0\n", "Depends: foo (>= 1.0\n", "Depends: foo [amd64]\n", "Depends: a (=1)\n", "Depends: a (=1), b\n", "Depends: a (1.0)\n",
		"Static-Built-Using: g++:any:any [!= 1-2-3)\n", // python3-apt crashes
		"Phased-Update-Percentage: 1e3\n", "Phased-Update-Percentage: none\n", "Section:\n libs\n", "Depends: \t a\n",
		"Important: maybe\n", "Phased-Update-Percentage: 101\n", "Provides: a (>= 1)\n", "Provides: a | b\n", "Multi-Arch: same\n",
		"Maintainer: J\xf6rg\n", "Description: " + strings.Repeat("a", 999_000) + "\n", "Description: " + strings.Repeat("a", 1_100<<10) + "\n",
		"Version: 1" + strings.Repeat("0", 141) + "\n", "Section: " + strings.Repeat("a", 59_000) + "\n", "Section: " + strings.Repeat("a", 66_000) + "\n",
		"Depends: a," + strings.Repeat(" ", 900_000) + "b\n", "Depends: a" + strings.Repeat(", b", 190) + "\n", "Depends: " + distinct(60_000) + "\n",
	} {
		j.add(fields(fmt.Sprintf("Package: p%d\n", i) + text))
	}
	good := debtest.Package{Name: "q"}.Build()
	j.add(bytes.Replace(good, []byte("4         `"), []byte("         4`"), 1)) // the size of a member
	j.add(bytes.Replace(good, []byte("4         `"), []byte("4       9 `"), 1)) // dpkg reads the first word
	j.add(debtest.Ar([]debtest.Member{                                          // the checksum at the end of gzip
		{Name: "debian-binary", Body: []byte("2.0\n")}, {Name: "control.tar.gz", Body: damaged(gz(tarball("control", []byte("Package: q\nVersion: 1\nArchitecture: all\n"))))},
		{Name: "data.tar", Body: make([]byte, 1024)},
	}))
	j.judge()
}

// distinct are so many relations, each to another package.
func distinct(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("b%d", i)
	}
	return strings.Join(names, ", ")
}

// damaged has another checksum at its end.
func damaged(gzipped []byte) []byte {
	gzipped[len(gzipped)-8] ^= 1
	return gzipped
}

// realControls are control files of Debian.
func realControls(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/controls.txt")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n\n")
}

// judgement is a number of packages that are judged together.
type judgement struct {
	t      *testing.T
	folder string
	cases  []judged
}

type judged struct {
	file    string
	body    []byte
	listed  []byte // what lists it
	refusal error  // ours
	dpkg    bool   // dpkg would install it
}

func newJudgement(t *testing.T) *judgement {
	t.Helper()
	_, err := exec.LookPath("apt-ftparchive")
	tooltest.Need(t, "apt-ftparchive and dpkg", err == nil)
	folder := t.TempDir()
	for _, name := range []string{"all", "ours", "theirs", "index/ours", "index/theirs"} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &judgement{t: t, folder: folder}
}

func (j *judgement) write(name string, body []byte) {
	j.t.Helper()
	if err := os.WriteFile(filepath.Join(j.folder, name), body, 0o644); err != nil {
		j.t.Fatal(err)
	}
}

// add takes a package.
func (j *judgement) add(body []byte) {
	j.t.Helper()
	c := judged{file: fmt.Sprintf("%05d.deb", len(j.cases)), body: body}
	c.listed, _, c.refusal = admit(j.t, body)
	j.write("all/"+c.file, body)
	j.cases = append(j.cases, c)
}

// judge asks everybody.
func (j *judgement) judge() {
	j.t.Helper()
	j.dpkg()
	ours, theirs := j.ours(), j.theirs()
	var packages bytes.Buffer
	for _, c := range ours {
		packages.Write(c.listed)
	}
	j.write("index/ours/Packages", packages.Bytes())
	verdicts := j.apt()
	j.t.Logf("%d accepted, %d refused here alone", len(ours), len(theirs))
	for release, v := range verdicts {
		for i, what := range v["ours"].Wrong {
			j.t.Errorf("accepted, and %s says %s of\n%s", release, what, excerpt(ours[i].listed))
		}
		for _, c := range ours {
			if want := shown(c.listed); !slices.Contains(v["ours"].Versions, want) && v["ours"].Wrong == nil {
				j.t.Errorf("apt of %s does not know %q:\n%s", release, want, excerpt(c.listed))
			}
		}
	}
	for i, c := range theirs {
		if !slices.ContainsFunc(slices.Collect(maps.Values(verdicts)), func(v map[string]verdict) bool { return v["theirs"].Wrong[i] != "" }) {
			j.t.Errorf("refused, and dpkg and apt take it: %v\n%s", c.refusal, excerpt(c.listed))
		}
	}
}

var dpkgError = regexp.MustCompile(`(?m)^dpkg: error processing archive (?:\S*/)?(\d+)\.deb`)

// dpkg finds out which packages dpkg would install.
func (j *judgement) dpkg() {
	j.t.Helper()
	admin := filepath.Join(j.folder, "admin")
	for _, name := range []string{"info", "updates", "triggers"} {
		if err := os.MkdirAll(filepath.Join(admin, name), 0o755); err != nil {
			j.t.Fatal(err)
		}
	}
	j.write("admin/status", nil)
	command := exec.Command("dpkg", "--admindir="+admin, "--no-act", "--abort-after=1000000", "--force-architecture", "--force-depends", "--force-conflicts", "--force-breaks", "-i", "-R", filepath.Join(j.folder, "all"))
	command.Env = append(os.Environ(), "LC_ALL=C")
	out, _ := command.CombinedOutput() // it fails if it refuses one
	refused := make(map[int]bool)
	for _, m := range dpkgError.FindAllSubmatch(out, -1) {
		n, _ := strconv.Atoi(string(m[1]))
		refused[n] = true
	}
	if !bytes.Contains(out, []byte("Preparing to unpack")) && len(refused) < len(j.cases) {
		j.t.Fatalf("dpkg did nothing: %s", out)
	}
	for i := range j.cases {
		j.cases[i].dpkg = !refused[i]
	}
}

// ours are the packages that are accepted here. dpkg must accept them, and
// apt-ftparchive list them alike.
func (j *judgement) ours() (all []judged) {
	j.t.Helper()
	for _, c := range j.cases {
		if c.refusal != nil {
			continue
		}
		if !c.dpkg {
			j.t.Errorf("accepted, and dpkg refuses it:\n%s", excerpt(c.listed))
		}
		j.write("ours/"+c.file, c.body)
		all = append(all, c)
	}
	theirs := j.ftparchive("ours")
	for _, c := range all {
		want := theirs[c.file]
		if want == nil {
			j.t.Errorf("accepted, and apt-ftparchive does not list it:\n%s", excerpt(c.listed))
		}
		for name, value := range want {
			got := listedFields(c.listed)[name]
			value = strings.TrimLeft(value, " \t\r\n") // as dpkg and apt do
			if got = strings.TrimLeft(got, " \t\n"); got != value && !slices.Contains([]string{"filename", "description-md5"}, name) && validUTF8(value) {
				j.t.Errorf("apt-ftparchive lists %s as %q, and not %q", name, excerpt([]byte(value)), excerpt([]byte(got)))
			}
		}
	}
	return all
}

// deliberate are parts of the messages of refusals that dpkg and apt do not
// share: docs/formats.md gives the reasons. dpkg is forced here to look away from
// architectures, its dry run does not look at the data, and GNU tar goes on behind
// a damaged header.
var deliberate = regexp.MustCompile(`Architecture is missing|invalid tar header|data member .* is compressed in another way|has the control character|is no field: "(#|[^:]*[^ -~])|is obsolete: dpkg adds it|has two files control|it is no architecture|no architecture of a binary package|is no variant of|no ar header`)

// theirs are the packages that are refused here and not by dpkg, and that no
// reason of our own speaks against.
func (j *judgement) theirs() (all []judged) {
	j.t.Helper()
	for _, c := range j.cases {
		if c.refusal != nil && c.dpkg && !deliberate.MatchString(c.refusal.Error()) {
			j.write("theirs/"+c.file, c.body)
			all = append(all, c)
		}
	}
	listed := j.ftparchiveText("theirs")
	var packages bytes.Buffer
	all = slices.DeleteFunc(all, func(c judged) bool { return listed[c.file] == nil }) // apt-ftparchive refuses it
	for i := range all {
		all[i].listed = listed[all[i].file]
		packages.Write(all[i].listed)
	}
	j.write("index/theirs/Packages", packages.Bytes())
	return all
}

// ftparchiveText is what apt-ftparchive lists of a folder, by file.
func (j *judgement) ftparchiveText(folder string) map[string][]byte {
	j.t.Helper()
	command := exec.Command("apt-ftparchive", "packages", ".")
	command.Dir = filepath.Join(j.folder, folder)
	out, _ := command.Output() // it fails if it refuses one
	all := make(map[string][]byte)
	for _, s := range bytes.SplitAfter(out, []byte("\n\n")) {
		if name := listedFields(s)["filename"]; name != "" {
			all[strings.TrimPrefix(strings.TrimSpace(name), "./")] = s
		}
	}
	return all
}

func (j *judgement) ftparchive(folder string) map[string]map[string]string {
	j.t.Helper()
	all := make(map[string]map[string]string)
	for name, text := range j.ftparchiveText(folder) {
		all[name] = listedFields(text)
	}
	return all
}

// listedFields are the fields of a stanza by their names in lower case.
func listedFields(text []byte) map[string]string {
	all, last := make(map[string]string), ""
	for line := range strings.SplitSeq(strings.TrimRight(string(text), "\n"), "\n") {
		name, value, ok := strings.Cut(line, ":")
		if ok && line[0] != ' ' && line[0] != '\t' {
			last = strings.ToLower(name)
			all[last] = value
		} else {
			all[last] += "\n" + line
		}
	}
	return all
}

// shown is how judge.py shows a version.
func shown(listed []byte) string {
	f := listedFields(listed)
	value := func(name string) string { return strings.TrimLeft(f[name], " \t\r") }
	return value("package") + " " + value("architecture") + " " + value("version")
}

func validUTF8(s string) bool { return strings.ToValidUTF8(s, "") == s }

func excerpt(text []byte) string {
	if len(text) > 500 {
		return fmt.Sprintf("%q…", text[:500])
	}
	return fmt.Sprintf("%q", text)
}

// verdict is what judge.py says of an index.
type verdict struct {
	Index    string
	Wrong    map[int]string
	Versions []string
}

// apt asks apt of this machine and of other releases, by the names of releases
// and indexes.
func (j *judgement) apt() map[string]map[string]verdict {
	j.t.Helper()
	return askReleases(j.t, func(c *exec.Cmd, python string) {
		c.Args = append(c.Args, python, filepath.Join(j.folder, "judge.py"), filepath.Join(j.folder, "index"))
	}, j.folder)
}

// askReleases runs judge.py, or a script with its output, in each release.
func askReleases(t *testing.T, prepare func(c *exec.Cmd, python string), folder string) map[string]map[string]verdict {
	t.Helper()
	script, err := os.ReadFile("testdata/judge.py")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "judge.py"), script, 0o755); err != nil {
		t.Fatal(err)
	}
	sandbox, err := filepath.Abs("../../../scripts/sandbox")
	if err != nil {
		t.Fatal(err)
	}
	tooltest.Need(t, "python3-apt", exec.Command("/usr/bin/python3", "-c", "import apt_pkg").Run() == nil)
	tooltest.Need(t, "root, for other releases of Debian", os.Getuid() == 0)
	all := make(map[string]map[string]verdict)
	var lock sync.Mutex
	var wait sync.WaitGroup
	for _, release := range []string{"", "bullseye", "trixie", "sid"} {
		c := exec.CommandContext(t.Context(), sandbox)
		c.Env, c.Stderr = append(os.Environ(), "SANDBOX_SHARE="+folder, "LC_ALL=C.UTF-8"), os.Stderr
		if release != "" {
			c.Env = append(c.Env, "SANDBOX_BASE="+tooltest.Output(t, "debian-root", release))
		}
		prepare(c, "/usr/bin/python3")
		wait.Go(func() {
			v, err := verdicts(c)
			lock.Lock()
			defer lock.Unlock()
			if all[release] = v; err != nil {
				t.Errorf("the judge of %s: %v", release, err)
			}
		})
	}
	wait.Wait()
	return all
}

func verdicts(c *exec.Cmd) (map[string]verdict, error) {
	out, err := c.Output()
	if err != nil {
		return nil, err
	}
	all := make(map[string]verdict)
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var v verdict
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			return nil, fmt.Errorf("%w: %.200s", err, lines.Bytes())
		}
		all[v.Index] = v
	}
	return all, lines.Err()
}
