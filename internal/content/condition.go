// Package content answers GET and HEAD with bytes as RFC 9110 has it, sections 13
// and 14: it judges conditions and ranges, for the server and for its edge, so
// that both give the same answers. http.ServeContent sends what is left of a
// request then.
//
// It departs from http.ServeContent in what the specification asks for: ranges
// are of GET alone, one that cannot be read is ignored, and one of nothing is
// 416. And in one thing that it leaves open: see notModifiedSince.
package content

import (
	"net/http"
	"strings"
	"time"
)

// Judge evaluates the conditions of a request, in the order of section 13.2.2,
// for content with an entity tag, "" for none, and a time of its last change, the
// zero time for none. It returns 304, 412, or 0 for a request that is to be
// answered.
func Judge(r *http.Request, tag string, modified time.Time) int {
	h := r.Header
	switch {
	case len(h.Values("If-Match")) > 0:
		if !matches(h.Values("If-Match"), tag, true) {
			return http.StatusPreconditionFailed
		}
	case changedSince(h.Get("If-Unmodified-Since"), modified):
		return http.StatusPreconditionFailed
	}
	switch {
	case len(h.Values("If-None-Match")) > 0:
		if matches(h.Values("If-None-Match"), tag, false) {
			return http.StatusNotModified
		}
	case notModifiedSince(h.Get("If-Modified-Since"), modified):
		return http.StatusNotModified
	}
	return 0
}

// Names reports whether a request makes the answer depend on this very tag, which
// a server that knows the content by another tag would judge wrongly.
func Names(r *http.Request, tag string) bool {
	return named(r.Header.Values("If-Match"), tag, true) || named(r.Header.Values("If-Range"), tag, true)
}

// matches reports whether a list of tags has one, or is "*".
func matches(values []string, tag string, strong bool) bool {
	return strings.TrimSpace(strings.Join(values, ",")) == "*" || named(values, tag, strong)
}

// named reports whether a list of tags has one, by the strong or the weak
// comparison of section 8.8.3.2. What stands behind something that is no tag is
// not read.
func named(values []string, tag string, strong bool) bool {
	if tag == "" {
		return false
	}
	rest := strings.Join(values, ",")
	for {
		rest = strings.TrimLeft(rest, " \t,")
		opaque, weak := strings.CutPrefix(rest, "W/")
		if !strings.HasPrefix(opaque, `"`) {
			return false
		}
		end := strings.IndexByte(opaque[1:], '"')
		if end < 0 {
			return false
		}
		if opaque[:end+2] == strings.TrimPrefix(tag, "W/") && (!strong || !weak && !strings.HasPrefix(tag, "W/")) {
			return true
		}
		rest = opaque[end+2:]
	}
}

// notModifiedSince compares If-Modified-Since. Only the very time that was given
// out with the content counts: apk and gem send the time of their own download,
// by their own clock, and content that was made before that time and shown after
// it would never reach them.
func notModifiedSince(date string, modified time.Time) bool {
	t, err := http.ParseTime(date)
	return err == nil && !modified.IsZero() && t.Equal(modified.Truncate(time.Second))
}

// changedSince compares If-Unmodified-Since.
func changedSince(date string, modified time.Time) bool {
	t, err := http.ParseTime(date)
	return err == nil && !modified.IsZero() && modified.Truncate(time.Second).After(t)
}

// ifRange reports whether a range is of the content that the client has a part
// of, by section 13.1.5.
func ifRange(condition, tag string, modified time.Time) bool {
	if condition == "" {
		return true
	}
	if strings.Contains(condition, `"`) {
		return named([]string{condition}, tag, true)
	}
	return notModifiedSince(condition, modified)
}
