package npm

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

func noTag(r route) error { return fmt.Errorf("tag %s of %s: %w", r.tag, r.name, repo.ErrNotFound) }

// receiveWhoami answers with the account of an API token. A read token is
// nobody's.
func receiveWhoami(_ context.Context, c format.Call, _ route) (a format.Action, err error) {
	if c.User == "" {
		return a, repo.ErrUnauthenticated
	}
	a.Answer = answer(0, map[string]string{"username": c.User})
	return a, nil
}

// maxLogin bounds the body of a login, in bytes.
const maxLogin = 64 << 10

// receiveLogin answers npm login with the account's API token.
func receiveLogin(_ context.Context, c format.Call, r route) (a format.Action, err error) {
	var body struct {
		Name, Password string
	}
	s := newScanner(c.Body, maxLogin)
	if err = member(s, maxLogin, &body); err == nil {
		err = s.end()
	}
	if err != nil {
		return a, malformed(err)
	}
	if body.Name != r.tag {
		return a, invalid("name", fmt.Errorf("the request is about %.60q, and what it says about %.60q", r.tag, body.Name))
	}
	a.Login = &format.Login{Name: body.Name, Password: body.Password, Answer: func(token string) format.Answer {
		return answer(201, map[string]any{"ok": true, "id": "org.couchdb.user:" + body.Name, "token": token})
	}}
	return a, nil
}

// receiveLogout answers npm logout, which then forgets the token. It is the
// account's, which other machines use, and so stays valid.
func receiveLogout(_ context.Context, c format.Call, _ route) (a format.Action, err error) {
	if c.User == "" {
		return a, repo.ErrUnauthenticated
	}
	a.Answer = done()
	return a, nil
}

// The results of a search.
const (
	defaultFound = 20
	maxFound     = 250
)

// receiveSearch answers npm search. A name or a description must have every
// word of the text.
func receiveSearch(ctx context.Context, c format.Call, _ route) (a format.Action, err error) {
	size, err := number(c.Query.Get("size"), defaultFound, maxFound)
	if err != nil {
		return a, err
	}
	from, err := number(c.Query.Get("from"), 0, 1<<30)
	if err != nil {
		return a, err
	}
	found, total, err := c.Search(ctx, format.Search{
		OS: scopeOS, Version: scopeVersion, Tag: Latest, Words: strings.Fields(c.Query.Get("text")), From: from, Size: size,
	})
	if err != nil {
		return a, err
	}
	objects := make([]any, 0, len(found))
	for _, p := range found {
		objects = append(objects, map[string]any{
			"package": foundJSON(p), "searchScore": 1, "score": map[string]any{"final": 1, "detail": map[string]int{"quality": 1, "popularity": 1, "maintenance": 1}},
		})
	}
	a.Answer = answer(0, map[string]any{"objects": objects, "total": total, "time": stamp(c.Time)})
	return a, nil
}

// foundJSON is a package among the results.
func foundJSON(p repo.Package) map[string]any {
	scope, _ := splitName(p.Name)
	if scope = strings.TrimPrefix(scope, "@"); scope == "" {
		scope = "unscoped"
	}
	publisher := map[string]string{"username": p.Uploader}
	o := map[string]any{
		"name": p.Name, "scope": scope, "version": p.Version, "description": p.Summary, "date": stamp(p.CreatedAt), "links": map[string]string{},
		"publisher": publisher, "maintainers": []any{publisher}, "keywords": []string{},
	}
	if len(p.Licenses) > 0 {
		o["license"] = p.Licenses[0]
	}
	return o
}

func number(text string, otherwise, most int) (int, error) {
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, invalid("size", fmt.Errorf("%.20q is no number", text))
	}
	return min(n, most), nil
}

// says compares an upload with what the client of npm publish says of it.
func says(t *tarball) error {
	text := t.upload.Fields[fieldStated]
	if text == "" {
		return nil
	}
	var s stated
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return fmt.Errorf("what is said of it: %w", err)
	}
	return s.agrees(t)
}
