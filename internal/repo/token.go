package repo

import "time"

// TokenLength is the length of every token: 24 random bytes in lower-case
// hexadecimal. Clients refuse shorter ones.
const TokenLength = 48

// MasterToken creates read tokens for one repository; install scripts carry
// it. The one named DefaultMasterToken always exists.
type MasterToken struct {
	ID           int64
	RepositoryID int64
	Name         string
	Value        string
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// DefaultMasterToken names the master token that every repository has.
// Deleting it gives it a new value.
const DefaultMasterToken = "default"

// ReadToken lets one machine read one repository. It belongs to the master
// token that created it and ends with it.
type ReadToken struct {
	ID            int64
	MasterTokenID int64
	Name          string
	Value         string
	CreatedAt     time.Time
}
