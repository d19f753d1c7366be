package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"packagecloud/internal/db"
)

// WriteJSON answers with a value as JSON.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client went away
	return nil
}

// timestamp is a time as the API writes it.
type timestamp time.Time

// MarshalJSON implements json.Marshaler.
func (t timestamp) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}

const (
	defaultPageSize = 30
	maxPageSize     = 250
)

// page reads page and per_page.
func page(p params) db.Page {
	number, size := 1, defaultPageSize
	// Beyond this no list goes on; it keeps offsets small numbers.
	if n, err := strconv.Atoi(p.get("page")); err == nil && n > 0 {
		number = min(n, 1_000_000)
	}
	if n, err := strconv.Atoi(p.get("per_page")); err == nil && n > 0 {
		size = min(n, maxPageSize)
	}
	return db.Page{Number: number, Size: size}
}

// writePage answers with a page of a list and says where the others are.
func (a *API) writePage(w http.ResponseWriter, r *http.Request, list any, p db.Page, total int64) error {
	last := max(1, (int(total)+p.Size-1)/p.Size)
	var links []string
	link := func(number int, rel string) {
		query := r.URL.Query()
		query.Set("page", strconv.Itoa(number))
		query.Set("per_page", strconv.Itoa(p.Size))
		// Encode leaves no comma, at which some clients split.
		links = append(links, fmt.Sprintf(`<%s%s?%s>; rel="%s"`, a.URL, r.URL.EscapedPath()+".json", query.Encode(), rel))
	}
	if p.Number > 1 {
		link(p.Number-1, "prev")
	}
	if p.Number < last {
		link(p.Number+1, "next")
		link(last, "last")
	}
	header := w.Header()
	if len(links) > 0 {
		header.Set("Link", strings.Join(links, ", "))
	}
	header.Set("Total", strconv.FormatInt(total, 10))
	header.Set("Per-Page", strconv.Itoa(p.Size))
	header.Set("Max-Per-Page", strconv.Itoa(maxPageSize))
	return WriteJSON(w, http.StatusOK, list)
}

// join makes a path of segments, each escaped.
func join(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// human is how long ago a time was, in words.
func human(now, then time.Time) string {
	if then.IsZero() {
		return "never"
	}
	d := now.Sub(then)
	for _, unit := range []struct {
		name string
		time.Duration
	}{{"year", 365 * 24 * time.Hour}, {"month", 30 * 24 * time.Hour}, {"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		if n := int64(d / unit.Duration); n > 0 {
			return count(n, unit.name) + " ago"
		}
	}
	return "less than a minute ago"
}

// count is a number with its noun.
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
