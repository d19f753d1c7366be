package format

import "packagecloud/internal/repo"

// Named is implemented by formats that have documents for each list, a project
// or a module say, which no other list has a bearing on: the documents of some
// lists are what Documents gives for those lists, whatever others there are. A
// publication then sees the lists that changed and nothing else. The documents
// of a list that has no package left are gone.
//
// Documents with Names set are the scope's own: Documents gives them for any
// lists, none too. Their entries are the names of the lists that have packages,
// and they change when a name comes or goes. EntryPoints sees them alone.
type Named interface {
	Format
	// NameEntry is the text of a list in the documents of a kind.
	NameEntry(kind, list string) []byte
}

// Tagger is implemented by formats whose lists have tags, words that stand for
// a version: npm's dist-tags. The documents of a list are made again when its
// tags change.
type Tagger interface {
	// Retag gives the tags that a list has after a change.
	Retag(c TagChange) map[string]string
}

// TagChange is what happened to a list.
type TagChange struct {
	Tags     map[string]string // before
	Versions []Version         // those there are after the change, oldest first
	Pushed   string            // the version that came; "" for a deletion
	Asked    []string          // the tags that the client wants Pushed to have
	// Promoted says that Pushed came from another repository, where it may have
	// had tags: here it takes none from a version that has been there.
	Promoted bool
}

// Amender is implemented by formats whose packages can be marked after they
// were pushed: yanked, deprecated.
type Amender interface {
	// Amend makes the entries of a package again, from those it has and its
	// attributes, all of them.
	Amend(entries []Entry, attributes map[string]string) ([]Entry, error)
}

// Locator is implemented by formats whose documents have absolute URLs. They
// are written when a document is rendered, so that entries stay what they are
// when the server gets another address.
type Locator interface {
	// Locate completes an entry with the URL of the repository, which has no
	// slash at its end.
	Locate(text []byte, url string) []byte
}

// Located is how entries of a format are completed in a repository, below the
// public URL of the server.
func Located(f Format, server string, r repo.Repository) func(text []byte) []byte {
	l, ok := f.(Locator)
	if !ok {
		return func(text []byte) []byte { return text }
	}
	url := server + "/" + r.FullName()
	return func(text []byte) []byte { return l.Locate(text, url) }
}

// Deriving is implemented by a Parsed that brings files which nobody pushes,
// because they are taken out of the package: a wheel's METADATA. They are stored
// and stand in the package's Files behind all that Package gives.
type Deriving interface {
	Derived() []Derived
}

// Derived is a file made of a package.
type Derived struct {
	Name string
	Body []byte
}
