// Package emulators starts for tests what others wrote in place of AWS: moto and
// MiniStack, which scripts/python-tools installs. Each ends with its test.
package emulators

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"packagecloud/internal/tooltest"
)

// Emulator is one that answers.
type Emulator struct {
	URL string
	// Transport is how to reach it: that of net/http loses answers, see whole.
	Transport http.RoundTripper
}

// whole sends requests whose bodies cannot be closed meanwhile. The SDK closes
// them when the answer comes, which on loopback is while Go still looks for
// their end: it then gives up the connection, and the answer.
type whole struct{ next http.RoundTripper }

func (w whole) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return w.next.RoundTrip(r)
}

// MiniStack starts MiniStack, which runs functions with the Node.js of Lambda.
func MiniStack(t testing.TB, environment ...string) *Emulator {
	t.Helper()
	programs := tooltest.Output(t, "python-tools", "emulators")
	node := tooltest.Output(t, "node-tools")
	return start(t, func(port string) *exec.Cmd {
		c := exec.Command(programs + "/ministack")
		c.Env = append([]string{
			"PATH=" + node + "/node_modules/.bin:/usr/bin:/bin",
			"GATEWAY_PORT=" + port, "BIND_HOST=127.0.0.1", "MINISTACK_HOST=127.0.0.1",
			"SERVICES=iam,sts,kms,lambda,cloudfront,s3", "SFTP_ENABLED=0", "IOT_MTLS_ENABLED=0", // they would listen everywhere
		}, environment...)
		return c
	})
}

// Moto starts moto.
func Moto(t testing.TB) *Emulator {
	t.Helper()
	programs := tooltest.Output(t, "python-tools", "emulators")
	return start(t, func(port string) *exec.Cmd {
		c := exec.Command(programs+"/moto_server", "-H", "127.0.0.1", "-p", port)
		c.Env = []string{"PATH=/usr/bin:/bin"}
		return c
	})
}

// start starts a program on a port of loopback. It ends with the test.
func start(t testing.TB, command func(port string) *exec.Cmd) *Emulator {
	t.Helper()
	var log bytes.Buffer
	for range 5 { // another may take the port meanwhile
		port := freePort(t)
		c := command(port)
		home := t.TempDir()
		c.Dir, c.Env = home, append(c.Env, "HOME="+home, "TMPDIR="+home)
		log.Reset()
		c.Stdout, c.Stderr = &log, &log
		c.WaitDelay = time.Second
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // functions are processes as well
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		gone := make(chan struct{})
		go func() {
			_ = c.Wait()
			close(gone)
		}()
		t.Cleanup(func() {
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
			<-gone
		})
		if answers(t.Context(), "127.0.0.1:"+port, gone) {
			return &Emulator{"http://127.0.0.1:" + port, whole{&http.Transport{}}}
		}
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		<-gone
	}
	t.Fatalf("it does not start:\n%s", &log)
	return nil
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	return port
}

// answers waits until a program listens, up to a minute, or is gone.
func answers(ctx context.Context, address string, gone <-chan struct{}) bool {
	var d net.Dialer
	for range 600 {
		if c, err := d.DialContext(ctx, "tcp", address); err == nil {
			_ = c.Close()
			select {
			case <-gone: // it was another that answered
				return false
			case <-time.After(200 * time.Millisecond):
				return true
			}
		}
		select {
		case <-gone:
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
	return false
}
