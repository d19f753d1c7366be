package repo

import "time"

// KeyType tells what a GPG key signs.
type KeyType string

// The key types.
const (
	RepositoryKey KeyType = "repo"    // signs the repository's metadata
	PackageKeyPub KeyType = "package" // signs packages; only its public part is kept
)

// Key is an OpenPGP key of a repository.
type Key struct {
	ID           int64
	RepositoryID int64
	Type         KeyType
	Name         string // file name: <user>-<repo>-<16 hex>.pub.gpg
	Fingerprint  string // 40 upper-case hexadecimal digits
	Public       []byte // ASCII armoured
	// Sealed is the private key, encrypted to the master key; nil for package
	// keys.
	Sealed    []byte
	CreatedAt time.Time
}
