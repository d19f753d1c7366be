package client

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestEndlessList: a server that has always another page is given up, before
// what it says fills the memory.
func TestEndlessList(t *testing.T) {
	asked := 0
	page := `[{"name":"` + strings.Repeat("x", maxAnswer-100) + `"}]`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Link", `</x?page=2>; rel="next"`)
		_, _ = io.WriteString(w, page)
	}))
	defer s.Close()
	u, err := ParseURL(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{URL: u, Token: "t"}
	for _, err := range pages[struct{ Name string }](t.Context(), c, "/x", map[string][]string{}) {
		if err != nil {
			if want := fmt.Sprintf("longer than %d bytes", maxList); !strings.Contains(err.Error(), want) {
				t.Errorf("it ends with %v", err)
			}
			break
		}
	}
	if most := maxList/maxAnswer + 2; asked > most {
		t.Errorf("%d pages were read, want at most %d", asked, most)
	}
}
