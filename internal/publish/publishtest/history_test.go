package publishtest

import (
	"errors"
	"testing"
	"time"
)

// TestCheck: each wrong answer is found in a history that is right without it.
func TestCheck(t *testing.T) {
	first, second := Listing{1, "1", []string{"a"}}, Listing{2, "2", []string{"a", "b"}}
	for name, wrong := range map[string]func(h *History){
		"":                       func(*History) {},
		"a generation goes back": func(h *History) { h.Read(time.Now(), first, nil) },
		"a generation has two contents": func(h *History) {
			h.Read(time.Now(), Listing{2, "other", []string{"a", "b"}}, nil)
		},
		"an installable package is not listed": func(h *History) { h.Read(time.Now(), Listing{3, "3", []string{"a"}}, nil) },
		"a file is missing":                    func(h *History) { h.Read(time.Now(), Listing{3, "3", []string{"a", "b"}}, errors.New("404")) },
		"a package is lost":                    func(h *History) { h.Pushed("lost", false) },
		"a deleted package is kept":            func(h *History) { h.Deleting("a") },
	} {
		var h History
		h.Pushed("a", true)
		h.Read(time.Now(), first, nil)
		began := time.Now()
		h.Pushed("b", true)
		h.Read(began, second, nil) // both orders are possible
		h.Read(began, first, nil)
		wrong(&h)
		h.Last(time.Now(), Listing{9, "9", []string{"a", "b"}}, nil)
		err := h.Check(time.Minute)
		if (err == nil) != (name == "") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
