// Package sign makes and uses the OpenPGP keys that sign repository metadata.
//
// Keys and signatures are of version 4 (RFC 4880): no gpgv or rpm in the field
// reads the newer ones of RFC 9580. Signatures use SHA-256 and carry no
// notation, which old rpm does not know.
package sign

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"packagecloud/internal/repo"
)

// Algorithm is what a new key is made of.
type Algorithm string

// The algorithms. RSA is what every client knows; Ed25519 needs GnuPG 2.1 and
// rpm 4.16.
const (
	RSA3072 Algorithm = "rsa3072"
	RSA4096 Algorithm = "rsa4096"
	Ed25519 Algorithm = "ed25519"
)

// maxKey bounds what is read of a key, in bytes.
const maxKey = 1 << 20

// minRSA is the size in bits of the smallest RSA key that may sign.
const minRSA = 2048

func config() *packet.Config {
	off := false
	return &packet.Config{
		DefaultHash:                           crypto.SHA256,
		NonDeterministicSignaturesViaNotation: &off,
	}
}

// Key is a private key that signs. It is safe for concurrent use.
type Key struct {
	entity *openpgp.Entity
	public []byte // ASCII armoured
}

// Generate makes a key that never expires. name is shown to people who are
// asked to trust it.
func Generate(a Algorithm, name string) (*Key, error) {
	c := config()
	switch a {
	case RSA3072:
		c.Algorithm, c.RSABits = packet.PubKeyAlgoRSA, 3072
	case RSA4096:
		c.Algorithm, c.RSABits = packet.PubKeyAlgoRSA, 4096
	case Ed25519:
		c.Algorithm, c.Curve = packet.PubKeyAlgoEdDSA, packet.Curve25519
	default:
		return nil, fmt.Errorf("make a signing key: %q is no algorithm: use rsa3072, rsa4096 or ed25519", a)
	}
	entity, err := openpgp.NewEntity(name, "", "", c)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	entity.Subkeys = nil // nobody encrypts to a repository
	return newKey(entity)
}

func newKey(entity *openpgp.Entity) (*Key, error) {
	public, err := armored(entity)
	if err != nil {
		return nil, err
	}
	return &Key{entity: entity, public: public}, nil
}

// Passphrase is asked for when a private key is encrypted.
type Passphrase func() ([]byte, error)

// ErrEncrypted says that a private key needs a passphrase.
var ErrEncrypted = errors.New("the private key is encrypted: give its passphrase")

// ParsePrivate reads a private key, ASCII armoured or binary. passphrase may be
// nil if the key is not encrypted.
func ParsePrivate(data []byte, passphrase Passphrase) (*Key, error) {
	entity, err := readOne(data)
	if err != nil {
		return nil, err
	}
	if entity.PrivateKey == nil {
		return nil, errors.New("read private key: this is a public key: export the secret one (gpg --export-secret-keys)")
	}
	if entity.PrivateKey.Encrypted {
		if passphrase == nil {
			return nil, ErrEncrypted
		}
		secret, err := passphrase()
		if err != nil {
			return nil, err
		}
		if err := entity.DecryptPrivateKeys(secret); err != nil {
			return nil, fmt.Errorf("decrypt private key: %w", err)
		}
	}
	signing, ok := entity.SigningKey(time.Now())
	if !ok || signing.PrivateKey == nil || signing.PrivateKey.Dummy() {
		return nil, errors.New("read private key: it holds no secret part that can sign, or it has expired")
	}
	if signing.PublicKey.Version != 4 {
		return nil, fmt.Errorf("read private key: OpenPGP version %d keys are not understood by package managers: use a version 4 key", signing.PublicKey.Version)
	}
	if bits, err := signing.PublicKey.BitLength(); err == nil && isRSA(signing.PublicKey) && bits < minRSA {
		return nil, fmt.Errorf("read private key: RSA keys need at least %d bits, this one has %d", minRSA, bits)
	}
	return newKey(entity)
}

func isRSA(k *packet.PublicKey) bool {
	return k.PubKeyAlgo == packet.PubKeyAlgoRSA || k.PubKeyAlgo == packet.PubKeyAlgoRSASignOnly
}

// Private is the private key in binary form, not encrypted.
func (k *Key) Private() ([]byte, error) {
	var b bytes.Buffer
	if err := k.entity.SerializePrivateWithoutSigning(&b, config()); err != nil {
		return nil, fmt.Errorf("write private key: %w", err)
	}
	return b.Bytes(), nil
}

// PublicKey is the public key, ASCII armoured.
func (k *Key) PublicKey() []byte { return k.public }

// Fingerprint is that of the primary key, 40 upper-case hexadecimal digits.
func (k *Key) Fingerprint() string { return fingerprint(k.entity) }

func fingerprint(e *openpgp.Entity) string {
	return fmt.Sprintf("%X", e.PrimaryKey.Fingerprint)
}

// ClearSign puts a text into a clear-text signature (RFC 4880, section 7).
func (k *Key) ClearSign(text []byte) ([]byte, error) {
	signing, ok := k.entity.SigningKey(time.Now())
	if !ok {
		return nil, fmt.Errorf("sign with key %s: it has expired: import another one", k.Fingerprint())
	}
	var b bytes.Buffer
	w, err := clearsign.Encode(&b, signing.PrivateKey, config())
	if err != nil {
		return nil, fmt.Errorf("sign with key %s: %w", k.Fingerprint(), err)
	}
	_, err = w.Write(text)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("sign with key %s: %w", k.Fingerprint(), err)
	}
	signed, err := withChecksum(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("sign with key %s: %w", k.Fingerprint(), err)
	}
	return signed, nil
}

// withChecksum adds the armour checksum that package clearsign leaves out.
// GnuPG 2.2 takes the end line for data without it, where the base64 text ends
// in no padding: one signature of three by some keys.
func withChecksum(signed []byte) ([]byte, error) {
	begin := bytes.LastIndex(signed, []byte("-----BEGIN PGP SIGNATURE-----"))
	block, err := armor.Decode(bytes.NewReader(signed[begin:]))
	if err != nil {
		return nil, err
	}
	b := bytes.NewBuffer(signed[:begin:begin])
	w, err := armor.Encode(b, openpgp.SignatureType, nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(w, block.Body)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// DetachSign makes an ASCII-armoured signature of a message.
func (k *Key) DetachSign(message []byte) ([]byte, error) {
	var b bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&b, k.entity, bytes.NewReader(message), config()); err != nil {
		return nil, fmt.Errorf("sign with key %s: %w", k.Fingerprint(), err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// Public is a public key.
type Public struct {
	Fingerprint string
	Armored     []byte
}

// ParsePublic reads a public key, ASCII armoured or binary. The secret part of
// a private key is dropped.
func ParsePublic(data []byte) (Public, error) {
	entity, err := readOne(data)
	if err != nil {
		return Public{}, err
	}
	text, err := armored(entity)
	return Public{Fingerprint: fingerprint(entity), Armored: text}, err
}

// readOne reads the one key that data holds.
func readOne(data []byte) (*openpgp.Entity, error) {
	if len(data) > maxKey {
		return nil, fmt.Errorf("read key: %d bytes are too many, the limit is %d", len(data), maxKey)
	}
	var r io.Reader = bytes.NewReader(data)
	if trimmed := bytes.TrimSpace(data); bytes.HasPrefix(trimmed, []byte("-----BEGIN")) {
		block, err := armor.Decode(bytes.NewReader(trimmed))
		if err != nil {
			return nil, fmt.Errorf("read key: %w", err)
		}
		r = block.Body
	}
	keys, err := openpgp.ReadKeyRing(r)
	if err != nil {
		return nil, fmt.Errorf("read key: this is no OpenPGP key: %w", err)
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("read key: the file holds %d keys: give one", len(keys))
	}
	return keys[0], nil
}

// armored writes the public part of a key.
func armored(e *openpgp.Entity) ([]byte, error) {
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		return nil, fmt.Errorf("write public key: %w", err)
	}
	if err := errors.Join(e.Serialize(w), w.Close()); err != nil {
		return nil, fmt.Errorf("write public key: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// VerifyDetached checks an ASCII-armoured signature of a message.
func VerifyDetached(public, message, signature []byte) error {
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(public))
	if err != nil {
		return fmt.Errorf("read public key: %w", err)
	}
	if _, err := openpgp.CheckArmoredDetachedSignature(keys, bytes.NewReader(message), bytes.NewReader(signature), config()); err != nil {
		return fmt.Errorf("check signature: %w", err)
	}
	return nil
}

// VerifyClear checks a clear-text signature and returns the text.
func VerifyClear(public, signed []byte) ([]byte, error) {
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(public))
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	block, rest := clearsign.Decode(signed)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("check signature: this is no clear-text signature, or more than one")
	}
	if _, err := block.VerifySignature(keys, config()); err != nil {
		return nil, fmt.Errorf("check signature: %w", err)
	}
	return block.Plaintext, nil
}

// Name is the file name of a key of a repository.
func Name(r repo.Repository, fingerprint string) string {
	id := fingerprint[max(0, len(fingerprint)-16):]
	return strings.Join([]string{r.Owner, r.Name, id}, "-") + ".pub.gpg"
}
