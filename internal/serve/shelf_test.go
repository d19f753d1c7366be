package serve_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/format/formattest"
	"packagecloud/internal/repo"
	"packagecloud/internal/serve/servetest"
)

// TestFormatOfItsOwn: a format that the program has never heard of works from
// end to end, with nothing changed but the list of formats and a distribution
// of its own.
func TestFormatOfItsOwn(t *testing.T) {
	s := servetest.Start(t, []format.Format{formattest.Shelf{}},
		db.AddedRelease{OS: "shelf", OSDisplay: "Shelf", Format: "shelf", Release: repo.Release{IndexName: "1", DisplayName: "1"}})
	const public, private = "/alice/public/shelf/", "/alice/private/shelf/"
	first, second := formattest.ShelfPackage("Book", "1", 10), formattest.ShelfPackage("Book", "2", 20)

	// By the API.
	s.Push("alice/public", "shelf/1", "any name", first, nil).Is(201).Has(`"filename":"book-1"`)
	s.Push("alice/public", "shelf/1", "any name", first, nil).Is(422).Has(`{"filename":["has already been taken"]}`)
	s.Push("alice/public", "shelf/1", "any name", []byte("lies"), nil).Is(422)
	s.Do(servetest.Request{Path: "/api/v1/repos/alice/public/search.json?q=book", User: s.Token}).Is(200).Has(`"filename":"book-1"`)

	// By its own client: who may, and who may not.
	put := servetest.Request{Method: "PUT", Path: public + "book/book-2?tag=stable", Body: second}
	s.Do(put).Is(401).Says("WWW-Authenticate", `Basic realm="packagecloud"`).Has("shelf: ")
	put.User = s.Stranger
	s.Do(put).Is(403)
	put.User, put.Pass = "__token__", s.Token
	s.Do(put).Is(201)
	s.Do(put).Is(200) // the same bytes again
	other := put
	other.Body = formattest.ShelfPackage("Book", "2", 30)
	s.Do(other).Is(409)
	other.Header = map[string]string{"If-None-Match": "*"}
	s.Do(other).Is(412)
	other.Header = map[string]string{"If-Match": `"0"`}
	s.Do(other).Is(412)
	bad := put
	bad.Path, bad.Body = public+"book/book-3", []byte("lies")
	s.Do(bad).Is(422).Has("shelf: ")
	s.Do(servetest.Request{Method: "POST", Path: public + "book/book-2", User: s.Token}).Is(405)

	// Its documents.
	s.Settle()
	index := decode(t, s.Get(public+"book/index.json").Is(200).Says("Vary", "Accept, Accept-Encoding").Says("Cache-Control", "no-cache").Body)
	if len(index.Cards) != 2 || index.Tags["stable"] != "2" || index.Tags["newest"] != "2" || len(index.Versions) != 2 {
		t.Fatalf("the document says %+v", index)
	}
	s.Get(public + "names.json").Is(200).Has(`["book"]`)
	s.Get(public+"Book/index.json").Is(301).Says("Location", public+"book/index.json")
	s.Get(public + "pen/index.json").Is(404).Has("shelf: ")
	s.Do(servetest.Request{Path: public + "book/index.json", Header: map[string]string{"Accept": "text/plain"}}).Is(200).Says("Content-Type", "text/plain")
	zipped := s.Do(servetest.Request{Path: public + "book/index.json", Header: map[string]string{"Accept-Encoding": "br, gzip"}}).Is(200).Says("Content-Encoding", "gzip")
	if got := decode(t, gunzip(t, zipped.Body)); len(got.Cards) != 2 {
		t.Errorf("the compressed document says %+v", got)
	}
	tag := zipped.Header.Get("Etag")
	s.Do(servetest.Request{Path: public + "book/index.json", Header: map[string]string{"Accept-Encoding": "gzip", "If-None-Match": tag}}).Is(304)
	s.Do(servetest.Request{Path: public + "book/index.json", Header: map[string]string{"If-None-Match": tag}}).Is(200)

	// Its files.
	s.Get("/alice/public/" + index.Cards[0].Path).Is(200).Has(string(first))
	s.Get(public+"book/book-2").Is(200).Says("X-Checksum-Sha256", index.Cards[1].SHA256).Has(string(second))
	s.Get(public + "book/book-2.sha256").Is(200).Has(index.Cards[1].SHA256)
	s.Get(public + "book/book-2.note").Is(200).Has("a note on Book 2")

	// What can be changed.
	s.Do(servetest.Request{Method: "PUT", Path: public + "book/mark/book-1?mark=worn", User: s.Token}).Is(200)
	s.Do(servetest.Request{Method: "DELETE", Path: public + "book/tags/stable", User: s.Token}).Is(200)
	put.Body, put.Header = other.Body, map[string]string{"If-Match": `"` + index.Cards[1].SHA256 + `"`}
	s.Do(put).Is(201) // another file in place of that one
	s.Settle()
	index = decode(t, s.Get(public+"book/index.json").Is(200).Body)
	if len(index.Cards) != 2 || index.Cards[0].Mark != "worn" || index.Tags["stable"] != "2" {
		t.Errorf("after changes the document says %+v", index)
	}
	s.Get("/alice/public/" + index.Cards[1].Path).Is(200).Has(string(other.Body))

	// Deletion, by its client and by the API.
	s.Do(servetest.Request{Method: "DELETE", Path: public + "book/book-2", User: s.Token}).Is(204)
	s.Get(public + "book/book-2").Is(404)
	s.Do(servetest.Request{Method: "DELETE", Path: "/api/v1/repos/alice/public/shelf/1/book-1", User: s.Token}).Is(200)
	s.Settle()
	s.Get(public + "book/index.json").Is(404)
	s.Get(public + "names.json").Is(200).Has(`[]`)

	// A private repository.
	put.Path, put.Header = private+"book/book-2", nil
	s.Do(put).Is(201)
	s.Settle()
	s.Get(private+"book/index.json").Is(401).Says("WWW-Authenticate", `Basic realm="packagecloud"`)
	s.Do(servetest.Request{Path: private + "book/index.json", User: s.ReadToken}).Is(200).Says("Cache-Control", "private, no-cache")
	s.Do(servetest.Request{Path: private + "book/index.json", Header: map[string]string{"Authorization": "Bearer " + s.ReadToken}}).Is(200)
	s.Do(servetest.Request{Path: private + "book/index.json", User: s.Token}).Is(200)
	s.Do(servetest.Request{Path: private + "book/index.json", User: s.Stranger}).Is(404)
	put.User, put.Pass = s.ReadToken, ""
	s.Do(put).Is(403)
	put.User = s.Stranger
	s.Do(put).Is(404)
}

func decode(t *testing.T, body string) (index formattest.ShelfIndex) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&index); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return index
}

func gunzip(t *testing.T, body string) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}
