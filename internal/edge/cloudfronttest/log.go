package cloudfronttest

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Result says how a request was answered, in the words of x-edge-result-type
// in CloudFront's logs.
type Result string

// The results.
const (
	Hit                       Result = "Hit"
	RefreshHit                Result = "RefreshHit"
	Miss                      Result = "Miss"
	Error                     Result = "Error"
	Redirect                  Result = "Redirect"
	LimitExceeded             Result = "LimitExceeded"
	LambdaGeneratedResponse   Result = "LambdaGeneratedResponse"
	LambdaExecutionError      Result = "LambdaExecutionError"
	LambdaValidationError     Result = "LambdaValidationError"
	FunctionGeneratedResponse Result = "FunctionGeneratedResponse"
	FunctionExecutionError    Result = "FunctionExecutionError"
	FunctionValidationError   Result = "FunctionValidationError"
	// Fault is not CloudFront's: the stand-in does not know what it should do.
	Fault Result = "Fault"
)

// Entry is a request in the log.
type Entry struct {
	Time              time.Time
	Host, Method, URL string
	Range             string // as the viewer sent it
	Authorization     bool   // the viewer sent it
	Function          bool   // it ran
	Result            Result // none from an S3
	Status            int
	Origin            int   // the status of the bucket's answer, 0 if it was not asked
	Bytes             int64 // of the body that was sent
	Cut               bool
	Reason            string // of an error of CloudFront itself
}

func (e Entry) String() string {
	s := fmt.Sprintf("%s %s%s: %d", e.Method, e.Host, e.URL, e.Status)
	if e.Result != "" {
		s += " " + string(e.Result)
	}
	s += fmt.Sprintf(", %d bytes", e.Bytes)
	if e.Range != "" {
		s += ", " + e.Range
	}
	if e.Authorization {
		s += ", authorization"
	}
	if e.Cut {
		s += ", cut"
	}
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	return s
}

// Log remembers every request, in the order in which they ended.
type Log struct {
	mu      sync.Mutex
	entries []Entry
}

func (l *Log) add(e Entry) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
}

// Entries are those since the last Reset.
func (l *Log) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

// Reset forgets the entries.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
}
