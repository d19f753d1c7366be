package native

import (
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// holds reports whether a condition holds of the package that has the name, if
// there is one (RFC 9110, 13.1.1 and 13.1.2).
func holds(c format.Condition, p *repo.Package, found bool) bool {
	tag := ""
	if found {
		tag = format.ETag(p.Files[0])
	}
	if c.IfMatch != "" && !names(c.IfMatch, tag) {
		return false
	}
	return c.IfNoneMatch == "" || !names(c.IfNoneMatch, tag)
}

// names reports whether a list of entity tags has one; "*" has every tag but
// that of nothing.
func names(list, tag string) bool {
	if tag == "" {
		return false
	}
	for t := range strings.SplitSeq(list, ",") {
		if t = strings.TrimSpace(t); t == "*" || t == tag {
			return true
		}
	}
	return false
}
