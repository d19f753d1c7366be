package index

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"packagecloud/internal/format"
)

// gzipLevel: level 6 of klauspost's gzip runs at some 60 MB/s a core; its best
// level is ten times slower for hardly a percent of size.
const gzipLevel = 6

var gzipWriters = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzipLevel)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// zstdEncoder and zstdDecoder are used through EncodeAll and DecodeAll alone,
// which are safe for concurrent use.
var (
	zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // the options are constants
		}
		return w
	})
	zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
		r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(2*format.MaxEntry+TargetSize))
		if err != nil {
			panic(err) // the options are constants
		}
		return r
	})
)

// encode gives all forms of a text. Empty text gives an empty gzip member and
// an empty zstd frame, which clients accept anywhere in a document.
func encode(text []byte) ([format.Encodings][]byte, error) {
	var gz bytes.Buffer
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	w.Reset(&gz)
	if _, err := w.Write(text); err != nil {
		return [format.Encodings][]byte{}, fmt.Errorf("gzip segment: %w", err)
	}
	// The last block is one of its own, for Single.
	if err := w.Flush(); err != nil {
		return [format.Encodings][]byte{}, fmt.Errorf("gzip segment: %w", err)
	}
	if err := w.Close(); err != nil {
		return [format.Encodings][]byte{}, fmt.Errorf("gzip segment: %w", err)
	}
	zst := zstdEncoder().EncodeAll(text, nil)
	if len(zst) == 0 { // EncodeAll makes no frame of nothing
		zst = emptyZstdFrame
	}
	return [format.Encodings][]byte{format.Plain: text, format.Gzip: gz.Bytes(), format.Zstd: zst}, nil
}

// emptyZstdFrame is a frame with one raw block of no bytes (RFC 8878, 3.1.1):
// magic, a header that says single segment and content size 0, last block.
var emptyZstdFrame = []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00}

func decode(frame []byte, size int64) ([]byte, error) {
	text, err := zstdDecoder().DecodeAll(frame, make([]byte, 0, size))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if int64(len(text)) != size {
		return nil, fmt.Errorf("decompressed to %d bytes, not %d", len(text), size)
	}
	return text, nil
}
