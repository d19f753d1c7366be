package npm

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

const get = "GET"

// route is what a request is about, beside what Resolve knows.
type route struct {
	access  format.Access
	receive func(context.Context, format.Call, route) (format.Action, error)

	name     string // of a package
	revision string // of its packument, as the client knows it
	file     string // of a tarball
	tag      string // of a dist-tag, an account, or what may be a version instead
}

// The requests of the registry's API that are no download
// (https://github.com/npm/registry/blob/main/docs/REGISTRY-API.md, and docs/restful-api.md
// of https://github.com/npm/npm-registry-client).
//
//	GET    npm/-/whoami
//	GET    npm/-/v1/search?text=
//	GET    npm/-/_view/starredByUser, npm/-/user/v1/star
//	PUT    npm/-/user/org.couchdb.user:<account>
//	DELETE npm/-/user/token/<token>
//	GET, PUT, POST    npm/-/package/<name>/dist-tags
//	GET, PUT, POST, DELETE    npm/-/package/<name>/dist-tags/<tag>
//	GET    npm/<name>/<version or tag>
//	PUT    npm/<name>[/-rev/<revision>]
//	DELETE npm/<name>/-rev/<revision>
//	DELETE npm/<name>/-/<file>.tgz[/-rev/<revision>]
//
// What else there is below npm/ and is no file, is absent.
func routeOf(method, path string) (r route, ok bool) {
	below, ok := strings.CutPrefix(path, root)
	if !ok {
		return r, false
	}
	if method == "HEAD" { // the same without a body
		method = get
	}
	if r, ok := apiRoute(method, below); ok {
		return r, true
	}
	if method == get {
		if _, isFile := (Format{}).Resolve(format.Query{Path: path}); isFile {
			return r, false
		}
	}
	return absentRoute(below), true
}

// apiRoute reads a path below npm/.
func apiRoute(method, path string) (r route, ok bool) {
	if rest, ok := strings.CutPrefix(path, "-/"); ok {
		return ownRoute(method, rest)
	}
	name, rest, ok := cutName(path)
	if !ok {
		return r, false
	}
	rest, revision, stated := strings.Cut("/"+rest, "/-rev/")
	rest = strings.TrimPrefix(rest, "/")
	r = route{access: format.WriteAccess, name: name, revision: revision}
	switch {
	case method == get && !stated && rest != "" && rest != separator && !strings.Contains(rest, "/"):
		r.access, r.receive, r.tag = format.ReadAccess, receiveVersion, rest
	case method == format.Put && rest == "":
		r.receive = receivePackument
	case method == format.Delete && rest == "" && stated:
		r.receive = receiveUnpublish
	case method == format.Delete && rest != "":
		if _, ok := tarballPath(name, rest); !ok {
			return r, false
		}
		r.file = rest[strings.LastIndexByte(rest, '/')+1:]
		r.receive = receiveDelete
	default:
		return r, false
	}
	return r, true
}

// ownRoute reads what stands behind npm/-/.
func ownRoute(method, path string) (r route, ok bool) {
	account, isAccount := strings.CutPrefix(path, "user/org.couchdb.user:")
	tagged, isPackage := strings.CutPrefix(path, "package/")
	switch {
	case method == get && path == "whoami":
		return route{access: format.ReadAccess, receive: receiveWhoami}, true
	case method == get && path == "v1/search":
		return route{access: format.ReadAccess, receive: receiveSearch}, true
	case method == get && noStars[path] != nil:
		return route{access: format.ReadAccess, receive: receiveStars, tag: path}, true
	case method == format.Put && isAccount && account != "":
		account, _, _ = strings.Cut(account, "/-rev/")
		return route{access: format.OpenAccess, receive: receiveLogin, tag: account}, true
	case method == format.Delete && strings.HasPrefix(path, "user/token/"):
		return route{access: format.ReadAccess, receive: receiveLogout}, true
	case isPackage:
		return tagRoute(method, tagged)
	}
	return r, false
}

func tagRoute(method, path string) (r route, ok bool) {
	name, rest, ok := cutName(path)
	if !ok {
		return r, false
	}
	r = route{access: format.WriteAccess, name: name}
	if method == get {
		r.access = format.ReadAccess
	}
	if rest == "dist-tags" {
		r.receive = map[string]func(context.Context, format.Call, route) (format.Action, error){
			get: receiveTags, format.Put: receiveSetTags, format.Post: receiveSetTags,
		}[method]
		return r, r.receive != nil
	}
	if r.tag, ok = strings.CutPrefix(rest, "dist-tags/"); !ok || r.tag == "" {
		return r, false
	}
	r.receive = map[string]func(context.Context, format.Call, route) (format.Action, error){
		get: receiveTag, format.Put: receiveSetTag, format.Post: receiveSetTag, format.Delete: receiveDeleteTag,
	}[method]
	return r, r.receive != nil
}

// Receives implements format.Receiver.
func (Format) Receives(method, path string) format.Access {
	r, ok := routeOf(method, path)
	if !ok {
		return format.NoAccess
	}
	return r.access
}

// Receive implements format.Receiver.
func (Format) Receive(ctx context.Context, c format.Call) (format.Action, error) {
	r, ok := routeOf(c.Method, c.Path)
	if !ok {
		return format.Action{}, fmt.Errorf("%s %s: %w", c.Method, c.Path, repo.ErrNotFound)
	}
	a, err := r.receive(ctx, c, r)
	a.OS, a.Version = scopeOS, scopeVersion
	return a, err
}

// Refusal implements format.Refuser: npm shows the member "error".
func (Format) Refusal(status int, message string) format.Answer {
	return answer(status, map[string]string{"error": message})
}

func answer(status int, value any) format.Answer {
	return format.Answer{Status: status, ContentType: typeFull, Body: must(value)}
}

// done is the answer to a change.
func done() format.Answer { return answer(0, map[string]bool{"ok": true}) }

// invalid makes an error that the client is shown.
func invalid(field string, err error) error { return repo.Invalid(field, err.Error()) }

// malformed is the error of a body: the client's fault, or one of reading.
func malformed(err error) error {
	var said *repo.InvalidError
	if errors.As(err, &said) || !isMalformed(err) {
		return err
	}
	return invalid("body", err)
}

// listed finds the versions of a name. There must be one.
func listed(ctx context.Context, c format.Call, name string) (format.List, error) {
	l, err := c.Look(ctx, scopeOS, scopeVersion, name)
	if err == nil && len(l.Versions) == 0 {
		err = fmt.Errorf("package %s: %w", name, repo.ErrNotFound)
	}
	return l, err
}
