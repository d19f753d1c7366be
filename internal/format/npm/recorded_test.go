package npm_test

import (
	"archive/zip"
	"encoding/json"
	"io"
	"strings"
	"testing"
)

// TestRecorded takes what real clients sent to publish packages of many shapes:
// npm 6, 8 and 12, yarn 1 and 4, pnpm 8 and 12, and bun. It was recorded by
//
//	PACKAGECLOUD_SOAK=1 PACKAGECLOUD_RECORD=$PWD/internal/format/npm/testdata/recorded.zip \
//		go test -timeout 60m -run 'TestNpmCorpus/publish/(npm6|npm8|npm12|yarn1|yarn4|pnpm8|pnpm12|bun)$' ./e2e
func TestRecorded(t *testing.T) {
	z, err := zip.OpenReader("testdata/recorded.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		var packument struct{ Name string }
		if err := json.Unmarshal(body, &packument); err != nil {
			t.Fatal(err)
		}
		if got := call(t, "PUT", "npm/"+packument.Name, string(body)); !strings.HasPrefix(got, "push ") || strings.Contains(got, ";") {
			t.Errorf("%s: %s", f.Name, got)
		}
	}
	if len(z.File) < 450 {
		t.Errorf("there are %d requests", len(z.File))
	}
}
