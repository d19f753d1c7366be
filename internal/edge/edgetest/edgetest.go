// Package edgetest runs the edge functions in tests as AWS would: the zip by
// AWS's own runtime client on the Node.js that Lambda has, with a KMS of ours.
//
//	kms := edgetest.NewKMS(t)
//	pack, err := function.Zip(kms.Config(secrets...))
//	f, err := edgetest.Start(t, pack)
//	response, err := f.Invoke(ctx, event)
//
// CloudFront functions run by njs, with a key value store of ours.
package edgetest

import (
	"bytes"
	"path/filepath"
	"sync"
	"testing"

	"packagecloud/internal/tooltest"
)

// Node is the path of the Node.js that Lambda runs the function with. Where it
// is missing the test is skipped, and fails in CI.
func Node(t testing.TB) string {
	t.Helper()
	return filepath.Join(packages(t), "node_modules", ".bin", "node")
}

// packages is the folder that scripts/node-tools makes.
func packages(t testing.TB) string {
	t.Helper()
	return tooltest.Output(t, "node-tools", "--installed")
}

// output is what a process says, which may be read while it goes on.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
