// Package doctor finds out what is wrong with downloads through CloudFront. It
// stores a package and an index that nobody else knows, asks the distribution
// for them as clients do and as they must not, and reads how the distribution
// is configured, if it may. Then it names the fault, and what to do about it.
//
//	requests.go   what is asked, and what was answered
//	diagnose.go   what follows from that: pure code
package doctor

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	neturl "net/url"
	"strings"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/edge"
	"packagecloud/internal/provision"
)

const (
	// requestTime bounds a request.
	requestTime = 30 * time.Second
	// cleanTime bounds the removal of what was stored.
	cleanTime = 30 * time.Second
	// maxBody is how much of an answer is read, in bytes.
	maxBody = 64 << 10
	// probeLife is how long links to what was stored are good.
	probeLife = 10 * time.Minute
	// samples is how many indexes that were there before are looked at.
	samples = 5
)

// Store is the bucket that CloudFront reads.
type Store interface {
	Put(ctx context.Context, key string, body []byte, a blob.Attributes) error
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error]
	// Link is a link to the bucket itself; what stands before its query is
	// what nobody must get an answer for.
	Link(ctx context.Context, key string, life time.Duration) (string, error)
}

// Signer signs links to the distribution, as edge.Signer does.
type Signer interface {
	Until(key string, end time.Time) string
}

// Client sends requests, and follows no redirects.
type Client interface {
	Do(*http.Request) (*http.Response, error)
}

// Doctor examines one installation. It is used once.
type Doctor struct {
	Domain string // cloudfront_packages_domain
	Store  Store
	Signer Signer
	// Second signs with the second secret; nil if there is none.
	Second Signer
	Client Client
	// Facts reads the configuration of the distribution. An error is that it
	// may not, and nil facts that there is no distribution. Nil is not to try.
	Facts func(context.Context) (*provision.Facts, error)
	// Now tells the time of this machine; nil stands for time.Now.
	Now func() time.Time
}

// Report is what was found.
type Report struct {
	Checks []Check  `json:"checks"`
	Faults []Fault  `json:"faults"`
	Notes  []string `json:"notes"`
}

// Check is one request and whether it was answered as it must be.
type Check struct {
	What   string `json:"what"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// Fault is one thing that is wrong.
type Fault struct {
	Name string `json:"name"`
	What string `json:"what"` // what was seen, and what it means
	Do   string `json:"do"`
}

func (d *Doctor) now() time.Time {
	if d.Now == nil {
		return time.Now()
	}
	return d.Now()
}

// Examine does everything. The error is that the probes cannot be stored, or
// that ctx ended.
func (d *Doctor) Examine(ctx context.Context) (*Report, error) {
	e := &evidence{domain: d.Domain}
	r := &Report{Checks: []Check{}, Faults: []Fault{}, Notes: []string{}}
	if d.Facts != nil {
		facts, err := d.Facts(ctx)
		switch {
		case err != nil:
			r.Notes = append(r.Notes, "The configuration of the distribution cannot be read, so only requests tell: "+firstLine(err))
		case facts == nil:
			r.Notes = append(r.Notes, "The account of the credentials has no such distribution, so only requests tell.")
		}
		e.facts = facts
	}
	err := d.ask(ctx, e)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	r.Checks = e.checks()
	r.Faults = append(r.Faults, e.diagnose()...)
	r.Notes = append(r.Notes, e.notes()...)
	return r, nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// ask stores the probes, sends all requests, and removes the probes.
func (d *Doctor) ask(ctx context.Context, e *evidence) (err error) {
	p := newProbe()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
		defer cancel()
		for _, key := range []string{p.packageKey, p.indexKey} {
			if gone := d.Store.Delete(ctx, key); gone != nil {
				err = errors.Join(err, fmt.Errorf("remove the probe: %w", gone))
			}
		}
	}()
	if err := d.Store.Put(ctx, p.packageKey, p.body, blob.Attributes{ContentType: "application/octet-stream", Filename: "probe", Class: blob.Package}); err != nil {
		return fmt.Errorf("store a probe: %w", err)
	}
	d.askPackage(ctx, e, p)
	return d.askIndex(ctx, e, p)
}

// probe is what is stored.
type probe struct {
	packageKey, indexKey string
	body, changed        []byte
}

func newProbe() *probe {
	p := &probe{body: []byte(strings.Repeat(rand.Text()+"\n", 40)), changed: []byte(strings.Repeat(rand.Text()+"\n", 41))}
	sum := sha256.Sum256(p.body)
	step := hex.EncodeToString(sum[:]) + "/probe-" + strings.ToLower(rand.Text())
	p.packageKey, p.indexKey = "packages/"+step, "indexes/"+step
	return p
}

// send sends one request.
func (d *Doctor) send(ctx context.Context, method, url string, header http.Header) *answer {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	a := &answer{}
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		a.err = err
		return a
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("Accept-Encoding", "identity")
	before := d.now()
	response, err := d.Client.Do(r)
	if err != nil {
		a.err = err
		if u, ok := errors.AsType[*neturl.Error](err); ok { // which holds the link
			a.err = u.Err
		}
		return a
	}
	defer response.Body.Close()
	after := d.now()
	a.at = before.Add(after.Sub(before) / 2)
	a.status, a.header = response.StatusCode, response.Header
	a.length = response.ContentLength
	a.body, a.err = io.ReadAll(io.LimitReader(response.Body, maxBody))
	return a
}

// until is when links to probes end, as the clock of the edges has it.
func (d *Doctor) until(e *evidence, from time.Duration) time.Time {
	return d.now().Add(e.skew()).Add(from)
}

// forge changes the signature of a link, and nothing of its form.
func forge(link string) string {
	i := len(link) - 20
	c := byte('A')
	if link[i] == c {
		c = 'B'
	}
	return link[:i] + string(c) + link[i+1:]
}

var _ Signer = (*edge.Signer)(nil)
