package edgetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"packagecloud/internal/tooltest"
)

// NJS runs CloudFront functions by Debian's njs, an engine of the family that
// CloudFront's is of.
type NJS struct{ program string }

// NewNJS finds njs. Where it is missing the test is skipped, and fails in CI.
func NewNJS(t testing.TB) *NJS {
	t.Helper()
	program, err := exec.LookPath("njs")
	tooltest.Need(t, "njs", err == nil)
	return &NJS{program}
}

// below stands below the code of a function, and prints what it returns for the
// event in the file "event".
const below = `
async function answer() {
  const r = await handler(JSON.parse(require('fs').readFileSync('event', 'utf8')));
  console.log(JSON.stringify(r));
}

answer();
`

// Store is the module "cloudfront" with a key value store.
func Store(keys map[string]string) string {
	values, err := json.Marshal(keys)
	if err != nil {
		panic(err) // strings
	}
	return fmt.Sprintf(`const store = %s;
export default { kvs: function () { return {
  get: async function (k) { if (!(k in store)) { throw new Error('KeyNotFound'); } return store[k]; },
  exists: async function (k) { return k in store; },
}; } };
`, values)
}

// Run gives an event to a function, in a process of its own, and returns what it
// returns, as JSON. module is the text of the module "cloudfront".
func (n *NJS) Run(ctx context.Context, code []byte, module string, event []byte) ([]byte, error) {
	dir, err := os.MkdirTemp("", "njs")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder of a test
	for name, text := range map[string][]byte{"event": event, "cloudfront": []byte(module), "function.js": append(bytes.Clone(code), below...)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	c := exec.CommandContext(ctx, n.program, "-p", dir, "function.js")
	c.Dir = dir
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("njs: %w: %s", err, out)
	}
	// The last line: what is above is the log.
	out = bytes.TrimSpace(out)
	return out[bytes.LastIndexByte(out, '\n')+1:], nil
}

// Test does what CloudFront's TestFunction does with an event, and gives its
// output.
func (n *NJS) Test(code []byte, keys map[string]string, event []byte) ([]byte, error) {
	out, err := n.Run(context.Background(), code, Store(keys), event)
	if err != nil {
		return nil, err
	}
	kind := "request"
	if bytes.Contains(out, []byte(`"statusCode"`)) {
		kind = "response"
	}
	return json.Marshal(map[string]json.RawMessage{kind: out})
}
