package upload

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

const (
	// parseMemory is the memory that all packages being read may take together
	// beside what each may take without asking (format.UnaskedMemory), in bytes.
	parseMemory = 512 << 20
	// parseTime bounds how long reading one package may take, and the wait for
	// memory with it.
	parseTime = time.Minute
)

// parsing is the one budget of all packages that are being read. A parse holds a
// place until it ends. Where it needs more memory than comes with a place, it
// gives the place back and waits for that memory, once and for all of it: so no
// two parses can wait for each other. The memory is held until the package is
// recorded, because what was read lives as long.
type parsing struct {
	once   sync.Once
	places *semaphore.Weighted
	memory *semaphore.Weighted
}

func (p *parsing) open() {
	p.once.Do(func() {
		p.places = semaphore.NewWeighted(int64(4 * runtime.GOMAXPROCS(0)))
		p.memory = semaphore.NewWeighted(parseMemory)
	})
}

// parse reads a received file. release gives back the memory that was reserved;
// it must be called when what was read is not needed any more, after an error
// too.
func (u *Uploader) parse(ctx context.Context, f format.Format, file *File, fields map[string]string) (parsed format.Parsed, release func(), err error) {
	r := reservation{parsing: &u.parsing}
	err = r.run(ctx, file.Name, func(ctx context.Context) (err error) {
		up := file.Upload(fields)
		up.Reserve = func(n int64) error { return r.reserve(ctx, n) }
		parsed, err = f.Parse(ctx, up)
		return err
	})
	if err != nil {
		return nil, r.end, fmt.Errorf("read %s: %w", file.Name, err)
	}
	return parsed, r.end, nil
}

// Within runs read with n bytes of the memory that the packages being read share,
// as they are: with a place until it ends, or with that memory.
func (u *Uploader) Within(ctx context.Context, what string, n int64, read func(context.Context) error) error {
	r := reservation{parsing: &u.parsing}
	defer r.end()
	return r.run(ctx, what, func(ctx context.Context) error {
		if err := r.reserve(ctx, n); err != nil {
			return err
		}
		return read(ctx)
	})
}

// run runs read in a place.
func (r *reservation) run(ctx context.Context, what string, read func(context.Context) error) error {
	r.open()
	bounded, cancel := context.WithTimeout(ctx, parseTime)
	defer cancel()
	err := r.places.Acquire(bounded, 1)
	if err == nil {
		r.place = true
		err = read(bounded)
		r.leave()
	}
	if err != nil && bounded.Err() != nil {
		err = busy(ctx, what, err)
	}
	return err
}

// busy tells a client that has not gone away to come again.
func busy(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w: %s could not be read within %s beside the packages that are being read: %w", repo.ErrUnavailable, what, parseTime, err)
}

// reservation is what one parse holds of the budget.
type reservation struct {
	*parsing
	place  bool
	memory int64
}

// reserve implements format.Upload.Reserve.
func (r *reservation) reserve(ctx context.Context, n int64) error {
	switch {
	case n <= format.UnaskedMemory:
		return nil
	case n > parseMemory:
		return repo.Invalid("package_file", fmt.Sprintf("needs %d bytes of memory to be read, and the server has %d for that", n, int64(parseMemory)))
	case r.memory > 0:
		return errors.New("a parse reserves memory twice")
	}
	r.leave()
	if err := r.parsing.memory.Acquire(ctx, n); err != nil {
		return err
	}
	r.memory = n
	return nil
}

// leave gives the place back.
func (r *reservation) leave() {
	if r.place {
		r.places.Release(1)
		r.place = false
	}
}

// end gives the memory back.
func (r *reservation) end() {
	if r.memory > 0 {
		r.parsing.memory.Release(r.memory)
		r.memory = 0
	}
}
