// Package all lists the formats that this program knows. A new format is one
// folder and one line here.
package all

import (
	"packagecloud/internal/format"
	"packagecloud/internal/format/deb"
	"packagecloud/internal/format/rpm"
)

// Formats are asked in this order whose URL a path is.
func Formats() []format.Format {
	return []format.Format{
		deb.New(),
		rpm.New(),
	}
}
