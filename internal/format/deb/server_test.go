package deb_test

import (
	"encoding/json"
	"testing"

	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/serve/servetest"
)

// TestEpochs pushes versions that differ in their epoch alone, for which dpkg has
// the same file name.
func TestEpochs(t *testing.T) {
	s := servetest.Start(t, nil)
	push := func(version string) servetest.Answer {
		return s.Push("alice/public", "ubuntu/jammy", "hello.deb", debtest.Package{Version: version}.Build(), nil)
	}
	name := func(a servetest.Answer) string {
		var p struct{ Filename string }
		if err := json.Unmarshal([]byte(a.Is(201).Body), &p); err != nil {
			t.Fatal(err)
		}
		return p.Filename
	}
	for _, c := range []struct{ version, want string }{{"1.0", "hello_1.0_all.deb"}, {"1:1.0", "hello_1:1.0_all.deb"}, {"2:1.0", "hello_2:1.0_all.deb"}} {
		if got := name(push(c.version)); got != c.want {
			t.Errorf("%s is %s", c.version, got)
		}
	}
	for _, version := range []string{"1.0", "0:1.0", "1:1.0"} {
		push(version).Is(422).Has("has already been taken")
	}
	index := s.Get("/alice/public/ubuntu/dists/jammy/main/binary-amd64/Packages").Is(200)
	for _, want := range []string{"Version: 1.0\n", "Version: 1:1.0\n", "Filename: pool/jammy/main/h/hello/hello_2:1.0_all.deb\n"} {
		index.Has(want)
	}
	s.Get("/alice/public/ubuntu/pool/jammy/main/h/hello/hello_2:1.0_all.deb").Is(200)
	s.Do(servetest.Request{Method: "DELETE", Path: "/api/v1/repos/alice/public/ubuntu/jammy/hello_1:1.0_all.deb", User: s.Token}).Is(200)
	s.Do(servetest.Request{Method: "DELETE", Path: "/api/v1/repos/alice/public/ubuntu/jammy/hello_2%3A1.0_all.deb", User: s.Token}).Is(200)
	s.Settle()
	s.Get("/alice/public/ubuntu/dists/jammy/main/binary-amd64/Packages").Has("Version: 1.0\n").Lacks("Version: 1:1.0\n")
	if got := name(push("1:1.0")); got != "hello_1:1.0_all.deb" {
		t.Errorf("after the deletion it is %s", got)
	}
}
