package version

import (
	"runtime/debug"
	"testing"
)

func TestFrom(t *testing.T) {
	for _, tt := range []struct {
		build debug.BuildInfo
		want  string
	}{
		{debug.BuildInfo{}, "dev"},
		{debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "dev"},
		{debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123"}, {Key: "vcs.time", Value: "2026-11-24T05:34:14Z"}, {Key: "vcs.modified", Value: "false"}}}, "v1.2.3 (commit 0123, 2026-11-24T05:34:14Z)"},
		{debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: "0123"}, {Key: "vcs.time", Value: "T"}}}, "dev (commit 0123+dirty, T)"},
	} {
		if got := from(&tt.build).String(); got != tt.want {
			t.Errorf("%q, not %q", got, tt.want)
		}
	}
}
