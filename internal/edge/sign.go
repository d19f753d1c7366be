package edge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strconv"
	"sync"
	"time"
)

// largeFile is from how many bytes on a URL lives longer.
const largeFile = 100_000_000

// Lifetime is how long a URL for an object of a size must be good: apt and wget
// resume a broken transfer with it.
func Lifetime(size int64) time.Duration {
	if size > largeFile {
		return 6 * time.Hour
	}
	return time.Hour
}

// Signer makes URLs. It is safe for concurrent use.
type Signer struct {
	// Origin is scheme and host, such as https://d111111abcdef8.cloudfront.net.
	Origin string
	Keys   *Keys
	// Now tells the time; nil stands for time.Now.
	Now func() time.Time
}

// URL is where the object of a storage key is served, for the Lifetime of its
// size. A checker refuses the URL of a key that has no canonical path, which no
// key has that blob.CheckKey lets through.
func (s *Signer) URL(key string, size int64) string {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	return s.Until(key, now().Add(Lifetime(size)))
}

// Until is the URL of a storage key that is good until a time.
func (s *Signer) Until(key string, end time.Time) string {
	k := s.Keys.keys[0]
	st := k.state()
	defer k.free.Put(st)
	var digits [20]byte
	expiry := strconv.AppendInt(digits[:0], end.Unix(), 10)

	st.path = append(st.path[:0], '/')
	for i := range len(key) {
		st.path = appendByte(st.path, key[i])
	}
	st.buffer = appendMessage(st.buffer[:0], k.id, expiry, st.path)
	signature := st.signature()

	st.buffer = append(st.buffer[:0], s.Origin...)
	st.buffer = append(st.buffer, st.path...)
	st.buffer = append(st.buffer, "?t="...)
	st.buffer = append(st.buffer, expiry...)
	st.buffer = append(st.buffer, '_')
	st.buffer = append(st.buffer, k.id...)
	st.buffer = append(st.buffer, '_')
	st.buffer = append(st.buffer, signature...)
	return string(st.buffer)
}

// key is a secret, with what was computed of it.
type key struct {
	id   string
	free sync.Pool // of *state
}

// state is an HMAC, which remembers its state after the secret when it is used
// again, and the memory that signing needs.
type state struct {
	mac          hash.Hash
	buffer, path []byte
	sum          [sha256.Size]byte
	text         [macSize]byte
}

func newKey(secret string) *key {
	k := &key{id: KeyID(secret)}
	k.free.New = func() any { return &state{mac: hmac.New(sha256.New, []byte(secret))} }
	return k
}

func (k *key) state() *state { return k.free.Get().(*state) }

// appendMessage appends what is signed.
func appendMessage[T string | []byte](b []byte, id string, expiry, path T) []byte {
	b = append(b, version...)
	b = append(b, id...)
	b = append(b, '\n')
	b = append(b, expiry...)
	b = append(b, '\n')
	return append(b, path...)
}

// signature is the HMAC of the buffer, as text. It is good until the state is
// used again.
func (s *state) signature() []byte {
	s.mac.Reset()
	s.mac.Write(s.buffer)
	base64.RawURLEncoding.Encode(s.text[:], s.mac.Sum(s.sum[:0]))
	return s.text[:]
}
