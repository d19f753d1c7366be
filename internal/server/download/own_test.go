package download

import (
	"testing"

	"packagecloud/internal/repo"
)

// TestOwnSteps: no distribution can be called as a path of ours begins.
func TestOwnSteps(t *testing.T) {
	for step := range own {
		if step != "" && repo.StepOwner(step) == "" {
			t.Errorf("reserve %q in package repo", step)
		}
	}
}
