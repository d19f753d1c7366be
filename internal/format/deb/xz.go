package deb

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxDictionary is the most memory that an xz stream may ask for: that of
// xz -9.
const maxDictionary = 64 << 20

var errXZ = errors.New("it is no valid xz stream")

// checkXZ walks over the blocks of an xz stream without decompressing them,
// and fails if one asks for a dictionary beyond maxDictionary: the decoder
// would allocate it before it has read a byte of data. The walk sees what the
// decoder will see (The .xz File Format, 1.2.1; LZMA2 chunks as in liblzma's
// lzma2_decoder.c).
func checkXZ(r io.Reader) error {
	x := xzWalk{r: bufio.NewReader(r)}
	header := x.take(12)
	if x.err != nil || string(header[:6]) != "\xfd7zXZ\x00" {
		return errXZ
	}
	check := [16]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[header[7]&15]
	for {
		size := x.take(1)
		if x.err != nil {
			return x.err
		}
		if size[0] == 0 { // the index: no more blocks
			return nil
		}
		if err := x.block(int(size[0])*4+4, check); err != nil {
			return err
		}
	}
}

type xzWalk struct {
	r      *bufio.Reader
	offset int64
	err    error
}

func (x *xzWalk) take(n int) []byte {
	p := make([]byte, n)
	if x.err == nil {
		if _, err := io.ReadFull(x.r, p); err != nil {
			x.err = errXZ
		}
	}
	x.offset += int64(n)
	return p
}

func (x *xzWalk) skip(n int64) {
	if x.err == nil {
		if _, err := io.CopyN(io.Discard, x.r, n); err != nil {
			x.err = errXZ
		}
	}
	x.offset += n
}

// block passes a block whose header has the given size, of which one byte is
// read.
func (x *xzWalk) block(size int, check int64) error {
	header := x.take(size - 1)
	if x.err != nil {
		return x.err
	}
	flags, rest := header[0], header[1:]
	if flags&3 != 0 {
		return fmt.Errorf("%w: it uses a filter beside LZMA2", errXZ)
	}
	for _, present := range []bool{flags&0x40 != 0, flags&0x80 != 0} { // the two sizes
		for i := 0; present; i++ {
			if i == len(rest) || i == 9 {
				return errXZ
			}
			if rest[i] < 0x80 {
				rest, present = rest[i+1:], false
			}
		}
	}
	if len(rest) < 3 || rest[0] != 0x21 || rest[1] != 1 || rest[2] > 40 {
		return fmt.Errorf("%w: its filter is not LZMA2", errXZ)
	}
	bits := rest[2]
	if dictionary := (2 | int64(bits&1)) << (bits/2 + 11); dictionary > maxDictionary {
		return fmt.Errorf("it needs a dictionary of %d MiB, more than the %d that are allowed", dictionary>>20, maxDictionary>>20)
	}
	start := x.offset
	for x.chunk() {
	}
	x.skip((start - x.offset) & 3)
	x.skip(check)
	return x.err
}

// chunk passes an LZMA2 chunk; it returns false behind the last one.
func (x *xzWalk) chunk() bool {
	control := x.take(1)[0]
	switch {
	case x.err != nil || control == 0:
		return false
	case control < 3: // uncompressed
		size := x.take(2)
		x.skip(int64(size[0])<<8 + int64(size[1]) + 1)
	case control < 0x80:
		x.err = errXZ
	default:
		size := x.take(4)
		if control >= 0xc0 { // new properties
			x.take(1)
		}
		x.skip(int64(size[2])<<8 + int64(size[3]) + 1)
	}
	return x.err == nil
}
