package function_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"packagecloud/internal/edge"
	"packagecloud/internal/edge/edgetest"
	"packagecloud/internal/edge/function"
	"packagecloud/internal/tooltest"
)

// request is method, path and query as sent.
type request [3]string

// verdict is an answer in the words of the vectors, and the path that is passed
// on.
type verdict [2]string

// checker judges many requests by a clock that stands still.
type checker func(t testing.TB, requests []request) []verdict

// pipe runs a JavaScript over lines.
type pipe struct {
	in  *bufio.Writer
	out *bufio.Reader
}

// lambda is the Lambda@Edge function in a Node.js process of its own.
func lambda(t testing.TB, now int64, secrets ...string) checker {
	t.Helper()
	node := edgetest.Node(t)
	pack, err := function.Zip(edgetest.NewKMS(t).Config(secrets...))
	if err != nil {
		t.Fatal(err)
	}
	root := edgetest.Unpack(t, pack)
	c := exec.Command(node, "testdata/lambda.js", root, strconv.FormatInt(now, 10))
	c.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+edgetest.AccessKey, "AWS_SECRET_ACCESS_KEY="+edgetest.SecretKey, "AWS_SESSION_TOKEN="+edgetest.SessionToken)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, c)
	p := pipe{bufio.NewWriterSize(in, 1<<16), bufio.NewReaderSize(out, 1<<16)}
	return p.check
}

func (p pipe) check(t testing.TB, requests []request) []verdict {
	t.Helper()
	sent := make(chan error, 1)
	go func() {
		e := json.NewEncoder(p.in)
		for _, r := range requests {
			if err := e.Encode(r); err != nil {
				sent <- err
				return
			}
		}
		sent <- p.in.Flush()
	}()
	verdicts := make([]verdict, len(requests))
	for i := range verdicts {
		line, err := p.out.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, &verdicts[i])
		}
		if err != nil {
			t.Fatalf("the process answers %q: %v", line, err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	return verdicts
}

// cloudFront is the CloudFront function, by Debian's njs, with a stub of the
// module "cloudfront".
func cloudFront(t testing.TB, now int64, secrets ...string) checker {
	t.Helper()
	njs, err := exec.LookPath("njs")
	tooltest.Need(t, "njs", err == nil)
	dir := t.TempDir()
	store := map[string]string{}
	for _, s := range secrets {
		store[edge.KeyID(s)] = s
	}
	values, err := json.Marshal(store)
	if err != nil {
		t.Fatal(err)
	}
	below, err := os.ReadFile("testdata/cloudfront.js")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "cloudfront", fmt.Appendf(nil, `const store = %s;
export default { kvs: function () { return {
  get: async function (k) { if (!(k in store)) { throw new Error('KeyNotFound'); } return store[k]; },
  exists: async function (k) { return k in store; },
}; } };
`, values))
	write(t, dir, "function.js", slices.Concat(function.CloudFront(), below))
	for _, fifo := range []string{"gate", "out"} {
		if err := syscall.Mkfifo(filepath.Join(dir, fifo), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n := &njsProcess{program: njs, dir: dir, now: now}
	t.Cleanup(n.stop)
	return n.check
}

// njsProcess is a process of njs, which never frees memory: some 500 bytes for each
// byte of a path or a query that is taken apart. It is started anew when it has more
// than njsMemory. Processes of gigabytes make the whole machine slow, and a fuzz
// target that takes 10 seconds for one input is ended without a word.
type njsProcess struct {
	program, dir string
	now          int64
	command      *exec.Cmd
	ended        chan struct{} // is closed when the process has ended
	log          bytes.Buffer
}

const (
	njsMemory = 256 << 20
	// njsBatch is how many requests it gets at once.
	njsBatch = 100
)

func (n *njsProcess) check(t testing.TB, requests []request) []verdict {
	t.Helper()
	var all []verdict
	for batch := range slices.Chunk(requests, njsBatch) {
		n.run(t)
		text, err := json.Marshal(map[string]any{"now": n.now, "requests": batch})
		if err != nil {
			t.Fatal(err)
		}
		write(t, n.dir, "in", text)
		n.read(t, "gate")
		answer := n.read(t, "out")
		var verdicts []verdict
		if err := json.Unmarshal(answer, &verdicts); err != nil || len(verdicts) != len(batch) {
			t.Fatalf("njs answers %d of %d: %v\n%.1000s", len(verdicts), len(batch), err, answer)
		}
		all = append(all, verdicts...)
		if n.resident(t) > njsMemory {
			n.stop()
		}
	}
	return all
}

// run starts a process if there is none.
func (n *njsProcess) run(t testing.TB) {
	t.Helper()
	if n.command != nil {
		return
	}
	n.log.Reset()
	c := exec.Command(n.program, "-p", n.dir, "function.js")
	c.Dir, c.Stdout, c.Stderr = n.dir, &n.log, &n.log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = c.Wait()
		close(ended)
	}()
	n.command, n.ended = c, ended
}

// resident is how much memory the process has (proc_pid_statm(5)).
func (n *njsProcess) resident(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", n.command.Process.Pid))
	var total, pages int
	if err == nil {
		_, err = fmt.Sscan(string(text), &total, &pages)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// read reads a FIFO to its end, and fails rather than wait for ever for njs to
// write it.
func (n *njsProcess) read(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(n.dir, name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var text []byte
	deadline := time.Now().Add(30 * time.Second)
	buffer := make([]byte, 1<<16)
	for {
		_ = f.SetReadDeadline(deadline)
		k, err := f.Read(buffer)
		text = append(text, buffer[:k]...)
		if len(text) > 0 && err != nil {
			return text
		}
		if time.Now().After(deadline) {
			n.stop()
			t.Fatalf("njs does not answer: %s", &n.log)
		}
		if err == nil {
			continue
		}
		select { // nobody writes yet
		case <-n.ended:
			t.Fatalf("njs has ended: %v: %s", n.command.ProcessState, &n.log)
		case <-time.After(100 * time.Microsecond):
		}
	}
}

func (n *njsProcess) stop() {
	if n.command != nil {
		_ = n.command.Process.Kill()
		<-n.ended
		n.command = nil
	}
}

// golang is the check in Go.
func golang(t testing.TB, now int64, secrets ...string) checker {
	t.Helper()
	keys, err := edge.NewKeys(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return func(_ testing.TB, requests []request) []verdict {
		verdicts := make([]verdict, len(requests))
		for i, r := range requests {
			path, err := keys.Check(r[0], r[1], r[2], time.Unix(now, 0))
			verdicts[i] = verdict{word(err), path}
		}
		return verdicts
	}
}

func word(err error) string {
	switch err {
	case nil:
		return "pass"
	case edge.ErrExpired:
		return "expired"
	case edge.ErrMethod:
		return "method"
	case edge.ErrForbidden:
		return "forbidden"
	}
	return err.Error()
}

// start starts a process that ends with the test.
func start(t testing.TB, c *exec.Cmd) {
	t.Helper()
	var log bytes.Buffer
	c.Stderr = &log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if t.Failed() {
			t.Logf("the process said:\n%s", &log)
		}
	})
}

func write(t testing.TB, dir, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}
