package client

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	// maxAttempts bounds how often a request is sent.
	maxAttempts = 5
	// firstDelay is the wait after the first failure; it doubles.
	firstDelay = 500 * time.Millisecond
	// maxDelay is the longest wait. A server that asks for more is busy for
	// longer than a user waits.
	maxDelay = 2 * time.Minute
)

// do sends a request, again if what failed may pass.
func (c *Client) do(ctx context.Context, rq *request) (*answer, error) {
	for attempt := 1; ; attempt++ {
		a, err := c.once(ctx, rq)
		if err == nil {
			a.sent = attempt
		}
		delay, passing := again(attempt, a, err)
		if !passing || attempt == maxAttempts || ctx.Err() != nil {
			if err != nil {
				return nil, err
			}
			return a, c.failure(a) // the answer even so: it tells the attempts
		}
		if c.Log != nil {
			c.Log.DebugContext(ctx, "trying again", "method", rq.method, "attempt", attempt+1, "after", delay)
		}
		if err := c.sleep(ctx, delay); err != nil {
			return nil, err
		}
	}
}

// again reports whether a failure may pass, and how long to wait for that.
func again(attempt int, a *answer, err error) (time.Duration, bool) {
	if err != nil {
		return backoff(attempt), isPassing(err)
	}
	switch a.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		return 0, false
	}
	delay := max(backoff(attempt), retryAfter(a.header, time.Now()))
	return delay, delay <= maxDelay
}

// isPassing tells a connection that failed from what fails each time.
func isPassing(err error) bool {
	if _, ok := errors.AsType[*localError](err); ok || errors.Is(err, context.Canceled) {
		return false
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return false
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return !dns.IsNotFound
	}
	return true
}

// backoff doubles, with jitter so that parallel pushes spread.
func backoff(attempt int) time.Duration {
	d := firstDelay << (attempt - 1)
	return d/2 + rand.N(d/2+1)
}

// retryAfter is how long a server asks to be left alone: in seconds, or until a
// date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(v); err == nil {
		return date.Sub(now)
	}
	return 0
}

func (c *Client) sleep(ctx context.Context, d time.Duration) error {
	if c.pause != nil {
		return c.pause(ctx, d)
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
