package diskcache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"packagecloud/internal/blob"
)

// origin has objects in memory.
type origin struct {
	mu      sync.Mutex
	objects map[string][]byte
	opened  atomic.Int64
	// read is called before each read; an error ends the object.
	read func(key string, offset int64) error
}

func newOrigin() *origin { return &origin{objects: map[string][]byte{}} }

// put makes an object of some size, and returns its key and digest.
func (o *origin) put(size int) (key string, sum [32]byte, body []byte) {
	body = make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)})
	_, _ = r.Read(body)
	sum = sha256.Sum256(body)
	key = fmt.Sprintf("packages/%x/file-%d", sum, size)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.objects[key] = body
	return key, sum, body
}

type object struct {
	*bytes.Reader
	origin *origin
	key    string
}

func (o *origin) Open(_ context.Context, key string) (blob.Object, error) {
	o.opened.Add(1)
	o.mu.Lock()
	defer o.mu.Unlock()
	body, ok := o.objects[key]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", key, blob.ErrNotFound)
	}
	return &object{bytes.NewReader(body), o, key}, nil
}

func (o *object) Info() blob.Info {
	return blob.Info{Key: o.key, Size: o.Size(), ModTime: time.Unix(1_700_000_000, 0).UTC()}
}
func (o *object) Attributes() blob.Attributes {
	return blob.Attributes{ContentType: "application/x-test", Filename: "ä+b.deb"}
}
func (o *object) Close() error { return nil }
func (o *object) Read(p []byte) (int, error) {
	if o.origin.read != nil {
		if err := o.origin.read(o.key, o.Size()-int64(o.Len())); err != nil {
			return 0, err
		}
	}
	return o.Reader.Read(p)
}

func open(t testing.TB, dir string, size int64, o Origin) *Cache {
	t.Helper()
	c, err := Open(dir, size, o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func read(t testing.TB, c *Cache, key string, sum [32]byte) ([]byte, bool, error) {
	t.Helper()
	o, err := c.Get(t.Context(), key, sum)
	if err != nil {
		return nil, false, err
	}
	defer o.Close()
	if o.ContentType != "application/x-test" || o.Filename != "ä+b.deb" || o.Key != key || o.ModTime.Unix() != 1_700_000_000 {
		t.Errorf("the object is %+v %+v", o.Info, o.Attributes)
	}
	text, err := io.ReadAll(o)
	return text, o.Hit, err
}

// settle waits until nothing is being fetched.
func settle(c *Cache) {
	c.fills.Wait()
}

func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "lock" {
			names = append(names, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestHitAndRestart(t *testing.T) {
	o := newOrigin()
	dir := t.TempDir()
	c := open(t, dir, 10<<20, o)
	for _, size := range []int{0, 1, 1000, chunk, chunk + 1, 3 * chunk} {
		key, sum, body := o.put(size)
		for i := range 2 {
			got, hit, err := read(t, c, key, sum)
			if err != nil || !bytes.Equal(got, body) || hit != (i == 1) {
				t.Errorf("%d bytes, time %d: %d bytes, hit %v, %v", size, i+1, len(got), hit, err)
			}
			settle(c)
		}
	}
	before := c.Stats()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir, 10<<20, o)
	if s := c.Stats(); s.Objects != 6 || s.Bytes != before.Bytes {
		t.Errorf("after a restart: %+v, before: %+v", s, before)
	}
	key, sum, body := o.put(1000)
	got, hit, err := read(t, c, key, sum)
	if err != nil || !hit || !bytes.Equal(got, body) {
		t.Errorf("after a restart: hit %v, %v", hit, err)
	}
	if n := o.opened.Load(); n != 6 {
		t.Errorf("the origin was asked %d times for 6 objects", n)
	}
	if _, err := Open(dir, 10<<20, o, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("two processes may use one folder")
	}
}

func TestSingleFlight(t *testing.T) {
	o := newOrigin()
	key, sum, body := o.put(2 * chunk)
	gate := make(chan struct{})
	o.read = func(_ string, offset int64) error {
		if offset >= chunk {
			<-gate
		}
		return nil
	}
	c := open(t, t.TempDir(), 100<<20, o)
	var all sync.WaitGroup
	for range 1000 {
		all.Go(func() {
			x, err := c.Get(t.Context(), key, sum)
			if err != nil {
				t.Error(err)
				return
			}
			defer x.Close()
			got := sha256.New()
			if n, err := io.Copy(got, x); err != nil || n != int64(len(body)) || [32]byte(got.Sum(nil)) != sum {
				t.Errorf("%d bytes: %v", n, err)
			}
		})
	}
	for end := time.Now().Add(10 * time.Second); c.Stats().Misses+c.Stats().Joined < 1000 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	close(gate)
	all.Wait()
	if n := o.opened.Load(); n != 1 {
		t.Errorf("the origin was asked %d times", n)
	}
	if s := c.Stats(); s.Misses != 1 || s.Joined != 999 {
		t.Errorf("%+v", s)
	}
}

// Nobody gets all bytes of an object that breaks, or is not what its digest
// says, and nothing of it is kept.
func TestBrokenOrigin(t *testing.T) {
	const size = 3*chunk + 17
	for name, breakIt := range map[string]func(o *origin, key string){
		"cut": func(o *origin, _ string) {
			o.read = func(_ string, offset int64) error {
				if offset > chunk {
					return errors.New("cut")
				}
				return nil
			}
		},
		"ends early": func(o *origin, _ string) {
			o.read = func(_ string, offset int64) error {
				if offset > chunk {
					return io.EOF
				}
				return nil
			}
		},
		"other bytes":    func(o *origin, key string) { o.objects[key][size-1] ^= 1 },
		"another object": func(o *origin, key string) { o.objects[key] = make([]byte, size) },
		"none":           func(o *origin, key string) { delete(o.objects, key) },
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin()
			key, sum, body := o.put(size)
			good := bytes.Clone(body)
			breakIt(o, key)
			dir := t.TempDir()
			c := open(t, dir, 10<<20, o)
			for range 2 {
				got, _, err := read(t, c, key, sum)
				if err == nil || len(got) >= size {
					t.Errorf("%d of %d bytes, %v", len(got), size, err)
				}
				if name == "none" && !errors.Is(err, blob.ErrNotFound) {
					t.Errorf("the error is %v", err)
				}
				settle(c)
				if f := files(t, dir); len(f) != 0 || c.Stats().Bytes != 0 {
					t.Errorf("kept: %q, %+v", f, c.Stats())
				}
			}
			o.read, o.objects[key] = nil, good
			if got, _, err := read(t, c, key, sum); err != nil || !bytes.Equal(got, good) {
				t.Errorf("when it is whole again: %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestEviction(t *testing.T) {
	o := newOrigin()
	dir := t.TempDir()
	const size = 10_000
	c := open(t, dir, 5*(size+500), o)
	type object struct {
		key string
		sum [32]byte
	}
	var all []object
	for i := range 8 {
		key, sum, _ := o.put(size + i)
		all = append(all, object{key, sum})
		if _, _, err := read(t, c, key, sum); err != nil {
			t.Fatal(err)
		}
		settle(c)
		// The first one is used all the time.
		if _, hit, err := read(t, c, all[0].key, all[0].sum); err != nil || !hit {
			t.Fatalf("what is used was removed (%v)", err)
		}
		if s := c.Stats(); s.Bytes > c.max {
			t.Fatalf("%+v: more than %d bytes", s, c.max)
		}
	}
	var hits []int
	for i, x := range all {
		if _, ok := c.entries[identify(x.key)]; ok {
			hits = append(hits, i)
		}
	}
	if !slices.Equal(hits, []int{0, 4, 5, 6, 7}) || len(files(t, dir)) != 5 || c.Stats().Evicted != 3 {
		t.Errorf("kept: %v, files %v, %+v", hits, files(t, dir), c.Stats())
	}

	// An object larger than half of the cache goes past it.
	key, sum, body := o.put(6 * size)
	if got, hit, err := read(t, c, key, sum); err != nil || hit || !bytes.Equal(got, body) || c.Stats().Passed != 1 {
		t.Errorf("a large object: %d bytes, %v, %+v", len(got), err, c.Stats())
	}
	settle(c)

	// A smaller limit at the next start removes what was used least recently.
	for i, f := range files(t, dir) {
		at := time.Unix(1_700_000_000+int64(i), 0)
		if err := os.Chtimes(filepath.Join(dir, f), at, at); err != nil {
			t.Fatal(err)
		}
	}
	last := files(t, dir)[3:]
	_ = c.Close()
	open(t, dir, 2*(size+500), o)
	if got := files(t, dir); !slices.Equal(got, last) {
		t.Errorf("kept %q, want %q", got, last)
	}
}

// Files that were cut or changed outside are not served.
func TestDamagedFiles(t *testing.T) {
	o := newOrigin()
	key, sum, body := o.put(10_000)
	for name, damage := range map[string]func(path string) error{
		"cut":     func(path string) error { return os.Truncate(path, 5000) },
		"removed": os.Remove,
		"about":   func(path string) error { return writeAt(path, "xxxx", 10_001) },
	} {
		for _, restart := range []bool{false, true} {
			dir := t.TempDir()
			c := open(t, dir, 1<<20, o)
			if _, _, err := read(t, c, key, sum); err != nil {
				t.Fatal(err)
			}
			settle(c)
			if restart {
				_ = c.Close()
			}
			if err := damage(filepath.Join(dir, files(t, dir)[0])); err != nil {
				t.Fatal(err)
			}
			if restart {
				if err := os.WriteFile(filepath.Join(dir, "tmp", "left"), []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
				c = open(t, dir, 1<<20, o)
			}
			for range 2 {
				if got, _, err := read(t, c, key, sum); err != nil || !bytes.Equal(got, body) {
					t.Errorf("%s, restart %v: %d bytes, %v", name, restart, len(got), err)
				}
				settle(c)
			}
			if f := files(t, dir); len(f) != 1 {
				t.Errorf("%s: files %q", name, f)
			}
		}
	}
}

func writeAt(path, text string, at int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(text), at)
	return errors.Join(err, f.Close())
}

// A reader far ahead does not wait for what comes before.
func TestFarAhead(t *testing.T) {
	o := newOrigin()
	key, sum, body := o.put(3 * lead)
	gate := make(chan struct{})
	o.read = func(_ string, offset int64) error {
		if offset > lead/2 && offset < 2*lead {
			<-gate
		}
		return nil
	}
	c := open(t, t.TempDir(), 1<<30, o)
	x, err := c.Get(t.Context(), key, sum)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if _, err := x.Seek(-1000, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(x); err != nil || !bytes.Equal(got, body[len(body)-1000:]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	close(gate)
	if _, err := x.Seek(10, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(x); err != nil || !bytes.Equal(got, body[10:]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// A client that goes away leaves the fetching to others, and nobody waits for
// ever when the cache is closed.
func TestCancel(t *testing.T) {
	o := newOrigin()
	key, sum, _ := o.put(10 * chunk)
	gate := make(chan struct{})
	o.read = func(_ string, offset int64) error {
		if offset > 5*chunk {
			<-gate
			return errors.New("the test is over")
		}
		return nil
	}
	c := open(t, t.TempDir(), 100<<20, o)
	ctx, cancel := context.WithCancel(t.Context())
	x, err := c.Get(ctx, key, sum)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := io.ReadAll(x); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	x.Close()
	close(gate)
	settle(c)
	if s := c.Stats(); s.Bytes != 0 || s.Failures != 1 {
		t.Errorf("%+v", s)
	}
}

// A process is killed at any time while it fetches: the next one has whole
// files only.
func TestKill(t *testing.T) {
	if dir := os.Getenv("DISKCACHE_TEST_FILL"); dir != "" {
		fillForEver(t, dir)
		return
	}
	dir := t.TempDir()
	o := newOrigin()
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	kept := int64(0)
	for i := range rounds {
		child := exec.Command(os.Args[0], "-test.run=^TestKill$")
		child.Env = append(os.Environ(), "DISKCACHE_TEST_FILL="+dir)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		began := false
		for end := time.Now().Add(time.Minute); !began && time.Now().Before(end); time.Sleep(time.Millisecond) {
			entries, err := os.ReadDir(filepath.Join(dir, "objects"))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			began = len(entries) > 0
		}
		time.Sleep(time.Duration(i*37%100) * time.Millisecond)
		_ = child.Process.Kill()
		_ = child.Wait()

		c := open(t, dir, 1<<30, o)
		kept = c.Stats().Objects
		for _, f := range files(t, dir) {
			if strings.HasPrefix(f, "tmp/") {
				t.Errorf("left: %s", f)
			}
		}
		for size := range 1000 {
			key, sum, body := o.put(size * 1000)
			if _, ok := c.entries[identify(key)]; !ok {
				break
			}
			if got, hit, err := read(t, c, key, sum); err != nil || !hit || !bytes.Equal(got, body) {
				t.Fatalf("%s: %d bytes, hit %v, %v", key, len(got), hit, err)
			}
		}
		_ = c.Close()
	}
	if kept == 0 {
		t.Error("nothing was kept: the test shows nothing")
	}
}

func fillForEver(t *testing.T, dir string) {
	o := newOrigin()
	c := open(t, dir, 1<<30, o)
	for size := range 1000 {
		key, sum, _ := o.put(size * 1000)
		if _, _, err := read(t, c, key, sum); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Minute)
}
