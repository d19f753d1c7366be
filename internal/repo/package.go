package repo

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"regexp"
	"strings"
	"time"
)

// Type is a package type as the API names it.
type Type string

// The package types.
const (
	Deb Type = "deb"
	Dsc Type = "dsc" // Debian source package
	RPM Type = "rpm" // binary and source

	Node    Type = "node" // npm
	Python  Type = "python"
	Anyfile Type = "anyfile" // files of any kind
)

// Package is one package as a repository lists it for one distribution. The
// same bytes pushed to two distributions are two packages that share a file.
type Package struct {
	ID           int64
	RepositoryID int64
	ScopeID      int64
	Distro       DistroVersion
	Type         Type

	Name         string
	Version      string // without epoch; for deb with the Debian revision
	Release      string // rpm only
	Epoch        *int64 // nil where the package states none
	Architecture string // as the package states it; rpm sources are "src"
	Summary      string
	Description  string
	Licenses     []string // nil where the format has no field for it
	Dependencies []Dependencies

	// List names the listing within the scope that holds the package, say
	// "amd64", "all", "noarch" or "source". The format decides it.
	List string
	// Namespace is what the file name is unique within, beside the repository
	// and distribution: the scope of an npm package, the group of a Maven
	// artifact; "" for most.
	Namespace string
	// Attributes say what was decided about the package after it was pushed:
	// "yanked", "deprecated". Which there are is the format's.
	Attributes map[string]string
	// Files has the package file first, then what came along with it (the
	// tarballs of a .dsc).
	Files []File

	Uploader  string // User.Name
	CreatedAt time.Time
	// Indexed is true once a live generation lists the package.
	Indexed bool
	// Withheld says why no index lists the package: its clients would not bear
	// it. It is "" for a package that is listed.
	Withheld string
}

// Filename is the name of the package file, unique within the repository and
// distribution and within its namespace.
func (p *Package) Filename() string { return p.Files[0].Name }

// File is one stored file of a package.
type File struct {
	Name string // true name, which package managers and people see
	// Path is the canonical path where clients fetch the file, relative to
	// the repository's URL. A path never changes the bytes it stands for.
	Path string
	Size int64
	Digests
}

// Digests of a file in lower-case hexadecimal. All of them are made in one
// pass at upload; what a format's source file lists may be only some.
type Digests struct {
	MD5, SHA1, SHA256, SHA512 string
}

// Dependencies are the relations of one kind: Context is the API's name of
// the kind, say "depends" or "requires".
type Dependencies struct {
	Context string   `json:"context"`
	Names   []string `json:"dependencies"`
}

var unsafeKeyBytes = regexp.MustCompile(`[^A-Za-z0-9._-]`)

// PackageKey is the storage key of a package file: another one for each name that
// the same bytes have. A key keeps [A-Za-z0-9._-] alone, because a "+" in an
// object key is read as a space by S3; the true name travels in
// Content-Disposition. A name that a key cannot hold is told from those that look
// like it by its own digest, which stands in front.
func PackageKey(digest, name string) string {
	if safe := SafeName(name); safe != name || taggedName.MatchString(name) {
		sum := sha256.Sum256([]byte(name))
		name = hex.EncodeToString(sum[:16]) + "-" + safe[max(0, len(safe)-maxTaggedName):]
	}
	return "packages/" + digest + "/" + name
}

// ContentType is the media type of a package file, by its name.
func ContentType(name string) string {
	switch path.Ext(name) {
	case ".deb", ".udeb":
		return "application/vnd.debian.binary-package"
	case ".rpm":
		return "application/x-rpm"
	case ".dsc":
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}

// taggedName is a name that looks as if a digest stood in front of it.
var taggedName = regexp.MustCompile(`^[0-9a-f]{32}-`)

// maxTaggedName leaves room for two digests.
const maxTaggedName = 140

// IndexKey is the storage key of a repository index file.
func IndexKey(digest, name string) string {
	return "indexes/" + digest + "/" + SafeName(name)
}

// maxSafeName leaves room for a digest in front, in a file's name of 255 bytes.
const maxSafeName = 180

// SafeName is name with everything but [A-Za-z0-9._-] replaced by "_", at most
// its last 180 bytes, never empty and never a path step.
func SafeName(name string) string {
	name = unsafeKeyBytes.ReplaceAllString(name, "_")
	if len(name) > maxSafeName {
		name = name[len(name)-maxSafeName:]
	}
	if strings.Trim(name, ".") == "" {
		return "_" + name
	}
	return name
}
