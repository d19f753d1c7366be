package npm

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// fieldStated is the format.Upload field with what the client of npm publish
// says of the version, as JSON.
const fieldStated = "manifest"

// maxSaid bounds what of a request is kept until it is done, in bytes: that field,
// or messages of deprecation. It is no part of the memory that parses share, and
// as much as the buffers of an upload.
const maxSaid = 1 << 20

// receivePackument answers PUT of a packument: npm publish if a tarball came
// along, else a change of what there is.
func receivePackument(ctx context.Context, c format.Call, r route) (a format.Action, err error) {
	var file format.Upload
	p, err := split(ctx, c, func(name string, content io.Reader) (err error) {
		file, err = c.Keep(ctx, path.Base(name), content)
		return err
	})
	if err != nil {
		return a, malformed(err)
	}
	err = c.Within(ctx, changeMemory*p.size, func(ctx context.Context) error {
		change, err := readChange(p.text())
		switch {
		case err != nil:
			return malformed(err)
		case change.name != "" && change.name != r.name:
			return invalid("name", fmt.Errorf("the request is about %q, and what it says about %.60q", r.name, change.name))
		case p.attached != "":
			a, err = publish(change, p.attached, file, r.name)
			return err
		case r.revision != "":
			change.revision = r.revision
		}
		a, err = amend(ctx, c, change, r)
		return err
	})
	return a, err
}

// publish records the one version that came. Parse compares what the client
// says of it with the tarball.
func publish(c *change, attached string, file format.Upload, name string) (format.Action, error) {
	if len(c.versions) != 1 {
		return format.Action{}, invalid("versions", fmt.Errorf("one tarball came, and the request speaks of %d versions", len(c.versions)))
	}
	clean, err := cleanVersion(c.first.Version)
	if err != nil {
		return format.Action{}, invalid("versions", err)
	}
	if !namesTarball(attached, name, clean) {
		return format.Action{}, invalid("_attachments", fmt.Errorf("%.120q is not the tarball of %s@%s", attached, name, clean))
	}
	p := format.Pushing{File: file}
	for tag, to := range c.tags {
		if err := validTag(tag); err != nil {
			return format.Action{}, invalid("dist-tags", err)
		}
		if of, err := cleanVersion(to); err != nil || of != clean {
			return format.Action{}, invalid("dist-tags", fmt.Errorf("the tag %s is to be %.60q, and the tarball is of %s", tag, to, clean))
		}
		p.Tags = append(p.Tags, tag)
	}
	slices.Sort(p.Tags)
	c.first.Name = name
	text, err := json.Marshal(c.first)
	if err != nil {
		return format.Action{}, fmt.Errorf("keep what is said of %s: %w", name, err)
	}
	if len(text) > maxSaid {
		return format.Action{}, invalid("versions", fmt.Errorf("what is said of %s takes %d bytes, more than the %d that are allowed: push the tarball itself", clean, len(text), maxSaid))
	}
	p.Fields = map[string]string{fieldStated: string(text)}
	return format.Action{Push: []format.Pushing{p}, Answer: done(), Await: true}, nil
}

// namesTarball reports whether an attachment has the name of a version's
// tarball. bun and yarn leave the build metadata in it that they, or we, cut off
// the version.
func namesTarball(attached, name, clean string) bool {
	_, base := splitName(name)
	version, ok := strings.CutPrefix(path.Base(attached), base+"-")
	if !ok {
		return false
	}
	version, ok = strings.CutSuffix(version, ".tgz")
	if !ok {
		return false
	}
	version, err := cleanVersion(version)
	return err == nil && version == clean
}

// amend brings what there is to what a packument says that the client has read
// and changed: deprecations and, in what npm unpublish sends, versions that
// are not in it any more.
func amend(ctx context.Context, c format.Call, ch *change, r route) (a format.Action, err error) {
	l, err := listed(ctx, c, r.name)
	if err != nil {
		return a, err
	}
	if have := Revision(l.Versions, l.Tags); ch.revision != "" && ch.revision != have {
		return a, fmt.Errorf("%s is at revision %s, not %.60q: %w", r.name, have, ch.revision, format.ErrStale)
	}
	if err := ch.possible(l, r); err != nil {
		return a, err
	}
	messages, size := make(map[string]*string), 0
	for _, v := range l.Versions {
		message, ok := ch.versions[v.Version]
		if !ok && r.revision != "" {
			a.Remove = append(a.Remove, target(v))
			continue
		}
		if !ok || message == v.Attributes[Deprecated] {
			continue
		}
		if _, known := messages[message]; !known && message != "" {
			messages[message] = &message
			if size += len(message); size > maxSaid {
				return a, invalid("versions", fmt.Errorf("the messages of deprecation take more than the %d bytes that are allowed", maxSaid))
			}
		}
		a.Amend = append(a.Amend, format.Amendment{Target: target(v), Attributes: map[string]*string{Deprecated: messages[message]}})
	}
	a.Answer, a.Await = done(), true
	return a, nil
}

// possible refuses changes that would be told to be done, and would not be.
func (c *change) possible(l format.List, r route) error {
	if c.absent != "" {
		return invalid("base", fmt.Errorf("this registry has no %s", c.absent))
	}
	if len(c.versions) == 0 {
		return invalid("versions", errors.New("a packument without versions: to remove all of them, delete it"))
	}
	there := versionsOf(l)
	for version := range c.versions {
		if !there[version] {
			return invalid("versions", fmt.Errorf("there is no %s@%.60q, and no tarball of it came along", r.name, version))
		}
	}
	if r.revision == "" && c.tags != nil && !maps.Equal(c.tags, l.Tags) {
		return invalid("dist-tags", errors.New("tags are changed with npm dist-tag"))
	}
	return nil
}

// versionsOf are the versions of a list, as a set.
func versionsOf(l format.List) map[string]bool {
	there := make(map[string]bool, len(l.Versions))
	for _, v := range l.Versions {
		there[v.Version] = true
	}
	return there
}

func target(v format.Version) format.Target {
	scope, _ := splitName(v.Name)
	return format.Target{Namespace: scope, Filename: v.Filename}
}

// receiveUnpublish answers DELETE of a packument: all versions go.
func receiveUnpublish(ctx context.Context, c format.Call, r route) (a format.Action, err error) {
	l, err := listed(ctx, c, r.name)
	if err != nil {
		return a, err
	}
	if have := Revision(l.Versions, l.Tags); r.revision != have {
		return a, fmt.Errorf("%s is at revision %s, not %.60q: %w", r.name, have, r.revision, format.ErrStale)
	}
	for _, v := range l.Versions {
		a.Remove = append(a.Remove, target(v))
	}
	a.Answer, a.Await = done(), true
	return a, nil
}

// receiveDelete answers DELETE of a tarball, which npm unpublish sends when the
// version is gone from the packument. Here it went with it.
func receiveDelete(ctx context.Context, c format.Call, r route) (a format.Action, err error) {
	l, err := c.Look(ctx, scopeOS, scopeVersion, r.name)
	if err != nil {
		return a, err
	}
	for _, v := range l.Versions {
		if v.Filename == r.file {
			a.Remove = append(a.Remove, target(v))
		}
	}
	a.Answer, a.Await = done(), true
	return a, nil
}

// receiveVersion answers GET of what a packument says of one version, which may
// be named by a tag.
func receiveVersion(ctx context.Context, c format.Call, r route) (a format.Action, err error) {
	l, err := listed(ctx, c, r.name)
	if err != nil {
		return a, err
	}
	version := cmp.Or(l.Tags[r.tag], r.tag)
	if clean, err := cleanVersion(version); err == nil {
		version = clean
	}
	i := slices.IndexFunc(l.Versions, func(v format.Version) bool { return v.Version == version })
	if i < 0 {
		return a, fmt.Errorf("version %.60q of %s: %w", version, r.name, repo.ErrNotFound)
	}
	text, err := c.Entry(ctx, scopeOS, scopeVersion, target(l.Versions[i]), kindFull)
	if err != nil {
		return a, err
	}
	_, o, err := readEntry(text)
	if err != nil {
		return a, fmt.Errorf("read the entry of %s@%s: %w", r.name, version, err)
	}
	a.Answer = answer(0, o)
	return a, nil
}

// receiveTags answers GET of all dist-tags.
func receiveTags(ctx context.Context, c format.Call, r route) (a format.Action, err error) {
	l, err := listed(ctx, c, r.name)
	a.Answer = answer(0, l.Tags)
	return a, err
}

// receiveTag answers GET of one.
func receiveTag(ctx context.Context, c format.Call, r route) (a format.Action, err error) {
	l, err := listed(ctx, c, r.name)
	if err == nil && l.Tags[r.tag] == "" {
		err = noTag(r)
	}
	a.Answer = answer(0, l.Tags[r.tag])
	return a, err
}

// receiveSetTag answers PUT of a tag, whose body is the version.
func receiveSetTag(ctx context.Context, c format.Call, r route) (format.Action, error) {
	s := newScanner(c.Body, maxVersion+maxTag)
	version, err := s.text()
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return format.Action{}, malformed(err)
	}
	return setTags(ctx, c, r, map[string]string{r.tag: version})
}

// receiveSetTags answers POST of some tags, and PUT of all there shall be.
func receiveSetTags(ctx context.Context, c format.Call, r route) (format.Action, error) {
	var tags map[string]string
	s := newScanner(c.Body, maxText)
	err := member(s, maxText, &tags)
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return format.Action{}, malformed(err)
	}
	return setTags(ctx, c, r, tags)
}

// setTags makes tags stand for versions that there are.
func setTags(ctx context.Context, c format.Call, r route, tags map[string]string) (a format.Action, err error) {
	l, err := listed(ctx, c, r.name)
	if err != nil {
		return a, err
	}
	there := versionsOf(l)
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		version := tags[tag]
		if err := validTag(tag); err != nil {
			return a, invalid("dist-tags", err)
		}
		if !there[version] {
			return a, invalid("dist-tags", fmt.Errorf("there is no %s@%.60q to be tagged %s", r.name, version, tag))
		}
		a.Tag = append(a.Tag, format.Tagging{List: r.name, Tag: tag, Value: &version})
	}
	if c.Method == format.Put && r.tag == "" {
		if tags[Latest] == "" {
			return a, invalid("dist-tags", errNoLatest)
		}
		for _, tag := range slices.Sorted(maps.Keys(l.Tags)) {
			if _, stays := tags[tag]; !stays {
				a.Tag = append(a.Tag, format.Tagging{List: r.name, Tag: tag})
			}
		}
	}
	a.Answer, a.Await = done(), true
	return a, nil
}

var errNoLatest = errors.New("a package always has a latest version")

// receiveDeleteTag answers DELETE of a tag.
func receiveDeleteTag(ctx context.Context, c format.Call, r route) (a format.Action, err error) {
	l, err := listed(ctx, c, r.name)
	switch {
	case err != nil:
		return a, err
	case l.Tags[r.tag] == "":
		return a, noTag(r)
	case r.tag == Latest:
		return a, invalid("dist-tags", errNoLatest)
	}
	a.Tag = []format.Tagging{{List: r.name, Tag: r.tag}}
	a.Answer, a.Await = done(), true
	return a, nil
}
