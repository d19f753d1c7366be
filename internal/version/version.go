// Package version tells which build of the program runs, from what the Go tool
// writes into every binary: nothing has to be set when it is built.
package version

import (
	"cmp"
	"runtime/debug"
	"strings"
)

// Info says which build it is.
type Info struct {
	Version string `json:"version"`          // "v1.2.3", or "dev"
	Commit  string `json:"commit,omitempty"` // with "+dirty" if files were changed
	Date    string `json:"date,omitempty"`   // of the commit
}

// Get is the running build.
func Get() Info {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return Info{Version: "dev"}
	}
	return from(build)
}

func from(build *debug.BuildInfo) Info {
	i := Info{Version: build.Main.Version}
	changed := ""
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			i.Commit = s.Value
		case "vcs.time":
			i.Date = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				changed = "+dirty"
			}
		}
	}
	if i.Commit != "" {
		i.Commit += changed
	}
	i.Version = cmp.Or(strings.Trim(i.Version, "()"), "dev")
	if i.Version == "devel" {
		i.Version = "dev"
	}
	return i
}

// String is one line for people: "v1.2.3 (commit 0123456, 2026-11-24T05:34:14Z)".
func (i Info) String() string {
	if i.Commit == "" {
		return i.Version
	}
	return i.Version + " (commit " + i.Commit + ", " + i.Date + ")"
}
