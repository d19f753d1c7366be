package npm

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"packagecloud/internal/format"
)

// parts are what the body of a request consists of: one tarball or none, and the
// rest of the packument.
type parts struct {
	// attached is the name of the tarball that came along; "" if none did.
	attached string
	rest     format.Scratch
	size     int64 // of the rest, in bytes
}

// text is the packument without its attachments, as JSON.
func (p *parts) text() io.Reader { return io.NewSectionReader(p.rest, 0, p.size) }

// split reads the body of a request while it comes in, in the memory of buffers.
// The tarball is handed to attach, wherever it stands. Everything else is copied to
// disk, because a client may send it as slowly as it likes: memory is reserved for
// it when all of it is there.
func split(ctx context.Context, c format.Call, attach func(name string, content io.Reader) error) (*parts, error) {
	rest, err := c.Scratch(ctx)
	if err != nil {
		return nil, err
	}
	p := &parts{rest: rest}
	s, out := newScanner(c.Body, maxChange), bufio.NewWriter(&counted{w: rest, n: &p.size})
	separator := "{"
	err = s.object(func(key string) error {
		if key == "_attachments" {
			return within(key, s.object(func(name string) error { return p.attachment(s, name, attach) }))
		}
		fmt.Fprintf(out, "%s%s:", separator, must(key))
		separator = ","
		return within(key, s.copy(out, s.left))
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return nil, err
	}
	if separator == "{" {
		fmt.Fprint(out, separator)
	}
	fmt.Fprint(out, "}")
	return p, out.Flush()
}

// attachment reads {"content_type":…,"data":…,"length":…}.
func (p *parts) attachment(s *scanner, name string, attach func(string, io.Reader) error) error {
	if strings.HasSuffix(name, ".sigstore") {
		return invalid("_attachments", errors.New("this registry keeps no provenance: publish without --provenance"))
	}
	if !strings.HasSuffix(name, ".tgz") {
		return invalid("_attachments", fmt.Errorf("%.120q is no tarball", name))
	}
	if p.attached != "" {
		return &syntaxError{"there are two tarballs in it"}
	}
	p.attached = name
	stated, length := int64(-1), &counter{}
	err := s.object(func(key string) error {
		switch {
		case key == "length":
			return member(s, maxText, &stated)
		case key != "data":
			_, err := s.value(maxText)
			return err
		case length.r != nil:
			return &syntaxError{"an attachment has its data twice"}
		}
		text, err := s.stream()
		if err != nil {
			return err
		}
		length.r = base64.NewDecoder(base64.StdEncoding, text)
		if err := attach(name, length); err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, text) // to its quotation mark
		return err
	})
	switch {
	case err != nil:
		return within(name, err)
	case length.r == nil:
		return within(name, &syntaxError{"the attachment has no data"})
	case stated >= 0 && stated != length.n:
		return within(name, &syntaxError{fmt.Sprintf("the attachment has %d bytes and says it has %d", length.n, stated)})
	}
	return nil
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// counted counts what is written.
type counted struct {
	w io.Writer
	n *int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	*c.n += int64(n)
	return n, err
}
