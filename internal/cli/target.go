package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"packagecloud/internal/client"
	"packagecloud/internal/repo"
)

// shortcuts are the distributions of one version, which need not be named.
var shortcuts = map[string]string{"java": "java/maven2", "python": "python/1", "node": "node/1", "helm": "helm/v1", "anyfile": "anyfile/1"}

// target is what a command works on: user/repo[/os/version].
type target struct {
	repository string // user/repo
	distro     string // os/version, "" if none is named; longer for a Maven group
}

func parseTarget(s string) (target, error) {
	segments := strings.Split(strings.TrimSuffix(s, "/"), "/")
	if len(segments) < 2 || slices.Contains(segments, "") {
		return target{}, fmt.Errorf("%q names no repository: write user/repo, or user/repo/os/version", s)
	}
	t := target{repository: strings.Join(segments[:2], "/"), distro: strings.Join(segments[2:], "/")}
	if long, ok := shortcuts[t.distro]; ok {
		t.distro = long
	}
	return t, nil
}

// place is where a file of a target stands.
func (t target) place(file string) (client.Place, error) {
	p := client.Place{Distro: t.distro, Filename: file}
	if p.Distro == "" && strings.HasSuffix(file, ".gem") {
		p.Distro = "gems"
	}
	if p.Distro == "" {
		return p, fmt.Errorf("where is %s? Name its distribution: %s/os/version", file, t.repository)
	}
	if strings.HasPrefix(file, "@") {
		scope, name, ok := strings.Cut(file, "/")
		if !ok || name == "" || strings.Contains(name, "/") {
			return p, fmt.Errorf("could not determine scope for %q, it should look like: @my-scope/package-1.0.tgz", file)
		}
		p.Scope, p.Filename = scope, name
	}
	return p, nil
}

// placed does something with a package. If there is none and the version was
// given by its number (ubuntu/22.04), it does it again with the name (jammy):
// only names stand in paths.
func placed(ctx context.Context, api *client.Client, p client.Place, do func(client.Place) error) error {
	err := do(p)
	os, version, ok := strings.Cut(p.Distro, "/")
	if !ok || !errors.Is(err, repo.ErrNotFound) {
		return err
	}
	catalog, catalogErr := api.Distributions(ctx)
	if catalogErr != nil {
		return errors.Join(err, catalogErr)
	}
	for kind := range catalog {
		if c, ok := find(catalog, []string{kind}, os, version); ok && c.name != p.Distro {
			p.Distro = c.name
			return do(p)
		}
	}
	return err
}
