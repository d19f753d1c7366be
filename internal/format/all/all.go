// Package all lists the formats that this program knows. A new format is one
// folder and one line here.
package all

import (
	"packagecloud/internal/format"
	"packagecloud/internal/format/deb"
	"packagecloud/internal/format/generic"
	"packagecloud/internal/format/npm"
	"packagecloud/internal/format/python"
	"packagecloud/internal/format/rpm"
)

// Formats are asked in this order whose URL a path is. Those whose paths begin
// with a word of their own come before deb and rpm, to which the first step is a
// distribution.
func Formats() []format.Format {
	return []format.Format{
		generic.New(),
		npm.New(),
		python.New(),
		deb.New(),
		rpm.New(),
	}
}
