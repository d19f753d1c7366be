// Package diskcache keeps copies of an origin's immutable objects in a folder
// of bounded size.
//
// An object that is missing is fetched once however many ask for it, and they
// read along while it arrives. Its last byte is given to nobody before the
// digest was verified, so that none takes a broken copy for a whole one. A file
// gets its name only when it is verified and on disk: after a crash there are
// whole files, and files in tmp, which the next start removes.
//
//	objects/<xx>/<id>-<size>-<about>   the bytes, then JSON that tells about them
//	tmp/                               what is being fetched
//	lock                               a folder has one process
//
// The id is the SHA-256 of the key, cut to 16 bytes. What is used least recently
// goes first; the times of the files keep the order for the next start, and mean
// nothing else.
//
// The age of a copy has no bound and needs none: a key stands for its bytes for ever.
// Who may fetch it is asked of the link, each time. A package that was deleted stays
// here until there is no room for it, as it stays with those who fetched it.
package diskcache

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"packagecloud/internal/blob"
)

// Origin has the objects; a blob.Store is one. Bytes that do not come must end
// in an error.
type Origin interface {
	Open(ctx context.Context, key string) (blob.Object, error)
}

// Cache is safe for concurrent use.
type Cache struct {
	origin Origin
	dir    string
	max    int64
	log    *slog.Logger
	lock   *os.File

	ctx   context.Context //nolint:containedctx // of the fills, which outlive requests
	stop  context.CancelFunc
	fills sync.WaitGroup

	mu      sync.Mutex
	entries map[id]*entry
	recent  entry // head of a ring; its next was used last
	filling map[id]*fill
	stats   Stats
}

// Stats counts since the start.
type Stats struct {
	Hits     int64 // objects served from a file, or from memory by who read it before
	Misses   int64 // objects fetched from the origin
	Joined   int64 // requests that read along
	Passed   int64 // ranges and objects that went past the cache
	Failures int64 // objects that could not be fetched, or were not what their digest says
	Evicted  int64 // objects removed for others
	Objects  int64 // files there are now
	Bytes    int64 // that they have, with what is being fetched
}

type id [16]byte

// entry is a file. There may be millions.
type entry struct {
	id         id
	size       int64 // of the object
	about      int32 // bytes behind it
	touched    int64 // Unix time that the file has
	prev, next *entry
}

func (e *entry) bytes() int64 { return e.size + int64(e.about) }

// touchAfter is how old the time of a file may be that is used.
const touchAfter = 10 * 60 // seconds

// Open opens a cache of at most max bytes in a folder, which is made if need
// be, and removes what does not belong there or is too much.
func Open(dir string, maxBytes int64, origin Origin, log *slog.Logger) (*Cache, error) {
	c := &Cache{origin: origin, dir: dir, max: maxBytes, log: log, entries: map[id]*entry{}, filling: map[id]*fill{}}
	c.recent.prev, c.recent.next = &c.recent, &c.recent
	c.ctx, c.stop = context.WithCancel(context.Background())
	if err := c.open(); err != nil {
		c.stop()
		return nil, fmt.Errorf("open the cache %s: %w", dir, err)
	}
	return c, nil
}

func (c *Cache) open() (err error) {
	if err := errors.Join(os.MkdirAll(c.objects(), 0o700), os.MkdirAll(c.tmp(), 0o700)); err != nil {
		return err
	}
	if c.lock, err = os.OpenFile(filepath.Join(c.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := syscall.Flock(int(c.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("another process uses it: %w", err), c.lock.Close())
	}
	left, err := os.ReadDir(c.tmp())
	for _, f := range left {
		err = errors.Join(err, os.Remove(filepath.Join(c.tmp(), f.Name())))
	}
	if err == nil {
		err = c.scan()
	}
	if err != nil {
		return errors.Join(err, c.lock.Close())
	}
	c.evict(0)
	return nil
}

// scan learns which files there are.
func (c *Cache) scan() error {
	var found []*entry
	var strange []string
	err := filepath.WalkDir(c.objects(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e, ok := parseName(d.Name())
		if !ok || info.Size() != e.bytes() || path != c.path(e) {
			strange = append(strange, path)
			return nil
		}
		e.touched = info.ModTime().Unix()
		found = append(found, e)
		return nil
	})
	if err != nil {
		return err
	}
	for _, path := range strange {
		c.log.Warn("remove what is no file of the cache", "file", path)
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	slices.SortFunc(found, func(a, b *entry) int { return cmp.Compare(a.touched, b.touched) })
	for _, e := range found {
		c.insert(e)
		c.stats.Bytes += e.bytes()
	}
	return nil
}

// Close ends what is being fetched and waits for it.
func (c *Cache) Close() error {
	c.stop()
	c.fills.Wait()
	return c.lock.Close()
}

// Stats are the counters.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Objects = int64(len(c.entries))
	return s
}

func (c *Cache) objects() string { return filepath.Join(c.dir, "objects") }
func (c *Cache) tmp() string     { return filepath.Join(c.dir, "tmp") }

func (c *Cache) path(e *entry) string {
	name := hex.EncodeToString(e.id[:])
	return filepath.Join(c.objects(), name[:2], name+"-"+strconv.FormatInt(e.size, 10)+"-"+strconv.FormatInt(int64(e.about), 10))
}

func parseName(name string) (*entry, bool) {
	parts := strings.Split(name, "-")
	if len(parts) != 3 || len(parts[0]) != 32 {
		return nil, false
	}
	e := &entry{}
	_, err := hex.Decode(e.id[:], []byte(parts[0]))
	size, serr := strconv.ParseInt(parts[1], 10, 64)
	about, aerr := strconv.ParseInt(parts[2], 10, 32)
	e.size, e.about = size, int32(about)
	return e, errors.Join(err, serr, aerr) == nil && size >= 0 && about > 0
}

func identify(key string) id {
	sum := sha256.Sum256([]byte(key))
	return id(sum[:len(id{})])
}

// insert makes a file the one used last. What calls it holds mu, but at the
// start; so it is for those that follow.
func (c *Cache) insert(e *entry) {
	c.entries[e.id] = e
	e.next, e.prev = c.recent.next, &c.recent
	e.next.prev, e.prev.next = e, e
}

func (e *entry) unlink() {
	e.prev.next, e.next.prev = e.next, e.prev
}

// evict makes room for some bytes.
func (c *Cache) evict(room int64) {
	for c.stats.Bytes+room > c.max && c.recent.prev != &c.recent {
		c.remove(c.recent.prev)
		c.stats.Evicted++
	}
}

// remove forgets and deletes a file. Who has it open goes on reading.
func (c *Cache) remove(e *entry) {
	e.unlink()
	delete(c.entries, e.id)
	c.stats.Bytes -= e.bytes()
	if err := os.Remove(c.path(e)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.log.Error("cannot remove a file of the cache", "error", err)
	}
}

// touch makes a file the one used last.
func (c *Cache) touch(e *entry, now time.Time) {
	e.unlink()
	c.insert(e)
	if now.Unix()-e.touched > touchAfter {
		e.touched = now.Unix()
		_ = os.Chtimes(c.path(e), time.Time{}, now) // only the order of the next start
	}
}
