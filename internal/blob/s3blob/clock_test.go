package s3blob

import (
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// answering is a store that gives an answer of a date.
type answering struct{ date string }

func (a answering) Do(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{"Date": {a.date}}}, nil
}

var _ aws.HTTPClient = answering{}

// TestStoreClock: the time of a link is that of the store. A Date of this second
// changes nothing, so that links of a right clock are not rounded.
func TestStoreClock(t *testing.T) {
	for ahead, want := range map[time.Duration]time.Duration{0: 0, 70 * time.Minute: 70 * time.Minute, -20 * time.Minute: -20 * time.Minute} {
		c := new(storeClock)
		if _, err := (dated{answering{time.Now().Add(ahead).UTC().Format(http.TimeFormat)}, c}).Do(nil); err != nil {
			t.Fatal(err)
		}
		if got := time.Until(c.Now()); (got - want).Abs() > 2*time.Second {
			t.Errorf("the clock of the store is taken to be %s ahead, not %s", got, want)
		}
	}
	c := new(storeClock)
	now := time.Now().Truncate(time.Second)
	c.note(now.UTC().Format(http.TimeFormat), now.Add(900*time.Millisecond), now.Add(950*time.Millisecond))
	if c.ahead.Load() != 0 {
		t.Errorf("a date of this second is taken for %s ahead", time.Duration(c.ahead.Load()))
	}
	c.note(now.Add(time.Hour).UTC().Format(http.TimeFormat), now, now.Add(time.Minute)) // an upload
	c.note("nonsense", now, now)
	if c.ahead.Load() != 0 {
		t.Errorf("what says nothing counts as %s ahead", time.Duration(c.ahead.Load()))
	}
}

// TestLinksByTheClockOfTheStore signs links that a store with another clock takes.
func TestLinksByTheClockOfTheStore(t *testing.T) {
	c, _ := config(t)
	s := openStore(t, c)
	s.clock.ahead.Store(int64(70 * time.Minute))
	link, err := s.Link(t.Context(), "packages/abcd/x.deb", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := time.Parse("20060102T150405Z", parse(t, link)["X-Amz-Date"][0])
	if err != nil || (time.Until(signed)-70*time.Minute).Abs() > time.Minute {
		t.Errorf("the link says that it was signed at %s: %v", signed, err)
	}
}
