package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/edge"
)

// signedKey is that of a package as it is stored.
const signedKey = "packages/5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03/hello_1.0_amd64.deb"

// benchSign signs a link, and the same message by a bare HMAC-SHA256.
func benchSign(context.Context) ([]row, error) {
	secret := edge.GenerateSecret()
	keys, err := edge.NewKeys(secret)
	if err != nil {
		return nil, err
	}
	say("sign: links")
	s, end := edge.Signer{Keys: keys}, time.Now().Add(time.Hour)
	message := fmt.Appendf(nil, "packagecloud-edge-1\n%s\n%d\n/%s", edge.KeyID(secret), end.Unix(), signedKey)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(message)
	if !strings.HasSuffix(s.Until(signedKey, end), base64.RawURLEncoding.EncodeToString(mac.Sum(nil))) {
		return nil, errors.New("links sign another message now: correct this one")
	}
	mine := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			s.Until(signedKey, end)
		}
	})
	sum := make([]byte, 0, sha256.Size)
	bare := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			mac.Reset()
			mac.Write(message)
			mac.Sum(sum)
		}
	})
	return []row{{
		"sign one download link", fmt.Sprintf("%d ns, allocations: %d", mine.NsPerOp(), mine.AllocsPerOp()),
		fmt.Sprintf("a bare HMAC-SHA256 of as many bytes: %d ns; ratio %.2f", bare.NsPerOp(), float64(mine.NsPerOp())/float64(bare.NsPerOp())),
	}}, nil
}
