package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestShownByPrintable: what others chose is shown by package printable alone.
func TestShownByPrintable(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, "_test.go") && strings.Contains(string(text), "fmt.Fprintf(") {
			t.Errorf("%s calls fmt.Fprintf: call printable.Fprintf", name)
		}
	}
}
