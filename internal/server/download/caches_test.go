package download

import (
	"fmt"
	"strings"
	"testing"
)

// TestIndexCacheIsBounded asks for more names that do not exist than fit.
func TestIndexCacheIsBounded(t *testing.T) {
	c := newCaches()
	long := strings.Repeat("a", 2000)
	for i := range 50_000 { // 100 MB
		c.index.Set(indexKey{1, 1, fmt.Sprint(long, i)}, nil)
	}
	c.index.CleanUp()
	if size := c.index.WeightedSize(); size > indexSize {
		t.Errorf("the cache holds %d bytes, more than %d", size, indexSize)
	}
	if n := c.index.EstimatedSize(); n == 0 || n > indexSize/2000 {
		t.Errorf("the cache holds %d entries", n)
	}
}
