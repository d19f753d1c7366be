package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"packagecloud/internal/printable"
	"packagecloud/internal/redact"
	"packagecloud/internal/repo"
)

// NotFoundError says that the server has not what was asked for.
type NotFoundError struct {
	// Fields are the server's words, if it said more than that.
	Fields map[string][]string
}

func (e *NotFoundError) Error() string {
	if len(e.Fields) == 0 {
		return repo.ErrNotFound.Error()
	}
	return (&repo.InvalidError{Fields: e.Fields}).Error()
}

// Unwrap makes it a repo.ErrNotFound.
func (e *NotFoundError) Unwrap() error { return repo.ErrNotFound }

// HTTPError is an answer with a status that says neither success nor what is
// wrong with the request.
type HTTPError struct {
	Status int
	// Message is what the server said, "" if nothing.
	Message string
}

func (e *HTTPError) Error() string {
	text := fmt.Sprintf("the server answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// localError is a failure on this side, which no retry cures.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

// failure is the error that an answer stands for: repo.ErrUnauthenticated, a
// *NotFoundError, a *repo.InvalidError or an *HTTPError. It is nil for success.
func (c *Client) failure(a *answer) error {
	if a.status >= 200 && a.status < 300 {
		return nil
	}
	fields := c.fields(a.body)
	switch a.status {
	case http.StatusUnauthorized:
		return fmt.Errorf("%w: the server does not know the token, or not the e-mail address and password", repo.ErrUnauthenticated)
	case http.StatusNotFound:
		delete(fields, "error") // says "not_found" again
		return &NotFoundError{Fields: fields}
	case http.StatusUnprocessableEntity:
		if len(fields) == 0 {
			fields = map[string][]string{"base": {"was refused without a reason"}}
		}
		return &repo.InvalidError{Fields: fields}
	}
	message := ""
	switch {
	case a.status >= 300 && a.status < 400:
		message = "it redirects to " + c.clean(a.header.Get("Location")) + "; if that is the server, give its URL"
	case len(fields) == 1 && fields["error"] != nil:
		message = strings.Join(fields["error"], ", ")
	case len(fields) > 0:
		message = (&repo.InvalidError{Fields: fields}).Error()
	case strings.HasPrefix(a.header.Get("Content-Type"), "text/plain"), len(a.body) < 100:
		message = c.clean(strings.TrimSpace(string(a.body)))
	}
	return &HTTPError{Status: a.status, Message: message}
}

// fields reads an object of texts, or lists of texts, by field.
func (c *Client) fields(body []byte) map[string][]string {
	var object map[string]any
	if json.Unmarshal(body, &object) != nil {
		return nil
	}
	fields := make(map[string][]string)
	for name, value := range object {
		values, ok := value.([]any)
		if !ok {
			values = []any{value}
		}
		for _, v := range values {
			if text, ok := v.(string); ok {
				name := c.clean(name)
				fields[name] = append(fields[name], c.clean(text))
			}
		}
	}
	return fields
}

// maxMessage bounds what is shown of an answer, in bytes.
const maxMessage = 2000

// clean makes a server's text fit to be shown: short, without what a terminal
// would obey, and without the token.
func (c *Client) clean(text string) string {
	if c.Token != "" {
		text = strings.ReplaceAll(text, c.Token, "******")
	}
	return shown(text)
}

// shown is a text that may be long, fit to be shown and without secrets: what a
// server names may hold the token of a machine.
func shown(text string) string {
	if len(text) > maxMessage {
		text = text[:maxMessage] + "..."
	}
	return printable.Text(redact.Text(text))
}
