package dbtest

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"

	"packagecloud/internal/tooltest"
)

// Restartable is a PostgreSQL server of a test's own, which it may restart.
type Restartable struct {
	t     testing.TB
	shell io.Writer
	said  *bufio.Scanner
	// URL names an empty database.
	URL string
}

// NewRestartable starts a server. It ends with the test.
func NewRestartable(t testing.TB) *Restartable {
	t.Helper()
	c := tooltest.Command(t, "with-postgres", "sh")
	shell, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = shell.Close() // ends the shell, and with it the server
		_ = c.Wait()
	})
	r := &Restartable{t: t, shell: shell, said: bufio.NewScanner(out)}
	r.URL = r.run(`echo "$` + PostgresVariable + `"`)
	tooltest.Need(t, "a PostgreSQL server", r.URL != "")
	return r
}

// Restart ends the server, which breaks all connections, and starts it again.
func (r *Restartable) Restart() {
	r.t.Helper()
	if said := r.run(`eval "$` + PostgresVariable + `_RESTART"; echo $?`); said != "0" {
		r.t.Errorf("restart PostgreSQL: pg_ctl ended with %q", said)
	}
}

// run gives the shell a line, and returns the line that it prints; "" where the
// shell has ended.
func (r *Restartable) run(line string) string {
	if _, err := fmt.Fprintln(r.shell, line); err != nil || !r.said.Scan() {
		return ""
	}
	return strings.TrimSpace(r.said.Text())
}
