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

// ErrNotSigned says that a key made none of the signatures.
var ErrNotSigned = errors.New("is not signed by this key")

// CheckDetached checks the signature that a key made of a message, among those
// in an ASCII armour. It returns when it was made; the clock of the caller has
// no part in the check.
func CheckDetached(public, message, signature []byte) (made time.Time, err error) {
	block, err := armor.Decode(bytes.NewReader(signature))
	if err != nil {
		return made, fmt.Errorf("read signature: %w", err)
	}
	packets, err := io.ReadAll(block.Body)
	if err != nil {
		return made, fmt.Errorf("read signature: %w", err)
	}
	return check(public, message, packets)
}

// CheckClear checks the signature that a key made of a text, among those at its
// end. It returns the text, also where the signature is wrong, and when it was
// made.
func CheckClear(public, signed []byte) (text []byte, made time.Time, err error) {
	block, rest := clearsign.Decode(signed)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, made, errors.New("this is no clear-text signature, or more than one")
	}
	packets, err := io.ReadAll(block.ArmoredSignature.Body)
	if err != nil {
		return nil, made, fmt.Errorf("read signature: %w", err)
	}
	made, err = check(public, block.Bytes, packets)
	return block.Plaintext, made, err
}

// check checks the signature of one key among several.
func check(public, message, signatures []byte) (made time.Time, err error) {
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(public))
	if err != nil {
		return made, fmt.Errorf("read public key: %w", err)
	}
	made, err = madeBy(keys, signatures)
	if err != nil {
		return made, err
	}
	if _, err := openpgp.CheckDetachedSignature(keys, bytes.NewReader(message), bytes.NewReader(signatures), config(made)); err != nil {
		return made, fmt.Errorf("the signature is wrong: %w", err)
	}
	return made, nil
}

// madeBy finds when one of some keys made one of some signatures.
func madeBy(keys openpgp.EntityList, signatures []byte) (time.Time, error) {
	for r := packet.NewReader(bytes.NewReader(signatures)); ; {
		p, err := r.Next()
		if err == io.EOF {
			return time.Time{}, ErrNotSigned
		}
		if err != nil {
			return time.Time{}, fmt.Errorf("read signature: %w", err)
		}
		s, ok := p.(*packet.Signature)
		if ok && s.IssuerKeyId != nil && len(keys.KeysById(*s.IssuerKeyId)) > 0 {
			return s.CreationTime, nil
		}
	}
}
