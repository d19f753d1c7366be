package awsfake_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"packagecloud/internal/provision/awsfake"
	"packagecloud/internal/tooltest"
)

// TestJudge lets AWS's SDK for Python call everything.
func TestJudge(t *testing.T) {
	python := tooltest.Output(t, "python-tools") + "/python3"
	for name, fake := range map[string]*awsfake.Fake{"at once": awsfake.New("eu-central-1", "packages"), "slow": slow()} {
		t.Run(name, func(t *testing.T) {
			fake.RunEdgeFunction = runEdge
			server := httptest.NewServer(fake)
			defer server.Close()
			cmd := exec.CommandContext(t.Context(), python, "testdata/judge.py", server.URL)
			cmd.Env = append(os.Environ(), "NO_PROXY=127.0.0.1", "AWS_EC2_METADATA_DISABLED=true")
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "judged") {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

// runEdge shows what a function gets.
func runEdge(code []byte, keys map[string]string, event []byte) ([]byte, error) {
	if string(event) == "fail" {
		return nil, errors.New("it fails")
	}
	return json.Marshal(map[string]any{"code": len(code), "keys": slices.Sorted(maps.Keys(keys)), "event": json.RawMessage(event)})
}

func slow() *awsfake.Fake {
	f := awsfake.New("eu-central-1", "packages")
	f.PendingPolls, f.DeployPolls, f.StorePolls, f.PageSize = 2, 3, 2, 2
	return f
}
