package config

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"packagecloud/internal/rubyconf"
	"packagecloud/internal/typo"
)

const (
	environmentName   = "environment" // stands for a file's name in problems
	environmentPrefix = "PACKAGECLOUD_"
	allKeysHint       = "docs/configuration.md lists all keys"
)

// loader gathers the settings, and what is wrong with them.
type loader struct {
	config   *Config
	sources  map[*key]source
	problems []rubyconf.Problem
}

// source is the value of a key and where it stands.
type source struct {
	value any
	name  string // as the user wrote it: the key in the file, or the variable
	file  string
	line  int
}

func (l *loader) problem(at source, message, hint string) {
	l.problems = append(l.problems, rubyconf.Problem{File: at.file, Line: at.line, Message: message, Hint: hint})
}

// has reports whether a key is set: nil and an empty string stand for its
// default.
func (l *loader) has(k *key) bool {
	v, ok := l.sources[k]
	return ok && v.value != nil && v.value != ""
}

// file takes in the settings of the file.
func (l *loader) file(file string, settings []rubyconf.Setting) {
	for _, s := range settings {
		at := source{value: s.Value, file: file, line: s.Line, name: spell(s.Path)}
		k := find(s.Path)
		if k == nil {
			hint := allKeysHint
			if near := nearest(s.Path); near != nil {
				hint = "did you mean " + near.String() + "?"
			}
			l.problem(at, "there is no key "+at.name, hint)
			continue
		}
		l.sources[k] = at
	}
}

// environment takes in variables, over the file. One that is unknown is
// refused only if it is nearly the name of a key: clients have variables with
// the same prefix, and so have container platforms.
func (l *loader) environment(env environmentMap) {
	known := map[string]*key{}
	for i := range keys {
		known[keys[i].environment()] = &keys[i]
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		at := source{value: env[name], file: environmentName, name: name}
		if k, ok := known[name]; ok {
			l.sources[k] = at
			continue
		}
		if !strings.HasPrefix(name, environmentPrefix) {
			continue
		}
		for _, right := range slices.Sorted(maps.Keys(known)) {
			if near(name, right) <= maxTypos {
				l.problem(at, "there is no variable "+name, "did you mean "+right+"?")
				break
			}
		}
	}
}

// assign sets the fields of the configuration, first all defaults.
func (l *loader) assign() {
	for i := range keys {
		k := &keys[i]
		if k.initial != "" {
			// A test sees to it that every default is a good value.
			_ = k.set(l.config, k.initial)
		}
		if !l.has(k) {
			continue
		}
		at := l.sources[k]
		if err := k.set(l.config, at.value); err != nil {
			var hint string
			if bad, ok := errors.AsType[*valueError](err); ok {
				hint = bad.hint
			}
			l.problem(at, at.name+" "+err.Error(), hint)
		}
	}
}

// maxTypos is in how many letters a name may differ from the one meant.
const maxTypos = 2

// nearest is the key that somebody may have meant, or nil.
func nearest(path []string) *key {
	var best *key
	least := maxTypos + 2
	for i := range keys {
		k := &keys[i]
		n := near(strings.ToLower(path[len(path)-1]), k.name)
		if n > maxTypos {
			continue
		}
		if !slices.Equal(path[:len(path)-1], k.path()[:len(k.path())-1]) {
			n++
		}
		if n < least {
			best, least = k, n
		}
	}
	return best
}

// near is typo.Distance, or more than maxTypos if the lengths alone tell: a name may
// be as long as a file.
func near(a, b string) int {
	if len(a)-len(b) > maxTypos || len(b)-len(a) > maxTypos {
		return maxTypos + 1
	}
	return typo.Distance(a, b)
}
