package deb

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
)

var (
	upstreamVersion = regexp.MustCompile(`^[0-9][A-Za-z0-9.+:~-]*$`)
	debianRevision  = regexp.MustCompile(`^[A-Za-z0-9.+~]+$`)
)

// checkVersion refuses what dpkg refuses (deb-version(7)).
func checkVersion(v string) error {
	if epoch, rest, ok := strings.Cut(v, ":"); ok {
		n, err := strconv.ParseUint(epoch, 10, 64)
		if err != nil || n > math.MaxInt32 {
			return errors.New("what stands before the colon is no epoch")
		}
		v = rest
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		if !debianRevision.MatchString(v[i+1:]) {
			return errors.New("what follows the last hyphen is no revision")
		}
		v = v[:i]
	}
	switch {
	case v == "" || v[0] < '0' || v[0] > '9':
		return errors.New("it does not begin with a digit")
	case !upstreamVersion.MatchString(v):
		return errors.New("it has a character that is none of A-Z a-z 0-9 . + : ~ -")
	}
	return nil
}

// splitVersion takes the epoch off a valid version.
func splitVersion(v string) (epoch, rest string) {
	if epoch, rest, ok := strings.Cut(v, ":"); ok {
		return epoch, rest
	}
	return "", v
}
