package format

import "packagecloud/internal/repo"

// Originator is a format one of whose entry points names the server that made
// it, in a way that clients compare with what they have seen before.
type Originator interface {
	// OriginPath is the Path of that entry point.
	OriginPath() string
	// OriginOf is the Snapshot.Origin that an entry point was made with; "" if it
	// names none.
	OriginOf(r repo.Repository, body []byte) string
}
