package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"packagecloud/internal/repo"
)

// maxParams bounds a request body that carries no package, and maxParam each
// value, in bytes; maxField each value that stands beside a package.
const (
	maxParams = 2 << 20
	maxParam  = 1 << 20
	maxField  = 16 << 10
)

// params are the parameters of a request, by their Rails names:
// "repository[name]".
type params map[string]string

// get is a parameter, or one of its other names; "" if there is none.
func (p params) get(names ...string) string {
	for _, n := range names {
		if v := p[n]; v != "" {
			return v
		}
	}
	return ""
}

// flag reads 1, 0, true and false.
func (p params) flag(names ...string) (bool, error) {
	switch v := strings.ToLower(p.get(names...)); v {
	case "", "0", "false", "off", "no":
		return false, nil
	case "1", "true", "on", "yes":
		return true, nil
	default:
		return false, repo.Invalid(names[0], fmt.Sprintf("%q is neither true nor false", v))
	}
}

func (p params) query(q url.Values) error {
	for name, values := range q {
		if err := p.set(name, values[0]); err != nil {
			return err
		}
	}
	return nil
}

// readParams reads the query and a body of any encoding. Those of the body win.
func readParams(w http.ResponseWriter, r *http.Request) (params, error) {
	p := make(params)
	if err := p.query(r.URL.Query()); err != nil {
		return nil, err
	}
	if r.Body == nil || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return p, nil
	}
	body := http.MaxBytesReader(w, r.Body, maxParams)
	kind, attributes, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case kind == formData && attributes["boundary"] != "":
		return p, p.multipart(multipart.NewReader(body, attributes["boundary"]))
	case kind == formData:
		buffered := bufio.NewReader(body)
		if boundary := firstBoundary(buffered); boundary != "" {
			return p, p.multipart(multipart.NewReader(buffered, boundary))
		}
		return p, p.text(buffered) // whatever its header says
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		return p, p.json(body)
	}
	return p, p.text(body)
}

// formData is the media type of a form that carries files.
const formData = "multipart/form-data"

// firstBoundary is the boundary in the first line of a form whose header names
// none, and "" if the body does not begin with one.
func firstBoundary(body *bufio.Reader) string {
	line, _ := body.Peek(maxBoundary + len("--\r\n")) // what is shorter is judged as it is
	line, _, found := bytes.Cut(line, []byte("\r\n"))
	boundary, ok := bytes.CutPrefix(line, []byte("--"))
	if !found || !ok || len(boundary) > maxBoundary {
		return ""
	}
	return string(boundary)
}

// maxBoundary is the length of the longest boundary, in bytes (RFC 2046, 5.1.1).
const maxBoundary = 70

// text reads a urlencoded form, or JSON: some clients send it and do not say so.
func (p params) text(body io.Reader) error {
	text, err := io.ReadAll(body)
	if err != nil {
		return badRequest(err)
	}
	if trimmed := strings.TrimSpace(string(text)); strings.HasPrefix(trimmed, "{") {
		return p.json(strings.NewReader(trimmed))
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return badRequest(err)
	}
	return p.query(form)
}

func (p params) multipart(r *multipart.Reader) error {
	for {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return badRequest(err)
		}
		if err := p.part(part, maxParam); err != nil {
			return err
		}
	}
}

// part reads one field of at most so many bytes.
func (p params) part(part *multipart.Part, limit int64) error {
	value, err := io.ReadAll(io.LimitReader(part, limit+1))
	if err != nil {
		return badRequest(err)
	}
	if int64(len(value)) > limit {
		return repo.Invalid(part.FormName(), fmt.Sprintf("is longer than %d bytes", limit))
	}
	return p.set(part.FormName(), string(value))
}

// set keeps a value that can be stored.
func (p params) set(name, value string) error {
	switch {
	case !repo.IsText(name):
		return repo.Invalid("base", "the name of a field holds a NUL, or is no UTF-8")
	case !repo.IsText(value):
		return repo.Invalid(name, "holds a NUL, or is no UTF-8")
	}
	p[name] = value
	return nil
}

// json reads an object whose objects nest as the brackets of a name do:
// {"repository": {"name": "x"}}.
func (p params) json(r io.Reader) error {
	var object map[string]any
	decoder := json.NewDecoder(r)
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil && !errors.Is(err, io.EOF) {
		return badRequest(err)
	}
	for name, value := range object {
		inner, ok := value.(map[string]any)
		if !ok {
			if err := p.scalar(name, value); err != nil {
				return err
			}
		}
		for key, v := range inner {
			if err := p.scalar(name+"["+key+"]", v); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p params) scalar(name string, value any) error {
	switch v := value.(type) {
	case string:
		return p.set(name, v)
	case bool:
		return p.set(name, strconv.FormatBool(v))
	case json.Number:
		return p.set(name, v.String())
	}
	return nil
}

// badRequest says that a body cannot be read.
func badRequest(err error) error {
	return repo.Invalid("base", fmt.Sprintf("the request body cannot be read: %v", err))
}
