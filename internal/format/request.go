package format

import (
	"strconv"
	"strings"

	"packagecloud/internal/repo"
)

// Query is what a client asks for with GET or HEAD.
type Query struct {
	// Path is relative to the repository's URL, with no slash in front and
	// percent-encoding undone.
	Path string
	// Accept is the Accept header, "" if there is none.
	Accept string
}

// RequestKind tells how a request is answered.
type RequestKind uint8

// The kinds of request.
const (
	// LiveFile asks for the live generation's file of a given path.
	LiveFile RequestKind = iota + 1
	// DigestFile asks for the index file with a given digest, whichever
	// generation it belongs to.
	DigestFile
	// PackageFile asks for a package by its path.
	PackageFile
	// NamedFile asks for the package that now has a file name, whether it is
	// published yet or not. The same URL may mean other bytes tomorrow.
	NamedFile
	// Moved asks for what is found elsewhere.
	Moved
	// Constant asks for what never changes.
	Constant
)

// Request is a client's request, understood.
type Request struct {
	Kind        RequestKind
	OS, Version string // the scope

	// Paths are the paths within the scope that answer a LiveFile, best
	// first: the binary-armhf listing of a scope that has no armhf packages
	// is its binary-all listing. Of a PackageFile it is the canonical path
	// alone, as Format.Path made it.
	Paths []string
	// SHA256 is the digest of a DigestFile, in lower-case hexadecimal.
	SHA256 string
	// Namespace and Filename are those of the package of a NamedFile.
	Namespace, Filename string
	// Else is asked if a PackageFile or NamedFile is not there; nil for nothing.
	Else *Request
	// Location is where what has Moved is found, relative to the repository's
	// URL, not escaped.
	Location string
	// Body answers a Constant.
	Body []byte

	// ContentType of a LiveFile, DigestFile or Constant; "" for that of the
	// document or entry point.
	ContentType string
	// Negotiated says that the Accept header decided about the answer.
	Negotiated bool
	// Encoded says that a LiveFile may be compressed for the client, as its
	// Content-Encoding. The path is that of the plain form.
	Encoded bool
	// Sum, of a PackageFile or NamedFile, makes the answer of what is known of
	// the file: its digest, for a client that asks for file.sha256. It is text.
	Sum func(f repo.File) []byte
}

// Accepts finds the first of the offered media types that an Accept header
// rates highest, and "" if it accepts none of them. Without a header the first
// one is as good as any.
func Accepts(accept string, offered ...string) string {
	if strings.TrimSpace(accept) == "" {
		return offered[0]
	}
	best, chosen := 0.0, ""
	for _, o := range offered {
		if q := quality(accept, o); q > best {
			best, chosen = q, o
		}
	}
	return chosen
}

// quality is how much an Accept header likes a media type, from 0 to 1: the
// most specific range that covers it decides (RFC 9110, 12.5.1).
func quality(accept, media string) float64 {
	kind, _, _ := strings.Cut(media, "/")
	q, specific := 0.0, -1
	for part := range strings.SplitSeq(accept, ",") {
		name, parameters, _ := strings.Cut(part, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		level := -1
		switch name {
		case media:
			level = 2
		case kind + "/*":
			level = 1
		case "*/*":
			level = 0
		}
		if level > specific {
			specific, q = level, weight(parameters)
		}
	}
	return q
}

// weight reads the q of parameters, 1 if there is none.
func weight(parameters string) float64 {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(p), "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return q
	}
	return 1
}

// AcceptsEncoding reports whether an Accept-Encoding header takes a content
// coding.
func AcceptsEncoding(header, coding string) bool {
	any := false
	for part := range strings.SplitSeq(header, ",") {
		name, parameters, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case coding:
			return weight(parameters) > 0
		case "*":
			any = weight(parameters) > 0
		}
	}
	return any
}
