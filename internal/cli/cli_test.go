package cli

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"packagecloud/internal/client"
	"packagecloud/internal/client/clienttest"
	"packagecloud/internal/distro"
	"packagecloud/internal/version"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"package_cloud": func() {
			os.Exit(Run(context.Background(), version.Info{Version: "1.2.3", Commit: "0123", Date: "2026-11-24T05:34:14Z"}, os.Args[1:]))
		},
		// status runs package_cloud and fails unless it exits with a status.
		"status": func() {
			want, err := strconv.Atoi(os.Args[1])
			got := Run(context.Background(), version.Info{Version: "1.2.3", Commit: "0123", Date: "2026-11-24T05:34:14Z"}, os.Args[2:])
			if err != nil || got != want {
				fmt.Fprintf(os.Stderr, "exit status %d, want %s\n", got, os.Args[1])
				os.Exit(2)
			}
		},
	})
}

type serverKey struct{}

// The scripts in testdata run the program against a server.
//
//	fault METHOD SUFFIX STATUS [late|FILE]   the next such request fails, after it did its work or with a file for an answer; status 0 cuts the connection
//	answer METHOD SUFFIX FILE           the next such request is answered with a file
//	requests [sorted]                   writes the requests since the last time to the file requests
//	sources NAME SIZE...                what a .dsc lists
//	mode OCTAL FILE                     checks the permissions of a file
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			s := clienttest.New(e.T().(testing.TB), "")
			e.Values[serverKey{}] = s
			e.Setenv("SERVER", s.URL)
			e.Setenv("TOKEN", clienttest.Token)
			e.Setenv("PACKAGECLOUD_URL", s.URL)
			e.Setenv("PACKAGECLOUD_TOKEN", clienttest.Token)
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else each exit takes a second under the race detector
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fault":    fault,
			"answer":   answer,
			"requests": requests,
			"indexafter": func(ts *testscript.TestScript, _ bool, args []string) {
				n, err := strconv.Atoi(args[0])
				ts.Check(err)
				server(ts).IndexAfter(n)
			},
			"sources": sources,
			"mode":    mode,
		},
		RequireExplicitExec: true,
	})
}

func server(ts *testscript.TestScript) *clienttest.Server {
	return ts.Value(serverKey{}).(*clienttest.Server)
}

func fault(ts *testscript.TestScript, _ bool, args []string) {
	status, err := strconv.Atoi(args[2])
	ts.Check(err)
	f := clienttest.Fault{Method: args[0], Suffix: args[1], Status: status}
	if len(args) > 3 {
		f.Late = args[3] == "late"
	}
	if len(args) > 3 && !f.Late {
		f.Body, f.Header = ts.ReadFile(args[3]), http.Header{"Content-Type": {"text/plain"}}
	}
	server(ts).Fail(f)
}

func answer(ts *testscript.TestScript, _ bool, args []string) {
	server(ts).Fail(clienttest.Fault{Method: args[0], Suffix: args[1], Status: http.StatusOK, Body: ts.ReadFile(args[2])})
}

// requests can sort them, for parallel ones have no order.
func requests(ts *testscript.TestScript, _ bool, args []string) {
	list := server(ts).Requests()
	if slices.Contains(args, "sorted") {
		slices.Sort(list)
	}
	ts.Check(os.WriteFile(ts.MkAbs("requests"), []byte(strings.Join(list, "\n")+"\n"), 0o600))
}

func sources(ts *testscript.TestScript, _ bool, args []string) {
	var files []clienttest.File
	for pair := range slices.Chunk(args, 2) {
		size, err := strconv.ParseInt(pair[1], 10, 64)
		ts.Check(err)
		files = append(files, clienttest.File{Filename: pair[0], Size: size})
	}
	server(ts).Sources(files...)
}

// mode checks the permissions of a file.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// builtin is the list of distributions as a client reads it.
func builtin(t testing.TB) catalog {
	t.Helper()
	s := clienttest.New(t, "")
	u, err := client.ParseURL(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	all, err := (&client.Client{URL: u, Token: clienttest.Token}).Distributions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFind(t *testing.T) {
	all := builtin(t)
	tests := []struct {
		kinds       string
		os, version string
		want        string // "" for none
	}{
		{"deb", "ubuntu", "jammy", "ubuntu/jammy"},
		{"deb", "ubuntu", "22.04", "ubuntu/jammy"},
		{"deb", "any", "any", "any/any"},
		{"dsc", "debian", "bookworm", "debian/bookworm"},
		{"rpm", "el", "9", "el/9"},
		{"rpm", "el", "9.0", "el/9"},
		{"rpm", "ubuntu", "jammy", ""},
		{"deb", "ubuntu", "", ""},
		{"deb", "ubuntu", "jamy", ""},
		{"deb", "", "", ""},
		{"py", "python", "1", "python"},
		{"py", "python", "", "python"},
		{"jar", "java", "maven2", "java/maven2"},
		{"node helm", "node", "1", "node/1"},
		{"node helm", "helm", "v1", "helm/v1"},
		{"node helm", "helm", "", "helm/v1"},
		{"alpine", "alpine", "v3.20", "alpine/v3.20"},
		{"alpine", "alpine", "3.20", "alpine/v3.20"},
		{"anyfile", "anyfile", "1", "anyfile/1"},
	}
	for _, test := range tests {
		got, ok := find(all, strings.Fields(test.kinds), test.os, test.version)
		if got.name != test.want || ok != (test.want != "") {
			t.Errorf("%s/%s of %s is %q", test.os, test.version, test.kinds, got.name)
		}
		os, version, _ := strings.Cut(test.want, "/")
		if v, known := distro.Builtin().Find(os, version); known && v.ID != got.id {
			t.Errorf("%s has id %d, want %d", test.want, got.id, v.ID)
		}
	}
}

func TestNear(t *testing.T) {
	all := builtin(t)
	tests := []struct {
		kind, os, version string
		first             string
	}{
		{"deb", "ubuntu", "jamy", "ubuntu/jammy"},
		{"deb", "ubutnu", "jammy", "ubuntu/jammy"},
		{"deb", "debian", "jammy", "ubuntu/jammy"},
		{"deb", "debain", "bookwrom", "debian/bookworm"},
		{"rpm", "centos", "9", "el/9"},
		{"rpm", "rocky", "9", "el/9"},
		{"deb", "ubuntu", "nobel", "ubuntu/noble"},
		{"rpm", "fedora", "9", "fedora/45"},
	}
	for _, test := range tests {
		got := near(all, []string{test.kind}, test.os, test.version)
		if (len(got) == 0) != (test.first == "") || len(got) > 0 && got[0] != test.first || len(got) > maxNear {
			t.Errorf("%s/%s: %v, want %s", test.os, test.version, got, test.first)
		}
	}
	if got := near(all, []string{"deb"}, "debian", "lulatsch"); len(got) == 0 || !strings.HasPrefix(got[0], "debian/") {
		t.Errorf("an unknown version suggests %v", got)
	}
}

func TestTarget(t *testing.T) {
	tests := []struct {
		target, file string
		want         client.Place
		fails        bool
	}{
		{"u/r/ubuntu/jammy", "f.deb", client.Place{Distro: "ubuntu/jammy", Filename: "f.deb"}, false},
		{"u/r/ubuntu/jammy/", "f.deb", client.Place{Distro: "ubuntu/jammy", Filename: "f.deb"}, false},
		{"u/r", "f.gem", client.Place{Distro: "gems", Filename: "f.gem"}, false},
		{"u/r/python", "f.whl", client.Place{Distro: "python/1", Filename: "f.whl"}, false},
		{"u/r/java", "com.x/f.jar", client.Place{Distro: "java/maven2", Filename: "com.x/f.jar"}, false},
		{"u/r/java/maven2/com.x", "f.jar", client.Place{Distro: "java/maven2/com.x", Filename: "f.jar"}, false},
		{"u/r/node", "@sc/f.tgz", client.Place{Distro: "node/1", Filename: "f.tgz", Scope: "@sc"}, false},
		{"u/r/node/1", "@sc", client.Place{}, true},
		{"u/r", "f.deb", client.Place{}, true},
		{"u", "f.gem", client.Place{}, true},
		{"u//ubuntu/jammy", "f.deb", client.Place{}, true},
		{"", "f.deb", client.Place{}, true},
	}
	for _, test := range tests {
		target, err := parseTarget(test.target)
		var got client.Place
		if err == nil {
			got, err = target.place(test.file)
		}
		if (err != nil) != test.fails {
			t.Errorf("%s %s: %v", test.target, test.file, err)
		} else if diff := cmp.Diff(test.want, got); err == nil && diff != "" {
			t.Errorf("%s %s: %s", test.target, test.file, diff)
		}
	}
}

// TestInterrupted: shells and scripts know 130 for a program that Ctrl-C ended.
func TestInterrupted(t *testing.T) {
	t.Setenv("PACKAGECLOUD_TOKEN", clienttest.Token)
	t.Setenv("PACKAGECLOUD_URL", "http://127.0.0.1:1")
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if got := Run(ctx, version.Info{}, []string{"--json", "repository", "list"}); got != 130 {
		t.Errorf("it exits with %d", got)
	}
}
