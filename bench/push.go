package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/node"
	"packagecloud/internal/serve"
)

// live is a server at work.
type live struct {
	*node.Node
	*httptest.Server
	token string
}

// serveNode starts a server with a repository acme/demo.
func serveNode(ctx context.Context) (l *live, stop func(), err error) {
	n, err := open(ctx)
	if err != nil {
		return nil, nil, err
	}
	_, _, token, err := owner(ctx, n.Node, "acme")
	if err != nil {
		n.forget()
		return nil, nil, err
	}
	l = &live{n.Node, httptest.NewServer(serve.Handler(n.Node)), token}
	work, end := context.WithCancel(ctx)
	var workers sync.WaitGroup
	workers.Go(func() { n.Worker.Run(work, 2) })
	return l, func() {
		l.Server.Close()
		end()
		workers.Wait()
		n.forget()
	}, nil
}

// push sends a package whose bytes are given as a reader.
func (l *live) push(ctx context.Context, client *http.Client, size int64, body io.Reader) error {
	var head bytes.Buffer
	w := multipart.NewWriter(&head)
	_ = w.WriteField("package[distro_version_id]", "237")
	if _, err := w.CreateFormFile("package[package_file]", "x.deb"); err != nil {
		return err
	}
	tail := "\r\n--" + w.Boundary() + "--\r\n"
	length := int64(head.Len()) + size + int64(len(tail))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.URL+"/api/v1/repos/acme/demo/packages.json", io.MultiReader(&head, body, bytes.NewReader([]byte(tail))))
	if err != nil {
		return err
	}
	r.ContentLength = length
	r.SetBasicAuth(l.token, "")
	r.Header.Set("Content-Type", w.FormDataContentType())
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusCreated {
		err = fmt.Errorf("%s: %s", response.Status, answer)
	}
	return err
}

// benchPush pushes many small packages over a few connections and waits until
// all of them can be installed.
func benchPush(ctx context.Context) ([]row, error) {
	const packages, connections = 2000, 8
	l, stop, err := serveNode(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	say("push: making %s packages", thousands(packages))
	bodies := make([][]byte, packages)
	for i := range bodies {
		bodies[i] = makeDeb(i)
	}
	m := measure()
	var next atomic.Int64
	var all sync.WaitGroup
	failures := make(chan error, connections)
	for range connections {
		all.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			for {
				i := int(next.Add(1)) - 1
				if i >= packages {
					return
				}
				if err := l.push(ctx, client, int64(len(bodies[i])), bytes.NewReader(bodies[i])); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-failures:
		return nil, err
	default:
	}
	pushed, _, _ := m.used()
	for {
		waiting, _, err := l.DB.Backlog(ctx)
		if err != nil {
			return nil, err
		}
		if waiting == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	wall, cpu, _ := m.used()
	return []row{{
		fmt.Sprintf("push %s small debs over %d connections until all are installable", thousands(packages), connections),
		fmt.Sprintf("%.0f packages a second", packages/wall.Seconds()),
		fmt.Sprintf("acknowledged at %.0f a second; %s CPU each; fsync of this disk takes %s", packages/pushed.Seconds(), milliseconds(cpu/packages), milliseconds(syncTime())),
	}}, nil
}

// syncTime is what making a small file durable takes.
func syncTime() time.Duration {
	file, err := os.CreateTemp("", "packagecloud-sync-")
	if err != nil {
		return 0
	}
	defer func() { _ = os.Remove(file.Name()) }()
	defer file.Close()
	const times = 50
	start := time.Now()
	for range times {
		_, _ = file.Write(make([]byte, 4096))
		_ = file.Sync()
	}
	return time.Since(start) / times
}

// benchUpload pushes one large file.
func benchUpload(ctx context.Context) ([]row, error) {
	l, stop, err := serveNode(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	file, err := largePackage(*large)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	say("upload: %s", mebibytes(info.Size()))
	start := time.Now()
	if out, err := exec.Command("sha256sum", file.Name()).CombinedOutput(); err != nil {
		return nil, errors.Join(err, errors.New(string(out)))
	}
	reference := time.Since(start)
	resetPeak()
	before := peak()
	m := measure()
	if err := l.push(ctx, http.DefaultClient, info.Size(), file); err != nil {
		return nil, err
	}
	wall, _, _ := m.used()
	speed := func(d time.Duration) float64 { return float64(info.Size()) / 1e6 / d.Seconds() }
	return []row{{
		fmt.Sprintf("push one file of %s", mebibytes(info.Size())),
		fmt.Sprintf("%.0f MB/s, memory grows by %s", speed(wall), mebibytes(max(0, peak()-before))),
		fmt.Sprintf("sha256sum of it %.0f MB/s; four digests are made and the bytes synced", speed(reference)),
	}}, nil
}

// largePackage writes a valid .deb of about the given size to a file.
func largePackage(size int64) (*os.File, error) {
	file, err := os.CreateTemp("", "packagecloud-large-")
	if err != nil {
		return nil, err
	}
	small := debtest.Package{Name: "large", DataCompression: "none"}.Build()
	// The data member is the last: give it another size, and fill it up.
	at := bytes.LastIndex(small, []byte("data.tar"))
	copy(small[at+48:], fmt.Sprintf("%-10d", size))
	if _, err := file.Write(small[:at+60]); err != nil {
		return nil, err
	}
	chunk := make([]byte, 1<<20)
	seed := sha256.Sum256([]byte("large"))
	for i := range chunk {
		chunk[i] = seed[i%len(seed)] ^ byte(i>>5)
	}
	for left := size; left > 0; left -= min(left, int64(len(chunk))) {
		if _, err := file.Write(chunk[:min(left, int64(len(chunk)))]); err != nil {
			return nil, err
		}
	}
	if err := file.Sync(); err != nil { // or it competes for the disk
		return nil, err
	}
	_, err = file.Seek(0, io.SeekStart)
	return file, err
}
