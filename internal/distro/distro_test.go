package distro

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/repo"
)

var update = flag.Bool("update", false, "write the golden files")

func TestIDsAreUniqueAndInTheirRanges(t *testing.T) {
	seen := map[int64]string{}
	for _, d := range Builtin().distributions {
		if d.format == "" || d.DisplayName == "" {
			t.Errorf("%s: format %q, display name %q", d.IndexName, d.format, d.DisplayName)
		}
		for _, r := range d.Versions {
			at := d.IndexName + "/" + r.IndexName
			if first, ok := seen[r.ID]; ok {
				t.Errorf("id %d is given to %s and %s", r.ID, first, at)
			}
			seen[r.ID] = at
			if r.ID < 1 || r.ID > 302 && r.ID < 1001 || r.ID > 100000 {
				t.Errorf("%s has id %d, outside of 1-302 and 1001-100000", at, r.ID)
			}
			if r.DisplayName == "" {
				t.Errorf("%s has no display name", at)
			}
		}
	}
}

// TestEveryPublishedID compares the catalogue with two tables: packagecloud's
// own ids, and those this program gave, which never change.
func TestEveryPublishedID(t *testing.T) {
	known := map[int64]bool{}
	for _, file := range []string{"ids.txt", "given.txt"} {
		for at, id := range readIDs(t, filepath.Join("testdata", file)) {
			known[id] = true
			want := repo.DistroVersion{ID: id, OS: at.os, Version: at.version}
			got, ok := Builtin().Find(at.os, at.version)
			want.Format = got.Format
			if !ok || got != want {
				t.Errorf("Find(%q, %q) = %+v, %v; want id %d", at.os, at.version, got, ok, id)
			}
			if byID, ok := Builtin().ByID(id); !ok || byID != got {
				t.Errorf("ByID(%d) = %+v, %v; want %+v", id, byID, ok, got)
			}
		}
	}
	for id, v := range Builtin().byID {
		if !known[id] && published[id] != v.ID {
			t.Errorf("id %d (%s) is in no table of testdata", id, v)
		}
	}
}

func readIDs(t *testing.T, path string) map[name]int64 {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[name]int64{}
	for line := range strings.Lines(string(body)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		for _, w := range words[1:] {
			version, number, _ := strings.Cut(w, "=")
			id, err := strconv.ParseInt(number, 10, 64)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			ids[name{words[0], strings.TrimPrefix(version, "-")}] = id
		}
	}
	return ids
}

func TestJSON(t *testing.T) {
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, Builtin().JSON(), "", " "); err != nil {
		t.Fatal(err)
	}
	pretty.WriteByte('\n')
	golden := filepath.Join("testdata", "distributions.json")
	if *update {
		if err := os.WriteFile(golden, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), pretty.String()); diff != "" {
		t.Errorf("distributions.json (-want +got; -update writes it):\n%s", diff)
	}
}

func TestJSONShapes(t *testing.T) {
	type distribution struct {
		DisplayName string           `json:"display_name"`
		IndexName   string           `json:"index_name"`
		Versions    []map[string]any `json:"versions"`
	}
	var got map[string][]distribution
	if err := json.Unmarshal(Builtin().JSON(), &got); err != nil {
		t.Fatal(err)
	}
	version := func(key, os, index string) map[string]any {
		for _, d := range got[key] {
			for _, v := range d.Versions {
				if d.IndexName == os && (index == "" || v["index_name"] == index) {
					return v
				}
			}
		}
		return nil
	}
	tests := []struct {
		key, os, index string
		want           map[string]any
	}{
		{"deb", "ubuntu", "warty", map[string]any{"id": 1.0, "display_name": "4.10 Warty Warthog", "index_name": "warty", "version_number": "4.10"}},
		{"dsc", "ubuntu", "jammy", map[string]any{"id": 237.0, "display_name": "22.04 LTS Jammy Jellyfish", "index_name": "jammy", "version_number": "22.04"}},
		{"rpm", "el", "9", map[string]any{"id": 240.0, "display_name": "Enterprise Linux 9.0", "index_name": "9", "version_number": "9.0"}},
		{"alpine", "alpine", "v3.13", map[string]any{"id": 228.0, "display_name": "3.13", "index_name": "v3.13", "version_number": "3.13"}},
		{"jar", "java", "maven2", map[string]any{"id": 167.0, "display_name": "Maven 2", "index_name": "maven2", "version_number": "2"}},
		{"node", "node", "1", map[string]any{"id": 191.0, "display_name": "Node.js", "index_name": "1", "version_number": "1"}},
		{"anyfile", "anyfile", "1", map[string]any{"id": 230.0, "display_name": "v1", "index_name": "1", "version_number": "1"}},
		{"helm", "helm", "v1", map[string]any{"id": 241.0, "display_name": "v1", "index_name": "v1", "version_number": "1"}},
		{"py", "python", "", map[string]any{"id": 166.0, "display_name": "Python"}},
		{"deb", "any", "any", map[string]any{"id": 35.0, "display_name": "Any version.", "index_name": "any", "version_number": nil}},
		{"rpm", "rpm_any", "rpm_any", map[string]any{"id": 227.0, "display_name": "Any version.", "index_name": "rpm_any", "version_number": nil}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, version(tt.key, tt.os, tt.index)); diff != "" {
			t.Errorf("%s %s/%s (-want +got):\n%s", tt.key, tt.os, tt.index, diff)
		}
	}
	if len(got) != 9 {
		t.Errorf("distributions.json has %d keys, want 9", len(got))
	}
	if diff := cmp.Diff(got["deb"], got["dsc"]); diff != "" {
		t.Errorf("dsc differs from deb:\n%s", diff)
	}
}

func TestResolve(t *testing.T) {
	tests := []struct{ os, dist, want string }{
		{"ubuntu", "jammy", "ubuntu/jammy"},
		{"Ubuntu", "Jammy", "ubuntu/jammy"},
		{"ubuntu", "22.04", "ubuntu/jammy"},
		{"ubuntu", "22.04.3", "ubuntu/jammy"},
		{"ubuntu", "22", ""},
		{"debian", "11", "debian/bullseye"},
		{"Debian", "11.6", "debian/bullseye"},
		{"debian", "6", "debian/squeeze"},
		{"debian", "6.0.10", "debian/squeeze"},
		{"debian", "trixie/sid", "debian/trixie"},
		{"debian", "sid", ""},
		{"raspbian", "10", "raspbian/buster"},
		{"linuxmint", "22.1", "linuxmint/xia"},
		{"LinuxMint", "22", "linuxmint/wilma"},
		{"Linux Mint", "Vera", "linuxmint/vera"},
		{"linuxmint", "22.9", ""},
		{"elementary", "7", "elementaryos/horus"},
		{"elementary OS", "circe", "elementaryos/circe"},
		{"el", "9", "el/9"},
		{"el", "9.3", "el/9"},
		{"centos", "7", "el/7"},
		{"CentOS", "7.9.2009", "el/7"},
		{"centos stream", "9", "el/9"},
		{"rhel", "8.10", "el/8"},
		{"rhel", "10.0", "el/10"},
		{"RedHatEnterpriseServer", "6.10", "el/6"},
		{"RedHatEnterpriseLinux", "9", "el/9"},
		{"almalinux", "9.4", "el/9"},
		{"rocky", "8", "el/8"},
		{"oraclelinux", "8", "ol/8"},
		{"oracle", "9", "ol/9"},
		{"Oracle Linux Server", "9.4", "ol/9"},
		{"OracleServer", "7.9", "ol/7"},
		{"ol", "8.5", "ol/8"},
		{"scientific", "7.9", "scientific/7"},
		{"amzn", "2023", "amazon/2023"},
		{"amzn", "2023.6.20241010", "amazon/2023"},
		{"amzn", "2", "amazon/2"},
		{"amzn", "2018.03", "amazon/1"},
		{"amazon", "1", "amazon/1"},
		{"aws", "6", "el/6"},
		{"fedora", "40", "fedora/40"},
		{"fedora", "rawhide", ""},
		{"opensuse-leap", "15.5", "opensuse/15.5"},
		{"opensuse", "15", "opensuse/15.0"},
		{"opensuse", "15.9", ""},
		{"opensuse-tumbleweed", "20240101", ""},
		{"sles", "15.4", "sles/15.4"},
		{"sles", "15-SP4", "sles/15.4"},
		{"SUSE Linux", "12", "sles/12.0"},
		{"poky", "4.0.15", "poky/kirkstone"},
		{"alpine", "3.18.4", "alpine/v3.18"},
		{"alpine", "v3.18", "alpine/v3.18"},
		{"any", "any", "any/any"},
		{"rpm_any", "rpm_any", "rpm_any/rpm_any"},
		{"python", "", "python"},
		{"linuxmint", "gigi", "linuxmint/gigi"},
		{"linuxmint", "7", "linuxmint/gigi"},
		{"Linux Mint", "6", "linuxmint/faye"},
		{"linuxmint", "22.2", "linuxmint/zara"},
		{"linuxmint", "zena", "linuxmint/zena"},
		{"pop", "22.04", "ubuntu/jammy"},
		{"pop", "jammy", "ubuntu/jammy"},
		{"neon", "24.04", "ubuntu/noble"},
		{"zorin", "17.3", "ubuntu/jammy"},
		{"zorin", "noble", "ubuntu/noble"},
		{"zorin", "22.04", ""},
		{"devuan", "daedalus", "debian/bookworm"},
		{"devuan", "5", "debian/bookworm"},
		{"parrot", "lory", "debian/bookworm"},
		{"trisquel", "11.0", "ubuntu/jammy"},
		{"somebodys", "bookworm", "debian/bookworm"}, // a code name tells enough
		{"somebodys", "12", ""},
		{"debian", "jammy", ""}, // Debian has none
		{"linuxmint", "noble", ""},
		{"kali", "kali-rolling", ""},
		{"cloudlinux", "9.6", "el/9"},
		{"nobara", "43", "fedora/43"},
		{"fedora", "45", "fedora/45"},
		{"", "", ""},
		{"debian", "", ""},
		{"debian", strings.Repeat("1", 1000), ""},
	}
	for _, tt := range tests {
		got, ok := Builtin().Resolve(tt.os, tt.dist)
		if !ok {
			got.OS, got.Version = "", ""
		}
		if text := strings.TrimPrefix(got.String(), "/"); text != tt.want || ok != (tt.want != "") {
			t.Errorf("Resolve(%q, %q) = %q, %v; want %q", tt.os, tt.dist, text, ok, tt.want)
		}
	}
}

func TestResolveFindsEveryName(t *testing.T) {
	for _, d := range Builtin().distributions {
		for _, r := range d.Versions {
			for _, dist := range []string{r.IndexName, r.Number} {
				got, ok := Builtin().Resolve(strings.ToUpper(d.IndexName), strings.ToUpper(dist))
				if dist == "" && r.IndexName != "" {
					continue
				}
				// All three of Hugging Face's kinds have the number 1.
				if !ok || got.ID != r.ID && d.IndexName != "huggingface" {
					t.Errorf("Resolve(%q, %q) = %v, %v; want %s", d.IndexName, dist, got, ok, r.IndexName)
				}
			}
		}
	}
}

func TestSuggest(t *testing.T) {
	tests := []struct {
		os, version string
		want        []string
	}{
		{"ubuntu", "jamy", []string{"ubuntu/jammy"}},
		{"ubunut", "jammy", []string{"ubuntu/jammy"}},
		{"ubuntu", "nobel", []string{"ubuntu/noble"}},
		{"rocky", "9", []string{"el/9"}},
		{"debian", "jammy", []string{"ubuntu/jammy"}},
		{"centos", "9", []string{"el/9"}},
		{"el", "99", []string{"el/10", "el/9", "el/8"}},
		{"ubuntu", "zany", []string{"ubuntu/resolute", "ubuntu/questing", "ubuntu/plucky"}},
		{"ubuntu", "22.04", []string{"ubuntu/jammy"}},
		{"plan9", "4", nil},
		{"", "", nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, Builtin().Suggest(tt.os, tt.version)); diff != "" {
			t.Errorf("Suggest(%q, %q) (-want +got):\n%s", tt.os, tt.version, diff)
		}
	}
}

func TestWith(t *testing.T) {
	before := bytes.Clone(Builtin().JSON())
	c := Builtin().With([]Added{
		{OS: "ubuntu", Format: "rpm", Release: repo.Release{ID: 100001, IndexName: "zany", DisplayName: "30.04 Zany", Number: "30.04"}},
		{OS: "gnome", OSDisplay: "GNOME OS", Format: "deb", Release: repo.Release{ID: 100002, IndexName: "50"}},
		{OS: "ubuntu", Release: repo.Release{ID: 100003, IndexName: "plucky", DisplayName: "25.04", Number: "25.04"}},
		{OS: "debian", Release: repo.Release{ID: 237, IndexName: "next"}},
	})
	tests := []struct {
		os, version string
		want        repo.DistroVersion
	}{
		{"ubuntu", "zany", repo.DistroVersion{ID: 100001, OS: "ubuntu", Version: "zany", Format: "deb"}},
		{"gnome", "50", repo.DistroVersion{ID: 100002, OS: "gnome", Version: "50", Format: "deb"}},
		{"ubuntu", "plucky", repo.DistroVersion{ID: 100003, OS: "ubuntu", Version: "plucky", Format: "deb"}},
		{"ubuntu", "jammy", repo.DistroVersion{ID: 237, OS: "ubuntu", Version: "jammy", Format: "deb"}},
		{"debian", "next", repo.DistroVersion{}},
	}
	for _, tt := range tests {
		if got, _ := c.Find(tt.os, tt.version); got != tt.want {
			t.Errorf("Find(%s, %s) = %+v, want %+v", tt.os, tt.version, got, tt.want)
		}
		if got, _ := c.ByID(tt.want.ID); got != tt.want {
			t.Errorf("ByID(%d) = %+v, want %+v", tt.want.ID, got, tt.want)
		}
	}
	plucky, _ := c.Find("ubuntu", "plucky")
	if got, _ := c.ByID(1001); got != plucky {
		t.Errorf("ByID(1001) = %+v, want the added release %+v", got, plucky)
	}
	if got, _ := c.With(nil).ByID(1001); got != plucky {
		t.Errorf("after With(nil), ByID(1001) = %+v, want %+v", got, plucky)
	}
	if !bytes.Contains(c.JSON(), []byte(`"GNOME OS"`)) || bytes.Contains(c.JSON(), []byte(`"id":1001,`)) {
		t.Errorf("distributions.json lacks an added distribution or shows a replaced id: %s", c.JSON())
	}
	if !bytes.Equal(Builtin().JSON(), before) {
		t.Error("With changed the built-in catalogue")
	}
	if _, ok := Builtin().Find("ubuntu", "zany"); ok {
		t.Error("With added to the built-in catalogue")
	}
}

func FuzzResolve(f *testing.F) {
	f.Add("debian", "11.6")
	f.Add("SUSE Linux", "15-SP4")
	f.Add("amzn", "2018.03")
	f.Fuzz(func(t *testing.T, os, dist string) {
		if v, ok := Builtin().Resolve(os, dist); ok {
			if _, found := Builtin().Find(v.OS, v.Version); !found {
				t.Errorf("Resolve(%q, %q) = %v, which is not in the catalogue", os, dist, v)
			}
		}
		for _, s := range Builtin().Suggest(os, dist) {
			os, version, _ := strings.Cut(s, "/")
			if _, found := Builtin().Find(os, version); !found {
				t.Errorf("suggested %q, which is not in the catalogue", s)
			}
		}
	})
}
