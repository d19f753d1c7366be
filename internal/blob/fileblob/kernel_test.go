package fileblob

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/content"
	"packagecloud/internal/pace"
)

// sink is an answer that knows what it was given to send.
type sink struct {
	http.ResponseWriter
	fromFile int64
}

// ReadFrom implements io.ReaderFrom, as the connections of net/http do.
func (s *sink) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(struct{ io.Writer }{s.ResponseWriter}, src)
	if l, ok := src.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			s.fromFile += n
		}
	}
	return n, err
}

// TestKernelSends: what is stored is handed to the connection as a file, which
// the kernel sends without copying it through this process.
func TestKernelSends(t *testing.T) {
	s := open(t, t.TempDir())
	body := bytes.Repeat([]byte("bytes"), 100_000)
	if err := s.Put(t.Context(), keyOf(body), body, blob.Attributes{}); err != nil {
		t.Fatal(err)
	}
	o, err := s.Open(t.Context(), keyOf(body))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	recorder := httptest.NewRecorder()
	to := &sink{ResponseWriter: recorder}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Range", "bytes=7-")
	content.Serve(pace.Limits{}.NewWriter(to), r, time.Unix(1, 0), o)
	if !bytes.Equal(recorder.Body.Bytes(), body[7:]) {
		t.Errorf("%d bytes were sent, or others", recorder.Body.Len())
	}
	if want := int64(len(body) - 7); to.fromFile != want {
		t.Errorf("%d of %d bytes were sent as a file", to.fromFile, want)
	}
}
