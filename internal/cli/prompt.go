package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"packagecloud/internal/printable"
)

// prompt asks the user. Its questions go to standard error, so that results
// can be read from standard output.
type prompt struct {
	in     *os.File
	reader *bufio.Reader
	out    io.Writer
}

func newPrompt(in *os.File, out io.Writer) *prompt {
	return &prompt{in: in, reader: bufio.NewReader(in), out: out}
}

// errNoAnswer says that the input ended.
var errNoAnswer = errors.New("no answer: standard input ended")

// terminal reports whether somebody may be there to choose from a menu.
func (p *prompt) terminal() bool { return term.IsTerminal(int(p.in.Fd())) }

// line asks for a line.
func (p *prompt) line(ctx context.Context, question string) (string, error) {
	fmt.Fprint(p.out, question)
	return interruptible(ctx, func() (string, error) {
		text, err := p.reader.ReadString('\n')
		if err != nil && (text == "" || !errors.Is(err, io.EOF)) {
			return "", errNoAnswer
		}
		return strings.TrimRight(text, "\r\n"), nil
	})
}

// secret asks for a line that is not shown.
func (p *prompt) secret(ctx context.Context, question string) (string, error) {
	if !p.terminal() {
		return p.line(ctx, question)
	}
	fd := int(p.in.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("look at the terminal: %w", err)
	}
	fmt.Fprint(p.out, question)
	text, err := interruptible(ctx, func() (string, error) {
		b, err := term.ReadPassword(fd)
		return string(b), err
	})
	fmt.Fprintln(p.out)
	if ctx.Err() != nil { // the terminal is still without echo
		return "", errors.Join(err, term.Restore(fd, state))
	}
	return text, err
}

// confirm asks until the answer is y or n. No answer is a no.
func (p *prompt) confirm(ctx context.Context, question string) (bool, error) {
	for {
		text, err := p.line(ctx, question+" (y/n): ")
		switch {
		case errors.Is(err, errNoAnswer):
			return false, nil
		case err != nil:
			return false, err
		case text == "y" || text == "n":
			return text == "y", nil
		}
		printable.Fprintf(p.out, "%s is not a valid selection.\n", text)
	}
}

// interruptible ends with the context, though a read of the terminal does not:
// that goroutine ends with the process.
func interruptible(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		text, err := read()
		done <- answer{text, err}
	}()
	select {
	case a := <-done:
		return a.text, a.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
