package content

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxRanges is how many ranges one request may ask for.
const maxRanges = 100

// readRange reads a Range field by section 14.2, for content of a size. valid is
// false if it is to be ignored, because its unit is not known, it cannot be read,
// or it asks for too much. What is left of it, without the parts that no content
// has, can be read by http.ServeContent; it is "" if nothing is left.
func readRange(field string, size int64) (rest string, valid bool) {
	unit, set, ok := strings.Cut(field, "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return "", false
	}
	var specs []string
	n := 0
	for spec := range strings.SplitSeq(set, ",") {
		if spec = strings.Trim(spec, " \t"); spec == "" {
			continue
		}
		n++
		spec, ok := readSpec(spec, size)
		if !ok || n > maxRanges {
			return "", false
		}
		if spec != "" {
			specs = append(specs, spec)
		}
	}
	if n == 0 {
		return "", false
	}
	if len(specs) == 0 {
		return "", true
	}
	return "bytes=" + strings.Join(specs, ","), true
}

// readSpec reads "first-last", "first-" or "-length", and writes it as
// http.ServeContent reads it; it is "" if the content has nothing of it. ok is
// false if it is none of the three.
func readSpec(spec string, size int64) (plain string, ok bool) {
	first, last, ok := strings.Cut(spec, "-")
	from, fromOK := position(first)
	to, toOK := position(last)
	switch {
	case !ok || first != "" && !fromOK || last != "" && !toOK || first == "" && last == "" || first != "" && last != "" && to < from:
		return "", false
	case first == "" && (to == 0 || size == 0), first != "" && from >= size:
		return "", true
	case first == "":
		return fmt.Sprintf("-%d", to), true
	case last == "":
		return fmt.Sprintf("%d-", from), true
	}
	return fmt.Sprintf("%d-%d", from, min(to, size-1)), true
}

// position reads digits. A number that is too large for an int64 is larger than
// any size, and so is the largest one.
func position(s string) (n int64, ok bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil || errors.Is(err, strconv.ErrRange)
}
