package python_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"packagecloud/internal/format"
	"packagecloud/internal/format/python"
)

// TestAudit reads pages as pip does: those of the goldens are sound, and each change
// of one is found.
func TestAudit(t *testing.T) {
	for kind, golden := range goldens(t) {
		d := format.Document{Kind: kind, Lists: [3]string{"my-lib", ""}, Names: strings.HasPrefix(kind, "names.")}
		audit := func(text string) (all []string) {
			t.Helper()
			err := python.New().Audit(d, iotest.OneByteReader(strings.NewReader(text)), func(f format.Finding) { all = append(all, f.String()) })
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		if found := audit(golden); len(found) > 0 {
			t.Errorf("%s: %v", kind, found)
		}
		for _, change := range []struct{ old, new, kinds string }{
			{`678000Z`, `678Z`, "json"},
			{`"upload-time":"2026-01-02T03:04:05.678000Z"`, `"upload-time":7`, "json"},
			{`]`, ``, "json names.json"},
			{`{"meta"`, `["meta"`, "json names.json"},
			{`"files":[`, `"files":{`, "json"},
			{`>=3.8`, `>=3.²`, "json"},
			{`&gt;=3.8`, `===1.²`, "html"},
			{strings.Repeat("0", 64), "00", "html json"},
			{`packages/my-lib/My_Lib-1.0-`, `packages/my-lib/Other-1.0-`, "html json"},
			{`packages/my-lib/My_Lib-1.0-`, `packages/my-lib/%zz-1.0-`, "html json"},
			{`<head>`, `<head><base href="/elsewhere/">`, "html names.html"},
			{`href="my-lib/"`, `href="My_Lib/"`, "names.html"},
			{`{"name":"my-lib"}`, `{"name":"My_Lib"}`, "names.json"},
		} {
			if !strings.Contains(" "+change.kinds+" ", " "+kind+" ") {
				continue
			}
			text := strings.Replace(golden, change.old, change.new, 1)
			if text == golden {
				t.Errorf("%s has no %s", kind, change.old)
			} else if len(audit(text)) == 0 {
				t.Errorf("%s: nothing is found where %s became %s", kind, change.old, change.new)
			}
		}
		broken := errors.New("the disk broke")
		cut := io.MultiReader(strings.NewReader(golden[:len(golden)/2]), iotest.ErrReader(broken))
		if err := python.New().Audit(d, cut, func(f format.Finding) { t.Errorf("%s: %s", kind, f) }); !errors.Is(err, broken) {
			t.Errorf("%s: the error of the reader became %v", kind, err)
		}
	}
}
