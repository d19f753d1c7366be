package download

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"packagecloud/internal/format"
)

// machine asks for repomd.xml and its signature over one connection.
type machine struct {
	t          *testing.T
	pairs      pairs
	address    string
	connection context.Context
	header     http.Header
}

func (m machine) request(name string) (*http.Request, pairKey) {
	r := httptest.NewRequestWithContext(m.connection, http.MethodGet, "/", nil)
	r.RemoteAddr = m.address + ":1"
	if m.header != nil {
		r.Header = m.header
	}
	return r, keyOfPair(r, 1, format.Request{Paths: []string{"x86_64/repodata/" + name, "noarch/repodata/" + name}}, "noarch/repodata/repomd.xml")
}

func (m machine) give(generation int64) bool {
	r, key := m.request("repomd.xml")
	return m.pairs.give(r, key, generation)
}

func (m machine) fetch(want int64) {
	m.t.Helper()
	if got := m.pairs.fetch(m.request("repomd.xml.asc")); got != want {
		m.t.Errorf("the signature of generation %d, want %d", got, want)
	}
}

// again is the machine with another connection.
func (m machine) again() machine {
	m.connection = ConnContext(m.t.Context(), nil)
	return m
}

// TestPairs plays scenes of two machines at one address, on a clock of its own.
func TestPairs(t *testing.T) {
	type scene func(t *testing.T, a, b machine)
	later := func(m machine, after time.Duration, want int64) func() {
		return func() {
			time.Sleep(after)
			m.fetch(want)
		}
	}
	scenes := map[string]scene{
		"nothing given": func(_ *testing.T, a, _ machine) { a.fetch(0) },
		"one machine, another connection": func(_ *testing.T, a, _ machine) {
			a.give(1)
			a.again().fetch(1)
		},
		"another address is another client": func(_ *testing.T, a, _ machine) {
			a.give(1)
			a.address = "10.0.0.2"
			a.again().fetch(0)
		},
		"a machine waits for the signature of its neighbour": func(t *testing.T, a, b machine) {
			begin := time.Now()
			a.give(1)
			go later(a.again(), 100*time.Millisecond, 1)()
			b.give(2)
			if took := time.Since(begin); took != 100*time.Millisecond {
				t.Errorf("waited %v", took)
			}
			b.again().fetch(2)
		},
		"but not for the same generation": func(t *testing.T, a, b machine) {
			begin := time.Now()
			a.give(1)
			b.give(1)
			if took := time.Since(begin); took != 0 {
				t.Errorf("waited %v", took)
			}
			a.again().fetch(1)
			go later(b.again(), time.Millisecond, 1)()
			b.give(2)
			if took := time.Since(begin); took != time.Millisecond {
				t.Errorf("waited %v, and two signatures were due", took)
			}
		},
		"nor for ever for a signature that nobody fetches": func(t *testing.T, a, b machine) {
			begin := time.Now()
			a.give(1)
			b.give(2)
			if took := time.Since(begin); took != pairPatience {
				t.Errorf("waited %v", took)
			}
			b.again().fetch(2)
			a.fetch(1) // known by its connection
		},
		"which is noticed": func(t *testing.T, a, b machine) {
			for generation := range int64(10) {
				a.give(generation + 1)
			}
			begin := time.Now()
			b.give(11)
			if took := time.Since(begin); took != 0 {
				t.Errorf("waited %v", took)
			}
			b.again().fetch(11)
			begin = time.Now()
			b.give(12)
			b.give(13)
			if took := time.Since(begin); took != pairPatience {
				t.Errorf("waited %v", took)
			}
		},
		"nor long after": func(t *testing.T, a, b machine) {
			a.give(1)
			time.Sleep(time.Minute)
			begin := time.Now()
			b.give(2)
			if took := time.Since(begin); took != 0 {
				t.Errorf("waited %v", took)
			}
		},
		"an older one than was given": func(t *testing.T, a, b machine) {
			a.give(2)
			if b.give(1) {
				t.Error("generation 1 was given after 2")
			}
			a.again().fetch(2)
		},
		"a client that leaves": func(t *testing.T, a, b machine) {
			begin := time.Now()
			a.give(1)
			var cancel context.CancelFunc
			b.connection, cancel = context.WithTimeout(b.connection, time.Millisecond)
			defer cancel()
			b.give(2)
			if took := time.Since(begin); took != time.Millisecond {
				t.Errorf("waited %v", took)
			}
			a.again().fetch(1)
		},
		"behind a proxy connections say nothing": func(_ *testing.T, a, b machine) {
			a.header = http.Header{"X-Forwarded-For": {"192.0.2.1"}}
			a.give(1)
			a.again().fetch(1)
			b.header = a.header
			b.give(2)
			b.connection = a.connection
			b.fetch(2)
		},
		"a connection keeps to what it got": func(_ *testing.T, a, b machine) {
			a.give(1)
			b.give(2)
			a.fetch(1)
			a.give(2)
			a.fetch(2)
			b.fetch(2)
		},
	}
	for name, play := range scenes {
		t.Run(name, func(t *testing.T) {
			pairs := newPairs() // its clean-up outlives the bubble
			synctest.Test(t, func(t *testing.T) {
				a := machine{t: t, pairs: pairs, address: "10.0.0.1"}.again()
				play(t, a, a.again())
				synctest.Wait()
			})
		})
	}
}
