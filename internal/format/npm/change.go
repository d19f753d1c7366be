package npm

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	// maxChange bounds what a request says beside the tarball, in bytes. That
	// of npm deprecate is the whole packument.
	maxChange = 64 << 20
	// changeMemory is what reading it may take for each of its bytes: a version of
	// nothing is written in nine, and is a member of a map. TestChangeLinear has the
	// worst.
	changeMemory = 8
	// maxStated bounds the versions that a request speaks of.
	maxStated = 100_000
	// maxTags bounds the dist-tags of a request, in bytes of JSON: some thousands.
	maxTags = 256 << 10
)

// change is what a client sends with PUT /<name>: a packument, or as much of
// one as is new.
type change struct {
	name     string
	revision string
	tags     map[string]string
	versions map[string]string // what each is deprecated with; "" for nothing
	// first is what is said of the first version, and the only one where it is
	// published.
	first stated
	// absent is what the client wants to change and this registry has not:
	// "stars". It is "" if there is nothing.
	absent string
}

// stated is what a client says of a version.
type stated struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Dist    struct {
		Shasum    string `json:"shasum"`
		Integrity string `json:"integrity"`
	} `json:"dist"`
	Dependencies         json.RawMessage `json:"dependencies"`
	OptionalDependencies json.RawMessage `json:"optionalDependencies"`
	PeerDependencies     json.RawMessage `json:"peerDependencies"`
	Scripts              json.RawMessage `json:"scripts"`
}

// readChange reads a packument without its attachments.
func readChange(text io.Reader) (*change, error) {
	s := newScanner(text, maxChange)
	c := &change{versions: make(map[string]string)}
	err := s.object(func(key string) (err error) {
		switch key {
		case "name":
			c.name, err = s.text()
		case "_rev":
			c.revision, err = s.text()
		case "dist-tags":
			err = member(s, maxTags, &c.tags)
		case "versions":
			err = s.object(func(version string) error { return c.version(s, version) })
		case "users", "maintainers":
			err = c.aside(s, key)
		default:
			_, err = s.value(s.left)
		}
		return within(key, err)
	})
	if err == nil {
		err = s.end()
	}
	return c, err
}

// version reads what is said of one version.
func (c *change) version(s *scanner, version string) error {
	if len(c.versions) == maxStated {
		return errTooMuch
	}
	raw, err := s.value(s.left)
	if err != nil {
		return err
	}
	if len(c.versions) == 0 {
		err = json.Unmarshal(raw, &c.first)
		c.first.Version = version
	}
	var v struct {
		Deprecated json.RawMessage `json:"deprecated"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	if err != nil {
		return &syntaxError{err.Error()}
	}
	message := ""
	if v.Deprecated != nil && json.Unmarshal(v.Deprecated, &message) != nil {
		message = "" // npm says false for none
	}
	c.versions[version] = message
	return nil
}

// aside reads what npm star, or npm owner, changes in a packument. Ours has
// neither: a client that states them wants them changed.
func (c *change) aside(s *scanner, key string) error {
	c.absent = map[string]string{"users": "stars", "maintainers": absentOfPackage["owners"]}[key]
	_, err := s.value(s.left)
	return err
}

// member reads a value of so many bytes at most into a Go one.
func member(s *scanner, most int, into any) error {
	raw, err := s.value(most)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return &syntaxError{err.Error()}
	}
	return nil
}

// within says in which member of the body an error lies, if there is one.
func within(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%.40q: %w", key, err)
}

// isMalformed reports whether an error of readChange is the client's: what it
// sent is no packument.
func isMalformed(err error) bool {
	var syntax *syntaxError
	var corrupt base64.CorruptInputError
	return errors.As(err, &syntax) || errors.As(err, &corrupt) || errors.Is(err, errTooMuch)
}

// agrees compares what a client says of a version with the tarball that it
// sent. What is installed is what the tarball says; a request that says
// something else shows people another package than they get.
func (s stated) agrees(t *tarball) error {
	if s.Name != "" && s.Name != t.name {
		return fmt.Errorf("the request is about %.60q, and package.json in the tarball says %q", s.Name, t.name)
	}
	if v, err := cleanVersion(s.Version); s.Version != "" && (err != nil || v != t.version) {
		return fmt.Errorf("the request is about version %.60q, and package.json in the tarball says %q", s.Version, t.version)
	}
	if s.Dist.Shasum != "" && !strings.EqualFold(s.Dist.Shasum, t.upload.SHA1) {
		return fmt.Errorf("the tarball has the SHA-1 %s, and the request says %.60q", t.upload.SHA1, s.Dist.Shasum)
	}
	if err := s.agreesIntegrity(integrity(t.upload.SHA512)); err != nil {
		return err
	}
	for _, c := range []struct {
		what          string
		theirs, owned object
	}{
		{"dependencies", union(union(dependencies(s.OptionalDependencies), dependencies(s.Dependencies)), t.bundled()),
			union(union(texts(t.fields.get("optionalDependencies")), texts(t.fields.get("dependencies"))), t.bundled())},
		{"peerDependencies", texts(s.PeerDependencies), texts(t.fields.get("peerDependencies"))},
		{"scripts", hooks(s.Scripts, t.contents.gyp), hooks(t.fields.get("scripts"), t.contents.gyp)},
	} {
		if name, same := differ(c.theirs, c.owned); !same {
			return fmt.Errorf("its %s differ from those in the request: %.60q", c.what, name)
		}
	}
	return nil
}

// agreesIntegrity compares the SHA-512 among the digests that a client states.
func (s stated) agreesIntegrity(have string) error {
	for word := range strings.FieldsSeq(s.Dist.Integrity) {
		word, _, _ = strings.Cut(word, "?")
		if strings.HasPrefix(word, "sha512-") && word != have {
			return fmt.Errorf("the tarball has the integrity %s, and the request says %.120q", have, word)
		}
	}
	return nil
}

// union has the members of both; of a name that both have, the first one's. A
// dependency that is an optional one too is that alone to clients: yarn 1 takes
// it out of the others before it states them.
func union(first, second object) object {
	var all builder
	for _, f := range second {
		all.put(f.name, f.value)
	}
	for _, f := range first {
		all.put(f.name, f.value)
	}
	return all.all
}

// bundled are the packages in the tarball, each as a dependency on any version:
// npm states one for those that are no dependency otherwise.
func (t *tarball) bundled() object {
	var names []string
	var all builder
	_ = json.Unmarshal(t.fields.get("bundleDependencies"), &names) // made by normaliseBundled
	for _, name := range names {
		all.put(name, must("*"))
	}
	return all.all
}

// hooks are the scripts that an installation runs. What a gyp file means without
// being written is left out: npm states it, bun does not, and yarn 1 does even
// where gypfile is false.
func hooks(value json.RawMessage, gyp bool) (o object) {
	for _, f := range texts(value) {
		if meant := gyp && f.name == "install" && f.text() == buildGyp; slices.Contains(installScripts, f.name) && !meant {
			o = append(o, f)
		}
	}
	return o
}

// differ compares two maps of texts and names a member that only one has, or
// that says something else. Clients rewrite the URLs of Git, so that of those
// the names count.
func differ(a, b object) (name string, same bool) {
	theirs := make(map[string]string, len(b))
	for _, f := range b {
		theirs[f.name] = strings.TrimSpace(f.text())
	}
	for _, f := range a {
		one := strings.TrimSpace(f.text())
		two, ok := theirs[f.name]
		if !ok || one != two && !strings.ContainsAny(one, "/:") && !strings.ContainsAny(two, "/:") {
			return f.name, false
		}
		delete(theirs, f.name)
	}
	for _, f := range b {
		if _, left := theirs[f.name]; left {
			return f.name, false
		}
	}
	return "", true
}
