package s3blob

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4sign "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"packagecloud/internal/clock"
)

// maxTrip is how long a request may take whose answer is believed to have been
// dated when it came.
const maxTrip = 10 * time.Second

// storeClock is the clock of the store, as the Date of its answers tells. Links are
// signed by it: the store refuses those that are of the future, and the edges before
// it those that have expired. Nodes whose own clocks are wrong sign good links then.
type storeClock struct{ ahead atomic.Int64 } // of the clock of this machine

// Now is the time by the clock of the store, as of its last answer. A clock of this
// machine that was set since then counts until the next answer, which a server asks
// for every minute.
func (c *storeClock) Now() time.Time { return clock.Now().Add(time.Duration(c.ahead.Load())) }

// note takes the Date of an answer. It is in whole seconds, and may be of any moment
// between request and answer: a clock that can be right is taken for right.
func (c *storeClock) note(date string, sent, received time.Time) {
	at, err := http.ParseTime(date)
	if err != nil || received.Sub(sent).Abs() > maxTrip {
		return
	}
	var ahead time.Duration
	switch end := at.Add(time.Second); {
	case at.After(received):
		ahead = at.Sub(received)
	case end.Before(sent):
		ahead = end.Sub(sent)
	}
	c.ahead.Store(int64(ahead))
}

// dated is a client of HTTP that notes when answers were given.
type dated struct {
	aws.HTTPClient
	clock *storeClock
}

func (d dated) Do(r *http.Request) (*http.Response, error) {
	sent := clock.Now()
	answer, err := d.HTTPClient.Do(r)
	if err == nil {
		d.clock.note(answer.Header.Get("Date"), sent, clock.Now())
	}
	return answer, err
}

// presigner signs links by the clock of the store.
type presigner struct {
	*v4sign.Signer
	clock *storeClock
}

func (p presigner) PresignHTTP(ctx context.Context, c aws.Credentials, r *http.Request, hash, service, region string, _ time.Time, options ...func(*v4sign.SignerOptions)) (string, http.Header, error) {
	return p.Signer.PresignHTTP(ctx, c, r, hash, service, region, p.clock.Now(), options...)
}

// Now implements blob.Timekeeper.
func (s *Store) Now() time.Time { return s.clock.Now() }
