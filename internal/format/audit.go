package format

import "io"

// Auditor is implemented by formats that can read a document as their clients
// do. Verify has it read what is live.
type Auditor interface {
	// Audit reads the plain form of a document, head and tail included, and
	// reports what clients would refuse. It reads to the end, with memory that
	// does not grow with the document. The error is that of the reader.
	Audit(d Document, plain io.Reader, report func(Finding)) error
}

// Finding is something in a document that clients refuse.
type Finding struct {
	// Package is which, as clients name it: "hello 1.0 amd64". It is "" if the
	// document as a whole cannot be read.
	Package string
	Field   string // of the package; "" if it is none alone
	Reason  string // the text and what is wrong with it: `"foo>=1.0" has a version without parentheses`
}

// String is the finding in one line.
func (f Finding) String() string {
	text := f.Reason
	if f.Field != "" {
		text = "its " + f.Field + ": " + text
	}
	if f.Package != "" {
		text = f.Package + ": " + text
	}
	return text
}

// Audit has a format read a document. One that is no Auditor finds nothing.
func Audit(f Format, d Document, plain io.Reader, report func(Finding)) error {
	if a, ok := f.(Auditor); ok {
		return a.Audit(d, plain, report)
	}
	return nil
}
