package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"packagecloud/internal/repo"
	"packagecloud/internal/upload"
)

const (
	// maxSources bounds the files that come along with a .dsc.
	maxSources = 1000
	// maxWait bounds how long a push waits to be indexed.
	maxWait = 5 * time.Minute
)

// form is a push as it came in: the files are received while it is read, in
// whatever order its parts stand.
type form struct {
	params
	file    *upload.File
	sources []*upload.File
}

// fields are what is said beside the file, as formats name it.
func (f *form) fields() map[string]string {
	fields := make(map[string]string)
	for name, value := range f.params {
		if inner, ok := strings.CutPrefix(name, "package["); ok {
			fields[strings.TrimSuffix(inner, "]")] = value
		}
	}
	return fields
}

// close discards the staged files.
func (f *form) close(a *API) {
	files := f.sources
	if f.file != nil {
		files = append(files, f.file)
	}
	for _, s := range files {
		if err := s.Close(); err != nil {
			a.Log.Warn("cannot discard a staged file", "error", err)
		}
	}
}

// receive reads the multipart body of a push. The form must be closed, also
// after an error.
func (a *API) receive(r *http.Request) (*form, error) {
	f := &form{params: make(params)}
	if err := f.query(r.URL.Query()); err != nil {
		return f, err
	}
	reader, err := multipartReader(r)
	if err != nil {
		return f, err
	}
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return f, Broken(r, err)
		}
		if err := a.receivePart(r, f, part); err != nil {
			return f, err
		}
	}
}

func (a *API) receivePart(r *http.Request, f *form, part *multipart.Part) error {
	switch name := part.FormName(); name {
	case "package[package_file]", "package_file":
		if f.file != nil {
			return repo.Invalid("package_file", "was sent twice")
		}
		file, err := a.Uploader.Receive(r.Context(), part.FileName(), part)
		if err != nil {
			return Broken(r, err)
		}
		f.file = file
	case "package[source_files][]", "package[source_files]", "source_files[]":
		if len(f.sources) == maxSources {
			return repo.Invalid("source_files", fmt.Sprintf("more than %d files", maxSources))
		}
		file, err := a.Uploader.Receive(r.Context(), part.FileName(), part)
		if err != nil {
			return Broken(r, err)
		}
		f.sources = append(f.sources, file)
	default:
		if len(f.params) > 100 {
			return repo.Invalid("base", "the form has too many fields")
		}
		return f.part(part, maxField)
	}
	return nil
}

// errBroken says that the client stopped in the middle of its upload.
var errBroken = errors.New("the upload broke off")

// Broken tells a body that cannot be read from a failure of ours.
func Broken(r *http.Request, err error) error {
	switch {
	case errors.Is(err, upload.ErrTooLarge):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), r.Context().Err() != nil, isTimeout(err):
		return fmt.Errorf("%w: %w: %w", repo.Invalid("package_file", "the upload broke off before its end"), errBroken, err)
	case isMalformed(err):
		return badRequest(err)
	}
	return err
}

// isMalformed reports whether a body is not written as multipart/form-data is.
func isMalformed(err error) bool {
	var header textproto.ProtocolError
	return errors.As(err, &header) || strings.Contains(err.Error(), "multipart:") || strings.Contains(err.Error(), "mime")
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// multipartReader finds the boundary of a body. One client sends no
// Content-Type, and some leave the boundary out; then the body's first line tells.
func multipartReader(r *http.Request) (*multipart.Reader, error) {
	kind, attributes, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	isForm := kind == formData
	if isForm && attributes["boundary"] != "" {
		return multipart.NewReader(r.Body, attributes["boundary"]), nil
	}
	if !isForm && r.Header.Get("Content-Type") != "" {
		return nil, repo.Invalid("package_file", "send the package as multipart/form-data, in a part named package[package_file]")
	}
	body := bufio.NewReaderSize(r.Body, 4096)
	if boundary := firstBoundary(body); boundary != "" {
		return multipart.NewReader(body, boundary), nil
	}
	return nil, repo.Invalid("package_file", "can't be blank: send the package as multipart/form-data, in a part named package[package_file]")
}

// distro is the distribution version that a push names: by its id, or by its
// name as "ubuntu/jammy".
func (a *API) distro(p params) (repo.DistroVersion, error) {
	const field = "distro_version_id"
	v := p.get("package[distro_version_id]", field)
	if v == "" {
		return repo.DistroVersion{}, repo.Invalid(field, "can't be blank: give the id of a distribution version, see /api/v1/distributions.json")
	}
	hint := ""
	if os, version, ok := strings.Cut(v, "/"); ok {
		if d, ok := a.Catalog().Find(os, version); ok {
			return d, nil
		}
		if near := a.Catalog().Suggest(os, version); len(near) > 0 {
			hint = "; did you mean " + strings.Join(near, ", ")
		}
	} else if id, err := strconv.ParseInt(v, 10, 64); err == nil {
		if d, ok := a.Catalog().ByID(id); ok {
			return d, nil
		}
	}
	return repo.DistroVersion{}, repo.Invalid(field, fmt.Sprintf("%.140q is no distribution version, see /api/v1/distributions.json%s", v, hint))
}

func (a *API) pushPackage(w http.ResponseWriter, r *http.Request, c *call) error {
	f, err := a.receive(r)
	defer f.close(a)
	if err != nil {
		return err
	}
	if f.file == nil {
		return repo.Invalid("package_file", "can't be blank")
	}
	v, err := a.distro(f.params)
	if err != nil {
		return err
	}
	p, err := a.Uploader.Push(r.Context(), upload.Push{Repository: c.repository, Distro: v, User: c.user, File: f.file, Sources: f.sources, Fields: f.fields()})
	if err != nil {
		return err
	}
	if f.get("wait") == "indexed" {
		if p.Indexed, err = a.await(r, p.ID); err != nil {
			return err
		}
	}
	return a.writeDetails(w, r, c, http.StatusCreated, p)
}

// await waits until a package is installable. That it takes too long, or that
// nobody can tell just now, is no error: the package is recorded, and the answer
// says that it is not indexed.
func (a *API) await(r *http.Request, id int64) (indexed bool, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), maxWait)
	defer cancel()
	err = a.Publisher.Await(ctx, id)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, repo.ErrUnavailable) {
		return false, nil
	}
	return err == nil, err
}

// contents tells which files must be pushed along with a .dsc.
func (a *API) contents(w http.ResponseWriter, r *http.Request, _ *call) error {
	f, err := a.receive(r)
	defer f.close(a)
	if err != nil {
		return err
	}
	if f.file == nil {
		return repo.Invalid("package_file", "can't be blank")
	}
	v, err := a.distro(f.params)
	if err != nil {
		return err
	}
	p, err := a.Uploader.Read(r.Context(), f.file, v)
	if err != nil {
		return err
	}
	type fileJSON struct {
		Filename string `json:"filename"`
		Size     int64  `json:"size"`
		MD5      string `json:"md5sum"`
	}
	files := make([]fileJSON, 0, len(p.Files))
	for _, s := range p.Files[1:] {
		files = append(files, fileJSON{Filename: s.Name, Size: s.Size, MD5: s.MD5})
	}
	return WriteJSON(w, http.StatusOK, map[string]any{"files": files})
}
