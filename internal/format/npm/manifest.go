package npm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// manifest is a package.json as npm reads it (the normalisation of
// @npmcli/package-json that bears on an installation; clients do the rest
// themselves).
type manifest struct {
	name, version string
	fields        object // all that goes into the full packument, cleaned
}

// installScripts are those that run when a package is installed.
var installScripts = []string{"preinstall", "install", "postinstall"}

// buildGyp is the install script of a package that has a gyp file and says
// nothing else.
const buildGyp = "node-gyp rebuild"

// readManifest reads the package.json of a tarball.
func readManifest(c *contents) (*manifest, error) {
	fields, err := parseObject(bytes.ToValidUTF8(bytes.TrimPrefix(c.manifest, []byte("\xef\xbb\xbf")), []byte("\uFFFD")))
	if err != nil {
		return nil, err
	}
	if len(fields) > maxFields {
		return nil, fmt.Errorf("it has more than %d fields", maxFields)
	}
	m := &manifest{fields: fields}
	if m.name, err = stringField(fields, "name"); err != nil {
		return nil, err
	}
	m.name = strings.TrimSpace(m.name)
	if err := validName(m.name); err != nil {
		return nil, err
	}
	if m.name[0] == '-' { // there may be packages of such names from before npm 12
		return nil, fmt.Errorf("its name %.60q begins with a hyphen, which npm 12 does not take", m.name)
	}
	version, err := stringField(fields, "version")
	if err != nil {
		return nil, err
	}
	if m.version, err = cleanVersion(version); err != nil {
		return nil, err
	}
	return m, m.normalise(c)
}

func stringField(fields object, name string) (text string, err error) {
	value := fields.get(name)
	if value == nil {
		return "", fmt.Errorf("it has no %s", name)
	}
	if err := json.Unmarshal(value, &text); err != nil {
		return "", fmt.Errorf("its %s %.60s is no text", name, value)
	}
	return text, nil
}

// ours are the fields that the repository gives; a package's are dropped, as
// npm drops all that begin with an underscore.
var ours = []string{"dist", "readme", "readmeFilename", "hasInstallScript", "gypfile", "__proto__"}

// normalise brings the fields into the shapes that installers expect.
func (m *manifest) normalise(c *contents) error {
	f := &m.fields
	gypfile := string(f.get("gypfile")) != "false"
	f.drop(ours...)
	*f = slices.DeleteFunc(*f, func(f field) bool { return strings.HasPrefix(f.name, "_") })
	var err error
	set := func(name string, value any) { err = errors.Join(err, f.set(name, value)) }
	set("name", m.name)
	set("version", m.version)
	for _, name := range []string{"dependencies", "devDependencies", "optionalDependencies"} {
		if value := f.get(name); value != nil {
			m.replace(name, dependencies(value))
		}
	}
	m.replace("peerDependencies", texts(f.get("peerDependencies")))
	m.normaliseBundled(set)
	m.replace("bin", binaries(m.name, f.get("bin")))
	scripts := texts(f.get("scripts"))
	if c.gyp && gypfile && scripts.get("install") == nil && scripts.get("preinstall") == nil {
		err = errors.Join(err, scripts.set("install", buildGyp))
		set("gypfile", true)
	}
	m.replace("scripts", scripts)
	m.typed()
	return err
}

// typed drops what has another type than installers expect of what they read in
// an abbreviated packument: they fail at it, or, written in other languages than
// JavaScript, do not see the version.
func (m *manifest) typed() {
	f := &m.fields
	for _, name := range []string{"engines", "directories", "acceptDependencies"} {
		if value := f.get(name); value != nil && !isObject(value) {
			f.drop(name)
		}
	}
	var meta object
	for _, peer := range members(f.get("peerDependenciesMeta")) {
		if isObject(peer.value) && peer.name != "__proto__" {
			meta = append(meta, peer)
		}
	}
	m.replace("peerDependenciesMeta", meta)
	for _, name := range []string{"os", "cpu", "libc"} {
		if value := f.get(name); value != nil && value[0] != '[' && value[0] != '"' {
			f.drop(name)
		}
	}
	if value := f.get("funding"); value != nil && value[0] != '[' && value[0] != '"' && value[0] != '{' {
		f.drop("funding")
	}
	if value := f.get("deprecated"); value != nil && (value[0] != '"' || string(value) == `""`) {
		f.drop("deprecated")
	}
}

// replace sets a field that is an object, and drops it if there is nothing in
// it.
func (m *manifest) replace(name string, value object) {
	if len(value) == 0 {
		m.fields.drop(name)
		return
	}
	_ = m.fields.set(name, value) // made of valid JSON
}

// dependencies are a map of names to ranges, whether it is written as one or,
// as in packages of old, as a list or a text of "name@range".
func dependencies(value json.RawMessage) object {
	var list []any
	var text string
	switch {
	case isObject(value):
		return texts(value)
	case json.Unmarshal(value, &list) == nil:
	case json.Unmarshal(value, &text) == nil:
		for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
			list = append(list, word)
		}
	}
	var o builder
	for _, item := range list {
		word, ok := item.(string)
		if !ok || strings.TrimSpace(word) == "" {
			continue
		}
		word = strings.TrimSpace(word)
		name, version := word, ""
		if i := strings.IndexAny(word[1:], "@ ><="); i >= 0 {
			name, version = word[:i+1], strings.TrimSpace(strings.TrimPrefix(word[i+1:], "@"))
		}
		if name != "__proto__" {
			o.put(name, must(version))
		}
	}
	return o.all
}

// normaliseBundled spells bundleDependencies as npm does, names those that true
// stands for, and lists each as a dependency: on any version where nothing else is
// said.
func (m *manifest) normaliseBundled(set func(string, any)) {
	value := m.fields.get("bundleDependencies")
	if value == nil {
		value = m.fields.get("bundledDependencies")
	}
	m.fields.drop("bundleDependencies", "bundledDependencies")
	names := bundled(value, m.fields.get("dependencies"))
	if len(names) == 0 {
		return
	}
	set("bundleDependencies", names)
	if string(value) == "true" { // all of them are
		return
	}
	var depends, optional builder
	for _, f := range texts(m.fields.get("dependencies")) {
		depends.put(f.name, f.value)
	}
	for _, f := range texts(m.fields.get("optionalDependencies")) {
		optional.put(f.name, f.value)
	}
	anyVersion := must("*")
	for _, name := range names {
		if !depends.has(name) && !optional.has(name) {
			depends.put(name, anyVersion)
		}
	}
	m.replace("dependencies", depends.all)
}

// bundled are the names that a field bundleDependencies has.
func bundled(value, dependencies json.RawMessage) (names []string) {
	var list []any
	switch {
	case string(value) == "true":
		names = keys(dependencies)
	case isObject(value):
		names = keys(value)
	case value != nil && json.Unmarshal(value, &list) == nil:
		for _, item := range list {
			if name, ok := item.(string); ok {
				names = append(names, name)
			}
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" || name == "__proto__" })
}

func keys(value json.RawMessage) (names []string) {
	for _, f := range members(value) {
		names = append(names, f.name)
	}
	return names
}

// binaries maps commands to files below the package. A single file is a
// command named after the package.
func binaries(name string, value json.RawMessage) object {
	var single string
	var list []any
	var given, normal builder
	given.all = texts(value)
	switch {
	case value == nil || given.all != nil:
	case json.Unmarshal(value, &single) == nil:
		_, base := splitName(name)
		given.put(base, must(single))
	case json.Unmarshal(value, &list) == nil:
		for _, item := range list {
			if file, ok := item.(string); ok {
				given.put(path.Base(file), must(file))
			}
		}
	}
	for _, f := range given.all {
		command, file := path.Base(below(f.name)), below(f.text())
		if command != "." && command != "/" && command != "__proto__" && file != "" {
			normal.put(command, must(file))
		}
	}
	return normal.all
}

// below is a path that cannot lead out of the package, without "./" in front.
func below(file string) string {
	return strings.TrimPrefix(path.Clean("/"+slashes.Replace(file)), "/")
}

var slashes = strings.NewReplacer(`\`, "/", ":", "/")

// runsScripts reports whether installing the package runs a script of it.
func (m *manifest) runsScripts() bool {
	scripts := texts(m.fields.get("scripts"))
	return slices.ContainsFunc(installScripts, func(name string) bool { return scripts.text(name) != "" })
}
