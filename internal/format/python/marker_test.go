package python_test

import (
	"fmt"
	"strings"
	"testing"

	"packagecloud/internal/format/python/pytest"
)

// TestMarkers refuses markers of which uv makes decision diagrams of gigabytes, and
// takes those that are long and plain.
func TestMarkers(t *testing.T) {
	rows := func(n int, row, operator string) string {
		var all []string
		for i := range n {
			all = append(all, strings.ReplaceAll(row, "N", fmt.Sprint(i)))
		}
		return strings.Join(all, operator)
	}
	for _, c := range []struct {
		marker string
		taken  bool
	}{
		{rows(150, "extra=='eN'", " or "), true},
		{rows(100, "'N' in os_name", " and "), true},
		{"python_version<'3.11' and (" + rows(100, "extra=='eN'", " or ") + ")", true},
		{rows(40, "(python_version>='3.N' and python_version<'4')", " or "), true},
		{rows(15, "(extra=='aN' and extra=='zN')", " or "), true},
		{rows(20, "(extra=='aN' and extra=='zN')", " or "), false},
		{rows(20, "extra=='aN' and extra=='zN'", " or "), false},
		{rows(20, "('N' in os_name or 'N' in platform_machine)", " and "), false},
		{rows(32, "(os_name=='N' and extra=='N')", " or "), false},
	} {
		body := pytest.WheelOf("p-1.dist-info/", pytest.Metadata("p", "1", "Requires-Dist: six; "+c.marker+"\n"))
		if _, err := accept(t, "p-1-py3-none-any.whl", body, nil); (err == nil) != c.taken || err != nil && !strings.Contains(err.Error(), "rows of comparisons") {
			t.Errorf("%.80s: %v", c.marker, err)
		}
	}
}
