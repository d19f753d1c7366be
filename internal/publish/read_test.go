package publish_test

import (
	"io"
	"strings"

	"packagecloud/internal/db"
	"packagecloud/internal/index"
	"packagecloud/internal/publish"
)

// text reads a file of a generation.
func (s *system) text(f db.File) string {
	s.t.Helper()
	var r io.Reader
	if f.DocumentID == 0 {
		o, err := s.blobs.Open(s.t.Context(), f.Object)
		if err != nil {
			s.t.Fatal(err)
		}
		defer o.Close()
		r = o
	} else {
		segments, err := s.db.Segments(s.t.Context(), f.DocumentID, f.Generation)
		if err != nil {
			s.t.Fatal(err)
		}
		r = index.NewDocument(f.Encoding, segments).Reader(s.t.Context(), publish.Segments{Store: s.blobs})
	}
	text, err := io.ReadAll(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// names are the first words of the lines.
func names(text string) string {
	var all []string
	for line := range strings.Lines(text) {
		all = append(all, strings.Fields(line)[0])
	}
	return strings.Join(all, " ")
}
