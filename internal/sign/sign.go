// Package sign makes and uses the OpenPGP keys that sign repository metadata.
//
// Keys and signatures are of version 4 (RFC 4880): no gpgv or rpm in the field
// reads the newer ones of RFC 9580. Signatures use SHA-256 and carry no
// notation, which old rpm does not know.
package sign

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"packagecloud/internal/clock"
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

// config is for what is done as of a time.
func config(at time.Time) *packet.Config {
	off := false
	return &packet.Config{
		Time:                                  func() time.Time { return at },
		DefaultHash:                           crypto.SHA256,
		NonDeterministicSignaturesViaNotation: &off,
	}
}

// Key is a private key that signs. It is safe for concurrent use.
type Key struct {
	entity *openpgp.Entity
	public []byte // ASCII armoured
}

// backdated is how long ago a new key says that it was made. A client whose
// clock is earlier than that refuses all its signatures, so a key that was made
// while this clock was ahead would be of no use until that time had come.
const backdated = 7 * 24 * time.Hour

// Generate makes a key that never expires. name is shown to people who are
// asked to trust it.
func Generate(a Algorithm, name string) (*Key, error) {
	made := clock.Now().Add(-backdated)
	c := config(made)
	entity, err := generate(a, name, c)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	entity.Subkeys = nil // nobody encrypts to a repository
	return newKey(entity)
}

func generate(a Algorithm, name string, c *packet.Config) (*openpgp.Entity, error) {
	switch a {
	case RSA3072:
		return generateRSA(3072, name, c)
	case RSA4096:
		return generateRSA(4096, name, c)
	case Ed25519:
		c.Algorithm, c.Curve = packet.PubKeyAlgoEdDSA, packet.Curve25519
		return openpgp.NewEntity(name, "", "", c)
	default:
		return nil, fmt.Errorf("%q is no algorithm: use rsa3072, rsa4096 or ed25519", a)
	}
}

// generateRSA makes the one key that is needed. openpgp.NewEntity makes a
// second one, for encryption, in the same time again.
func generateRSA(bits int, name string, c *packet.Config) (*openpgp.Entity, error) {
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, err
	}
	primary := packet.NewSignerPrivateKey(c.Now(), private)
	entity := &openpgp.Entity{PrimaryKey: &primary.PublicKey, PrivateKey: primary, Identities: make(map[string]*openpgp.Identity)}
	return entity, entity.AddUserId(name, "", "", c)
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

// OpenPrivate reads what Private wrote; public is what PublicKey gave. Whether
// the key can sign is asked when it does.
func OpenPrivate(private, public []byte) (*Key, error) {
	entity, err := readOne(private)
	if err != nil {
		return nil, err
	}
	return &Key{entity: entity, public: public}, nil
}

// JoinPublic puts ASCII-armoured public keys into one armour, for the scripts
// that machines were set up by read only one.
func JoinPublic(keys ...[]byte) ([]byte, error) {
	if len(keys) == 1 {
		return keys[0], nil
	}
	var all []byte
	for _, k := range keys {
		block, err := armor.Decode(bytes.NewReader(k))
		if err != nil {
			return nil, fmt.Errorf("read public key: %w", err)
		}
		packets, err := io.ReadAll(block.Body)
		if err != nil {
			return nil, fmt.Errorf("read public key: %w", err)
		}
		all = append(all, packets...)
	}
	return armorBytes(openpgp.PublicKeyType, all)
}

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
	k, err := newKey(entity)
	if err != nil {
		return nil, err
	}
	if err := k.Unfit(clock.Now()); err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	signing, _ := entity.SigningKey(clock.Now())
	if err := refused(entity, signing.PublicKey); err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	return k, nil
}

// Unfit says why the key cannot sign at a time; nil if it can.
func (k *Key) Unfit(at time.Time) error {
	signing, ok := k.entity.SigningKey(at)
	self, _ := k.entity.PrimarySelfSignature()
	switch created := k.entity.PrimaryKey.CreationTime; {
	case ok && (signing.PrivateKey == nil || signing.PrivateKey.Dummy()):
		return errors.New("the secret part that signs is not there: export it with gpg --export-secret-keys")
	case ok:
		return nil
	case created.After(at):
		return fmt.Errorf("it was made at %s, which lies ahead of %s: the clock of this machine, or that of the machine that made the key, is wrong",
			created.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
	case k.entity.Revoked(at):
		return errors.New("it was revoked: import another key")
	case self != nil && k.entity.PrimaryKey.KeyExpired(self, at):
		return errors.New("it has expired: prolong it with gpg --quick-set-expire and import it again, or import another key")
	}
	return errors.New("no part of it may sign: make one that can (gpg --quick-add-key FINGERPRINT rsa4096 sign), or import another key")
}

// Expires is when the key, or the part of it that signs, expires; the zero time
// if never. Of several parts that could sign the last one counts.
func (k *Key) Expires() time.Time {
	self, _ := k.entity.PrimarySelfSignature()
	whole := expiry(k.entity.PrimaryKey, self)
	if self != nil && self.FlagsValid && self.FlagSign {
		return whole
	}
	var last time.Time
	for _, sub := range k.entity.Subkeys {
		if sub.Sig == nil || !sub.Sig.FlagsValid || !sub.Sig.FlagSign {
			continue
		}
		at := expiry(sub.PublicKey, sub.Sig)
		if at.IsZero() {
			return whole
		}
		if at.After(last) {
			last = at
		}
	}
	if whole.IsZero() || !last.IsZero() && last.Before(whole) {
		return last
	}
	return whole
}

// expiry is when a part of a key expires; the zero time if never.
func expiry(k *packet.PublicKey, s *packet.Signature) time.Time {
	if s == nil || s.KeyLifetimeSecs == nil || *s.KeyLifetimeSecs == 0 {
		return time.Time{}
	}
	return k.CreationTime.Add(time.Duration(*s.KeyLifetimeSecs) * time.Second)
}

// refused says why package managers of today refuse a key, as TestKinds measures.
func refused(e *openpgp.Entity, signing *packet.PublicKey) error {
	for _, part := range []*packet.PublicKey{e.PrimaryKey, signing} {
		if err := refusedKind(part); err != nil {
			return err
		}
	}
	self, _ := e.PrimarySelfSignature()
	for _, sub := range e.Subkeys {
		if sub.PublicKey == signing && sub.Sig.Hash == crypto.SHA1 {
			self = sub.Sig
		}
	}
	if self != nil && self.Hash == crypto.SHA1 {
		return errors.New("package managers of today refuse keys whose own signature uses SHA-1: make it again (gpg --cert-digest-algo SHA256 --quick-set-expire FINGERPRINT never) and export the key again")
	}
	return nil
}

// another is what to do where no key of a kind can be used.
const another = "make an RSA key (gpg --quick-generate-key NAME rsa4096 sign never) and import that"

func refusedKind(k *packet.PublicKey) error {
	if k.Version != 4 {
		return fmt.Errorf("GnuPG, with which most package managers check, does not know OpenPGP keys of version %d: %s", k.Version, another)
	}
	switch k.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		if bits, err := k.BitLength(); err != nil || bits < minRSA {
			return fmt.Errorf("apt since 3.0 and rpm 6 refuse RSA keys of less than %d bits, this one has %d: %s", minRSA, bits, another)
		}
		return nil
	case packet.PubKeyAlgoDSA:
		return fmt.Errorf("package managers of today refuse DSA keys: %s", another)
	case packet.PubKeyAlgoEdDSA:
		return nil
	case packet.PubKeyAlgoECDSA:
		switch curve, err := k.Curve(); {
		case err == nil && (curve == packet.CurveNistP256 || curve == packet.CurveNistP384 || curve == packet.CurveNistP521):
			return nil
		default:
			return fmt.Errorf("apt since 3.0 and rpm refuse keys on the curve %s: %s", curve, another)
		}
	}
	return fmt.Errorf("GnuPG, with which most package managers check, does not know keys of algorithm %d: %s", k.PubKeyAlgo, another)
}

// Warning says which package managers cannot use a key that is taken all the same;
// "" if all can.
func (k *Key) Warning() string {
	signing, ok := k.entity.SigningKey(clock.Now())
	if ok && (k.entity.PrimaryKey.PubKeyAlgo == packet.PubKeyAlgoECDSA || signing.PublicKey.PubKeyAlgo == packet.PubKeyAlgoECDSA) {
		return "rpm 4.18, as in Debian 12, cannot import ECDSA keys: for rpm packages use an RSA key"
	}
	return ""
}

// Private is the private key in binary form, not encrypted.
func (k *Key) Private() ([]byte, error) {
	var b bytes.Buffer
	if err := k.entity.SerializePrivateWithoutSigning(&b, config(clock.Now())); err != nil {
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

// Public is a public key.
type Public struct {
	Fingerprint string
	Armored     []byte
	Expires     time.Time // zero if never
}

// ParsePublic reads a public key, ASCII armoured or binary. The secret part of
// a private key is dropped.
func ParsePublic(data []byte) (Public, error) {
	entity, err := readOne(data)
	if err != nil {
		return Public{}, err
	}
	text, err := armored(entity)
	return Public{Fingerprint: fingerprint(entity), Armored: text, Expires: (&Key{entity: entity}).Expires()}, err
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

// armored writes the public part of a key. The order of its user ids is
// another one each time.
func armored(e *openpgp.Entity) ([]byte, error) {
	var b bytes.Buffer
	if err := e.Serialize(&b); err != nil {
		return nil, fmt.Errorf("write public key: %w", err)
	}
	return armorBytes(openpgp.PublicKeyType, b.Bytes())
}

// armorBytes puts packets into an ASCII armour.
func armorBytes(kind string, packets []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := armor.Encode(&b, kind, nil)
	if err != nil {
		return nil, fmt.Errorf("write armour: %w", err)
	}
	_, err = w.Write(packets)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("write armour: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// Name is the file name of a key of a repository.
func Name(r repo.Repository, fingerprint string) string {
	id := fingerprint[max(0, len(fingerprint)-16):]
	return strings.Join([]string{r.Owner, r.Name, id}, "-") + ".pub.gpg"
}
