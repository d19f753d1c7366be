package cloudfronttest

import (
	"net/http"
	"strconv"
	"strings"
)

// block is the unit, in bytes, to which a range is enlarged that the bucket is
// asked for: "CloudFront may request a larger range than the client requested".
const block = 64 << 10

// span is what a request needs of an object.
type span struct {
	none     bool // its headers alone
	from, to int64
	last     int64 // if not 0: as many bytes at the end
}

// all is a whole object.
var all = span{to: 1<<63 - 1}

func (s span) within(size int64) (from, to int64) {
	if s.last > 0 {
		return max(0, size-s.last), size
	}
	return s.from, min(s.to, size)
}

// header is the Range for the bucket, or "".
func (s span) header() string {
	switch {
	case s.last > 0:
		return "bytes=-" + strconv.FormatInt(s.last, 10)
	case s == all || s.none:
		return ""
	}
	from := s.from / block * block
	if s.to == all.to {
		return "bytes=" + strconv.FormatInt(from, 10) + "-"
	}
	return "bytes=" + strconv.FormatInt(from, 10) + "-" + strconv.FormatInt((s.to+block-1)/block*block-1, 10)
}

// parseRange reads a Range header. ok is false if its ranges are not valid,
// not in ascending order, or overlap: then the whole object is the answer.
// Several ranges need the whole object too, but are answered as they are.
//
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RangeGETs.html
func parseRange(header string) (need span, ok bool) {
	list, isBytes := strings.CutPrefix(header, "bytes=")
	if !isBytes {
		return all, false
	}
	specs := strings.Split(list, ",")
	end := int64(0)
	for i, spec := range specs {
		first, last, found := strings.Cut(strings.TrimSpace(spec), "-")
		s := span{to: all.to}
		var err1, err2 error
		switch {
		case !found || first == "" && last == "":
			return all, false
		case first == "":
			s.last, err1 = strconv.ParseInt(last, 10, 62)
		default:
			s.from, err1 = strconv.ParseInt(first, 10, 62)
			if last != "" {
				s.to, err2 = strconv.ParseInt(last, 10, 62)
				s.to++
			}
		}
		if err1 != nil || err2 != nil || s.last < 0 || first == "" && s.last == 0 || s.to <= s.from || s.from < end || end == all.to || s.last > 0 && i < len(specs)-1 {
			return all, false
		}
		end = s.to
		need = s
	}
	if len(specs) > 1 {
		return all, true
	}
	return need, true
}

// holds reports whether an If-Range holds for an object.
func holds(ifRange string, header http.Header) bool {
	if strings.HasPrefix(ifRange, `"`) {
		return ifRange == header.Get("Etag")
	}
	return ifRange == header.Get("Last-Modified")
}
