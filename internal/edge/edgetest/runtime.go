package edgetest

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Timeout is how long a function for viewer requests may take.
const Timeout = 5 * time.Second

// The credentials that the function finds in its environment.
const (
	AccessKey    = "AKIDEDGETEST"
	SecretKey    = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	SessionToken = "session/token+of=edgetest"
)

// Error is what the runtime client reports: the function threw, or could not be
// loaded.
type Error struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

func (e *Error) Error() string { return e.Type + ": " + e.Message }

// Function is one instance of a function: one process, which answers one event
// at a time.
type Function struct {
	// Init is how long it took from the start of the process until it asked
	// for its first event.
	Init time.Duration

	turn   chan struct{} // one event at a time
	events chan invocation
	init   chan error
	gone   chan struct{} // closed when the process has ended
	log    output

	mu      sync.Mutex
	current *invocation // what the process has asked for and not answered
}

type invocation struct {
	id       string
	event    []byte
	deadline time.Time
	answer   chan answer
}

type answer struct {
	body []byte
	err  error
}

// Start unpacks a package and loads it with AWS's runtime client, behind a
// Runtime API of ours. It returns when the function is ready for events. An
// *Error is how loading failed. The environment is that of the edge with
// credentials of ours; more of it is given as NAME=VALUE. The process ends with
// the test.
func Start(t testing.TB, pack []byte, environment ...string) (*Function, error) {
	t.Helper()
	tools := packages(t)
	root := Unpack(t, pack)
	f := &Function{turn: make(chan struct{}, 1), events: make(chan invocation), init: make(chan error, 1), gone: make(chan struct{})}
	api := httptest.NewServer(f.runtimeAPI())
	t.Cleanup(api.Close)

	bin := filepath.Join(tools, "node_modules", ".bin")
	c := exec.Command(filepath.Join(bin, "aws-lambda-ric"), "index.handler")
	c.Dir = root
	c.Env = append([]string{
		"PATH=" + bin + ":/usr/bin:/bin", "HOME=" + root, "TZ=:UTC", "LANG=en_US.UTF-8",
		"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(api.URL, "http://"), "_HANDLER=index.handler", "LAMBDA_TASK_ROOT=" + root,
		"AWS_LAMBDA_FUNCTION_NAME=us-east-1.edgetest", "AWS_LAMBDA_FUNCTION_VERSION=1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/us-east-1.edgetest", "AWS_LAMBDA_LOG_STREAM_NAME=edgetest",
		"AWS_EXECUTION_ENV=AWS_Lambda_nodejs24.x",
		"AWS_REGION=ap-southeast-2", "AWS_DEFAULT_REGION=ap-southeast-2", // where the edge is, not where the key is
		"AWS_ACCESS_KEY_ID=" + AccessKey, "AWS_SECRET_ACCESS_KEY=" + SecretKey, "AWS_SESSION_TOKEN=" + SessionToken,
	}, environment...)
	c.Stdout, c.Stderr = &f.log, &f.log
	c.WaitDelay = time.Second
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a shell script starts node
	start := time.Now()
	if err := c.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = c.Wait()
		close(f.gone)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		<-f.gone
	})
	select {
	case err := <-f.init:
		f.Init = time.Since(start)
		return f, err
	case <-f.gone:
		return nil, fmt.Errorf("the runtime client ended:\n%s", &f.log)
	case <-time.After(30 * time.Second):
		return nil, fmt.Errorf("the function is not ready after 30 s:\n%s", &f.log)
	}
}

// Log is what the function has printed.
func (f *Function) Log() string { return f.log.String() }

// Invoke gives the function an event, and returns what it returns, as JSON. It
// waits for its turn. An *Error is that the function threw.
func (f *Function) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	i := invocation{
		id: strconv.FormatInt(time.Now().UnixNano(), 36), event: event,
		deadline: time.Now().Add(Timeout), answer: make(chan answer, 1),
	}
	late := time.NewTimer(Timeout)
	defer late.Stop()
	select {
	case f.events <- i:
	case <-f.gone:
		return nil, fmt.Errorf("the process of the function has ended:\n%s", &f.log)
	case <-late.C:
		return nil, fmt.Errorf("the function is busy for %s", Timeout)
	}
	// The turn lasts until the function has answered: also Lambda gives no
	// instance two events at a time.
	select {
	case a := <-i.answer:
		return a.body, a.err
	case <-f.gone:
		return nil, fmt.Errorf("the process of the function has ended:\n%s", &f.log)
	case <-late.C:
		return nil, fmt.Errorf("the function timed out after %s", Timeout)
	}
}

// runtimeAPI is the part of the Lambda Runtime API that a client needs:
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
func (f *Function) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		f.ready(nil)
		select {
		case i := <-f.events:
			f.mu.Lock()
			f.current = &i
			f.mu.Unlock()
			h := w.Header()
			h.Set("Lambda-Runtime-Aws-Request-Id", i.id)
			h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(i.deadline.UnixMilli(), 10))
			h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:edgetest:1")
			h.Set("Content-Type", "application/json")
			_, _ = w.Write(i.event)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		f.answered(w, r, answer{body, err})
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) {
		f.answered(w, r, answer{nil, readError(r)})
	})
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", func(w http.ResponseWriter, r *http.Request) {
		f.ready(readError(r))
		w.WriteHeader(http.StatusAccepted)
	})
	return mux
}

// ready tells Start, once.
func (f *Function) ready(err error) {
	select {
	case f.init <- err:
	default:
	}
}

func (f *Function) answered(w http.ResponseWriter, r *http.Request, a answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == nil || f.current.id != r.PathValue("id") {
		http.Error(w, "no such invocation", http.StatusBadRequest)
		return
	}
	f.current.answer <- a
	f.current = nil
	w.WriteHeader(http.StatusAccepted)
}

func readError(r *http.Request) error {
	var e Error
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
		return fmt.Errorf("an error report that is none: %w", err)
	}
	return &e
}

// Unpack unpacks the package of a function into a folder that goes with the
// test.
func Unpack(t testing.TB, pack []byte) string {
	t.Helper()
	root := t.TempDir()
	r, err := zip.NewReader(bytes.NewReader(pack), int64(len(pack)))
	if err == nil {
		err = os.CopyFS(root, r)
	}
	if err != nil {
		t.Fatalf("unpack the function: %v", err)
	}
	return root
}
