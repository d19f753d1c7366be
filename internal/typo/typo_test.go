package typo

import (
	"testing"

	"pgregory.net/rapid"
)

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"noble", "noble", 0}, {"nobel", "noble", 1}, {"jamy", "jammy", 1}, {"jammmy", "jammy", 1}, {"focul", "focal", 1}, {"", "abc", 3}, {"ca", "abc", 3}, {"ubunut", "ubuntu", 1},
	} {
		if got := Distance(tt.a, tt.b); got != tt.want {
			t.Errorf("Distance(%q, %q) = %d, not %d", tt.a, tt.b, got, tt.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-c]{0,6}`)
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		if Distance(a, b) != Distance(b, a) {
			t.Fatalf("Distance(%q, %q) is not symmetric", a, b)
		}
		if d := Distance(a, b); (d == 0) != (a == b) || d > max(len(a), len(b)) {
			t.Fatalf("Distance(%q, %q) = %d", a, b, d)
		}
	})
}
