package migrate

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// journal is the file of keys that arrived, one a line. A million of them take
// some 30 MB of memory.
type journal struct {
	mu   sync.Mutex
	file *os.File
	keys map[[16]byte]struct{}
}

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the journal of the migration: %w", err)
	}
	j := &journal{file: f, keys: map[[16]byte]struct{}{}}
	if err := j.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("read the journal of the migration %s: %w", path, err), f.Close())
	}
	return j, nil
}

func (j *journal) read() error {
	lines := bufio.NewReader(j.file)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			if line != "" { // cut off by a crash: what follows must not join it
				_, err = j.file.WriteString("\n")
				return err
			}
			return nil
		}
		if err != nil {
			return err
		}
		j.keys[short(strings.TrimSuffix(line, "\n"))] = struct{}{}
	}
}

func short(key string) (s [16]byte) {
	sum := sha256.Sum256([]byte(key))
	return [16]byte(sum[:])
}

func (j *journal) has(key string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, ok := j.keys[short(key)]
	return ok
}

// add writes a key down. It is not synced: a line that is lost costs reading one
// object again.
func (j *journal) add(key string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.WriteString(key + "\n"); err != nil {
		return fmt.Errorf("write the journal of the migration: %w", err)
	}
	j.keys[short(key)] = struct{}{}
	return nil
}

func (j *journal) close() error { return j.file.Close() }
