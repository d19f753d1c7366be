package npm

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
)

// maxVersion bounds a version, in bytes, as node-semver does.
const maxVersion = 256

// semver is the loose grammar of node-semver, by which npm reads package.json: a
// number may begin with zeros, and a pre-release needs no hyphen.
var semver = regexp.MustCompile(`^(\d{1,256})\.(\d{1,256})\.(\d{1,256})(?:-?((?:\d*[A-Za-z-][0-9A-Za-z-]*|\d+)(?:\.(?:\d*[A-Za-z-][0-9A-Za-z-]*|\d+))*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$`)

// maxNumber is JavaScript's largest safe integer: node-semver takes no number
// above it.
const maxNumber = "9007199254740991"

// cleanVersion is a version as npm publishes it: without a "v" or "=" in front,
// without build metadata, and written as the strict grammar has it
// (https://semver.org).
func cleanVersion(text string) (string, error) {
	v := strings.TrimLeft(strings.TrimSpace(text), "=v \t")
	if v == "" {
		return "", fmt.Errorf("it has no version")
	}
	if len(text) > maxVersion {
		return "", fmt.Errorf("its version has %d bytes, more than the %d that are allowed", len(text), maxVersion)
	}
	m := semver.FindStringSubmatch(v)
	if m == nil {
		return "", fmt.Errorf("its version %.60q is no semantic version", text)
	}
	core := m[1:4]
	for i, number := range core {
		if core[i] = plainNumber(number); compareNumbers(core[i], maxNumber) > 0 {
			return "", fmt.Errorf("its version %.60q is no semantic version: %.20s is too large", text, number)
		}
	}
	clean := strings.Join(core, ".")
	if m[4] == "" {
		return clean, nil
	}
	before := strings.Split(m[4], ".")
	for i, identifier := range before {
		if !isNumber(identifier) {
			continue
		}
		if before[i] = plainNumber(identifier); before[i] != identifier && compareNumbers(before[i], maxNumber) >= 0 {
			return "", fmt.Errorf("its version %.60q is no semantic version: %.20s has zeros in front", text, identifier)
		}
	}
	return clean + "-" + strings.Join(before, "."), nil
}

// plainNumber is a decimal number without zeros in front.
func plainNumber(digits string) string {
	return cmp.Or(strings.TrimLeft(digits, "0"), "0")
}

// CompareVersions orders clean versions by precedence (semver.org, 11).
func CompareVersions(a, b string) int {
	coreA, preA, _ := strings.Cut(a, "-")
	coreB, preB, _ := strings.Cut(b, "-")
	if c := compareDotted(coreA, coreB, compareNumbers); c != 0 {
		return c
	}
	switch {
	case preA == preB:
		return 0
	case preA == "":
		return 1
	case preB == "":
		return -1
	}
	return compareDotted(preA, preB, compareIdentifiers)
}

// compareDotted compares lists step by step; of two with the same beginning
// the longer one is greater.
func compareDotted(a, b string, compare func(a, b string) int) int {
	for {
		var stepA, stepB string
		var moreA, moreB bool
		stepA, a, moreA = strings.Cut(a, ".")
		stepB, b, moreB = strings.Cut(b, ".")
		if c := compare(stepA, stepB); c != 0 {
			return c
		}
		if !moreA || !moreB {
			return cmp.Compare(btoi(moreA), btoi(moreB))
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// compareNumbers compares decimal numbers of any length.
func compareNumbers(a, b string) int {
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

func compareIdentifiers(a, b string) int {
	numberA, numberB := isNumber(a), isNumber(b)
	switch {
	case numberA && numberB:
		return compareNumbers(a, b)
	case numberA:
		return -1
	case numberB:
		return 1
	}
	return strings.Compare(a, b)
}

func isNumber(s string) bool { return strings.Trim(s, "0123456789") == "" }
