package format

import (
	"context"

	"packagecloud/internal/repo"
)

// ContentsLister is implemented by formats that can list which files the packages
// of a scope install. Repositories choose whether they have such documents.
//
// The entries are made in the background, from the stored bytes and not by
// Parse: to find the names of all files a package must be unpacked, which takes
// long for a large one. A package is listed in the other documents meanwhile, and
// also if its files cannot be listed.
type ContentsLister interface {
	// ContentsDocuments are the documents that a scope has for this beside those
	// of Documents, by the same rules. All are of one kind, which no other
	// document has. No package stands in them whose list is in none of
	// Document.Lists.
	ContentsDocuments(v repo.DistroVersion, lists []string) []Document
	// Contents makes the entry of a stored package for them. What is wrong with
	// the bytes, or too large to be listed, comes back as a *repo.InvalidError.
	Contents(ctx context.Context, u Upload) (Entry, error)
}
