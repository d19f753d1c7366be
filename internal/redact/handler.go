package redact

import (
	"context"
	"fmt"
	"log/slog"
)

// Handler is a handler of logs that hides secrets before h writes them: in the
// message, and in the values of all attributes.
func Handler(h slog.Handler) slog.Handler { return handler{h} }

type handler struct{ next slog.Handler }

// Enabled implements slog.Handler.
func (h handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, Text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(attribute(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attributes []slog.Attr) slog.Handler {
	return handler{h.next.WithAttrs(all(attributes))}
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler { return handler{h.next.WithGroup(name)} }

func all(attributes []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(attributes))
	for i, a := range attributes {
		clean[i] = attribute(a)
	}
	return clean
}

// attribute hides secrets in a name and its value.
func attribute(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		v = slog.StringValue(Text(v.String()))
	case slog.KindGroup:
		v = slog.GroupValue(all(v.Group())...)
	case slog.KindAny:
		v = anything(v)
	}
	return slog.Attr{Key: Text(a.Key), Value: v}
}

// anything hides secrets in an error, or in the fields of a value. One that holds
// none stays what it is, so that a handler writes its fields as it likes.
func anything(v slog.Value) slog.Value {
	text := fmt.Sprintf("%+v", v.Any())
	if b, ok := v.Any().([]byte); ok {
		text = string(b)
	}
	if clean := Text(text); clean != text {
		return slog.StringValue(clean)
	}
	return v
}
