package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/edge"
)

// edgeSizes are what an edge delivers: an index by its digest, a small package,
// a large one. There are as many of each as make 200 MB, but no more than 2,000.
var edgeSizes = []int{2_000, 50_000, 50_000_000}

const (
	edgeRounds  = 3
	edgeClients = 1000 // that want the same object at once
	edgeTime    = 3 * time.Second
)

// benchEdge delivers the same files by `packagecloud edge` and by nginx with
// secure_link, each on one core, with the load of wrk on another one. They take
// turns, and what counts is the median.
func benchEdge(ctx context.Context) ([]row, error) {
	for _, program := range []string{"nginx", "wrk", "taskset"} {
		if _, err := exec.LookPath(program); err != nil {
			say("edge: not measured: %v", err)
			return nil, nil
		}
	}
	e, err := startEdge(ctx)
	if err != nil {
		return nil, err
	}
	defer e.stop()
	flight, err := e.singleFlight(ctx)
	if err != nil {
		return nil, err
	}
	full, err := e.fullCache(ctx)
	if err != nil {
		return nil, err
	}
	rows := []row{flight, full}
	for _, size := range edgeSizes {
		r, err := e.compare(ctx, size)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// benchedEdge is an edge and an nginx that have the same files.
type benchedEdge struct {
	dir          string
	node         *benchNode
	origin       *counter
	keys         *edge.Keys
	program      string // packagecloud
	environment  []string
	edge, nginx  *exec.Cmd
	at, nginxAt  string // host:port
	secret, word string // of the edge, of nginx
	files        map[int][]string
	log          bytes.Buffer
}

func startEdge(ctx context.Context) (e *benchedEdge, err error) {
	e = &benchedEdge{secret: edge.GenerateSecret(), word: "open", files: map[int][]string{}}
	if e.dir, err = os.MkdirTemp("", "packagecloud-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, e.log.Bytes())
			e.stop()
		}
	}()
	if e.keys, err = edge.NewKeys(e.secret); err != nil {
		return e, err
	}
	if e.node, e.origin, e.environment, err = openBucket(ctx); err != nil {
		return e, err
	}
	if err := e.store(ctx); err != nil {
		return e, err
	}
	if err := e.startNginx(ctx); err != nil {
		return e, err
	}
	e.program = filepath.Join(e.dir, "packagecloud")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", e.program, "./cmd/packagecloud").CombinedOutput(); err != nil {
		return e, fmt.Errorf("%w: %s", err, out)
	}
	e.edge, e.at, err = e.startOurs(ctx, "cache")
	return e, err
}

// store puts the files into the bucket and into the folder of nginx.
func (e *benchedEdge) store(ctx context.Context) error {
	random := rand.NewChaCha8([32]byte{1})
	for _, size := range edgeSizes {
		say("edge: storing files of %s bytes", thousands(size))
		for range min(2_000, 200_000_000/size) {
			body := make([]byte, size)
			_, _ = random.Read(body)
			key := fmt.Sprintf("packages/%x/demo_1.0_amd64.deb", sha256.Sum256(body))
			path := filepath.Join(e.dir, "files", key)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(path, body, 0o644); err != nil {
				return err
			}
			if err := e.node.Blobs.Put(ctx, key, body, blob.Attributes{ContentType: "application/vnd.debian.binary-package"}); err != nil {
				return err
			}
			e.files[size] = append(e.files[size], key)
		}
	}
	return nil
}

const nginxConfig = `
daemon off; master_process off; pid %[1]s/nginx.pid; error_log stderr warn; user root;
events { worker_connections 4096; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  types { application/vnd.debian.binary-package deb; }
  open_file_cache max=10000 inactive=60s;
  server {
    listen %[2]s; root %[1]s/files;
    location / {
      secure_link $arg_md5,$arg_expires;
      secure_link_md5 "$secure_link_expires$uri %[3]s";
      if ($secure_link != "1") { return 403; }
    }
  }
}
`

func (e *benchedEdge) startNginx(ctx context.Context) (err error) {
	if e.nginxAt, err = freeAddress(ctx); err != nil {
		return err
	}
	path := filepath.Join(e.dir, "nginx.conf")
	if err := os.WriteFile(path, fmt.Appendf(nil, nginxConfig, e.dir, e.nginxAt, e.word), 0o600); err != nil {
		return err
	}
	if err := os.Chmod(e.dir, 0o755); err != nil {
		return err
	}
	e.nginx, err = e.start(ctx, e.nginxAt, nil, "nginx", "-c", path, "-p", e.dir)
	return err
}

// startOurs starts an edge with a cache of its own.
func (e *benchedEdge) startOurs(ctx context.Context, cache string, more ...string) (*exec.Cmd, string, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, "", err
	}
	environment := append(slices.Clone(e.environment), "PACKAGECLOUD_CLOUDFRONT_SECRET="+e.secret, "PACKAGECLOUD_EDGE_LISTEN_ADDRESS="+address,
		"PACKAGECLOUD_EDGE_CACHE_DIRECTORY="+filepath.Join(e.dir, cache), "PACKAGECLOUD_DATA_DIRECTORY="+e.dir)
	c, err := e.start(ctx, address, append(environment, more...), e.program, "edge")
	return c, address, err
}

// start runs a server on the first core, until it answers.
func (e *benchedEdge) start(ctx context.Context, address string, environment []string, command ...string) (*exec.Cmd, error) {
	c := exec.CommandContext(ctx, "taskset", append([]string{"-c", "0"}, command...)...)
	c.Env = append(os.Environ(), environment...)
	c.Stdout, c.Stderr = &e.log, &e.log
	if err := c.Start(); err != nil {
		return nil, err
	}
	for range 100 {
		if n, err := (&net.Dialer{}).DialContext(ctx, "tcp", address); err == nil {
			return c, n.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return c, errors.New("it does not listen: " + strings.Join(command, " "))
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (e *benchedEdge) stop() {
	end(e.edge)
	end(e.nginx)
	if e.origin != nil {
		e.origin.Close()
		e.node.forget()
	}
	_ = os.RemoveAll(e.dir)
}

func end(c *exec.Cmd) {
	if c != nil {
		_ = c.Process.Signal(os.Interrupt)
		_ = c.Wait()
	}
}

// ours and nginxs are what a client asks for.
func (e *benchedEdge) ours(key string) string {
	s := edge.Signer{Keys: e.keys}
	return s.Until(key, time.Now().Add(time.Hour))
}

func (e *benchedEdge) nginxs(key string) string {
	expires := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	sum := md5.Sum([]byte(expires + "/" + key + " " + e.word))
	return "/" + key + "?md5=" + base64.RawURLEncoding.EncodeToString(sum[:]) + "&expires=" + expires
}

// singleFlight asks for an object that is not in the cache from many clients at
// once.
func (e *benchedEdge) singleFlight(ctx context.Context) (row, error) {
	size := edgeSizes[len(edgeSizes)-1]
	say("edge: %s clients want the same %s bytes", thousands(edgeClients), thousands(size))
	url := "http://" + e.at + e.ours(e.files[size][0])
	before := e.origin.requests.Load()
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: edgeClients}}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	failures := make(chan error, edgeClients)
	start := time.Now()
	for range edgeClients {
		all.Go(func() {
			if err := fetch(ctx, client, url, int64(size)); err != nil {
				failures <- err
			}
		})
	}
	all.Wait()
	took := time.Since(start)
	close(failures)
	if err := <-failures; err != nil {
		return row{}, err
	}
	return row{
		fmt.Sprintf("edge: %s clients fetch one new object of %d MB", thousands(edgeClients), size/1_000_000),
		fmt.Sprintf("%d requests to the origin, %.0f MB/s, %s peak memory", e.origin.requests.Load()-before, float64(edgeClients*size)/1e6/took.Seconds(), mebibytes(peakOf(e.edge.Process.Pid))),
		"one download takes one request to the origin, or two",
	}, nil
}

// fullCache fetches more through another edge than its cache may have, twice.
func (e *benchedEdge) fullCache(ctx context.Context) (row, error) {
	const size, limit = 50_000, 32 << 20
	say("edge: more files than the cache has room for")
	c, address, err := e.startOurs(ctx, "small", fmt.Sprint("PACKAGECLOUD_EDGE_CACHE_SIZE=", limit), fmt.Sprint("PACKAGECLOUD_EDGE_MEMORY_SIZE=", limit/4))
	defer end(c)
	if err != nil {
		return row{}, err
	}
	var peaks [2]int64
	for i := range peaks {
		for _, key := range e.files[size] {
			if err := fetch(ctx, http.DefaultClient, "http://"+address+e.ours(key), size); err != nil {
				return row{}, err
			}
		}
		peaks[i] = peakOf(c.Process.Pid)
	}
	kept, err := folderSize(filepath.Join(e.dir, "small"))
	return row{
		fmt.Sprintf("edge: %d MB of files through a cache of %s, twice", len(e.files[size])*size/1_000_000, mebibytes(limit)),
		fmt.Sprintf("%s peak memory, %s after the first time", mebibytes(peaks[1]), mebibytes(peaks[0])),
		fmt.Sprintf("%s are kept in memory, %s on the disk", mebibytes(limit/4), mebibytes(kept)),
	}, err
}

// folderSize is how many bytes the files of a folder have.
func folderSize(path string) (n int64, err error) {
	err = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

func fetch(ctx context.Context, client *http.Client, url string, size int64) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || n != size) {
		err = fmt.Errorf("%s, %d bytes", response.Status, n)
	}
	return err
}

// compare has both deliver files of a size.
func (e *benchedEdge) compare(ctx context.Context, size int) (row, error) {
	say("edge: files of %s bytes", thousands(size))
	var mine, theirs []loadResult
	for i := range edgeRounds + 1 {
		ours, err := e.load(ctx, e.edge, e.at, size, e.ours)
		if err != nil {
			return row{}, err
		}
		nginx, err := e.load(ctx, e.nginx, e.nginxAt, size, e.nginxs)
		if err != nil {
			return row{}, err
		}
		if i > 0 { // the first one fills caches
			mine, theirs = append(mine, ours), append(theirs, nginx)
		}
	}
	m, t := median(mine), median(theirs)
	return row{
		fmt.Sprintf("edge: GET of %s bytes, on one core", thousands(size)),
		fmt.Sprintf("%s; %s peak memory", m.text(size), mebibytes(peakOf(e.edge.Process.Pid))),
		fmt.Sprintf("nginx secure_link: %s; ratio %.2f, of CPU %.2f", t.text(size), m.rate/t.rate, float64(m.cpu)/float64(t.cpu)),
	}, nil
}

type loadResult struct {
	rate float64
	p99  time.Duration
	cpu  time.Duration // of the server, for one request
}

func (r loadResult) text(size int) string {
	return fmt.Sprintf("%.0f a second, %.0f MB/s, p99 %s, %.1f µs CPU each", r.rate, r.rate*float64(size)/1e6, milliseconds(r.p99), float64(r.cpu)/1e3)
}

func median(all []loadResult) loadResult {
	slices.SortFunc(all, func(a, b loadResult) int { return int(a.rate - b.rate) })
	return all[len(all)/2]
}

// load makes wrk ask a server for the files of a size in turn.
func (e *benchedEdge) load(ctx context.Context, server *exec.Cmd, address string, size int, sign func(key string) string) (loadResult, error) {
	var script bytes.Buffer
	script.WriteString("local r = {}\nfunction init()\n")
	for i, key := range e.files[size] {
		fmt.Fprintf(&script, "r[%d] = wrk.format(\"GET\", %q)\n", i+1, sign(key))
	}
	script.WriteString(`end
local i = 0
request = function() i = i % #r + 1; return r[i] end
done = function(s, l) io.write(string.format("result %d %d %d %d\n", s.requests, s.duration, l:percentile(99), s.errors.status + s.errors.read + s.errors.timeout)) end
`)
	path := filepath.Join(e.dir, "load.lua")
	if err := os.WriteFile(path, script.Bytes(), 0o600); err != nil {
		return loadResult{}, err
	}
	before := cpuOf(server.Process.Pid)
	out, err := exec.CommandContext(ctx, "taskset", "-c", "1", "wrk", "-t1", "-c16", "--timeout", "30s", "-d"+edgeTime.String(), "-s", path, "http://"+address).CombinedOutput()
	if err != nil {
		return loadResult{}, fmt.Errorf("wrk: %w: %s", err, out)
	}
	used := cpuOf(server.Process.Pid) - before
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var requests, took, p99, failed int64
		if n, _ := fmt.Sscanf(lines.Text(), "result %d %d %d %d", &requests, &took, &p99, &failed); n == 4 {
			if failed > 0 {
				return loadResult{}, fmt.Errorf("%d answers were wrong: %s", failed, out)
			}
			return loadResult{float64(requests) / float64(took) * 1e6, time.Duration(p99) * time.Microsecond, used / time.Duration(requests)}, nil
		}
	}
	return loadResult{}, fmt.Errorf("wrk said %s", out)
}
