package repo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"strings"
)

// The kinds of failure that callers act on. Only the server turns them into
// statuses, in one table; everything else is an internal error.
var (
	ErrNotFound        = errors.New("not found")
	ErrUnauthenticated = errors.New("unauthenticated")
	ErrForbidden       = errors.New("forbidden")
	// ErrUnavailable is a passing inability: asking again later may succeed.
	ErrUnavailable = errors.New("temporarily unavailable")
	// ErrStorage and ErrDatabase are ErrUnavailable, and say of what.
	ErrStorage  = fmt.Errorf("the storage is %w", ErrUnavailable)
	ErrDatabase = fmt.Errorf("the database is %w", ErrUnavailable)
	// ErrFull says that there is no room left on a disk: asking again helps only
	// when somebody has made some.
	ErrFull = errors.New("no space left")
)

// LogLevel is how loudly an error is logged: what passes by itself is a warning,
// and what somebody must see to is an error.
func LogLevel(err error) slog.Level {
	if errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		return slog.LevelWarn
	}
	return slog.LevelError
}

// InvalidError says which fields of a request cannot be accepted and why. It
// is shown to the user as it stands, so a message names the value and the way
// out and never holds a secret.
type InvalidError struct {
	Fields map[string][]string
}

// Invalid is an InvalidError about one field.
func Invalid(field, message string) *InvalidError {
	return &InvalidError{Fields: map[string][]string{field: {message}}}
}

// TakenMessage is what clients look for to recognise a duplicate: git-lfs
// compares the whole body that holds it byte for byte.
const TakenMessage = "has already been taken"

// Taken is the InvalidError of a name that exists already.
func Taken(field string) *InvalidError { return Invalid(field, TakenMessage) }

// IsTaken reports whether err is about a name that exists already.
func IsTaken(err error) bool {
	var invalid *InvalidError
	if !errors.As(err, &invalid) {
		return false
	}
	for _, messages := range invalid.Fields {
		for _, m := range messages {
			if m == TakenMessage {
				return true
			}
		}
	}
	return false
}

func (e *InvalidError) Error() string {
	fields := make([]string, 0, len(e.Fields))
	for f := range e.Fields {
		fields = append(fields, f)
	}
	sort.Strings(fields)
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(f + ": " + strings.Join(e.Fields[f], ", "))
	}
	return b.String()
}
