package servetest

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"packagecloud/internal/config"
	"packagecloud/internal/serve"
)

// Log keeps what a server logs. Its zero value is empty.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// Handler writes everything, debug messages too, as a server does.
func (l *Log) Handler() slog.Handler {
	return serve.Logger(&config.Config{LogLevel: slog.LevelDebug}, l).Handler()
}

// Text is what was logged so far.
func (l *Log) Text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Lacks expects that no line has a text.
func (l *Log) Lacks(t testing.TB, text string) {
	t.Helper()
	for line := range strings.Lines(l.Text()) {
		if strings.Contains(line, text) {
			t.Errorf("logged: %s", strings.TrimSpace(line))
		}
	}
}
