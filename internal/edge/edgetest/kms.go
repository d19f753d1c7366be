package edgetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"packagecloud/internal/edge/function"
)

// KeyARN is the key of the KMS.
const KeyARN = "arn:aws:kms:us-east-1:123456789012:key/00000000-1111-2222-3333-444444444444"

// KMS answers Decrypt as AWS does: only requests signed for us-east-1 with the
// credentials of this package, and only with the key and the context of Encrypt.
type KMS struct {
	URL string
	// Before is called with each request before anything else; it may answer
	// in KMS's place, which it says by true.
	Before func(w http.ResponseWriter, r *http.Request) bool

	mu     sync.Mutex
	stored map[string]stored // by ciphertext
	calls  int
}

type stored struct {
	plaintext []byte
	context   map[string]string
}

// NewKMS starts one, which ends with the test.
func NewKMS(t testing.TB) *KMS {
	k := &KMS{stored: map[string]stored{}}
	s := httptest.NewServer(k)
	t.Cleanup(s.Close)
	k.URL = s.URL
	return k
}

// Encrypt gives a ciphertext that Decrypt turns back.
func (k *KMS) Encrypt(plaintext []byte, context map[string]string) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	ciphertext := fmt.Sprintf("ciphertext %d", len(k.stored))
	k.stored[ciphertext] = stored{bytes.Clone(plaintext), maps.Clone(context)}
	return []byte(ciphertext)
}

// Config is the configuration of a function with these secrets, which asks this
// KMS.
func (k *KMS) Config(secrets ...string) function.Config {
	const name = "packagecloud_cloudfront_auth"
	c := function.NewConfig(name, KeyARN, k.Encrypt(function.Plaintext(secrets...), function.Context(name)), secrets...)
	c.Endpoint = k.URL
	return c
}

// Calls is how many requests there were.
func (k *KMS) Calls() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.calls
}

// ServeHTTP answers a request to KMS.
func (k *KMS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	k.calls++
	k.mu.Unlock()
	body, err := io.ReadAll(r.Body) // or the end of the client would not be noticed
	if err != nil || k.Before != nil && k.Before(w, r) {
		return
	}
	if err := checkSignature(r, body); err != nil {
		refuse(w, "IncompleteSignature", err.Error())
		return
	}
	var in struct {
		CiphertextBlob    []byte
		KeyID             string `json:"KeyId"`
		EncryptionContext map[string]string
	}
	if r.Method != http.MethodPost || r.URL.RequestURI() != "/" || r.Header.Get("X-Amz-Target") != "TrentService.Decrypt" ||
		r.Header.Get("Content-Type") != "application/x-amz-json-1.1" || json.Unmarshal(body, &in) != nil {
		refuse(w, "UnknownOperationException", "")
		return
	}
	k.mu.Lock()
	s, ok := k.stored[string(in.CiphertextBlob)]
	k.mu.Unlock()
	switch {
	case in.KeyID != KeyARN:
		refuse(w, "IncorrectKeyException", "")
	case !ok || !maps.Equal(s.context, in.EncryptionContext):
		refuse(w, "InvalidCiphertextException", "")
	default:
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_ = json.NewEncoder(w).Encode(map[string]any{"KeyId": KeyARN, "Plaintext": s.plaintext, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"})
	}
}

func refuse(w http.ResponseWriter, kind, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": kind, "message": message})
}

// checkSignature signs the request again with AWS's own signer.
func checkSignature(r *http.Request, body []byte) error {
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || time.Since(at).Abs() > 5*time.Minute {
		return fmt.Errorf("the time %q is not now", r.Header.Get("X-Amz-Date"))
	}
	if r.Header.Get("X-Amz-Security-Token") != SessionToken {
		return fmt.Errorf("the session token is missing")
	}
	got := r.Header.Get("Authorization")
	_, names, _ := strings.Cut(got, "SignedHeaders=")
	names, _, _ = strings.Cut(names, ",")
	again, err := http.NewRequestWithContext(context.Background(), r.Method, "http://"+r.Host+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	signed := 0
	for name := range strings.SplitSeq(names, ";") {
		switch name {
		case "host", "x-amz-date", "x-amz-target", "x-amz-security-token":
			signed++
		}
		if name != "host" {
			again.Header.Set(name, r.Header.Get(name))
		}
	}
	if signed != 4 {
		return fmt.Errorf("only %s are signed", names)
	}
	sum := sha256.Sum256(body)
	again.ContentLength = 0 // signed only if it was, which is up to the client
	credentials := aws.Credentials{AccessKeyID: AccessKey, SecretAccessKey: SecretKey, SessionToken: SessionToken}
	if err := v4.NewSigner().SignHTTP(context.Background(), credentials, again, hex.EncodeToString(sum[:]), "kms", "us-east-1", at); err != nil {
		return err
	}
	if want := again.Header.Get("Authorization"); got != want {
		return fmt.Errorf("the signature is %q, AWS's is %q", got, want)
	}
	return nil
}
