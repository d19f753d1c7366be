package rpm_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
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
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"packagecloud/internal/format"
	"packagecloud/internal/format/rpm"
	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/repo"
	"packagecloud/internal/tooltest"
)

// judged is one generated package, and what we say of it.
type judged struct {
	name    string
	body    []byte
	sum     string
	refusal string // "" if it is accepted
	entries map[string]string
	pkg     *repo.Package
}

// judge asks our own gate, all of it.
func judge(t *testing.T, name string, body []byte) *judged {
	t.Helper()
	sum := sha256.Sum256(body)
	j := &judged{name: name, body: body, sum: hex.EncodeToString(sum[:]), entries: make(map[string]string)}
	err := func() error {
		f := rpm.New()
		parsed, err := f.Parse(t.Context(), upload(body))
		if err != nil {
			return err
		}
		j.pkg = parsed.Package()
		j.pkg.Files[0].Path = f.Path(j.pkg, j.pkg.Files[0].Name, el9, "")
		list, err := parsed.Entries(format.Listing{Distro: el9, Files: j.pkg.Files, Time: time.Unix(1_700_000_000, 0)})
		if err != nil {
			return err
		}
		for _, e := range list {
			j.entries[e.Kind] = string(e.Text)
		}
		return format.Check(f, j.pkg, list)
	}()
	var invalid *repo.InvalidError
	switch {
	case errors.As(err, &invalid):
		j.refusal = err.Error()
	case err != nil:
		t.Fatal(err)
	}
	return j
}

// ownLimits are the refusals that are ours alone and documented in docs/formats.md,
// and those of relations and files that rpm leaves out or stumbles over when it
// installs the package: createrepo_c does not look.
var ownLimits = regexp.MustCompile(`a header has tag 2147483648 |there are \d+ names, |in a folder that does not exist|\d+ files, with|has an epoch that is no number|its (name|version|release|architecture) ".*" is not valid|and it is no source package|stands there twice|bytes, more than|has conditions that rpm and libsolv cannot read|more than a solver`)

// A court is a machine with judges on it: rpm, createrepo_c, and what reads an
// index.
type court struct {
	root   string // of debian-root; "" is this machine
	old    bool   // createrepo_c counts changes differently, and does not know that %pretrans needs things beforehand
	reader string // prints name, epoch, version, release and architecture of all packages of the index in the folder index
}

const (
	byDNF    = `dnf -q --setopt=cachedir=$PWD/cache --setopt=reposdir=/nowhere --repofrompath=x,file://$PWD/index --repo=x repoquery --qf '%{name} %{epoch} %{version} %{release} %{arch}'`
	byDNF5   = `dnf5 -q --setopt=cachedir=$PWD/cache --setopt=reposdir=/nowhere --repofrompath=x,file://$PWD/index --repo=x repoquery --qf '%{name} %{epoch} %{version} %{release} %{arch}\n'`
	byZypper = `z="zypper --root $PWD/zypper --non-interactive --no-gpg-checks"; $z addrepo file://$PWD/index x > zypper.log && $z refresh >> zypper.log && $z search -s -r x`
)

// sits runs the judges over the folder packages and lets readers read the folder
// index, in a folder that all share.
const sits = `set -u
cd "$1"
rpm -K --nosignature packages/*.rpm > digests.txt 2>&1
mkdir repodata
createrepo_c --no-database --compatibility --general-compress-type=gz --changelog-limit=10 --outputdir repodata packages > createrepo.txt 2>&1
eval "$2" > list.txt 2> errors.txt || echo "failed with $?" >> errors.txt
eval "$3" > zypper.txt 2> zypper-errors.txt || echo "failed with $?" >> zypper-errors.txt
`

var courts = map[string]court{
	"bookworm": {"", true, byDNF},
	"trixie":   {"trixie", false, byDNF},
	"sid":      {"sid", false, byDNF5},
}

// sit has one court judge packages and the index of those we accept. It gives the
// folder with what it says.
func (c court) sit(t *testing.T, packages []*judged) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"packages", "index/repodata"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range packages {
		write(t, filepath.Join(dir, "packages", p.name+".rpm"), p.body)
	}
	writeIndex(t, filepath.Join(dir, "index", "repodata"), packages)
	zypper := byZypper
	if c.root == "trixie" {
		zypper = "true" // it has none
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	sandbox, err := filepath.Abs("../../../scripts/sandbox")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, sandbox, "sh", "-c", sits, "sh", dir, c.reader, zypper)
	cmd.Env = append(os.Environ(), "SANDBOX_SHARE="+dir)
	if c.root != "" {
		cmd.Env = append(cmd.Env, "SANDBOX_BASE="+tooltest.Output(t, "debian-root", c.root))
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// writeIndex writes the repodata of the packages that we accept.
func writeIndex(t *testing.T, dir string, packages []*judged) {
	t.Helper()
	f := rpm.New()
	s := format.Snapshot{Distro: el9, Time: time.Unix(1_700_000_100, 0)}
	for _, d := range f.Documents(el9, nil)[:3] {
		var text bytes.Buffer
		n := 0
		for _, p := range packages {
			if p.refusal == "" {
				n++
				text.WriteString(p.entries[d.Kind])
			}
		}
		head, tail := f.Frame(format.Framing{Kind: d.Kind, Entries: int64(n)})
		plain := slices.Concat(head, text.Bytes(), tail)
		if err := f.Audit(d, bytes.NewReader(plain), func(f format.Finding) { t.Errorf("%s: %s", d.Kind, f) }); err != nil {
			t.Error(err)
		}
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, err := z.Write(plain)
		if err := errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
		form := func(b []byte) format.Form {
			sum := sha256.Sum256(b)
			return format.Form{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(b))}
		}
		r := format.Rendered{Document: d, ChangedAt: s.Time}
		r.Forms[format.Plain], r.Forms[format.Gzip] = form(plain), form(packed.Bytes())
		s.Documents = append(s.Documents, r)
		write(t, filepath.Join(dir, r.Forms[format.Gzip].SHA256+"-"+d.Kind+".xml.gz"), packed.Bytes())
	}
	points, err := f.EntryPoints(s)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "repomd.xml"), points[0].Body)
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestJudges makes packages with odd fields and asks the tools of three releases of
// what they think of each. PACKAGECLOUD_JUDGED is how many, PACKAGECLOUD_SEED the
// first of their seeds.
func TestJudges(t *testing.T) {
	tooltest.Need(t, "root, for scripts/sandbox", os.Getuid() == 0)
	n, seed := number("PACKAGECLOUD_JUDGED", 300), number("PACKAGECLOUD_SEED", 1)
	t.Logf("PACKAGECLOUD_SEED=%d", seed)
	const batch = 300
	for first := 0; first < n; first += batch {
		var packages []*judged
		for i := first; i < min(n, first+batch); i++ {
			r := rand.New(rand.NewPCG(uint64(seed), uint64(i)))
			name := rpmtest.GeneratedName(i)
			packages = append(packages, judge(t, name, rpmtest.Generate(r, name).Build()))
		}
		var all sync.WaitGroup
		for name, c := range courts {
			all.Go(func() { c.compare(t, name, c.sit(t, packages), packages) })
		}
		all.Wait()
	}
}

func number(variable string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return n
	}
	return otherwise
}

// compare says where a court and we differ.
func (c court) compare(t *testing.T, court, dir string, packages []*judged) {
	t.Helper()
	digests, warnings := text(t, filepath.Join(dir, "digests.txt")), text(t, filepath.Join(dir, "createrepo.txt"))
	theirs := make(map[string]map[string]pkg)
	for _, kind := range []string{"primary", "filelists", "other"} {
		var m metadata
		decode(t, read(t, filepath.Join(dir, "repodata"), kind), &m)
		theirs[kind] = make(map[string]pkg)
		for _, p := range m.Packages {
			theirs[kind][p.ID+p.Checksum.Value] = p
		}
	}
	var want, refused []string
	for _, p := range packages {
		_, listed := theirs["primary"][p.sum]
		if p.refusal != "" {
			refused = append(refused, p.name)
			warned := strings.Contains(warnings, p.name)
			if listed && !warned && !ownLimits.MatchString(p.refusal) {
				t.Errorf("%s: %s is refused, and createrepo_c lists it: %s", court, p.name, p.refusal)
			}
			continue
		}
		if !strings.Contains(digests, "packages/"+p.name+".rpm: digests OK") {
			t.Errorf("%s: %s is accepted, and rpm -K says %s", court, p.name, grep(digests, p.name))
		}
		switch {
		case listed:
			c.same(t, court, p, theirs)
		case c.old && strings.Contains(grep(warnings, p.name), "Forbidden control chars"): // in a change that is not listed
		default:
			t.Errorf("%s: %s is accepted, and createrepo_c says %s", court, p.name, grep(warnings, p.name))
		}
		epoch := int64(0)
		if p.pkg.Epoch != nil {
			epoch = *p.pkg.Epoch
		}
		want = append(want, fmt.Sprintf("%s %d %s %s %s", p.pkg.Name, epoch, p.pkg.Version, p.pkg.Release, p.pkg.Architecture))
	}
	t.Logf("%s: %d of %d packages are refused", court, len(refused), len(packages))
	got := strings.Split(strings.TrimSpace(text(t, filepath.Join(dir, "list.txt"))), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: dnf reads the index as (-want +got):\n%s%s", court, diff, text(t, filepath.Join(dir, "errors.txt")))
	}
	table := text(t, filepath.Join(dir, "zypper.txt"))
	for _, p := range packages {
		if p.refusal == "" && table != "" && zypperArch.MatchString(p.pkg.Architecture) && !strings.Contains(table, "| "+p.name+" ") {
			t.Errorf("%s: zypper does not see %s: %s", court, p.name, text(t, filepath.Join(dir, "zypper-errors.txt")))
		}
	}
}

// same compares our entries of a package with those of createrepo_c.
func (c court) same(t *testing.T, court string, p *judged, theirs map[string]map[string]pkg) {
	t.Helper()
	for kind, all := range theirs {
		var mine metadata
		decode(t, []byte(`<x xmlns:rpm="r">`+p.entries[kind]+"</x>"), &mine)
		if diff := cmp.Diff(c.normal(all[p.sum]), c.normal(mine.Packages[0]), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s of %s (-createrepo_c +ours):\n%s", court, kind, p.name, diff)
		}
	}
}

// zypperArch are the architectures of which zypper lists packages on x86_64.
var zypperArch = regexp.MustCompile(`^(noarch|x86_64|i[3-6]86|src)$`)

func grep(text, what string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, what) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// normal is a package without what is written in several ways.
func (c court) normal(p pkg) pkg {
	if c.old {
		p.Changelog = p.Changelog[max(0, len(p.Changelog)-10):]
		for i := range p.Changelog {
			p.Changelog[i].Date = ""
		}
		for i := range p.Format.Requires {
			p.Format.Requires[i].Pre = ""
		}
	}
	p.Location = location{}
	own := relation{Name: p.Name, Flags: "EQ", Epoch: p.Version.Epoch, Ver: p.Version.Ver, Rel: p.Version.Rel}
	p.Format.Provides = slices.DeleteFunc(p.Format.Provides, func(r relation) bool { return r == own }) // that of RPM 3 is made by some rpm alone
	if p.Format.SourceRPM == "(none)" {
		p.Format.SourceRPM = "" // rpm's word for none
	}
	for _, all := range []*[]relation{&p.Format.Provides, &p.Format.Requires, &p.Format.Conflicts, &p.Format.Obsoletes, &p.Format.Suggests, &p.Format.Enhances, &p.Format.Recommends, &p.Format.Supplements} {
		for i, r := range *all {
			if r.Flags == "" || r.Ver == "" && r.Rel == "" { // any version fits
				(*all)[i].Flags, (*all)[i].Epoch, (*all)[i].Ver, (*all)[i].Rel = "", "", "", ""
			}
		}
		slices.SortFunc(*all, func(a, b relation) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		*all = slices.Compact(*all)
	}
	return p
}
