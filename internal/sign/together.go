package sign

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Together are the keys that sign the metadata of a repository, the newest
// first. There are several while a repository changes its key: clients that have
// only the old one accept the last signature, those that have only the new one
// the first. zypper looks at the last signature alone, and apt and dnf at all of
// them, so the key that clients have had for longest signs last.
type Together []*Key

// Fingerprints are those of the keys, in their order.
func (t Together) Fingerprints() []string {
	prints := make([]string, 0, len(t))
	for _, k := range t {
		prints = append(prints, k.Fingerprint())
	}
	return prints
}

// PublicKey is the file that clients get: the public parts of all keys.
func (t Together) PublicKey() ([]byte, error) {
	keys := make([][]byte, 0, len(t))
	for _, k := range t {
		keys = append(keys, k.public)
	}
	return JoinPublic(keys...)
}

// lead is how much earlier than what they sign signatures say that they were
// made. Verifiers refuse one that by their clock is still to be made (sqv of apt
// 3.3 by a second), and the clocks of machines differ, and generations are dated
// up to a second ahead.
const lead = time.Minute

// moment is the time of signatures of what was made at a time: earlier by lead,
// if all keys that could sign then could do so already.
func (t Together) moment(at time.Time) time.Time {
	early := at.Add(-lead)
	for _, k := range t {
		_, now := k.entity.SigningKey(at)
		if _, before := k.entity.SigningKey(early); now && !before {
			return at
		}
	}
	return early
}

// signing are the private keys that sign at a time. A key beside the first may
// have expired since: it is left out.
func (t Together) signing(at time.Time) ([]*packet.PrivateKey, error) {
	var keys []*packet.PrivateKey
	for i, k := range t {
		signing, ok := k.entity.SigningKey(at)
		switch {
		case ok:
			keys = append(keys, signing.PrivateKey)
		case i == 0:
			return nil, fmt.Errorf("sign with key %s: %w", k.Fingerprint(), k.Unfit(at))
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("sign: there is no key")
	}
	return keys, nil
}

// ClearSign puts a text that was made at a time into a clear-text signature (RFC
// 4880, section 7).
func (t Together) ClearSign(text []byte, at time.Time) ([]byte, error) {
	at = t.moment(at)
	keys, err := t.signing(at)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w, err := clearsign.EncodeMulti(&b, keys, config(at))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	_, err = w.Write(text)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	signed, err := withChecksum(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
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
	signature, err := io.ReadAll(block.Body)
	if err != nil {
		return nil, err
	}
	armour, err := armorBytes(openpgp.SignatureType, signature)
	return append(signed[:begin:begin], armour...), err
}

// DetachSign makes an ASCII-armoured signature of a message that was made at a
// time.
func (t Together) DetachSign(message []byte, at time.Time) ([]byte, error) {
	at = t.moment(at)
	if _, err := t.signing(at); err != nil {
		return nil, err
	}
	var signatures bytes.Buffer
	for _, k := range t {
		if _, ok := k.entity.SigningKey(at); !ok {
			continue
		}
		if err := openpgp.DetachSign(&signatures, k.entity, bytes.NewReader(message), config(at)); err != nil {
			return nil, fmt.Errorf("sign with key %s: %w", k.Fingerprint(), err)
		}
	}
	return armorBytes(openpgp.SignatureType, signatures.Bytes())
}
