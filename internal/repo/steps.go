package repo

import (
	"fmt"
	"slices"
	"strings"
)

// The first steps of URLs have one owner each. Users stand at the root beside the
// server's own paths, and below a repository distributions stand beside its pages
// and the paths of formats. A name that belongs to somebody else is refused where
// it is made. TestStepsOfRoutes compares these tables with the routes.

// rootSteps are the server's own paths at the root, and those that it may need.
var rootSteps = words(`
	api app install priv healthz metrics
	login logout repositories api_token
	gpg.key favicon.ico robots.txt sitemap.xml humans.txt apple-touch-icon.png apple-touch-icon-precomposed.png
	v1 v2 web www assets static docs help search readyz livez`)

// Whoever owns steps below a repository that are no format's.
const (
	stepOfPages = "the pages of a repository"
	stepOfKeys  = "the keys of a repository"
	stepOfAPI   = "the API"
)

// repositorySteps are the steps below a repository, and below its path in the API,
// with their owners: a format by its name (DistroVersion.Format), or one of the
// above. A distribution of the owner may have the name.
var repositorySteps = owned(map[string]string{
	stepOfPages: "packages install upload tokens settings activity statistics search gpg feed",
	stepOfKeys:  "gpgkey rsakey",
	stepOfAPI:   "package master_tokens gpg_keys stats artifacts packages_with_bk_required_attributes",

	"anyfile": "generic anyfile",
	"node":    "npm node",
	"py":      "pypi python simple",
	"jar":     "maven2 java",
	"gem": `gems gem quick api specs.4.8 specs.4.8.gz latest_specs.4.8 latest_specs.4.8.gz prerelease_specs.4.8 prerelease_specs.4.8.gz
		names versions info Marshal.4.8`,
	"helm":        "helm charts",
	"alpine":      "alpine alpine_any",
	"terraform":   "terraform",
	"huggingface": "huggingface",
})

// versionSteps are steps of formats in the place of a distribution's version:
// ubuntu/dists/jammy.
var versionSteps = words("dists pool")

// apiSuffix may stand behind every path of the API, which takes it off: what is
// called so would not be found.
const apiSuffix = ".json"

func words(text string) map[string]bool {
	all := make(map[string]bool)
	for _, w := range strings.Fields(text) {
		all[w] = true
	}
	return all
}

func owned(owners map[string]string) map[string]string {
	all := make(map[string]string)
	for owner, text := range owners {
		for w := range words(text) {
			all[strings.ToLower(w)] = owner
		}
	}
	return all
}

// ValidateUserName reports why name cannot be a user, or nil.
func ValidateUserName(name string) error {
	switch {
	case !namePattern.MatchString(name):
		return Invalid("name", fmt.Sprintf("%q cannot be a user name: use up to 100 letters, digits, dots, dashes and underscores, starting with a letter or digit", name))
	case rootSteps[strings.ToLower(name)]:
		return Invalid("name", fmt.Sprintf("%q cannot be a user name: the server's own URLs begin so", name))
	}
	return validateSuffix(name)
}

// ValidateRepositoryName reports why name cannot be a repository, or nil.
func ValidateRepositoryName(name string) error {
	if !namePattern.MatchString(name) {
		return Invalid("name", fmt.Sprintf("%q cannot be a repository name: use up to 100 letters, digits, dots, dashes and underscores, starting with a letter or digit", name))
	}
	return validateSuffix(name)
}

// ValidateDistribution reports why a version of a distribution of a format cannot
// have a name, or nil.
func ValidateDistribution(os, version, format string) error {
	owner, taken := repositorySteps[strings.ToLower(os)]
	switch {
	case taken && owner != format:
		return Invalid("os", fmt.Sprintf("%q cannot be a distribution of %s packages: URLs that begin so belong to %s", os, format, ownerText(owner)))
	case versionSteps[version]:
		return Invalid("version", fmt.Sprintf("%q cannot be a version: URLs of apt have it in its place", version))
	}
	for _, name := range []string{os, version} {
		if err := validateSuffix(name); err != nil {
			return err
		}
	}
	return nil
}

// ownerText says in words who has a step.
func ownerText(owner string) string {
	if slices.Contains([]string{stepOfPages, stepOfKeys, stepOfAPI}, owner) {
		return owner
	}
	return owner + " packages"
}

func validateSuffix(name string) error {
	if strings.HasSuffix(strings.ToLower(name), apiSuffix) {
		return Invalid("name", fmt.Sprintf("%q cannot be a name: the API takes %s off the end of a URL", name, apiSuffix))
	}
	return nil
}

// StepOwner is who has the first step of a path below a repository: the name of a
// format, or who it is in words; "" for nobody.
func StepOwner(step string) string { return repositorySteps[strings.ToLower(step)] }
