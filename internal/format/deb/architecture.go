package deb

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// architectures are always in Release, whether the suite has packages of them
// or not: apt warns of every foreign architecture that a suite does not name.
var architectures = []string{
	"amd64", "arm64", "armel", "armhf", "i386", "loong64", "mips64el", "mipsel", "powerpc", "ppc64el", "riscv64", "s390x",
}

// architectureName is what dpkg takes for an architecture. It takes capital
// letters too, of which no machine has an architecture.
var architectureName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// checkArchitecture refuses what cannot be the architecture of a binary package.
func checkArchitecture(a string) error {
	switch {
	case !architectureName.MatchString(a):
		return errors.New("it is no architecture: those have small letters, digits and hyphens, 64 at most")
	case a == listSource || a == "any":
		return errors.New("it is no architecture of a binary package")
	}
	return nil
}

// isVariant reports whether an architecture is a variant of another one: amd64v3
// is amd64 for newer processors. A machine whose apt is set to a variant (3.1 and
// newer) reads its listing beside that of the architecture. If Release named the
// variant among its architectures, apt would read it *instead*, and the packages
// of the architecture would vanish for that machine.
//
// Which variants there are, only the machines know. Other names begin with one
// of our architectures by no chance: powerpcspe is a port of Debian.
func isVariant(a string) bool {
	return a != "powerpcspe" && slices.ContainsFunc(architectures, func(base string) bool { return isVariantOf(a, base) })
}

func isVariantOf(a, base string) bool { return len(a) > len(base) && strings.HasPrefix(a, base) }

// checkVariant refuses an Architecture-Variant that is none of the architecture.
func checkVariant(variant, architecture string) error {
	if variant == "" || variant == architecture {
		return nil
	}
	if !architectureName.MatchString(variant) || !isVariant(variant) || !isVariantOf(variant, architecture) {
		return errors.New("it is no variant of " + architecture + ": the name of a variant begins with that of its architecture, as in amd64v3")
	}
	return nil
}
