package serve_test

import (
	"strings"
	"testing"

	"packagecloud/internal/distro"
	"packagecloud/internal/format"
	"packagecloud/internal/format/all"
	"packagecloud/internal/repo"
)

// TestStepsOfRoutes walks the routes below a repository. Each begins with a step
// that package repo reserves for its owner, or with the name of a distribution.
func TestStepsOfRoutes(t *testing.T) {
	const unknown = "nothing"
	formats := all.Formats()
	for _, r := range routes(t, formats) {
		path, _, _ := strings.Cut(r.path, "?")
		_, path, ok := strings.Cut(strings.ReplaceAll(path, "%2f", "/"), repositoryInPath+"/")
		if !ok || strings.HasPrefix(r.path, "/install/") {
			continue
		}
		step, _, _ := strings.Cut(path, "/")
		if r.api {
			if step != "ubuntu" && repo.StepOwner(step) == "" { // what stands for a variable
				t.Errorf("%s %s: reserve %q in package repo", r.method, r.path, step)
			}
			continue
		}
		claimed := step == "" || step == unknown
		for _, f := range formats {
			q, reads := f.Resolve(format.Query{Path: path})
			receiver, ok := f.(format.Receiver)
			writes := ok && receiver.Receives(r.method, path) != format.NoAccess
			if !reads && !writes {
				continue
			}
			claimed = true
			if q.OS != step && repo.StepOwner(step) != f.Name() {
				t.Errorf("%s: reserve %q for %s in package repo", path, step, f.Name())
			}
		}
		if !claimed && repo.StepOwner(step) == "" {
			t.Errorf("%s: reserve %q in package repo", path, step)
		}
	}
}

// TestBuiltinDistributions: none that comes with the program has the name of
// somebody else's paths.
func TestBuiltinDistributions(t *testing.T) {
	for _, key := range []string{"deb", "rpm", "py", "jar", "node", "alpine", "anyfile", "helm"} {
		for _, d := range distro.Builtin().List(key) {
			for _, v := range d.Versions {
				if err := repo.ValidateDistribution(d.IndexName, v.IndexName, key); err != nil {
					t.Errorf("%s/%s: %v", d.IndexName, v.IndexName, err)
				}
			}
		}
	}
}
