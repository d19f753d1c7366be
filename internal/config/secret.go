package config

import (
	"fmt"
	"io"
	"log/slog"
)

// hidden is what is printed in place of a secret.
const hidden = "[secret]"

// Secret is a text that is never printed, logged or marshalled.
type Secret string

// Reveal is the text.
func (s Secret) Reveal() string { return string(s) }

// String is no part of the text.
func (Secret) String() string { return hidden }

// GoString is no part of the text.
func (Secret) GoString() string { return hidden }

// Format prints no part of the text, whatever the verb: fmt shows the value
// itself when String does not suit the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue is no part of the text.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText is no part of the text.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MarshalJSON is no part of the text.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }
