package sign

import (
	"bytes"
	"crypto"
	"crypto/md5"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"packagecloud/internal/tooltest"
)

var update = flag.Bool("update", false, "write the table of key kinds into the documents")

// kind is a kind of key.
type kind struct {
	name string
	// gpg are the options by which gpg makes it, or own is how go-crypto does.
	gpg   []string
	more  []string // makes a subkey as well
	own   *packet.Config
	begun time.Duration // how long ago it was made, 0 for now
	lasts string        // for how long, as gpg says it; "" for ever
}

// kinds are those of the table in docs/operating.md.
var kinds = []kind{
	{name: "RSA 1024", gpg: []string{"rsa1024"}},
	{name: "RSA 2048", gpg: []string{"rsa2048"}},
	{name: "RSA 3072", gpg: []string{"rsa3072"}},
	{name: "RSA 4096", gpg: []string{"rsa4096"}},
	{name: "RSA 3072, signing subkey", gpg: []string{"rsa3072", "cert"}, more: []string{"rsa3072", "sign"}},
	{name: "RSA 3072, self-signed by SHA-1", gpg: []string{"rsa3072", "sign", "SHA1"}},
	{name: "RSA 3072, expires in a week", gpg: []string{"rsa3072"}, lasts: "7d"},
	{name: "RSA 3072, expired", gpg: []string{"rsa3072"}, begun: 60 * 24 * time.Hour, lasts: "30d"},
	{name: "DSA 1024", gpg: []string{"dsa1024"}},
	{name: "DSA 2048", gpg: []string{"dsa2048"}},
	{name: "ECDSA P-256", gpg: []string{"nistp256"}},
	{name: "ECDSA P-384", gpg: []string{"nistp384"}},
	{name: "ECDSA P-521", gpg: []string{"nistp521"}},
	{name: "ECDSA brainpoolP256", gpg: []string{"brainpoolP256r1"}},
	{name: "ECDSA secp256k1", gpg: []string{"secp256k1"}},
	{name: "Ed25519", gpg: []string{"ed25519"}},
	{name: "Ed25519, signing subkey of RSA", gpg: []string{"rsa3072", "cert"}, more: []string{"ed25519", "sign"}},
	{name: "Ed25519, as in RFC 9580", own: &packet.Config{Algorithm: packet.PubKeyAlgoEd25519}},
	{name: "Ed448, as in RFC 9580", own: &packet.Config{Algorithm: packet.PubKeyAlgoEd448}},
	{name: "version 6, Ed25519", own: &packet.Config{Algorithm: packet.PubKeyAlgoEd25519, V6Keys: true}},
}

// private is a key of the kind as gpg --export-secret-keys writes it.
func (k kind) private(t *testing.T, home string) []byte {
	t.Helper()
	if k.own != nil {
		k.own.DefaultHash = crypto.SHA256
		k.own.Time = func() time.Time { return time.Now().Add(-24 * time.Hour) }
		e, err := openpgp.NewEntity(k.name, "", "", k.own)
		if err != nil {
			t.Fatal(err)
		}
		e.Subkeys = nil
		var b bytes.Buffer
		if err := e.SerializePrivateWithoutSigning(&b, k.own); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	gpg := tool(t, "gpg")
	usage, digest, lasts := "sign", "SHA512", "never" // P-384 and P-521 need a long one
	if len(k.gpg) > 1 {
		usage = k.gpg[1]
	}
	if len(k.gpg) > 2 {
		digest = k.gpg[2]
	}
	if k.lasts != "" {
		lasts = k.lasts
	}
	began := time.Now().Add(-k.begun - time.Hour).UTC().Format("20060102T150405")
	base := []string{"--homedir", home, "--batch", "--pinentry-mode", "loopback", "--passphrase", "", "--faked-system-time", began, "--cert-digest-algo", digest}
	run(t, gpg, append(base, "--quick-generate-key", k.name, k.gpg[0], usage, lasts)...)
	if k.more != nil {
		list := string(run(t, gpg, append(base, "--with-colons", "--list-keys", "="+k.name)...))
		_, print, _ := strings.Cut(list, "\nfpr:::::::::")
		print, _, _ = strings.Cut(print, ":")
		run(t, gpg, append(base, "--quick-add-key", print, k.more[0], k.more[1], "never")...)
	}
	return run(t, gpg, append(base, "--export-secret-keys", "="+k.name)...)
}

// sign writes repositories for apt and for dnf that the key has signed.
func (k kind) sign(t *testing.T, folder string, private []byte) {
	t.Helper()
	entity, err := readOne(private)
	if err != nil {
		t.Fatalf("%s: %v", k.name, err)
	}
	key, err := newKey(entity)
	if err != nil {
		t.Fatalf("%s: %v", k.name, err)
	}
	put := func(name string, body []byte) {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Now()
	if k.begun > 0 {
		at = at.Add(-k.begun + 24*time.Hour)
	}
	release := fmt.Appendf(nil, "Origin: kinds\nSuite: ./\nCodename: kinds\nArchitectures: amd64 all\nDate: %s\nMD5Sum:\n %x 0 Packages\nSHA256:\n %x 0 Packages\n",
		at.UTC().Format("Mon, 02 Jan 2006 15:04:05 UTC"), md5.Sum(nil), sha256.Sum256(nil))
	signed, err := Together{key}.ClearSign(release, at)
	if err != nil {
		t.Fatalf("%s: %v", k.name, err)
	}
	put("key.asc", key.PublicKey())
	put("deb/InRelease", signed)
	put("deb/Packages", nil)
	primary := []byte("<?xml version=\"1.0\"?>\n<metadata xmlns=\"http://linux.duke.edu/metadata/common\" packages=\"0\"></metadata>\n")
	repomd := fmt.Appendf(nil, "<?xml version=\"1.0\"?>\n<repomd xmlns=\"http://linux.duke.edu/metadata/repo\"><revision>1</revision><data type=\"primary\"><checksum type=\"sha256\">%x</checksum>"+
		"<location href=\"repodata/primary.xml\"/><timestamp>1</timestamp><size>%d</size></data></repomd>\n", sha256.Sum256(primary), len(primary))
	signature, err := Together{key}.DetachSign(repomd, at)
	if err != nil {
		t.Fatalf("%s: %v", k.name, err)
	}
	put("rpm/repodata/primary.xml", primary)
	put("rpm/repodata/repomd.xml", repomd)
	put("rpm/repodata/repomd.xml.asc", signature)
	put("rpm/repodata/repomd.xml.key", key.PublicKey())
}

// system is where clients judge, and their columns in the table.
type system struct {
	release string
	soak    bool     // only make soak has the time
	clients []string // as kinds.sh calls them
	columns []string
}

var systems = []system{
	{"bullseye", true, []string{"apt"}, []string{"apt 2.2"}},
	{"this", false, []string{"apt", "rpm"}, []string{"apt 2.6", "rpm 4.18"}},
	{"this", true, []string{"dnf4", "zypper"}, []string{"dnf 4.14", "zypper 1.14.42"}},
	{"trixie", true, []string{"apt", "dnf4"}, []string{"apt 3.0", "dnf 4.23"}},
	{"sid", false, []string{"apt", "rpm"}, []string{"apt 3.3", "rpm 6"}},
	{"sid", true, []string{"dnf5", "zypper"}, []string{"dnf5", "zypper of sid"}},
}

// columns are those of the table, in their order.
var columns = []string{"apt 2.2", "apt 2.6", "apt 3.0", "apt 3.3", "rpm 4.18", "rpm 6", "dnf 4.14", "dnf 4.23", "dnf5", "zypper 1.14.42", "zypper of sid"}

// TestKinds lets package managers judge repositories that keys of many kinds have
// signed. import-key must refuse what any of them refuses, and the table in the
// documents must say so. A short run asks some of them; with PACKAGECLOUD_SOAK set
// it asks all.
func TestKinds(t *testing.T) {
	tooltest.Need(t, "root", os.Getuid() == 0)
	_, err := exec.LookPath("mmdebstrap")
	tooltest.Need(t, "mmdebstrap", err == nil)
	home, folder := t.TempDir(), t.TempDir()
	t.Cleanup(func() { exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() })
	table := map[string]verdicts{}
	for i, k := range kinds {
		private := k.private(t, home)
		k.sign(t, filepath.Join(folder, fmt.Sprintf("%02d", i)), private)
		table[k.name] = verdicts{"import-key": "ok"}
		switch key, err := ParsePrivate(private, nil); {
		case err != nil:
			table[k.name]["import-key"] = "refused"
		case key.Warning() != "":
			table[k.name]["import-key"] = "warns"
		}
	}
	soak := os.Getenv("PACKAGECLOUD_SOAK") != ""
	for _, s := range systems {
		if soak || !s.soak {
			judge(t, s, folder, table)
		}
	}
	for _, k := range kinds {
		if want := table[k.name].importKey(); (soak || want == "refused") && want != table[k.name]["import-key"] {
			t.Errorf("%s: import-key says %s and not %s, and clients: %v", k.name, table[k.name]["import-key"], want, table[k.name])
		}
	}
	document(t, table, soak)
}

// verdicts are what clients say of a kind, by column.
type verdicts map[string]string

// importKey is what import-key should say: it refuses what apt, dnf or zypper do,
// and warns of what rpm alone refuses, because repositories of debs do not need it.
func (v verdicts) importKey() string {
	want := "ok"
	for column, verdict := range v {
		switch rpm := strings.HasPrefix(column, "rpm "); {
		case column == "import-key" || verdict == "ok":
		case rpm && want == "ok":
			want = "warns"
		case !rpm:
			want = "refused"
		}
	}
	return want
}

// judge has the clients of a system judge.
func judge(t *testing.T, s system, folder string, table map[string]verdicts) {
	t.Helper()
	here, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	c := tooltest.Command(t, "sandbox", "bash", filepath.Join(here, "kinds.sh"))
	c.Env = append(os.Environ(), "KEYS="+folder, "CLIENTS="+strings.Join(s.clients, " "), "SANDBOX_SHARE="+folder+":"+here, "LC_ALL=C.UTF-8")
	if s.release != "this" {
		c.Env = append(c.Env, "SANDBOX_BASE="+tooltest.Output(t, "debian-root", s.release))
	}
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", s.release, err, said.String())
	}
	t.Logf("%s:\n%s", s.release, said.String())
	for line := range strings.Lines(string(out)) {
		var i int
		var client, verdict string
		if _, err := fmt.Sscanf(line, "%d\t%s\t%s", &i, &client, &verdict); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		table[kinds[i].name][s.columns[slices.Index(s.clients, client)]] = verdict
	}
}

// document compares the table with that of the documents, as far as clients were
// asked.
func document(t *testing.T, table map[string]verdicts, soak bool) {
	t.Helper()
	const path, begin, end = "../../docs/operating.md", "<!-- the table of TestKinds -->\n", "<!-- its end -->\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	have, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no table", path)
	}
	if *update && soak {
		if err := os.WriteFile(path, []byte(before+begin+markdown(table)+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for line := range strings.Lines(have) {
		cells := strings.Split(strings.Trim(line, "|\n "), " | ")
		row := table[cells[0]]
		for i, c := range append([]string{"import-key"}, columns...) {
			if v := row[c]; v != "" && (i+1 >= len(cells) || cells[i+1] != mark(v)) {
				t.Errorf("%s does not have that %s says %q of %s", path, c, v, cells[0])
			}
		}
	}
	if n := strings.Count(have, "\n"); n != len(kinds)+2 {
		t.Errorf("%s has %d lines in the table of %d kinds", path, n, len(kinds))
	}
}

func mark(verdict string) string {
	switch verdict {
	case "refused":
		return "**no**"
	case "warns":
		return "warns"
	}
	return "yes"
}

// markdown is the table.
func markdown(table map[string]verdicts) string {
	heads := append([]string{"import-key"}, columns...)
	var b strings.Builder
	fmt.Fprintf(&b, "| key | %s |\n|---|%s\n", strings.Join(heads, " | "), strings.Repeat("---|", len(heads)))
	for _, k := range kinds {
		b.WriteString("| " + k.name)
		for _, h := range heads {
			b.WriteString(" | " + mark(table[k.name][h]))
		}
		b.WriteString(" |\n")
	}
	return b.String()
}
