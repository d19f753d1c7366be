package api_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/db"
	"packagecloud/internal/format/deb/debtest"
)

// TestPromote moves packages, with the parameters in every way that clients send
// them, and looks for them as package managers do.
func TestPromote(t *testing.T) {
	s := newSystem(t)
	s.create("testing", false)
	s.create("stable", true)
	const urlencoded = "application/x-www-form-urlencoded"
	multipartBody, multipartType := multi(part{name: "destination", body: []byte("alice/stable")})
	for i, c := range []struct {
		query, contentType string
		body               []byte
	}{
		{"", urlencoded, []byte("destination=alice%2Fstable&wait=indexed")},
		{"?wait=indexed", urlencoded, []byte("destination=alice%2Fstable")},
		{"?wait=indexed", "application/json", []byte(`{"destination":"alice/stable"}`)},
		{"?wait=indexed", multipartType, multipartBody},
		{"?wait=indexed&destination=alice%2Fstable", "", nil},
	} {
		p := s.mustPush("testing", "237", "x.deb", debtest.Package{Name: fmt.Sprint("p", i), Version: "1.0-7"}.Build())
		file := "/ubuntu/jammy/" + p["filename"].(string)
		got := decode[map[string]any](t, s.want(request{method: "POST", path: p["promote_url"].(string) + c.query, user: s.alice, contentType: c.contentType, body: c.body}, 200, "*"))
		if !slices.Equal(keys(got), keys(p)) {
			t.Errorf("%d: the keys are %v", i, keys(got))
		}
		for _, same := range []string{"name", "version", "release", "filename", "distro_version", "created_at", "uploader_name", "sha256sum", "size"} {
			if got[same] != p[same] {
				t.Errorf("%d: %s was %v and is %v", i, same, p[same], got[same])
			}
		}
		for name, want := range map[string]any{
			"repository": "stable", "repository_url": "/api/v1/repos/alice/stable", "private": true, "indexed": true,
			"promote_url": "/api/v1/repos/alice/stable" + file + "/promote.json", "destroy_url": "/api/v1/repos/alice/stable" + file,
		} {
			if got[name] != want {
				t.Errorf("%d: %s is %v and not %v", i, name, got[name], want)
			}
		}
		s.want(request{path: got["self_url"].(string), user: s.alice}, 200, "*")
		s.want(request{path: p["self_url"].(string), user: s.alice}, 404, "*")
		s.want(request{method: "POST", path: p["promote_url"].(string) + "?destination=alice%2Fstable", user: s.alice}, 404, `{"filename":["not found"]}`)
	}

	// The way back, by which the source has it again. Without waiting.
	back := s.want(request{method: "POST", path: "/api/v1/repos/alice/stable/ubuntu/jammy/p0_1.0-7_all.deb/promote", user: s.alice, contentType: urlencoded, body: []byte("destination=alice/testing")}, 200, "*")
	if got := decode[map[string]any](t, back); got["indexed"] != false || got["repository"] != "testing" {
		t.Errorf("on the way back: %v", got)
	}
	s.want(request{path: decode[map[string]any](t, back)["self_url"].(string), user: s.alice}, 200, "*")
	master := decode[[]struct{ Paths map[string]string }](t, s.do(request{path: "/api/v1/repos/alice/stable/master_tokens", user: s.alice}))[0]
	token := decode[struct{ Value string }](t, s.want(request{method: "POST", path: master.Paths["create_read_token"] + "?read_token[name]=m", user: s.alice}, 201, "*")).Value
	s.settle()
	for _, c := range []struct {
		repository, user string
		has              []string
	}{{"testing", "", []string{"p0"}}, {"stable", token, []string{"p1", "p2", "p3", "p4"}}} {
		base := "/alice/" + c.repository + "/ubuntu/"
		index := s.want(request{path: base + "dists/jammy/main/binary-all/Packages", user: c.user}, 200, "*").body
		var has []string
		for line := range strings.Lines(index) {
			if name, ok := strings.CutPrefix(line, "Package: "); ok {
				has = append(has, strings.TrimSpace(name))
			}
			if path, ok := strings.CutPrefix(line, "Filename: "); ok {
				s.want(request{path: base + strings.TrimSpace(path), user: c.user}, 200, "*")
			}
		}
		if !slices.Equal(has, c.has) {
			t.Errorf("%s lists %v and not %v", c.repository, has, c.has)
		}
	}
	if n := s.stored(); n != 5 {
		t.Errorf("%d files of five packages are stored", n)
	}
}

// settle waits until everything is published.
func (s *system) settle() {
	s.t.Helper()
	for {
		n, _, err := s.node.DB.Backlog(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		if n == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestPromoteRefuses(t *testing.T) {
	s := newSystem(t)
	for name, private := range map[string]bool{"testing": false, "stable": true, "closed": true} {
		s.create(name, private)
	}
	for name, private := range map[string]string{"open": "0", "hidden": "1"} {
		s.want(request{method: "POST", path: "/api/v1/repos?repository[name]=" + name + "&repository[private]=" + private, user: s.bob}, 201, "*")
	}
	b := debtest.Package{Name: "hello"}.Build()
	p := s.mustPush("testing", "237", "x.deb", b)
	s.mustPush("stable", "237", "x.deb", debtest.Package{Name: "hello", Fields: "Depends: other\n"}.Build())
	promote, missing := p["promote_url"].(string), "/api/v1/repos/alice/testing/ubuntu/jammy/none.deb/promote.json"
	for _, c := range []struct {
		name, path, destination, user string
		status                        int
		want                          string
	}{
		{"no destination", promote, "", s.alice, 422, `{"destination":["can't be blank"]}`},
		{"half a destination", promote, "stable", s.alice, 422, `{"destination":["\"stable\" names no repository: write user/repo"]}`},
		{"the same repository", promote, "alice/testing", s.alice, 422, `{"destination":["hello_1.0_all.deb is in alice/testing already"]}`},
		{"a name that exists there", promote, "alice/stable", s.alice, 422, `{"filename":["has already been taken"]}`},
		{"no such destination", promote, "alice/none", s.alice, 404, `{"destination":["not found"]}`},
		{"somebody's private repository", promote, "bob/hidden", s.alice, 404, `{"destination":["not found"]}`},
		{"somebody's public repository", promote, "bob/open", s.alice, 403, `{"error":"Forbidden"}`},
		{"no such package", missing, "alice/closed", s.alice, 404, `{"filename":["not found"]}`},
		{"no such distribution", strings.Replace(promote, "jammy", "none", 1), "alice/closed", s.alice, 404, `{"filename":["not found"]}`},
		{"out of somebody's public repository", promote, "bob/open", s.bob, 403, `{"error":"Forbidden"}`},
		{"out of somebody's private repository", strings.Replace(promote, "testing", "stable", 1), "bob/open", s.bob, 404, `{"error":"not_found"}`},
		{"out of no repository", strings.Replace(promote, "testing", "none", 1), "alice/closed", s.alice, 404, `{"error":"not_found"}`},
		{"nobody", promote, "alice/closed", "", 401, `{"error":"Unauthenticated"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.do(request{method: "POST", path: c.path, user: c.user, contentType: "application/x-www-form-urlencoded", body: []byte(url.Values{"destination": {c.destination}}.Encode())})
			if a.status != c.status || a.body != c.want {
				t.Errorf("%d %s, not %d %s", a.status, a.body, c.status, c.want)
			}
		})
	}
	s.want(request{path: promote, user: s.alice}, 405, "*")
	// Nothing of it did anything.
	s.want(request{path: p["self_url"].(string), user: s.alice}, 200, "*")

	// A collaborator of both repositories may; of one of them he may not.
	to := request{method: "POST", path: promote + "?destination=alice/closed", user: s.bob}
	s.share("bob", "testing")
	s.want(to, 404, `{"destination":["not found"]}`)
	s.share("bob", "testing", "closed")
	s.want(to, 200, "*")
}

// share lets somebody push to repositories of alice, and to no others.
func (s *system) share(user string, names ...string) {
	s.t.Helper()
	var ids []int64
	for _, name := range names {
		r, err := s.node.DB.Repository(s.t.Context(), "alice", name)
		if err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, r.ID)
	}
	err := s.node.DB.Update(s.t.Context(), func(tx *db.Tx) error {
		account, err := tx.AccountByName(s.t.Context(), user)
		if err != nil {
			return err
		}
		return tx.SetCollaborations(s.t.Context(), account.ID, ids)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}
