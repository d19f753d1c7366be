package publish

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"packagecloud/internal/tooltest"
)

// TestModels has SPIN try every order of the steps of publishing and of keeping
// bytes, with crashes between them: see the head of each model. The planted
// faults show that the models can fail.
func TestModels(t *testing.T) {
	for model, faults := range map[string][]string{
		"publish.pml": {"NO_FENCE", "ROWS_BEFORE_BYTES", "ALL_CHANGES", "NO_GRACE", "SWEEP_YOUNG"},
		"bytes.pml":   {"STORE_ONCE", "DOOM_KEPT", "UNLOCKED"},
	} {
		t.Run(model, func(t *testing.T) {
			if out := check(t, model, "NO_FAULT"); !strings.Contains(out, "errors: 0") || strings.Contains(out, "Search not completed") {
				t.Errorf("the model is violated:\n%s", out)
			}
			for _, fault := range faults {
				if out := check(t, model, fault); !strings.Contains(out, "errors: 1") || !strings.Contains(out, "assertion violated") {
					t.Errorf("%s is not found:\n%s", fault, out)
				}
			}
		})
	}
}

// check searches all states of a model and returns what SPIN says. The model is
// compiled with the macro, and with those of PACKAGECLOUD_TEST_MODEL.
func check(t *testing.T, model, macro string) string {
	t.Helper()
	for _, program := range []string{"spin", "cc"} {
		_, err := exec.LookPath(program)
		tooltest.Need(t, program, err == nil)
	}
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join("testdata", model))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, model), text, 0o600); err != nil {
		t.Fatal(err)
	}
	var out []byte
	more := strings.Fields(os.Getenv("PACKAGECLOUD_TEST_MODEL")) // "-DATTEMPTS=4 -DCRASHES=2"
	for _, command := range [][]string{
		append(append([]string{"spin", "-a", "-D" + macro}, more...), model),
		{"cc", "-O1", "-w", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"},
		{"./pan", "-m1000000"},
	} {
		c := exec.CommandContext(t.Context(), command[0], command[1:]...)
		c.Dir = dir
		if out, err = c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
		}
	}
	return string(out)
}
