// Package seal encrypts what the database keeps and nobody else may read:
// private keys, and tokens that must be shown again. The key, the master key,
// is a file that only the service user reads.
//
// A sealed value is an age file (https://age-encryption.org/v1) of a label and
// the plaintext. The label ties it to its purpose: a value that is copied into
// another column does not open there.
package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
)

// maxPlaintext bounds what is unsealed, in bytes.
const maxPlaintext = 1 << 20

// Sealer seals to one master key.
type Sealer struct {
	identity *age.X25519Identity
}

// Open reads the master key from a file. A file that others may read is
// refused.
func Open(path string) (*Sealer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the master key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("the master key %s may be read by others than its owner (mode %04o): run chmod 600 %s", path, mode, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the master key: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		identity, err := age.ParseX25519Identity(line)
		if err != nil {
			return nil, fmt.Errorf("the master key %s is damaged (its content is not shown): restore it from a backup", path)
		}
		return &Sealer{identity}, nil
	}
	return nil, fmt.Errorf("the master key %s is empty: restore it from a backup", path)
}

// Create makes a master key in a file that must not exist, readable by its
// owner alone. It is whole and on disk before it gets its name.
func Create(path string) (*Sealer, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("make a master key: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".master-key-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("make a master key: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // its other name stays
	_, err = fmt.Fprintf(f, "# Opens the private keys and tokens in the database. Keep a copy in a safe place.\n%s\n", identity)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("write the master key: %w", err)
	}
	if err := os.Link(f.Name(), path); err != nil {
		return nil, fmt.Errorf("make the master key %s: %w", path, err)
	}
	return &Sealer{identity}, nil
}

// OpenOrCreate opens the master key, and makes one if there is none.
func OpenOrCreate(path string) (*Sealer, error) {
	s, err := Open(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	s, err = Create(path)
	if errors.Is(err, fs.ErrExist) { // another process was faster
		return Open(path)
	}
	return s, err
}

// Seal encrypts a value.
func (s *Sealer) Seal(label string, plaintext []byte) ([]byte, error) {
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, s.identity.Recipient())
	if err != nil {
		return nil, fmt.Errorf("seal a %s: %w", label, err)
	}
	if _, err := w.Write(append([]byte(label+"\x00"), plaintext...)); err != nil {
		return nil, fmt.Errorf("seal a %s: %w", label, err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal a %s: %w", label, err)
	}
	return sealed.Bytes(), nil
}

// Unseal opens a value that was sealed with the same label.
func (s *Sealer) Unseal(label string, sealed []byte) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), s.identity)
	if err != nil {
		return nil, fmt.Errorf("open a sealed %s: %w: was the database made with another master key?", label, err)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxPlaintext))
	if err != nil {
		return nil, fmt.Errorf("open a sealed %s: %w", label, err)
	}
	have, plaintext, ok := bytes.Cut(text, []byte{0})
	if !ok || string(have) != label {
		return nil, fmt.Errorf("open a sealed %s: it is something else", label)
	}
	return plaintext, nil
}
