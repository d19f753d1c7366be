package doctor

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/edge"
	"packagecloud/internal/provision"
)

// What the function says when it refuses; package edge has the same words.
var (
	saysForged  = edge.ErrForbidden.Error()
	saysExpired = "this link has expired"
	saysFailing = "links cannot be checked"
)

// answer is what came back for a request. A nil answer is that it was not sent.
type answer struct {
	status int
	header http.Header
	body   []byte
	length int64     // of the body, as the answer says
	at     time.Time // by the clock of this machine
	err    error
}

func (a *answer) ok() bool { return a != nil && a.err == nil && a.status == http.StatusOK }

func (a *answer) says(lower string) bool {
	return a != nil && strings.Contains(strings.ToLower(string(a.body)), lower)
}

// result is CloudFront's word for how it came to the answer.
func (a *answer) result() string {
	word, _, _ := strings.Cut(a.header.Get("X-Cache"), " ")
	return word
}

func (a *answer) cached() bool { return a.result() == "Hit" || a.result() == "RefreshHit" }

func (a *answer) cloudFront() bool { return a.header.Get("X-Amz-Cf-Id") != "" }

// errorCode is how S3 and CloudFront name an error in XML.
var errorCode = regexp.MustCompile(`<Code>([A-Za-z.]+)</Code>`)

// code is the code of an error, empty for another answer.
func (a *answer) code() string {
	if a == nil || a.err != nil || a.status < 300 {
		return ""
	}
	if m := errorCode.FindSubmatch(a.body); m != nil {
		return string(m[1])
	}
	return ""
}

// denied is that the bucket refused.
func (a *answer) denied() bool { return a.code() == "AccessDenied" && a.status == http.StatusForbidden }

// throttled is that CloudFront did not run the function, because too many run at
// once.
func (a *answer) throttled() bool {
	if a == nil || a.err != nil {
		return false
	}
	word := a.result()
	return word == "LambdaLimitExceeded" || word == "LambdaThrottledError" || word == "FunctionThrottledError" || a.status == http.StatusServiceUnavailable && a.says("throttled")
}

// failing is that the function did not do its work.
func (a *answer) failing() bool {
	if a == nil || a.err != nil {
		return false
	}
	ran := strings.HasPrefix(a.result(), "Lambda") || strings.HasPrefix(a.result(), "Function")
	return a.says(saysFailing) || a.status >= 500 && ran
}

// never is that nobody may cache the answer.
func (a *answer) never() bool { return strings.Contains(a.header.Get("Cache-Control"), "no-store") }

func (a *answer) String() string {
	switch {
	case a == nil:
		return "not asked"
	case a.err != nil:
		return a.err.Error()
	case a.says(saysForged), a.says(saysExpired), a.says(saysFailing):
		return fmt.Sprintf("%d %s", a.status, strings.TrimSpace(string(a.body)))
	}
	s := fmt.Sprintf("%d %s", a.status, http.StatusText(a.status))
	if code := a.code(); code != "" {
		s += ", " + code
	}
	if x := a.header.Get("X-Cache"); x != "" {
		s += ", " + x
	}
	return s
}

// evidence is all that is known.
type evidence struct {
	domain string
	facts  *provision.Facts
	probe  *probe

	forged, expired      *answer // before anything is cached
	signed, again, other *answer // the same link twice, and another
	second               *answer // signed by the second secret
	forgedCached         *answer // when the object is cached
	ranged, head         *answer
	index, indexAgain    *answer
	indexChanged         *answer // after its bytes were replaced
	direct               *answer // to the bucket itself, without a signature
	sampled, cacheable   int     // indexes that were there before, and of them those without no-store
}

// clock is how far the clock of CloudFront is ahead of that of this machine.
func (e *evidence) clock() time.Duration {
	for _, a := range []*answer{e.forged, e.expired} {
		if a == nil || a.err != nil || !a.cloudFront() || a.cached() {
			continue
		}
		if date, err := http.ParseTime(a.header.Get("Date")); err == nil {
			return date.Sub(a.at).Round(time.Second)
		}
	}
	return 0
}

// skew is the same if it is too much. Links are signed by the corrected clock
// then, so that the rest can be found out in spite of it.
func (e *evidence) skew() time.Duration {
	if c := e.clock(); c.Abs() > edge.Tolerance {
		return c
	}
	return 0
}

// askPackage asks for the package in every way.
func (d *Doctor) askPackage(ctx context.Context, e *evidence, p *probe) {
	e.probe = p
	get := func(link string) *answer { return d.send(ctx, http.MethodGet, link, nil) }
	e.forged = get(forge(d.Signer.Until(p.packageKey, d.until(e, probeLife))))
	if e.forged.err != nil { // the others would wait for the same
		return
	}
	e.expired = get(d.Signer.Until(p.packageKey, d.until(e, -time.Hour)))
	link := d.Signer.Until(p.packageKey, d.until(e, probeLife))
	e.signed = get(link)
	if d.Second != nil && e.signed.says(saysForged) {
		e.second = get(d.Second.Until(p.packageKey, d.until(e, probeLife)))
	}
	if !e.signed.ok() {
		return
	}
	e.again = get(link)
	e.other = get(d.Signer.Until(p.packageKey, d.until(e, 2*probeLife)))
	e.forgedCached = get(forge(link))
	e.ranged = d.send(ctx, http.MethodGet, link, http.Header{"Range": {"bytes=10-19"}})
	e.head = d.send(ctx, http.MethodHead, link, nil)
}

// askIndex asks for the index twice, replaces it and asks again: what is stored
// under a key never changes, but this key nobody else knows. It also looks at
// the bucket itself.
func (d *Doctor) askIndex(ctx context.Context, e *evidence, p *probe) error {
	if link, err := d.Store.Link(ctx, p.packageKey, time.Minute); err == nil {
		bare, _, _ := strings.Cut(link, "?")
		e.direct = d.send(ctx, http.MethodGet, bare, nil)
	}
	if !e.signed.ok() {
		return nil
	}
	a := blob.Attributes{ContentType: "text/plain; charset=utf-8", Class: blob.Index}
	if err := d.Store.Put(ctx, p.indexKey, p.body, a); err != nil {
		return fmt.Errorf("store a probe: %w", err)
	}
	link := d.Signer.Until(p.indexKey, d.until(e, probeLife))
	e.index = d.send(ctx, http.MethodGet, link, nil)
	e.indexAgain = d.send(ctx, http.MethodGet, link, nil)
	if err := d.Store.Delete(ctx, p.indexKey); err != nil {
		return fmt.Errorf("replace a probe: %w", err)
	}
	if err := d.Store.Put(ctx, p.indexKey, p.changed, a); err != nil {
		return fmt.Errorf("replace a probe: %w", err)
	}
	e.indexChanged = d.send(ctx, http.MethodGet, link, nil)
	return d.sample(ctx, e, p)
}

// sample looks at some of the indexes that were there before.
func (d *Doctor) sample(ctx context.Context, e *evidence, p *probe) error {
	for info, err := range d.Store.List(ctx, "indexes/") {
		if err != nil {
			return fmt.Errorf("list the indexes: %w", err)
		}
		if info.Key == p.indexKey {
			continue
		}
		a := d.send(ctx, http.MethodHead, d.Signer.Until(info.Key, d.until(e, probeLife)), nil)
		if !a.ok() { // collected since it was listed
			continue
		}
		if !a.never() {
			e.cacheable++
		}
		if e.sampled++; e.sampled == samples {
			break
		}
	}
	return nil
}

// stale is that the index was served although its bytes had been replaced.
func (e *evidence) stale() bool {
	return e.indexChanged.ok() && bytes.Equal(e.indexChanged.body, e.probe.body)
}

// checks are the requests with what was expected of them.
func (e *evidence) checks() (checks []Check) {
	add := func(what string, a *answer, ok bool) {
		if a != nil {
			checks = append(checks, Check{what, ok, a.String()})
		}
	}
	add("a forged link is refused", e.forged, e.forged.refuses())
	add("an expired link is refused", e.expired, e.expired.refuses())
	add("a signed link is answered", e.signed, e.signed.ok() && bytes.Equal(e.signed.body, e.probe.body))
	add("a second request comes from the cache", e.again, e.again.ok() && e.again.cached())
	add("so does another link to the same package", e.other, e.other.ok() && e.other.cached())
	add("a forged link is refused when the package is cached", e.forgedCached, e.forgedCached.refuses())
	add("a range is answered with its bytes", e.ranged, e.rangeOK())
	add("HEAD is answered", e.head, e.headOK())
	add("an index is not cached", e.indexAgain, e.indexAgain.ok() && !e.indexAgain.cached())
	add("a changed index is served changed", e.indexChanged, e.indexChanged.ok() && !e.stale())
	add("the bucket refuses what is not signed", e.direct, e.direct != nil && !e.direct.ok())
	return checks
}

// refuses is that the function did its work on what it must refuse.
func (a *answer) refuses() bool { return a.says(saysForged) || a.says(saysExpired) }

func (e *evidence) rangeOK() bool {
	return e.ranged != nil && e.ranged.err == nil && e.ranged.status == http.StatusPartialContent && bytes.Equal(e.ranged.body, e.probe.body[10:20])
}

func (e *evidence) headOK() bool {
	return e.head.ok() && e.head.length == int64(len(e.probe.body))
}
