package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"packagecloud/internal/repo"
)

// Package is a package on the server.
type Package struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Release      string `json:"release,omitempty"`
	Epoch        *int64 `json:"epoch,omitempty"`
	Scope        string `json:"scope,omitempty"`
	Architecture string `json:"architecture,omitempty"`
	Type         string `json:"type"`
	Distro       string `json:"distro_version"`
	Filename     string `json:"filename"`
	SHA256       string `json:"sha256sum,omitempty"`
	Indexed      bool   `json:"indexed"`
	IndexError   string `json:"index_error,omitempty"`
	Page         string `json:"package_html_url"`
	URL          string `json:"package_url"`
}

// Place is where a package stands in a repository.
type Place struct {
	// Distro is "ubuntu/jammy", "gems", "java/maven2/com.example".
	Distro string
	// Filename may have segments in front of it, as a Maven group.
	Filename string
	// Scope is npm's, "@scope", or "".
	Scope string
}

func (p Place) path(r *Repository) (string, error) {
	var b strings.Builder
	b.WriteString(r.Paths.Self)
	for segment := range strings.SplitSeq(strings.Trim(p.Distro+"/"+p.Filename, "/"), "/") {
		if segment == "" || segment == "." || segment == ".." {
			return "", fmt.Errorf("%s/%s names no package", p.Distro, p.Filename)
		}
		b.WriteByte('/')
		b.WriteString(url.PathEscape(segment))
	}
	return b.String(), nil
}

// Delete removes a package.
func (c *Client) Delete(ctx context.Context, r *Repository, p Place) error {
	path, err := p.path(r)
	if err != nil {
		return err
	}
	if p.Scope != "" {
		path += "?" + url.Values{"scope": {p.Scope}}.Encode()
	}
	return c.delete(ctx, path)
}

// Promote moves a package to another repository, "user/repo". One that an earlier
// attempt has moved, whose answer was lost, is not in the first repository any more
// and in the other one.
func (c *Client) Promote(ctx context.Context, r *Repository, p Place, destination string) (*Package, error) {
	path, err := p.path(r)
	if err != nil {
		return nil, err
	}
	fields := url.Values{"destination": {destination}}
	if p.Scope != "" {
		fields.Set("scope", p.Scope)
	}
	moved := new(Package)
	repeated, err := c.form(ctx, path+"/promote.json", fields, moved)
	if !repeated || !errors.Is(err, repo.ErrNotFound) {
		return moved, err
	}
	to, findErr := c.Repository(ctx, destination)
	if findErr != nil {
		return nil, err
	}
	if found, findErr := c.find(ctx, to, p.Distro, p.Filename, ""); findErr == nil && found != nil && found.Scope == p.Scope {
		return found, nil
	}
	return nil, err
}

const (
	// indexTime is how long a package is given to become installable, on top
	// of what the server waited.
	indexTime = 5 * time.Minute
	// askEvery is how often a server is asked whether it is.
	askEvery = 2 * time.Second
)

// ErrNotIndexed says that a package was recorded, but cannot be installed yet.
var ErrNotIndexed = errors.New("the server has the package, but it is not installable yet")

// notIndexed is ErrNotIndexed with what the server says of it.
func (p *Package) notIndexed() error {
	if p.IndexError == "" {
		return ErrNotIndexed
	}
	return fmt.Errorf("%w: %s", ErrNotIndexed, p.IndexError)
}

// Await waits until a package that was pushed is installable.
func (c *Client) Await(ctx context.Context, p *Package) error {
	if p.Indexed {
		return nil
	}
	if _, err := c.get(ctx, p.URL, p); err != nil {
		return fmt.Errorf("ask whether %s is installable: %w", p.Filename, err)
	}
	switch {
	case p.Indexed:
		return nil
	case p.IndexError != "":
		return p.notIndexed()
	}
	return c.awaitIndexed(ctx, p)
}

// awaitIndexed asks until a package is installable, for servers that do not
// wait themselves.
func (c *Client) awaitIndexed(ctx context.Context, p *Package) error {
	for range indexTime / askEvery {
		if err := c.sleep(ctx, askEvery); err != nil {
			return err
		}
		if _, err := c.get(ctx, p.URL, p); err != nil {
			return fmt.Errorf("ask whether %s is installable: %w", p.Filename, err)
		}
		if p.Indexed {
			return nil
		}
		if p.IndexError != "" {
			break
		}
	}
	return p.notIndexed()
}

// find looks for a package of a distribution, "" for any, by its file name, and by
// the SHA-256 of its file unless that is "": the server names a file by what is in
// it. One with the digest comes before one with the name alone; nil if there is
// neither.
func (c *Client) find(ctx context.Context, r *Repository, distro, filename, sum string) (*Package, error) {
	queries := []url.Values{{"q": {filename}}}
	if sum != "" {
		queries = append(queries, url.Values{"sha256": {sum}}) // a server that does not know it lists everything
	}
	var named *Package
	for _, query := range queries {
		query.Set("per_page", "250")
		if distro != "" {
			query.Set("dist", distro)
		}
		for p, err := range pages[Package](ctx, c, r.Paths.Self+"/search.json", query) {
			switch {
			case err != nil:
				return nil, err
			case !p.isIn(distro):
			case sum != "" && p.SHA256 == sum:
				return &p, nil
			case named == nil && p.Filename == filename:
				named = &p
			}
		}
	}
	return named, nil
}

// isIn reports whether a package is of a distribution. One of a single unnamed
// version is shown with or without it.
func (p *Package) isIn(distro string) bool {
	return distro == "" || p.Distro == distro || strings.HasPrefix(p.Distro, distro+"/")
}
