// Package rpmtest makes RPM packages: for tests, for benchmarks, and for
// somebody who wants to try the server.
package rpmtest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/rpmpack"
)

// Package is a binary package to be made. Zero fields get usable values.
type Package struct {
	Name, Version, Release, Architecture string // "hello", "1.0", "1", "noarch"
	Epoch                                uint32
	Requires, Recommends                 []string // "foo >= 1.0"
	Description                          string
	// Files are installed, by absolute path.
	Files map[string][]byte
}

// Filename is the usual name of the package.
func (p Package) Filename() string {
	p = p.complete()
	return p.Name + "-" + p.Version + "-" + p.Release + "." + p.Architecture + ".rpm"
}

func (p Package) complete() Package {
	for _, d := range []struct {
		field *string
		value string
	}{{&p.Name, "hello"}, {&p.Version, "1.0"}, {&p.Release, "1"}, {&p.Architecture, "noarch"}, {&p.Description, "It does nothing."}} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	return p
}

// Build makes the package. The same Package gives the same bytes.
func (p Package) Build() []byte {
	p = p.complete()
	r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{
		Name: p.Name, Version: p.Version, Release: p.Release, Epoch: p.Epoch, Arch: p.Architecture, OS: "linux",
		Summary: "test package " + p.Name, Description: p.Description, Licence: "Apache-2.0", Compressor: "gzip",
		BuildTime: time.Unix(1_700_000_000, 0), BuildHost: "localhost",
		Requires: relations(p.Requires), Recommends: relations(p.Recommends),
	})
	must(err)
	for _, name := range slices.Sorted(maps.Keys(p.Files)) {
		mode := uint(0o100644)
		if bytes.HasPrefix(p.Files[name], []byte("#!")) {
			mode = 0o100755
		}
		r.AddFile(rpmpack.RPMFile{Name: name, Body: p.Files[name], Mode: mode, Owner: "root", Group: "root", MTime: 1_700_000_000})
	}
	var b bytes.Buffer
	must(r.Write(&b))
	return b.Bytes()
}

func relations(texts []string) (all rpmpack.Relations) {
	for _, t := range texts {
		must(all.Set(t))
	}
	return all
}

// must ends the program: what is made here is made in memory.
func must(err error) {
	if err != nil {
		panic(fmt.Errorf("make a package: %w", err))
	}
}
