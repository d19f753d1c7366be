package publish_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/format"
	"packagecloud/internal/format/formattest"
	"packagecloud/internal/publish"
	"packagecloud/internal/repo"
	"packagecloud/internal/upload"
)

var shelf = formattest.ShelfDistro

// shelfModel is what a shelf must say: the file of the database never tells it.
type shelfModel struct {
	*system
	cards map[string][]formattest.ShelfCard // by name
	tags  map[string]map[string]string
	ids   map[string]*repo.Package // by file name
}

// newShelf is an empty shelf, with a worker for whom time flies: a scope has
// one generation a second.
func newShelf(t *testing.T, d *db.DB) (*shelfModel, *publish.Worker) {
	m := &shelfModel{system: newSystem(t, d), cards: map[string][]formattest.ShelfCard{}, tags: map[string]map[string]string{}, ids: map[string]*repo.Package{}}
	w := m.worker(m.blobs)
	var calls atomic.Int64
	start := time.Now()
	setClock(w, func() time.Time { return start.Add(time.Duration(calls.Add(1)) * 200 * time.Millisecond) })
	return m, w
}

func (m *shelfModel) push(name, version string) {
	m.t.Helper()
	f, err := m.uploader.Receive(m.t.Context(), "x", bytes.NewReader(formattest.ShelfPackage(name, version, rand.IntN(2000))))
	if err != nil {
		m.t.Fatal(err)
	}
	defer f.Close()
	p, err := m.uploader.Push(m.t.Context(), upload.Push{Repository: m.repo, Distro: shelf, User: m.user, File: f})
	if repo.IsTaken(err) {
		return
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.ids[p.Filename()] = p
	m.cards[name] = append(m.cards[name], formattest.ShelfCard{Version: version, Path: p.Files[0].Path, SHA256: p.Files[0].SHA256})
	if m.tags[name] == nil {
		m.tags[name] = map[string]string{}
	}
	m.tags[name]["newest"] = version
}

func (m *shelfModel) remove(name string, i int) {
	m.t.Helper()
	card := m.cards[name][i]
	if err := m.uploader.Remove(m.t.Context(), m.ids[name+"-"+card.Version]); err != nil {
		m.t.Fatal(err)
	}
	m.cards[name] = slices.Delete(m.cards[name], i, i+1)
	for tag, value := range m.tags[name] {
		if value == card.Version {
			delete(m.tags[name], tag)
		}
	}
	if n := len(m.cards[name]); n > 0 {
		m.tags[name]["newest"] = m.cards[name][n-1].Version
	} else {
		m.cards[name], m.tags[name] = nil, nil
	}
}

func (m *shelfModel) mark(name string, i int, mark string) {
	m.t.Helper()
	if err := m.uploader.Amend(m.t.Context(), m.ids[name+"-"+m.cards[name][i].Version], map[string]*string{"mark": &mark}); err != nil {
		m.t.Fatal(err)
	}
	m.cards[name][i].Mark = mark
}

func (m *shelfModel) tag(name, tag string, value *string) {
	m.t.Helper()
	l := upload.List{Repository: m.repo, Distro: shelf, Name: name}
	if err := m.uploader.SetTags(m.t.Context(), l, map[string]*string{tag: value}); err != nil {
		m.t.Fatal(err)
	}
	if value == nil {
		delete(m.tags[name], tag)
	} else {
		m.tags[name][tag] = *value
	}
}

// check compares every document with the model.
func (m *shelfModel) check(names []string) {
	m.t.Helper()
	var listed []string
	for _, name := range names {
		for _, e := range []format.Encoding{format.Plain, format.Gzip} {
			text, err := m.find(shelf, name+"/index.json"+e.Suffix())
			if len(m.cards[name]) == 0 {
				if !errors.Is(err, repo.ErrNotFound) {
					m.t.Fatalf("%s has no package and its document is %q, %v", name, text, err)
				}
				continue
			}
			if err != nil {
				m.t.Fatal(err)
			}
			if e == format.Gzip {
				text = gunzip(m.t, text)
			}
			got := decodeShelf(m.t, text)
			want := formattest.ShelfIndex{Name: name, Cards: m.cards[name], Tags: m.tags[name]}
			for _, c := range want.Cards {
				want.Versions = append(want.Versions, c.Version)
			}
			if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
				m.t.Fatalf("the document of %s is\n%s\nand not\n%s", name, g, w)
			}
		}
		if len(m.cards[name]) > 0 {
			listed = append(listed, name)
		}
	}
	var got struct{ Names []string }
	text := m.live(shelf, "names.json")
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		m.t.Fatalf("names: %v in %s", err, text)
	}
	slices.Sort(got.Names)
	slices.Sort(listed)
	if !slices.Equal(got.Names, listed) {
		m.t.Fatalf("the names are %v and not %v", got.Names, listed)
	}
}

func decodeShelf(t *testing.T, text string) (index formattest.ShelfIndex) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &index); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return index
}

// TestNamedDocuments does anything that can be done to a format with a document
// for each name, and compares what is published with a model.
func TestNamedDocuments(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		m, w := newShelf(t, d)
		names := []string{"a", "bb", "ccc", "d\\\"d"}
		version := 0
		for round := range 25 {
			for range 1 + rand.IntN(6) {
				name := names[rand.IntN(len(names))]
				n := len(m.cards[name])
				switch act := rand.IntN(10); {
				case act < 5 || n == 0:
					version++
					m.push(name, fmt.Sprint(version))
				case act < 7:
					m.remove(name, rand.IntN(n))
				case act < 8:
					m.mark(name, rand.IntN(n), fmt.Sprint("mark ", round, strings.Repeat("x", 100_000))) // a few fill a segment
				case act < 9:
					value := m.cards[name][rand.IntN(n)].Version
					m.tag(name, "stable", &value)
				default:
					m.tag(name, "stable", nil)
				}
			}
			if round%8 == 7 {
				if err := d.Update(t.Context(), func(tx *db.Tx) error {
					return tx.AddChange(t.Context(), m.scope(shelf).ID, db.Rebuild, 0, time.Now())
				}); err != nil {
					t.Fatal(err)
				}
			}
			m.settle(w)
			m.check(names)
		}
		m.verify()
	})
}

// TestNamedCost: another version of one name renders the documents of that name
// and nothing else, however many there are.
func TestNamedCost(t *testing.T) {
	d := dbtest.SQLite(t)
	m, w := newShelf(t, d)
	for i := range 50 {
		m.push(fmt.Sprint("name", i), "1")
	}
	m.settle(w)
	before := documentTimes(t, d, m.scope(shelf).ID)
	m.push("name7", "2")
	m.settle(w)
	for name, at := range documentTimes(t, d, m.scope(shelf).ID) {
		if changed := !at.Equal(before[name]); changed != (name == "name7/index.json") {
			t.Errorf("%s changed: %t", name, changed)
		}
	}
}

func gunzip(t *testing.T, text string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func documentTimes(t *testing.T, d *db.DB, scope int64) map[string]time.Time {
	t.Helper()
	rows, err := d.Documents(context.WithoutCancel(t.Context()), scope)
	if err != nil {
		t.Fatal(err)
	}
	times := make(map[string]time.Time, len(rows))
	for _, r := range rows {
		times[r.Name] = r.ChangedAt
	}
	return times
}
