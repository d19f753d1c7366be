package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocumentation keeps docs/configuration.md equal to the table.
func TestDocumentation(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "configuration.md")
	got := documentation(t)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/configuration.md (-want +got; -update writes it):\n%s", diff)
	}
}

func documentation(t *testing.T) string {
	t.Helper()
	intro, err := os.ReadFile(filepath.Join("testdata", "introduction.md"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.Write(intro)
	for i := range keys {
		k := &keys[i]
		initial := k.computed
		if k.initial != "" {
			initial = "`" + k.initial + "`"
		}
		fmt.Fprintf(&b, "\n### `%s`\n\n%s\n\n", k, k.doc)
		fmt.Fprintf(&b, "- Type: %s", k.kind)
		if k.secret {
			b.WriteString(", secret")
		}
		fmt.Fprintf(&b, "\n- Default: %s\n- Variable: `%s`\n\n```ruby\n%s\n```\n", initial, k.environment(), k.statement())
	}
	return b.String()
}

// statement is the example of a key as it stands in the file.
func (k *key) statement() string {
	if k.group == "" {
		return k.name + " " + k.example
	}
	return k.String() + " = " + k.example
}
