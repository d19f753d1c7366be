// Package function is the check of package edge as programs that run at
// CloudFront, in plain JavaScript without dependencies:
//
//   - a Lambda@Edge function (index.js, kms.js), with the secrets encrypted in
//     its package,
//   - a CloudFront function (cloudfront.js), with the secrets in a
//     KeyValueStore, by key id.
//
// What they have in common is in check.js, which both carry unchanged.
package function

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"regexp"
	"slices"
	"strings"

	"packagecloud/internal/edge"
)

// What the Lambda function must be created with.
const (
	Runtime = "nodejs24.x"
	Handler = "index.handler"
	Memory  = 128 // MB; a function for viewer requests may have no more
	Timeout = 5   // seconds, also the most
)

// MaxCloudFront is how many bytes a CloudFront function may have.
const MaxCloudFront = 10 << 10

//go:embed *.js
var sources embed.FS

// Config is what the Lambda function is told in its package: it has no
// environment variables at the edge. There is no secret in it.
type Config struct {
	// Function is the name of the function.
	Function string
	// KeyARN is the KMS key, which is in us-east-1.
	KeyARN string
	// Ciphertext is what KMS made of Plaintext under Context.
	Ciphertext []byte
	// Context is the encryption context.
	Context map[string]string
	// KeyIDs name the secrets, as edge.KeyID does. They show which secrets a
	// deployed function has without decrypting them.
	KeyIDs []string
	// Endpoint replaces KMS in tests; nothing but http://127.0.0.1:<port> is
	// let in.
	Endpoint string `json:",omitempty"`
}

// Context is the encryption context for a function: what was encrypted for one
// cannot be decrypted for another.
func Context(function string) map[string]string { return map[string]string{"function": function} }

// Plaintext is what is to be encrypted. Its length is within the limit of KMS
// for three secrets of any length.
func Plaintext(secrets ...string) []byte { return []byte(strings.Join(secrets, "\n")) }

// NewConfig describes a function whose secrets, as Plaintext puts them
// together, were encrypted under its Context.
func NewConfig(function, keyARN string, ciphertext []byte, secrets ...string) Config {
	c := Config{Function: function, KeyARN: keyARN, Ciphertext: ciphertext, Context: Context(function)}
	for _, s := range secrets {
		c.KeyIDs = append(c.KeyIDs, edge.KeyID(s))
	}
	return c
}

var (
	namePattern     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	keyPattern      = regexp.MustCompile(`^arn:aws:kms:us-east-1:[0-9]{12}:key/[A-Za-z0-9-]{1,64}$`)
	idPattern       = regexp.MustCompile(`^[0-9a-f]{8}$`)
	endpointPattern = regexp.MustCompile(`^(http://127\.0\.0\.1:[0-9]{1,5})?$`)
)

func (c Config) check() error {
	switch {
	case !namePattern.MatchString(c.Function):
		return fmt.Errorf("%q is no name of a Lambda function", c.Function)
	case !keyPattern.MatchString(c.KeyARN):
		return fmt.Errorf("%q is no ARN of a KMS key in us-east-1", c.KeyARN)
	case len(c.Ciphertext) == 0:
		return errors.New("there is no ciphertext of the secrets")
	case len(c.KeyIDs) == 0 || slices.ContainsFunc(c.KeyIDs, func(id string) bool { return !idPattern.MatchString(id) }):
		return fmt.Errorf("the key ids %q are not those of secrets", c.KeyIDs)
	case !endpointPattern.MatchString(c.Endpoint):
		return fmt.Errorf("the endpoint %q is not on loopback", c.Endpoint)
	}
	return nil
}

const configName = "config.json"

// Zip makes the package of the Lambda function, some 10 KB: always the same
// bytes for the same configuration, so that its digest says whether it must be
// deployed. For that it is not compressed, which versions of Go do differently.
func Zip(c Config) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("package the edge function: %w", err)
	}
	config, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("package the edge function: %w", err)
	}
	files := map[string][]byte{configName: append(config, '\n')}
	for _, name := range []string{"check.js", "index.js", "kms.js"} {
		files[name] = source(name)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, name := range []string{"check.js", configName, "index.js", "kms.js"} {
		body := files[name]
		h := &zip.FileHeader{
			Name: name, Method: zip.Store, CRC32: crc32.ChecksumIEEE(body),
			UncompressedSize64: uint64(len(body)), CompressedSize64: uint64(len(body)),
			ModifiedDate: 1<<5 | 1, //nolint:staticcheck // CreateRaw writes this field; 1 January 1980, the first day of zip
		}
		h.SetMode(0o644)
		f, err := w.CreateRaw(h)
		if err == nil {
			_, err = f.Write(body)
		}
		if err != nil {
			return nil, fmt.Errorf("package the edge function: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("package the edge function: %w", err)
	}
	return out.Bytes(), nil
}

// ReadConfig reads the configuration back from the package of a function.
func ReadConfig(pack []byte) (Config, error) {
	const most = 64 << 10
	var c Config
	r, err := zip.NewReader(bytes.NewReader(pack), int64(len(pack)))
	if err != nil {
		return c, fmt.Errorf("read the edge function: %w", err)
	}
	f, err := r.Open(configName)
	if err != nil {
		return c, fmt.Errorf("read the edge function: %w", err)
	}
	defer func() { _ = f.Close() }() // it is in memory
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return c, fmt.Errorf("read the edge function: %s: %w", configName, err)
	}
	return c, nil
}

// CodeSHA256 is the digest of a package as Lambda gives it.
func CodeSHA256(pack []byte) string {
	sum := sha256.Sum256(pack)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// CloudFront is the code of the CloudFront function, for the runtime
// cloudfront-js-2.0. It must be associated with one KeyValueStore, which holds
// each secret under its edge.KeyID.
func CloudFront() []byte {
	// Imports stand at the top, and this family of engines does not let a
	// function see a constant that is defined below it.
	imports, rest, _ := bytes.Cut(source("cloudfront.js"), []byte("\n"))
	return slices.Concat(imports, []byte("\n\n"), source("check.js"), rest)
}

func source(name string) []byte {
	text, err := sources.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	return text
}
