package pace

import (
	"io"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// Writer is an answer of which each block has a deadline. It counts what was
// sent.
type Writer struct {
	http.ResponseWriter
	// Status is that of the answer, 0 as long as there is none.
	Status int
	// Sent is the size of the body so far, in bytes.
	Sent int64
	// Err is why the body could not be sent, if it could not.
	Err error

	control *http.ResponseController
	limit   time.Duration
}

// NewWriter makes a Writer.
func (l Limits) NewWriter(w http.ResponseWriter) *Writer {
	return &Writer{ResponseWriter: w, control: http.NewResponseController(w), limit: l.take()}
}

// Unwrap lets http.ResponseController through.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter. The deadline is that of the whole
// answer if there is no body; the one of the last answer over the connection may
// be past.
func (w *Writer) WriteHeader(status int) {
	if w.Status == 0 && status >= 200 {
		w.Status = status
	}
	w.fail(setDeadline(w.control.SetWriteDeadline, time.Now().Add(w.limit)))
	w.ResponseWriter.WriteHeader(status)
}

// begin allows time for a block.
func (w *Writer) begin() error {
	if w.Status == 0 {
		w.Status = http.StatusOK
	}
	w.fail(setDeadline(w.control.SetWriteDeadline, time.Now().Add(w.limit)))
	return w.Err
}

func (w *Writer) fail(err error) {
	if w.Err == nil {
		w.Err = err
	}
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (total int, err error) {
	for {
		block := p[total:min(len(p), total+takeBlock)]
		if err := w.begin(); err != nil {
			return total, err
		}
		n, err := w.ResponseWriter.Write(block)
		total, w.Sent = total+n, w.Sent+int64(n)
		w.fail(err)
		if err != nil || total == len(p) {
			return total, err
		}
	}
}

// ReadFrom implements io.ReaderFrom. The kernel sends files by itself, block by
// block, without their passing through this process.
func (w *Writer) ReadFrom(src io.Reader) (total int64, err error) {
	limited, ok := src.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{R: src, N: 1<<63 - 1}
	}
	if f := fileOf(limited.R); f != nil {
		total, err = w.sendFile(f, limited)
	} else {
		total, err = copyBlocks(struct{ io.Writer }{w}, limited)
	}
	if err == nil && ok && limited.N > 0 {
		err = io.ErrUnexpectedEOF
	}
	w.fail(err)
	return total, err
}

// fileOf is what the kernel can send: a file, or one that an object has open; nil
// for other readers.
func fileOf(r io.Reader) io.Reader {
	if o, ok := r.(interface{ File() *os.File }); ok && o.File() != nil {
		return o.File()
	}
	if _, ok := r.(syscall.Conn); ok {
		return r
	}
	return nil
}

func (w *Writer) sendFile(file io.Reader, limited *io.LimitedReader) (total int64, err error) {
	to, ok := w.ResponseWriter.(io.ReaderFrom)
	if !ok { // HTTP/2
		return copyBlocks(struct{ io.Writer }{w}, limited)
	}
	for limited.N > 0 {
		if err := w.begin(); err != nil {
			return total, err
		}
		block := min(limited.N, takeBlock)
		n, err := to.ReadFrom(&io.LimitedReader{R: file, N: block})
		total, limited.N, w.Sent = total+n, limited.N-n, w.Sent+n
		if err != nil || n < block {
			return total, err
		}
	}
	return total, nil
}

var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// copyBlocks copies by a buffer that is used again.
func copyBlocks(to io.Writer, from io.Reader) (int64, error) {
	buffer := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	return io.CopyBuffer(to, from, buffer[:])
}
