package server

import (
	"strings"
	"testing"

	"packagecloud/internal/repo"
)

// TestStepsOfRoutes: a user cannot be called as a path of the server begins.
func TestStepsOfRoutes(t *testing.T) {
	for step := range roots {
		for _, name := range []string{step, strings.ToUpper(step)} {
			if repo.ValidateUserName(name) == nil {
				t.Errorf("a user may be called %q: name it among the root steps in package repo", name)
			}
		}
	}
}
