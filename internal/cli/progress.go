package cli

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"packagecloud/internal/printable"
)

const (
	// largeUpload is the size in bytes from which an upload has a bar.
	largeUpload = 16 << 20
	// longUpload is the time after which any upload has one.
	longUpload = 2 * time.Second
)

// board shows how far uploads are, as bars on a terminal, and how they went.
type board struct {
	out  io.Writer
	json bool
	err  *os.File // nil: no bars
	// above says that the results go to the terminal of the bars, so that
	// they have to be written above them.
	above bool

	mu   sync.Mutex
	bars *mpb.Progress // nil while there is no bar
	live int           // number of bars
}

func newBoard(c *cli, noBars bool) *board {
	b := &board{out: c.out, json: c.json}
	if !noBars && term.IsTerminal(int(c.err.Fd())) {
		b.err = c.err
		out, ok := c.out.(*os.File)
		b.above = ok && term.IsTerminal(int(out.Fd()))
	}
	return b
}

// upload begins an upload: progress is told how far it is, and end that it is
// over.
func (b *board) upload(name string) (progress func(sent, size int64), end func()) {
	if b.err == nil {
		return nil, func() {}
	}
	begun := time.Now()
	var mu sync.Mutex
	var bar *mpb.Bar
	return func(sent, size int64) {
			mu.Lock()
			defer mu.Unlock()
			if bar == nil && (size >= largeUpload || time.Since(begun) > longUpload) {
				bar = b.add(name, size)
			}
			if bar != nil {
				bar.SetCurrent(sent)
			}
		}, func() {
			mu.Lock()
			defer mu.Unlock()
			if bar != nil {
				b.remove(bar)
			}
		}
}

// add shows a bar. It stays when all is sent, for the server has yet to answer.
func (b *board) add(name string, size int64) *mpb.Bar {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bars == nil {
		b.bars = mpb.New(mpb.WithOutput(b.err))
	}
	bar := b.bars.AddBar(0,
		mpb.PrependDecorators(decor.Name(printable.Text(name)+" "), decor.CountersKibiByte("% .1f / % .1f")),
		mpb.AppendDecorators(decor.Percentage(), decor.Name(" "), decor.AverageSpeed(decor.SizeB1024(0), "% .1f")))
	bar.SetTotal(size, false)
	b.live++
	return bar
}

// remove takes a bar away, and with the last one their container: that writes
// what it was given only when it draws, so lines written later would be lost.
func (b *board) remove(bar *mpb.Bar) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bar.Abort(true)
	if b.live--; b.live == 0 {
		b.bars.Wait()
		b.bars = nil
	}
}

// tell writes how it went with a file, in lines that no other one breaks.
func (b *board) tell(r *pushed) {
	text := r.text(b.json)
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.out
	if b.bars != nil && b.above {
		out = b.bars
	}
	_, _ = out.Write(text) // nobody listens any more
}
