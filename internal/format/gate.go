package format

import "packagecloud/internal/repo"

// Gate is implemented by formats whose clients refuse more than Parse can see in
// the bytes: they read what lists a package, and some of them give up on a whole
// index because of one entry.
//
// A push that Check refuses is answered 422. What was recorded under an older
// GateVersion is checked again before its scope is published next; a package
// that is refused then is withheld: it stays, and no index lists it.
type Gate interface {
	// GateVersion grows whenever Check refuses what it accepted before, and is
	// at least 1.
	GateVersion() int
	// Check says why clients could not bear the package if it were listed with
	// these entries. The *repo.InvalidError names the field of the package, its
	// text and the reason. It knows no more than what is kept: Files[0] of the
	// package, and no other file.
	Check(p *repo.Package, entries []Entry) error
}

// Check is the verdict of a format's Gate; nil if it has none.
func Check(f Format, p *repo.Package, entries []Entry) error {
	if g, ok := f.(Gate); ok {
		return g.Check(p, entries)
	}
	return nil
}

// GateVersion is that of a format; 0 if it has no Gate.
func GateVersion(f Format) int {
	if g, ok := f.(Gate); ok {
		return g.GateVersion()
	}
	return 0
}
