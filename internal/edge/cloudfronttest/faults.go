package cloudfronttest

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// Faults are the accidents that transfers meet.
type Faults struct {
	mu    sync.Mutex
	plans []*plan
}

// plan is what happens to the next bodies under paths with a text in them.
type plan struct {
	path  string
	after int64
	times int
	pause time.Duration // 0 cuts
}

// Cut breaks off the connection of the next transfers, as many times, whose path
// has a text in it, once as many bytes of the body were sent. Shorter bodies are
// spared, and not counted.
func (f *Faults) Cut(path string, after int64, times int) {
	f.plan(plan{path, after, times, 0})
}

// Stall makes the next such transfer wait in the middle.
func (f *Faults) Stall(path string, after int64, pause time.Duration) {
	f.plan(plan{path, after, 1, pause})
}

// Heal forgets the accidents that did not happen yet.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plans = nil
}

func (f *Faults) plan(p plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plans = append(f.plans, &p)
}

// due takes the plan whose byte comes next in a transfer that goes on from
// sent to end, if there is one.
func (f *Faults) due(path string, sent, end int64) (plan, bool) {
	if f == nil {
		return plan{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.plans {
		if p.times > 0 && strings.Contains(path, p.path) && sent <= p.after && p.after < end {
			p.times--
			return *p, true
		}
	}
	return plan{}, false
}

// tampered is a response on which the plans are carried out.
type tampered struct {
	http.ResponseWriter
	faults *Faults
	path   string
	entry  *Entry
	status int
	sent   int64
}

func (f *Faults) tamper(w http.ResponseWriter, r *http.Request, entry *Entry) *tampered {
	return &tampered{ResponseWriter: w, faults: f, path: r.URL.Path, entry: entry, status: http.StatusOK}
}

// Unwrap is for http.ResponseController.
func (t *tampered) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (t *tampered) WriteHeader(status int) {
	t.status = status
	t.ResponseWriter.WriteHeader(status)
}

func (t *tampered) Write(b []byte) (int, error) {
	p, ok := t.faults.due(t.path, t.sent, t.sent+int64(len(b)))
	if !ok {
		return t.send(b)
	}
	head := p.after - t.sent
	n, err := t.send(b[:head])
	if err != nil {
		return n, err
	}
	_ = http.NewResponseController(t.ResponseWriter).Flush()
	if p.pause == 0 {
		t.entry.Cut = true
		panic(http.ErrAbortHandler) // closes the connection
	}
	time.Sleep(p.pause)
	m, err := t.Write(b[head:])
	return n + m, err
}

func (t *tampered) send(b []byte) (int, error) {
	n, err := t.ResponseWriter.Write(b)
	t.sent += int64(n)
	return n, err
}
