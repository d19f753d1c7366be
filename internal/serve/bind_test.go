package serve

import (
	"strings"
	"testing"
)

// TestBind: who finds a port taken reads what to do.
func TestBind(t *testing.T) {
	l, err := bind(t.Context(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := bind(t.Context(), l.Addr().String(), "do that"); err == nil || !strings.HasPrefix(err.Error(), "another program listens on "+l.Addr().String()) || !strings.HasSuffix(err.Error(), ", or do that") {
		t.Errorf("the port is taken: %v", err)
	}
	if _, err := bind(t.Context(), "192.0.2.1:0", "do that"); err == nil || strings.Contains(err.Error(), "do that") {
		t.Errorf("the address is of nobody: %v", err)
	}
}
