// Package generic keeps files of any kind under a name and a version, as
// packagecloud's anyfile does, and serves them by HTTP alone:
//
//	generic/<name>/<version>/<file>           the file
//	generic/<file>                            one that was pushed without a name
//	generic/….sha256, .sha512, .sha1, .md5    its digest, in the words of sha256sum
//
// GET and HEAD read, PUT and DELETE write. There is no index: a file is there as
// soon as it is pushed.
package generic

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/textproto"
	"regexp"
	"strings"
	"unicode/utf8"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// The distribution version of all files.
const (
	distroOS      = "anyfile"
	distroVersion = "1"
)

// Format implements format.Format for files of any kind.
type Format struct{}

var (
	_ format.Named    = Format{}
	_ format.Receiver = Format{}
)

// New makes the format.
func New() Format { return Format{} }

// Name implements format.Format.
func (Format) Name() string { return "anyfile" }

// maxName bounds names, versions and file names, in bytes.
const maxName = 255

// checkName reports why a text cannot be a step of a path, or "".
func checkName(what, name string) string {
	switch {
	case name == "":
		return fmt.Sprintf("the %s can't be blank", what)
	case len(name) > maxName:
		return fmt.Sprintf("the %s is longer than %d bytes", what, maxName)
	case !utf8.ValidString(name) || !plainName.MatchString(name) || strings.Trim(name, ".") == "":
		return fmt.Sprintf("the %s %q must be made of printable characters without / and \\, and not of dots alone", what, name)
	}
	return ""
}

var plainName = regexp.MustCompile(`^[^\p{C}\p{Z}/\\]([^\p{C}\p{Zl}\p{Zp}/\\]*[^\p{C}\p{Z}/\\])?$`)

// Parse implements format.Format. There is nothing to read: the name comes from
// the client, and so do name and version, if it gives them.
func (Format) Parse(_ context.Context, u format.Upload) (format.Parsed, error) {
	file := u.Fields["filename"]
	if file == "" {
		file = u.Filename
	}
	name, version := u.Fields["name"], u.Fields["version"]
	if (name == "") != (version == "") {
		return nil, repo.Invalid("name", "give a name and a version, or neither")
	}
	p := &repo.Package{Type: repo.Anyfile, Files: []repo.File{{Name: file, Size: u.Size, Digests: u.Digests}}}
	if name != "" {
		p.Namespace = name + "/" + version
		if revisionFolder.MatchString(version) || revisionFolder.MatchString(name) {
			return nil, repo.Invalid("version", "is a word that this server uses itself: choose another one")
		}
	} else {
		name, version = file, unversioned
	}
	for _, s := range []struct{ what, name string }{{"file name", file}, {"name", name}, {"version", version}} {
		if wrong := checkName(s.what, s.name); wrong != "" {
			return nil, repo.Invalid("filename", wrong)
		}
	}
	p.Name, p.Version, p.List = name, version, name
	return parsed{p}, nil
}

// unversioned is the version of a file that was pushed without one.
const unversioned = "1"

var revisionFolder = regexp.MustCompile(`^r[0-9a-f]{16}$`)

type parsed struct{ pkg *repo.Package }

// Package implements format.Parsed.
func (p parsed) Package() *repo.Package { return p.pkg }

// Entries implements format.Parsed.
func (parsed) Entries(format.Listing) ([]format.Entry, error) { return nil, nil }

// Path implements format.Format.
func (Format) Path(p *repo.Package, file string, _ repo.DistroVersion, revision string) string {
	step := []string{"generic"}
	for _, s := range []string{p.Namespace, revision} {
		if s != "" {
			step = append(step, s)
		}
	}
	return strings.Join(append(step, file), "/")
}

// Documents implements format.Format: there are none.
func (Format) Documents(repo.DistroVersion, []string) []format.Document { return nil }

// NameEntry implements format.Named.
func (Format) NameEntry(string, string) []byte { return nil }

// Frame implements format.Format.
func (Format) Frame(format.Framing) (head, tail []byte) { return nil, nil }

// EntryPoints implements format.Format.
func (Format) EntryPoints(format.Snapshot) ([]format.EntryPoint, error) { return nil, nil }

// place is where a path points.
type place struct{ name, version, revision, file string }

func parsePath(path string) (p place, ok bool) {
	rest, ok := strings.CutPrefix(path, "generic/")
	step := strings.Split(rest, "/")
	if n := len(step); ok && (n == 2 || n == 4) && revisionFolder.MatchString(step[n-2]) {
		p.revision = step[n-2]
		step = append(step[:n-2], step[n-1])
	}
	switch {
	case ok && len(step) == 1:
		p.file = step[0]
	case ok && len(step) == 3:
		p.name, p.version, p.file = step[0], step[1], step[2]
	default:
		return p, false
	}
	return p, p.file != "" && (p.name == "") == (p.version == "")
}

func (p place) namespace() string {
	if p.name == "" {
		return ""
	}
	return p.name + "/" + p.version
}

// Resolve implements format.Format. A digest is made for a file that nobody
// pushed under the name of one.
func (Format) Resolve(q format.Query) (r format.Request, ok bool) {
	p, ok := parsePath(q.Path)
	if !ok {
		return r, false
	}
	r = format.Request{Kind: format.NamedFile, OS: distroOS, Version: distroVersion, Namespace: p.namespace(), Filename: p.file}
	if p.revision != "" {
		r.Kind, r.Paths = format.PackageFile, []string{q.Path}
		return r, true
	}
	for _, d := range digests {
		if file, ok := strings.CutSuffix(p.file, d.suffix); ok && file != "" {
			sum := r
			sum.Filename = file
			sum.Sum = func(f repo.File) []byte { return []byte(d.of(f.Digests) + "  " + f.Name + "\n") }
			r.Else = &sum
		}
	}
	return r, true
}

// digests are those that stand beside a file, and those that a client may send
// along to have the file checked.
var digests = []struct {
	suffix string
	header string // in hexadecimal
	http   string // its word in Repr-Digest (RFC 9530), in base64; "" if it has none
	of     func(repo.Digests) string
}{
	{".sha256", "X-Checksum-Sha256", "sha-256", func(d repo.Digests) string { return d.SHA256 }},
	{".sha512", "X-Checksum-Sha512", "sha-512", func(d repo.Digests) string { return d.SHA512 }},
	{".sha1", "X-Checksum-Sha1", "", func(d repo.Digests) string { return d.SHA1 }},
	{".md5", "X-Checksum-Md5", "", func(d repo.Digests) string { return d.MD5 }},
}

// Receives implements format.Receiver.
func (Format) Receives(method, path string) format.Access {
	if p, ok := parsePath(path); ok && p.revision == "" && (method == format.Put || method == format.Delete) {
		return format.WriteAccess
	}
	return format.NoAccess
}

// Receive implements format.Receiver.
func (Format) Receive(ctx context.Context, c format.Call) (a format.Action, err error) {
	p, _ := parsePath(c.Path)
	a.OS, a.Version = distroOS, distroVersion
	at := format.Target{
		Namespace: p.namespace(), Filename: p.file,
		Condition: format.Condition{IfMatch: c.Header.Get("If-Match"), IfNoneMatch: c.Header.Get("If-None-Match")},
	}
	if c.Method == format.Delete {
		a.Remove = []format.Target{at}
		a.Answer.Status = 204
		return a, nil
	}
	if c.Header.Get("Content-Range") != "" {
		return a, repo.Invalid("base", "a part of a file cannot be put: send the whole file, without Content-Range")
	}
	kept, err := c.Keep(ctx, p.file, c.Body)
	if err != nil {
		return a, err
	}
	if err := check(c.Header, kept.Digests); err != nil {
		return a, err
	}
	fields := map[string]string{"filename": p.file, "name": p.name, "version": p.version}
	a.Push = []format.Pushing{{File: kept, Fields: fields, At: at}}
	return a, nil
}

// check compares what was received with the digests that the client sent along.
func check(h textproto.MIMEHeader, got repo.Digests) error {
	expect := func(header, want, got string) error {
		if want != "" && want != got {
			return repo.Invalid("base", fmt.Sprintf("the file that arrived has another digest than %s says: send it again", header))
		}
		return nil
	}
	for _, d := range digests {
		if err := expect(d.header, strings.ToLower(strings.TrimSpace(h.Get(d.header))), d.of(got)); err != nil {
			return err
		}
		if d.http == "" {
			continue
		}
		for part := range strings.SplitSeq(h.Get("Repr-Digest")+","+h.Get("Content-Digest"), ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			raw, err := base64.StdEncoding.DecodeString(strings.Trim(value, ":"))
			if name != d.http || err != nil {
				continue
			}
			if err := expect("Repr-Digest", hex.EncodeToString(raw), d.of(got)); err != nil {
				return err
			}
		}
	}
	return expect("Content-MD5", contentMD5(h.Get("Content-Md5")), got.MD5)
}

// contentMD5 is the header Content-MD5 (RFC 1864) in hexadecimal.
func contentMD5(header string) string {
	raw, err := base64.StdEncoding.DecodeString(header)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(raw)
}
