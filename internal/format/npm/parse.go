package npm

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// tarball is a package that has been read.
type tarball struct {
	*manifest
	contents *contents
	upload   format.Upload
}

// Parse implements format.Format. What a package is, its package.json says.
func (Format) Parse(ctx context.Context, u format.Upload) (format.Parsed, error) {
	content := &watched{ReaderAt: u.Content}
	u.Content = content
	t, err := parse(ctx, u)
	switch {
	case content.err != nil:
		return nil, content.err
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, repo.Invalid("package_file", fmt.Sprintf("%q is not a valid npm package: %v", u.Filename, err))
	}
	return t, nil
}

func parse(ctx context.Context, u format.Upload) (*tarball, error) {
	c, err := readTarball(ctx, u, maxUnpacked)
	if err != nil {
		return nil, err
	}
	if err := u.NeedMemory(manifestMemory * int64(len(c.manifest)+len(u.Fields[fieldStated]))); err != nil {
		return nil, err
	}
	m, err := readManifest(c)
	if err != nil {
		return nil, fmt.Errorf("its package.json: %w", err)
	}
	if err := addPrograms(ctx, u, m, maxUnpacked); err != nil {
		return nil, err
	}
	t := &tarball{m, c, u}
	return t, says(t)
}

// manifestMemory is what reading a package.json, and what a client says of it, may
// take for each of their bytes: a dependency is written in eight, and is a name and a text several times over.
// TestLinear has the worst.
const manifestMemory = 64

// watched remembers that the content could not be read, which is no fault of
// the package, whatever a decompressor makes of it.
type watched struct {
	io.ReaderAt
	err error
}

func (w *watched) ReadAt(p []byte, offset int64) (int, error) {
	n, err := w.ReaderAt.ReadAt(p, offset)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// contexts are the API's words for relations, which packagecloud spells so.
var contexts = []struct{ context, field string }{
	{"dependency", "dependencies"},
	{"devDependencies", "devDependencies"},
	{"optionalDependencies", "optionalDependencies"},
	{"bundleDependencies", "bundleDependencies"},
	{"peerDependencies", "peerDependencies"},
}

// Package implements format.Parsed. Each name is a list of its own.
func (t *tarball) Package() *repo.Package {
	scope, _ := splitName(t.name)
	p := &repo.Package{
		Type: repo.Node, Name: t.name, Version: t.version, List: t.name, Namespace: scope,
		Summary: firstLine(t.fields.text("description")), Description: t.fields.text("description"),
		Files: []repo.File{{Name: tarballName(t.name, t.version), Size: t.upload.Size, Digests: t.upload.Digests}},
	}
	for _, c := range contexts {
		if names := relations(t.fields.get(c.field)); names != nil {
			p.Dependencies = append(p.Dependencies, repo.Dependencies{Context: c.context, Names: names})
		}
	}
	p.Licenses = licenses(t.fields)
	if message := t.fields.text("deprecated"); message != "" {
		p.Attributes = map[string]string{Deprecated: message}
	}
	return p
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(line)
}

// relations are "name range", in order of names.
func relations(value json.RawMessage) (names []string) {
	var list []string
	if json.Unmarshal(value, &list) == nil {
		return list
	}
	for _, f := range texts(value) {
		names = append(names, strings.TrimSpace(f.name+" "+f.text()))
	}
	slices.Sort(names)
	return names
}

// licenses are an SPDX expression, or what packages of old have.
func licenses(fields object) (all []string) {
	var list []json.RawMessage
	if json.Unmarshal(fields.get("licenses"), &list) != nil {
		list = nil
	}
	seen := map[string]bool{"": true}
	for _, value := range append([]json.RawMessage{fields.get("license")}, list...) {
		if text := firstText(value, "type"); !seen[text] {
			seen[text] = true
			all = append(all, text)
		}
	}
	return all
}

// abbreviated are the fields of the abbreviated packument
// (https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md).
var abbreviated = []string{
	"name", "version", "deprecated", "dependencies", "optionalDependencies", "devDependencies", "bundleDependencies",
	"peerDependencies", "peerDependenciesMeta", "acceptDependencies", "bin", "directories", "engines", "cpu", "os", "libc", "funding",
}

// Entries implements format.Parsed: the version object of both packuments.
func (t *tarball) Entries(l format.Listing) ([]format.Entry, error) {
	dist := field{"dist", must(t.dist(l))}
	full := append(object{dist}, t.fields...)
	short := object{dist}
	for _, f := range t.fields {
		if slices.Contains(abbreviated, f.name) {
			short = append(short, f)
		}
	}
	err := full.set("_id", t.name+"@"+t.version)
	if err == nil {
		err = full.set("_hasShrinkwrap", t.contents.shrinkwrap)
	}
	for _, o := range []*object{&full, &short} {
		if err == nil && t.runsScripts() {
			err = o.set("hasInstallScript", true)
		}
	}
	if err == nil && t.contents.shrinkwrap {
		err = short.set("_hasShrinkwrap", true)
	}
	if err != nil {
		return nil, err
	}
	var entries []format.Entry
	for _, k := range []struct {
		kind string
		o    object
	}{{kindFull, full}, {kindAbbreviated, short}} {
		text, err := entry(t.version, k.o)
		if err != nil {
			return nil, err
		}
		if len(text) > format.MaxEntry {
			return nil, repo.Invalid("package_file", fmt.Sprintf("%q cannot be listed: what its package.json says takes %d bytes", t.upload.Filename, len(text)))
		}
		entries = append(entries, format.Entry{Kind: k.kind, Text: text})
	}
	return entries, nil
}

// entry is a member of "versions", with the comma that parts it from the one
// before. It begins with dist, and that with tarball, for Locate.
func entry(version string, o object) ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "\n,%q:", version)
	err := o.write(&out)
	return out.Bytes(), err
}

// dist tells where the tarball is and what it weighs.
func (t *tarball) dist(l format.Listing) object {
	f := l.Files[0]
	return object{
		{"tarball", must(escapePath(f.Path))}, {"shasum", must(f.SHA1)}, {"integrity", must(integrity(f.SHA512))},
		{"fileCount", must(t.contents.files)}, {"unpackedSize", must(t.contents.unpacked)},
	}
}

// tarballMember is where the first URL of an entry begins.
const tarballMember = `:{"dist":{"tarball":"`

// Locate implements format.Locator: dist.tarball is absolute.
func (Format) Locate(text []byte, url string) []byte {
	head, path, ok := bytes.Cut(text, []byte(tarballMember))
	if !ok {
		return text
	}
	return slices.Concat(head, []byte(tarballMember), []byte(url), []byte("/"), path)
}

// integrity is a digest as Subresource Integrity writes it.
func integrity(sha512 string) string {
	raw, err := hex.DecodeString(sha512)
	if err != nil {
		return ""
	}
	return "sha512-" + base64.StdEncoding.EncodeToString(raw)
}
