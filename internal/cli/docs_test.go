package cli

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"packagecloud/internal/version"
)

var update = flag.Bool("update", false, "write what the commands say of their use into docs/cli.md")

const docs = "../../docs/cli.md"

// usageBlock is where a command's help stands in the page.
var usageBlock = regexp.MustCompile("(?s)<!-- usage: ([a-z_ ]+) -->\n```text\n(.*?)```\n")

// The page has the help of each command, word for word.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	root := command(version.Info{Version: "1.2.3"})
	root.InitDefaultCompletionCmd()
	missing := make(map[string]bool)
	walk(root, func(c *cobra.Command) { missing[c.CommandPath()] = true })
	written := usageBlock.ReplaceAllStringFunc(string(page), func(block string) string {
		path := usageBlock.FindStringSubmatch(block)[1]
		c, rest, err := root.Find(strings.Fields(path)[1:])
		if err != nil || len(rest) > 0 || c.CommandPath() != path {
			t.Errorf("the page tells of %q, which is no command", path)
			return block
		}
		delete(missing, path)
		return "<!-- usage: " + path + " -->\n```text\n" + usage(t, c) + "```\n"
	})
	for path := range missing {
		t.Errorf("the page does not tell of %q: add <!-- usage: %s -->", path, path)
	}
	if *update {
		if err := os.WriteFile(docs, []byte(written), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if written != string(page) {
		t.Errorf("%s does not say what the commands say: run go test ./internal/cli -run TestDocs -update", docs)
	}
}

// walk visits the commands that do something, and the root.
func walk(c *cobra.Command, visit func(*cobra.Command)) {
	if c.Name() == "completion" || c.Name() == "help" {
		return
	}
	if !c.HasParent() || !c.HasSubCommands() {
		visit(c)
	}
	for _, s := range c.Commands() {
		walk(s, visit)
	}
}

// usage is the help of a command without the flags of all.
func usage(t *testing.T, c *cobra.Command) string {
	t.Helper()
	var b bytes.Buffer
	c.SetOut(&b)
	if err := c.Help(); err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(b.String(), "\nGlobal Flags:")
	return text
}
