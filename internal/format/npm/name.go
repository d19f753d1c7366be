package npm

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// maxName bounds a package name with its scope, as the public registry does.
const maxName = 214

// nameStep is what npm lets stand in a name without an escape in URLs
// (validate-npm-package-name: encodeURIComponent must leave it alone), less
// what shells and file systems take for something else. Capital letters are of
// packages from before 2015, which still must be installable.
var nameStep = regexp.MustCompile(`^[A-Za-z0-9~_-][A-Za-z0-9._~-]*$`)

// scopeStep is what it lets stand in a scope, without its @, less what is a path.
var scopeStep = regexp.MustCompile(`^\.*[A-Za-z0-9~_-][A-Za-z0-9._~-]*$`)

// validName checks a name, scoped (@scope/name) or not.
func validName(name string) error {
	if name == "" {
		return errors.New("it has no name")
	}
	if len(name) > maxName {
		return fmt.Errorf("its name has %d bytes, more than the %d that are allowed", len(name), maxName)
	}
	scope, base := splitName(name)
	switch {
	case scope == "" && !nameStep.MatchString(base),
		scope != "" && (!scopeStep.MatchString(scope[1:]) || !nameStep.MatchString(base)):
		return fmt.Errorf("its name %.60q is not valid", name)
	case scope == "" && strings.HasPrefix(base, "_"):
		return fmt.Errorf("its name %.60q begins with an underscore", name)
	case base == "-":
		return fmt.Errorf("its name %.60q is a part of the registry's own URLs", name)
	case strings.EqualFold(name, "node_modules"), strings.EqualFold(name, "favicon.ico"):
		return fmt.Errorf("its name %.60q is reserved", name)
	}
	return nil
}

// splitName takes the scope off a name: "@types", "node"; "" and the name
// itself if it has none.
func splitName(name string) (scope, base string) {
	if strings.HasPrefix(name, "@") {
		if scope, base, ok := strings.Cut(name, "/"); ok {
			return scope, base
		}
	}
	return "", name
}

// tarballName is the file name of a version, without the scope.
func tarballName(name, version string) string {
	_, base := splitName(name)
	return base + "-" + version + ".tgz"
}

// maxTag bounds the name of a dist-tag, in bytes.
const maxTag = 200

var (
	tagText = regexp.MustCompile(`^[A-Za-z0-9_~.!*'()-]+$`)
	// rangeText is what npm reads as a range of versions, as far as the
	// letters of tagText can write one.
	rangeText = regexp.MustCompile(`^v?(\d+|x|X|\*)(\.(\d+|x|X|\*)(\.(\d+|x|X|\*)(-[0-9A-Za-z.-]+)?)?)?$|^~`)
)

// validTag checks the name of a dist-tag: it must be no version and no range
// of versions, or install NAME@TAG would not mean it.
func validTag(tag string) error {
	switch {
	case tag == "" || len(tag) > maxTag || !tagText.MatchString(tag) || strings.Trim(tag, ".") == "":
		return fmt.Errorf("%.60q is no name of a tag", tag)
	case rangeText.MatchString(tag), isVersion(tag):
		return fmt.Errorf("a tag must not look like a version or a range of versions, as %.60q does", tag)
	case tag == "__proto__":
		return fmt.Errorf("%q is no name of a tag", tag)
	}
	return nil
}

func isVersion(text string) bool {
	_, err := cleanVersion(text)
	return err == nil
}
