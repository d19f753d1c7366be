// Package edge signs download URLs and checks them. Whoever holds a URL may
// fetch one object for a while, by GET and by HEAD:
//
//	https://<host>/<key>?t=<expiry>_<key id>_<signature>
//
//	expiry     Unix time in seconds, ten digits; it is checked when a request
//	           begins, so a long transfer is not cut off
//	key id     says which secret signed: the first 8 hex digits of the
//	           SHA-256 of "packagecloud-edge-id\n" and the secret
//	signature  HMAC-SHA256 under the text of the secret, base64url without
//	           padding, of "packagecloud-edge-1\n<key id>\n<expiry>\n<path>"
//	path       the canonical path: see Canonical
//
// Nothing but [A-Za-z0-9._-] is in the token, because nothing else survives
// every client: apt before 2.1.15 rewrites %, +, / and ~ of a URL that it is
// redirected to. Other parameters of the query are not looked at, and must not
// reach an origin: some would change what S3 answers.
//
// Three programs check the same: Keys.Check, and in package function a
// Lambda@Edge function and a CloudFront function. testdata/vectors.json is
// what they agree upon.
package edge

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// MinSecret is the least length of a secret in characters.
	MinSecret = 32
	// MaxSecret is the greatest: a value in a CloudFront KeyValueStore holds
	// no more.
	MaxSecret = 1024

	// Tolerance is how long after its expiry a URL is still good, for clocks
	// that differ.
	Tolerance = time.Minute

	version    = "packagecloud-edge-1\n"
	idPrefix   = "packagecloud-edge-id\n"
	expirySize = 10 // until the year 2286
	idSize     = 8
	macSize    = 43
	tokenSize  = expirySize + 1 + idSize + 1 + macSize
)

// GenerateSecret makes a secret: 32 random bytes in base64url, 43 characters.
func GenerateSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// CheckSecret says why a text cannot be a secret, without showing it. The text
// itself is the secret: it is not decoded, whatever it looks like.
func CheckSecret(secret string) error {
	switch {
	case len(secret) < MinSecret || len(secret) > MaxSecret:
		return fmt.Errorf("the secret has %d characters and needs %d to %d", len(secret), MinSecret, MaxSecret)
	case strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return errors.New("the secret holds a space or a character other than ASCII")
	}
	return nil
}

// KeyID is the name of a secret, which URLs hold in the clear.
func KeyID(secret string) string {
	sum := sha256.Sum256([]byte(idPrefix + secret))
	return hex.EncodeToString(sum[:idSize/2])
}

// Keys are the secrets that are valid at the same time: a secret is replaced
// without an outage by adding the new one to every checker first. All methods
// are safe for concurrent use.
type Keys struct{ keys []*key }

// NewKeys takes the secrets. The first one signs.
func NewKeys(secrets ...string) (*Keys, error) {
	if len(secrets) == 0 {
		return nil, errors.New("there is no secret to sign URLs with")
	}
	k := &Keys{}
	for _, s := range secrets {
		if err := CheckSecret(s); err != nil {
			return nil, err
		}
		k.keys = append(k.keys, newKey(s))
	}
	return k, nil
}

// The reasons to refuse a request.
var (
	// ErrMethod: neither GET nor HEAD.
	ErrMethod = errors.New("only GET and HEAD are answered")
	// ErrForbidden: the URL is not one that we signed.
	ErrForbidden = errors.New("this link was not made by the package server")
	// ErrExpired: we did sign the URL, but its time is over.
	ErrExpired = errors.New("this link has expired, ask the package server for a new one")
)

// Check checks a request: its method, its path as sent, its query as sent and
// without "?". What is returned is the canonical path, the only one that may be
// passed on. The error is one of the reasons above.
func (k *Keys) Check(method, path, query string, now time.Time) (string, error) {
	if method != "GET" && method != "HEAD" {
		return "", ErrMethod
	}
	path, ok := Canonical(path)
	token, found := parameter(query)
	if !ok || !found || !wellFormed(token) {
		return "", ErrForbidden
	}
	const idStart, macStart = expirySize + 1, expirySize + 1 + idSize + 1
	expiry, id, mac := token[:expirySize], token[idStart:macStart-1], token[macStart:]
	if !k.signed(path, expiry, id, mac) {
		return "", ErrForbidden
	}
	// Ten digits fit.
	if seconds, _ := strconv.ParseInt(expiry, 10, 64); now.Unix() > seconds+int64(Tolerance/time.Second) {
		return "", ErrExpired
	}
	return path, nil
}

// signed compares texts, not bytes: the last character of base64 has bits that
// stand for nothing.
func (k *Keys) signed(path, expiry, id, mac string) bool {
	good := false
	for _, key := range k.keys {
		if key.id != id {
			continue
		}
		s := key.state()
		s.buffer = appendMessage(s.buffer[:0], key.id, expiry, path)
		good = good || subtle.ConstantTimeCompare(s.signature(), []byte(mac)) == 1
		key.free.Put(s)
	}
	return good
}

// parameter is the value of t, which must be in the query once.
func parameter(query string) (value string, ok bool) {
	for p := range strings.SplitSeq(query, "&") {
		name, v, _ := strings.Cut(p, "=")
		if name != "t" {
			continue
		}
		if ok {
			return "", false
		}
		value, ok = v, true
	}
	return value, ok
}

// wellFormed reports whether a token has the right characters at the right
// places.
func wellFormed(token string) bool {
	if len(token) != tokenSize || token[0] == '0' {
		return false
	}
	for i := range len(token) {
		c := token[i]
		digit := '0' <= c && c <= '9'
		var ok bool
		switch {
		case i < expirySize:
			ok = digit
		case i == expirySize || i == expirySize+1+idSize:
			ok = c == '_'
		case i < expirySize+1+idSize:
			ok = digit || 'a' <= c && c <= 'f'
		default:
			ok = digit || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '_'
		}
		if !ok {
			return false
		}
	}
	return true
}
