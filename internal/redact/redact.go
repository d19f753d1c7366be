// Package redact hides secrets in what is written for people: logs, errors and
// refusals. Errors name what they failed at, a path or a request, and some of
// those hold a token. Nobody can say of each error in advance whether it will, so
// the text is looked through where it is written: Handler does so for a log, and
// Text for everything else.
package redact

import (
	"encoding/base64"
	"regexp"
	"strings"
)

// Hidden stands in the place of a secret.
const Hidden = "[secret]"

var (
	// hexadecimal finds tokens (repo.TokenLength), those too that stand right behind
	// an escape of a URL, as in %3A.
	hexadecimal = regexp.MustCompile(`[0-9A-Fa-f]{48,}`)
	// private finds whatever stands in the place of a token in the path of a client
	// that cannot send credentials. Such a path begins the text, or comes after a
	// blank, a quote or a host.
	private = regexp.MustCompile(`(^|[\s"'=(]|//[^/\s"]+)/priv/[^/\s"'?]*`)
	// userinfo finds the credentials in a URL.
	userinfo = regexp.MustCompile(`//[^/\s"'@?#]+@`)
	// credentials find those of the field Authorization.
	bearer = regexp.MustCompile(`(?i)\b(bearer) +[^\s"',\]]+`)
	basic  = regexp.MustCompile(`(?i)\b(basic) +([A-Za-z0-9+/]+={0,2})`)
	// link finds the signature of a download link of ours (package edge).
	link = regexp.MustCompile(`\b([0-9]{10}_[0-9a-f]{8}_)[A-Za-z0-9_-]{43}`)
	// assigned finds the value of a field whose name says that it is a secret, in a
	// query, a form or JSON: what signs a link of S3, and passwords.
	assigned = regexp.MustCompile(`(?i)([a-z0-9_.:-]*(?:password|secret|passwd|x-amz-signature|x-amz-credential|x-amz-security-token)"?\]?(?:=|: ?)"?)[^\s"&,}]+`)
)

// Text is s without the secrets in it that can be recognised: tokens, signatures of
// links, credentials of the field Authorization and of URLs, and what a field named
// like a password holds.
func Text(s string) string {
	s = private.ReplaceAllString(s, "${1}/priv/"+Hidden)
	s = userinfo.ReplaceAllString(s, "//"+Hidden+"@")
	s = link.ReplaceAllString(s, "${1}"+Hidden)
	s = bearer.ReplaceAllString(s, "${1} "+Hidden)
	s = basic.ReplaceAllStringFunc(s, basicText)
	s = assigned.ReplaceAllString(s, "${1}"+Hidden)
	return hexadecimal.ReplaceAllStringFunc(s, hexText)
}

// hexText hides hexadecimal digits, unless they have the length of a SHA-256 or a
// SHA-512: those name objects.
func hexText(digits string) string {
	if len(digits) == 64 || len(digits) == 128 {
		return digits
	}
	return Hidden
}

// basicText hides credentials. Other words may stand behind "basic" as well.
func basicText(s string) string {
	scheme, value, _ := strings.Cut(s, " ")
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if err != nil || !strings.Contains(string(decoded), ":") {
		return s
	}
	return scheme + " " + Hidden
}
