package collect

import (
	"testing"
	"time"
)

// TestWatch: a clock that is set days ahead is not believed, until it is put
// right or stays so for as long as objects without a row are kept.
func TestWatch(t *testing.T) {
	start := time.Now()
	steps := []struct {
		elapsed, wrong int // hours since the start, and what the clock is ahead
		believed       bool
	}{
		{0, 0, true}, {1, 0, true}, {2, 72, false}, {3, 72, false}, {4, 0, true}, // put right
		{5, -24, true}, {6, -24, true}, // behind: everything seems younger
		{7, 0, false}, {54, 0, false}, {55, 0, true}, {56, 0, true}, // it stays
		{57, 0, true}, {58, 72, false}, {59, 144, false}, {60, 0, true},
	}
	var w watch
	for i, s := range steps {
		elapsed := time.Duration(s.elapsed) * time.Hour
		if got := w.ahead(start.Add(elapsed+time.Duration(s.wrong)*time.Hour), elapsed); (got == 0) != s.believed {
			t.Errorf("step %d: the clock is ahead by %s", i, got)
		}
	}
}
