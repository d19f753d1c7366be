// Command report reads the output of go test -json and tells people what they
// need to know: which packages passed, what failed with its output, and which
// tests could not run and why.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	output := make(map[string][]string) // by package and test
	var skipped []string
	failed := false
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text()) // the go command itself
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			output[key] = append(output[key], e.Output)
			if e.Action == "build-output" {
				fmt.Print(e.Output)
			}
		case "fail":
			failed = true
			fmt.Printf("FAIL  %s %s (%.1f s)\n%s", e.Package, e.Test, e.Elapsed, strings.Join(output[key], ""))
		case "skip":
			if e.Test != "" {
				skipped = append(skipped, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(output[key])))
			}
		case "pass":
			if e.Test == "" {
				fmt.Printf("ok    %s (%.1f s)\n", e.Package, e.Elapsed)
			}
			delete(output, key)
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "read the output of go test:", err)
		failed = true
	}
	if len(skipped) > 0 {
		fmt.Printf("\n%d tests could NOT run:\n  %s\n", len(skipped), strings.Join(skipped, "\n  "))
	}
	if failed {
		os.Exit(1)
	}
}

// reason is what a skipped test said.
func reason(output []string) string {
	for _, line := range output {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			return line
		}
	}
	return "it does not say why"
}
