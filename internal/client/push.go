package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"packagecloud/internal/repo"
)

// Push is a package to be uploaded.
type Push struct {
	// Path is the package's file.
	Path string
	// DistroID is the distro_version_id; 0 sends it empty, as for gems.
	DistroID int64
	// Distro is the same by name, "ubuntu/jammy".
	Distro string
	// Coordinates are Maven's, group:artifact:version; "" lets the server
	// read them from the package.
	Coordinates string
	// Sources are the files that belong to a .dsc.
	Sources []string
	// Wait asks for an answer only when the package is installable.
	Wait bool
	// Progress is told how many bytes of Size were sent; after a failure it
	// begins anew. Nil is fine.
	Progress func(sent, size int64)
}

// Push uploads a package.
//
// A connection that breaks does not tell whether the package was recorded. It
// is sent again then; if the server has the name by that time, it is a success
// only when the server has the same bytes under it.
func (c *Client) Push(ctx context.Context, r *Repository, p Push) (*Package, error) {
	f, err := newForm(p)
	if err != nil {
		return nil, err
	}
	path := r.Paths.CreatePackage
	if p.Wait {
		path += "?wait=indexed"
	}
	rq := f.request(path)
	if p.Progress != nil {
		rq.progress = func(sent int64) { p.Progress(sent, f.size) }
	}
	a, err := c.do(ctx, rq)
	var pushed *Package
	switch {
	case err == nil:
		pushed = new(Package)
		err = a.decode(pushed)
	case repo.IsTaken(err) && a.repeated():
		pushed, err = c.recognise(ctx, r, p)
	}
	if err != nil {
		return nil, err
	}
	if p.Wait && !pushed.Indexed && pushed.IndexError != "" {
		return pushed, pushed.notIndexed()
	}
	if p.Wait && !pushed.Indexed {
		return pushed, c.awaitIndexed(ctx, pushed)
	}
	return pushed, nil
}

// Contents asks which files belong to a .dsc.
func (c *Client) Contents(ctx context.Context, r *Repository, path string, distroID int64) ([]SourceFile, error) {
	f, err := newForm(Push{Path: path, DistroID: distroID})
	if err != nil {
		return nil, err
	}
	a, err := c.do(ctx, f.request(r.Paths.PackageContents))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Files []SourceFile `json:"files"`
	}
	return answer.Files, a.decode(&answer)
}

// SourceFile is a file that a .dsc lists.
type SourceFile struct {
	Filename string `json:"filename"`
	Size     int64  `json:"size"`
}

// recognise finds the package that an earlier attempt left on the server. If
// that is another one, or cannot be told, the refusal stands and says so.
func (c *Client) recognise(ctx context.Context, r *Repository, p Push) (*Package, error) {
	refused := func(message string) error {
		return &repo.InvalidError{Fields: map[string][]string{"filename": {repo.TakenMessage, message}}}
	}
	sum, err := digest(p.Path)
	if err != nil {
		return nil, err
	}
	found, err := c.find(ctx, r, p.Distro, filepath.Base(p.Path), sum)
	switch {
	case err != nil:
		return nil, refused(fmt.Sprintf("and whether by this upload cannot be found out: %v", err))
	case found == nil || found.SHA256 == "":
		return nil, refused("and whether by this upload cannot be found out: the server tells no SHA-256 of it")
	case found.SHA256 != sum:
		return nil, refused("by a package with other bytes")
	}
	return found, nil
}

// Existing finds the package that a push would make again: one with the same bytes.
// It is nil if there is none.
func (c *Client) Existing(ctx context.Context, r *Repository, p Push) (*Package, error) {
	sum, err := digest(p.Path)
	if err != nil {
		return nil, err
	}
	found, err := c.find(ctx, r, p.Distro, filepath.Base(p.Path), sum)
	if err != nil || found == nil || found.SHA256 != sum {
		return nil, err
	}
	return found, nil
}

// digest is the SHA-256 of a file, in hex.
func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("hash %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// form is a multipart body whose files stay on disk until they are sent.
type form struct {
	kind  string
	size  int64 // bytes
	parts []formPart
}

// formPart is bytes of the form's frame and the file that follows them.
type formPart struct {
	frame []byte
	path  string // "" for none
	size  int64
}

// newForm frames the files in the order of the official client: the file, the
// id, coordinates, and what belongs to a .dsc.
func newForm(p Push) (*form, error) {
	var frame bytes.Buffer
	w := multipart.NewWriter(&frame)
	f := &form{kind: w.FormDataContentType()}
	file := func(field, path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no regular file", path)
		}
		if _, err := w.CreateFormFile(field, filepath.Base(path)); err != nil {
			return fmt.Errorf("frame %s: %w", path, err)
		}
		f.add(&frame, path, info.Size())
		return nil
	}
	id := ""
	if p.DistroID != 0 {
		id = strconv.FormatInt(p.DistroID, 10)
	}
	err := file("package[package_file]", p.Path)
	err = errors.Join(err, w.WriteField("package[distro_version_id]", id))
	if p.Coordinates != "" {
		err = errors.Join(err, w.WriteField("package[coordinates]", p.Coordinates))
	}
	for _, s := range p.Sources {
		err = errors.Join(err, file("package[source_files][]", s))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	f.add(&frame, "", 0)
	return f, nil
}

// add takes what was framed so far, and the file after it.
func (f *form) add(frame *bytes.Buffer, path string, size int64) {
	f.parts = append(f.parts, formPart{bytes.Clone(frame.Bytes()), path, size})
	f.size += int64(frame.Len()) + size
	frame.Reset()
}

// request sends the form; sending it twice does no harm, see Push.
func (f *form) request(path string) *request {
	return &request{
		method: http.MethodPost, path: path, kind: f.kind, size: f.size, body: f.open, answerLimit: answerTime,
	}
}

// open gives the body from its beginning.
func (f *form) open() (io.ReadCloser, error) {
	b := &formBody{}
	var readers []io.Reader
	for _, p := range f.parts {
		readers = append(readers, bytes.NewReader(p.frame))
		if p.path == "" {
			continue
		}
		file, err := os.Open(p.path)
		if err != nil {
			return nil, errors.Join(err, b.Close())
		}
		b.files = append(b.files, file)
		// What was appended since does not fit the announced length.
		readers = append(readers, &exactly{io.NewSectionReader(file, 0, p.size), p})
	}
	b.Reader = io.MultiReader(readers...)
	return b, nil
}

// formBody is an opened form.
type formBody struct {
	io.Reader
	files []*os.File
}

// Close implements io.Closer.
func (b *formBody) Close() error {
	var err error
	for _, f := range b.files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// exactly reads a file that must have the size that was announced.
type exactly struct {
	section *io.SectionReader
	part    formPart
}

// Read implements io.Reader.
func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.section.Read(p)
	if err == io.EOF {
		if at, _ := e.section.Seek(0, io.SeekCurrent); at < e.part.size {
			return n, fmt.Errorf("%s became shorter while it was sent", e.part.path)
		}
	}
	return n, err
}
