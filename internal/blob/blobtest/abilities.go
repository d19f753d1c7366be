package blobtest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/blob"
)

// link is a link to an object.
func link(t *testing.T, l blob.Linker, key string, life time.Duration) string {
	t.Helper()
	u, err := l.Link(t.Context(), key, life)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// fetch gets a link as a client does, without any credentials.
func fetch(t *testing.T, link string) (status int, header http.Header, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(b)
}

// stamped compares the attributes that clients see.
func stamped(t *testing.T, l blob.Linker, key string, want map[string]string) {
	t.Helper()
	_, header, _ := fetch(t, link(t, l, key, time.Minute))
	for name, value := range want {
		if got := header.Get(name); got != value {
			t.Errorf("%s of %s: %q, not %q", name, key, got, value)
		}
	}
}

// abilities are the tests of what a store can do beyond a blob.Store.
func abilities(s blob.Store) map[string]func(*testing.T, blob.Store) {
	tests := make(map[string]func(*testing.T, blob.Store))
	_, linker := s.(blob.Linker)
	if linker {
		tests["links"] = links
	}
	if _, ok := s.(blob.Composer); ok {
		tests["compose"] = composes
	}
	if _, ok := s.(blob.Restamper); ok && linker { // or what became of the attributes cannot be seen
		tests["restamp"] = restamps
	}
	if _, ok := s.(blob.Tidier); ok {
		tests["tidy"] = tidies
	}
	return tests
}

func links(t *testing.T, s blob.Store) {
	l := s.(blob.Linker)
	a := blob.Attributes{ContentType: "application/x-test", Filename: "libstdc++6_1:2~3.deb", Class: blob.Package}
	if err := s.Put(t.Context(), key, []byte("0123456789"), a); err != nil {
		t.Fatal(err)
	}
	short := link(t, l, key, time.Second)
	good := link(t, l, key, time.Minute)
	if status, _, body := fetch(t, good); status != http.StatusOK || body != "0123456789" {
		t.Errorf("GET: %d, %q", status, body)
	}
	stamped(t, l, key, map[string]string{
		"Content-Type": "application/x-test", "Content-Disposition": `attachment; filename="libstdc++6_1:2~3.deb"`,
		"Cache-Control": "public, max-age=31536000, immutable",
	})
	if status, _, _ := fetch(t, link(t, l, "packages/"+digest+"/nothing", time.Minute)); status != http.StatusNotFound {
		t.Errorf("GET of what is not there: %d", status)
	}
	if status, _, _ := fetch(t, strings.Replace(good, "x_1.deb", "x_2.deb", 1)); status != http.StatusForbidden {
		t.Errorf("GET by a link to something else: %d", status)
	}
	time.Sleep(2 * time.Second)
	if status, _, _ := fetch(t, short); status != http.StatusForbidden {
		t.Errorf("GET by a link that has expired: %d", status)
	}
	if _, err := l.Link(t.Context(), "../x", time.Minute); err == nil {
		t.Error("Link took a key that is none")
	}
}

func composes(t *testing.T, s blob.Store) {
	c := s.(blob.Composer)
	const whole = "indexes/whole"
	large := bytes.Repeat([]byte("0123456789abcdef"), 12<<16) // 12 MiB
	if err := s.Put(t.Context(), key, large, attributes); err != nil {
		t.Fatal(err)
	}
	put(t, s, "segments/1/small", "small")
	for name, test := range map[string]struct {
		parts []blob.Part
		want  string
	}{
		"nothing": {nil, ""},
		"bodies":  {[]blob.Part{{Body: []byte("a")}, {Body: nil}, {Body: []byte("b")}}, "ab"},
		"small ranges": {
			[]blob.Part{{Key: "segments/1/small", Offset: 1, Size: 3}, {Body: []byte("-")}, {Key: key, Offset: 3, Size: 4}}, "mal-3456",
		},
		"a large beginning": {
			[]blob.Part{{Key: key, Size: 11 << 20}, {Body: []byte("tail")}}, string(large[:11<<20]) + "tail",
		},
		"a large end, not aligned": {
			[]blob.Part{{Body: []byte("head")}, {Key: key, Offset: 5, Size: int64(len(large)) - 5}}, "head" + string(large[5:]),
		},
		"all of one": {[]blob.Part{{Key: key, Size: int64(len(large))}}, string(large)},
	} {
		t.Run(name, func(t *testing.T) {
			key := whole + "/" + strings.ReplaceAll(strings.ReplaceAll(name, ",", ""), " ", "-")
			for range 2 { // the second time it is there
				if err := c.Compose(t.Context(), key, test.parts, blob.Attributes{ContentType: "text/x-index", Class: blob.Index}); err != nil {
					t.Fatal(err)
				}
			}
			if got := get(t, s, key); got != test.want {
				t.Errorf("%d bytes, not the %d wanted", len(got), len(test.want))
			}
			if l, ok := s.(blob.Linker); ok {
				stamped(t, l, key, map[string]string{"Content-Type": "text/x-index", "Cache-Control": "no-cache, no-store, max-age=0, s-maxage=0, stale-if-error=0"})
			}
		})
	}
	put(t, s, whole+"/taken", "first")
	if err := c.Compose(t.Context(), whole+"/taken", []blob.Part{{Body: []byte("second")}}, attributes); err != nil {
		t.Error(err)
	}
	if got := get(t, s, whole+"/taken"); got != "first" {
		t.Errorf("a key that was taken holds %q now", got)
	}
	for name, part := range map[string]blob.Part{
		"beyond the end":           {Key: key, Offset: 6 << 20, Size: 7 << 20},
		"of a small one":           {Key: "segments/1/small", Offset: 2, Size: 4},
		"before the start":         {Key: key, Offset: -1, Size: 4},
		"of what is not there":     {Key: "segments/1/nothing", Size: 1},
		"large, of what is absent": {Key: "segments/1/nothing", Size: 6 << 20},
		"of no key":                {Key: "../x", Size: 1},
	} {
		err := c.Compose(t.Context(), whole+"/wrong", []blob.Part{{Body: []byte("x")}, part}, attributes)
		if err == nil || strings.Contains(name, "of what is") && !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("a range %s: %v", name, err)
		}
		absent(t, s, whole+"/wrong")
	}
}

func restamps(t *testing.T, s blob.Store) {
	r, l := s.(blob.Restamper), s.(blob.Linker)
	after := blob.Attributes{ContentType: "application/x-new", Filename: "new name.deb", Class: blob.Index}
	for key, body := range map[string]string{"packages/small": "bytes", "packages/large": strings.Repeat("0123456789abcdef", 12<<16), "packages/empty": ""} {
		put(t, s, key, body)
		for _, want := range []bool{true, false} {
			changed, err := r.Restamp(t.Context(), key, after)
			if err != nil || changed != want {
				t.Errorf("Restamp of %s: changed is %t, %v", key, changed, err)
			}
		}
		if got := get(t, s, key); got != body {
			t.Errorf("%s has %d other bytes now", key, len(got))
		}
		stamped(t, l, key, map[string]string{
			"Content-Type": "application/x-new", "Content-Disposition": `attachment; filename="new name.deb"`,
			"Cache-Control": "no-cache, no-store, max-age=0, s-maxage=0, stale-if-error=0",
		})
	}
	if _, err := r.Restamp(t.Context(), "packages/small", blob.Attributes{Filename: "new name.deb", Class: blob.Package}); err != nil {
		t.Fatal(err)
	}
	stamped(t, l, "packages/small", map[string]string{"Content-Type": "application/x-new", "Cache-Control": "public, max-age=31536000, immutable"})
	if _, err := r.Restamp(t.Context(), "packages/nothing", after); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Restamp of what is not there: %v", err)
	}
	absent(t, s, "packages/nothing")
}

func tidies(t *testing.T, s blob.Store) {
	c := s.(blob.Tidier)
	put(t, s, key, "bytes")
	staged := stage(t, s, "under way")
	defer staged.Close()
	if err := c.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := staged.Commit(t.Context(), "packages/later", attributes); err != nil {
		t.Errorf("an upload that was under way: %v", err)
	}
	if got := get(t, s, key) + get(t, s, "packages/later"); got != "bytesunder way" {
		t.Errorf("got %q", got)
	}
}
