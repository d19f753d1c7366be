package publish_test

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/format"
	"packagecloud/internal/format/formattest"
	"packagecloud/internal/verify"
)

// audited is a format whose clients refuse the version "bad".
type audited struct{ formattest.Toy }

func (audited) Audit(d format.Document, plain io.Reader, report func(format.Finding)) error {
	lines := bufio.NewScanner(plain)
	for lines.Scan() {
		if name, rest, _ := strings.Cut(lines.Text(), " "); d.Kind == "names" && strings.HasPrefix(rest, "bad ") {
			report(format.Finding{Package: name, Field: "version", Reason: `"bad" is bad`})
		}
	}
	return lines.Err()
}

// TestVerifyAudits has a format read live documents, and reports what it finds.
func TestVerifyAudits(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		w := s.worker(s.blobs)
		s.mustPush(one, "a", "1", "x")
		s.mustPush(one, "b", "bad", "x")
		s.settle(w)
		v := verify.Verifier{DB: s.db, Blobs: s.blobs, Formats: []format.Format{audited{}}, Origin: "example.com"}
		var found []verify.Problem
		if _, err := v.Run(t.Context(), func(p verify.Problem) { found = append(found, p) }); err != nil {
			t.Fatal(err)
		}
		if len(found) != 1 || found[0].Object != "acme/tools/toyos/one/x/names" || !strings.Contains(found[0].What, `b: its version: "bad" is bad`) {
			t.Errorf("found %+v", found)
		}
	})
}
