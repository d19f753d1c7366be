package python

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strings"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// Limits of the form that twine sends: it repeats all metadata, the README too.
const (
	maxField  = 4 << 20
	maxFields = 8 << 20 // all together
	maxParts  = 10_000
)

// Receives implements format.Receiver: the upload API of PyPI.
func (Format) Receives(method, path string) format.Access {
	switch strings.TrimSuffix(path, "/") {
	case "pypi", "pypi/legacy":
		if method == format.Post {
			return format.WriteAccess
		}
	}
	return format.NoAccess
}

// Receive implements format.Receiver.
func (Format) Receive(ctx context.Context, c format.Call) (a format.Action, err error) {
	a.OS, a.Version = distroOS, distroVersion
	a.Answer.Status = 200 // as PyPI does
	kind, attributes, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || attributes["boundary"] == "" {
		return a, repo.Invalid("base", "send a form of the type multipart/form-data, as twine does")
	}
	form, err := readForm(ctx, multipart.NewReader(c.Body, attributes["boundary"]), c.Keep)
	if err != nil {
		return a, err
	}
	if action := form.fields[":action"]; action != "file_upload" {
		return a, repo.Invalid("base", fmt.Sprintf("the action %q is not known here: only file_upload is", clip(action, 100)))
	}
	if form.file == nil {
		return a, repo.Invalid("content", "can't be blank")
	}
	for field, got := range map[string]string{"sha256_digest": form.file.SHA256, "md5_digest": form.file.MD5} {
		if want := form.fields[field]; want != "" && !strings.EqualFold(want, got) {
			return a, repo.Invalid(field, "is not that of the file which arrived: send it again")
		}
	}
	a.Push = []format.Pushing{{
		File: *form.file, Fields: map[string]string{"name": form.fields["name"], "version": form.fields["version"], "filename": form.file.Filename},
		At: format.Target{Filename: form.file.Filename},
	}}
	a.Await = true // uv asks the page what is there already before each file
	return a, nil
}

type form struct {
	file   *format.Upload
	fields map[string]string
}

type keep func(ctx context.Context, name string, r io.Reader) (format.Upload, error)

// readForm reads the fields that matter and keeps the file.
func readForm(ctx context.Context, r *multipart.Reader, keep keep) (*form, error) {
	f := &form{fields: make(map[string]string)}
	left := int64(maxFields)
	for range maxParts {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return nil, err
		}
		name := part.FormName()
		if name == "content" {
			if f.file != nil {
				return nil, repo.Invalid("content", "was sent twice")
			}
			u, err := keep(ctx, part.FileName(), part)
			if err != nil {
				return nil, err
			}
			f.file = &u
			continue
		}
		value, err := io.ReadAll(io.LimitReader(part, min(maxField, left)+1))
		if err != nil {
			return nil, err
		}
		if left -= int64(len(value)); len(value) > maxField || left < 0 {
			return nil, repo.Invalid(clip(name, 100), "the form is too large")
		}
		switch name {
		case ":action", "name", "version", "sha256_digest", "md5_digest":
			f.fields[name] = string(value)
		}
	}
	return nil, repo.Invalid("base", "the form has too many parts")
}
