package proxy

import (
	"bytes"
	"strings"
)

// request is the head of a request as far as a connection understands it.
type request struct {
	size   int    // of the head, with the empty line
	target string // of GET, as sent
	// simple: nothing in it changes the answer to a plain GET.
	simple bool
	// alone: there is no body, so that the next request begins behind the head.
	alone bool
}

// harmless are the fields that a simple request may have, in small letters.
// Whatever else there is, net/http sees to it.
var harmless = map[string]bool{
	"accept": true, "accept-encoding": true, "accept-language": true, "authorization": true, "cache-control": true,
	"connection": true, "cookie": true, "forwarded": true, "host": true, "pragma": true, "referer": true,
	"user-agent": true, "via": true, "x-forwarded-for": true, "x-forwarded-host": true, "x-forwarded-proto": true,
	"x-real-ip": true,
}

// framing are the fields that say what comes behind a head.
var framing = map[string]bool{"content-length": true, "transfer-encoding": true, "expect": true, "upgrade": true, "trailer": true}

// parseRequest reads the head at the start of what came. Not ok are a head that
// is not whole yet, and whatever is not written as RFC 9112 has it, sections 3
// and 5: it is left to net/http to be waited for or refused.
func parseRequest(b []byte) (r request, ok bool) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return request{}, false
	}
	text := string(b[:end])
	line, fields, _ := strings.Cut(text, "\r\n")
	method, rest, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(rest, " ")
	if !visible(target) || target == "" || target[0] != '/' || version != "HTTP/1.1" || method != "GET" && method != "HEAD" {
		return request{}, false
	}
	r = request{size: end + 4, target: target, simple: method == "GET", alone: true}
	hosts := 0
	for field := range strings.SplitSeq(fields, "\r\n") {
		name, value, found := strings.Cut(field, ":")
		if !found || !token(name) || !printable(value) {
			return request{}, false
		}
		name = lower(name)
		switch {
		case framing[name]:
			r.alone, r.simple = false, false
		case !harmless[name]:
			r.simple = false
		case name == "host":
			hosts++
		case name == "connection" && !strings.EqualFold(strings.TrimSpace(value), "keep-alive"):
			r.simple = false
		}
	}
	return r, hosts == 1
}

// lower is strings.ToLower for the names that are looked up, without memory for
// those in usual writing.
func lower(name string) string {
	switch name {
	case "Host":
		return "host"
	case "User-Agent":
		return "user-agent"
	case "Accept":
		return "accept"
	case "Connection":
		return "connection"
	}
	return strings.ToLower(name)
}

// visible: only characters of ASCII that are seen.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// printable: as visible, with spaces and tabs.
func printable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c > '~' {
			return false
		}
	}
	return true
}

// token: letters, digits and hyphens. Other characters are allowed in a name,
// and in no name that matters here.
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != ""
}
