package deb

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"packagecloud/internal/format"
)

// Audit implements format.Auditor: it reads Packages or Sources as apt does, one
// stanza after the other. apt-file takes any line.
func (Format) Audit(d format.Document, plain io.Reader, report func(format.Finding)) error {
	if d.Kind == kindContents {
		return nil
	}
	a := audit{kind: d.Kind, report: report}
	lines := bufio.NewReaderSize(plain, 64<<10)
	for {
		// A longer line comes in parts.
		part, err := lines.ReadSlice('\n')
		a.take(part)
		switch err {
		case nil, bufio.ErrBufferFull:
			a.inLine = err != nil
		case io.EOF:
			a.finish()
			return nil
		default:
			return err
		}
	}
}

// audit collects a stanza.
type audit struct {
	kind   string
	report func(format.Finding)
	text   []byte // of the stanza, maxStanza+1 bytes at most
	inLine bool   // what comes next continues a line
}

// take adds a line, or a part of one, to the stanza. An empty line ends it.
func (a *audit) take(part []byte) {
	if !a.inLine && string(part) == "\n" {
		a.finish()
		return
	}
	a.text = append(a.text, part[:min(len(part), maxStanza+1-len(a.text))]...)
}

// finish judges a stanza.
func (a *audit) finish() {
	if len(a.text) == 0 {
		return
	}
	s, err := readEntry(a.text)
	if err == nil {
		err = checkListed(a.kind, s)
	}
	if err != nil {
		a.report(finding(a.text, s, err))
	}
	a.text = a.text[:0]
}

// finding says what is wrong with a stanza, which may have been too long to read.
func finding(text []byte, s stanza, err error) format.Finding {
	if s == nil {
		name, _, _ := bytes.Cut(text[:min(len(text), maxFilename)], []byte("\n"))
		return format.Finding{Package: strings.ToValidUTF8(string(name), "\uFFFD"), Reason: err.Error()}
	}
	f := format.Finding{Package: excerpt(s.get("Package")) + " " + excerpt(s.get("Version")) + " " + excerpt(s.get("Architecture")), Reason: err.Error()}
	if wrong := (*fault)(nil); errors.As(err, &wrong) {
		f.Field, f.Reason = wrong.field, wrong.reason
	}
	return f
}
