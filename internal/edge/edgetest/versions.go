package edgetest

import (
	"context"
	"sync"
	"testing"
)

// Versions runs the code of versions of Lambda functions, each in a process of
// its own, as AWS runs it, and CloudFront functions by njs. The processes end with
// the test.
type Versions struct {
	T testing.TB
	// Code is the package of a version.
	Code func(arn string) ([]byte, error)
	// Edge finds a CloudFront function and its keys.
	Edge func(arn string) (code []byte, keys map[string]string, ok bool)
	// NJS runs them; nil where none is expected.
	NJS *NJS

	mu      sync.Mutex
	running map[string]*Function
}

// Invoke gives an event to a version, or to a CloudFront function.
func (v *Versions) Invoke(ctx context.Context, arn string, event []byte) ([]byte, error) {
	if v.NJS != nil {
		if code, keys, ok := v.Edge(arn); ok {
			return v.NJS.Run(ctx, code, Store(keys), event)
		}
	}
	f, err := v.version(arn)
	if err != nil {
		return nil, err
	}
	return f.Invoke(ctx, event)
}

func (v *Versions) version(arn string) (*Function, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f := v.running[arn]; f != nil {
		return f, nil
	}
	pack, err := v.Code(arn)
	if err != nil {
		return nil, err
	}
	f, err := Start(v.T, pack)
	if err != nil {
		return nil, err
	}
	if v.running == nil {
		v.running = make(map[string]*Function)
	}
	v.running[arn] = f
	return f, nil
}
