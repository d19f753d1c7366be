package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"packagecloud/internal/db"
	"packagecloud/internal/node"
	"packagecloud/internal/repo"
	"packagecloud/internal/upload"
)

// rounds is how often each publication is measured; the median counts.
const rounds = 7

// benchPublish measures what one more package costs in repositories of several
// sizes, and what making everything anew does.
func benchPublish(ctx context.Context) (rows []row, err error) {
	for _, k := range kinds {
		if !chosen(k) {
			continue
		}
		first := time.Duration(0)
		for text := range strings.SplitSeq(*sizes, ",") {
			size, err := strconv.Atoi(text)
			if err != nil {
				return nil, err
			}
			more, one, err := publishInto(ctx, k, size, first)
			if err != nil {
				return nil, err
			}
			if first == 0 {
				first = one
			}
			for _, r := range more { // the next size may take minutes
				say("%s: %s", r.what, r.figure)
			}
			rows = append(rows, more...)
		}
	}
	return rows, nil
}

// clock runs ahead of time, so that no scope rests.
type clock struct{ ahead time.Duration }

func (c *clock) now() time.Time { return time.Now().Add(c.ahead) }

func publishInto(ctx context.Context, k kind, size int, small time.Duration) ([]row, time.Duration, error) {
	n, err := open(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer n.forget()
	u, r, _, err := owner(ctx, n.Node, "acme")
	if err != nil {
		return nil, 0, err
	}
	say("%s: recording %s packages", k.name, thousands(size))
	if err := fill(ctx, n.Node, k, u, r, 0, size); err != nil {
		return nil, 0, err
	}
	var c clock
	n.Worker.Now = c.now
	step := func() (time.Duration, int64, error) {
		c.ahead += time.Minute
		m := measure()
		worked, err := n.Worker.Step(ctx)
		if err == nil && !worked {
			err = errors.New("there was nothing to publish")
		}
		_, cpu, bytes := m.used()
		return cpu, bytes, err
	}
	// Where each name has documents of its own, several generations take it in.
	all := func() (cpu time.Duration, err error) {
		for {
			one, _, err := step()
			if err != nil {
				return cpu, err
			}
			cpu += one
			if waiting, _, err := n.DB.Backlog(ctx); err != nil || waiting == 0 {
				return cpu, err
			}
		}
	}
	if _, err := all(); err != nil {
		return nil, 0, err
	}
	var costs, pushes []time.Duration
	var sizes []int64
	for i := range rounds {
		pushed, err := pushOne(ctx, n.Node, k, u, r, k.next(size, i))
		if err != nil {
			return nil, 0, err
		}
		cpu, bytes, err := step()
		if err != nil {
			return nil, 0, err
		}
		costs, pushes, sizes = append(costs, cpu), append(pushes, pushed), append(sizes, bytes)
	}
	slices.Sort(costs)
	slices.Sort(pushes)
	slices.Sort(sizes)
	one := costs[rounds/2]
	beside := "target " + k.target + " at 100,000"
	if small != 0 {
		beside += fmt.Sprintf("; %.1f × the smallest", float64(one)/float64(small))
	}
	if peer, err := peers(k, size); err != nil {
		return nil, 0, err
	} else if peer != "" {
		beside += "; " + peer
	}
	rows := []row{{
		fmt.Sprintf("publish one %s more than %s", k.name, thousands(size)),
		fmt.Sprintf("%s CPU, %s written", milliseconds(one), mebibytes(sizes[rounds/2])), beside + "; its upload " + milliseconds(pushes[rounds/2]),
	}}
	if size < 100_000 {
		return rows, one, nil
	}
	again, err := rebuild(ctx, n.Node, k, size, all)
	return append(rows, again), one, err
}

// pushOne pushes a package as the server does when its request has come, and
// returns the CPU time until it is recorded.
func pushOne(ctx context.Context, n *node.Node, k kind, u repo.User, r repo.Repository, i int) (time.Duration, error) {
	body := k.make(i)
	m := measure()
	f, err := n.Uploader.Receive(ctx, k.file(i), bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	_, err = n.Uploader.Push(ctx, upload.Push{Repository: r, Distro: k.distro, User: u, File: f})
	_, cpu, _ := m.used()
	return cpu, errors.Join(err, f.Close())
}

// rebuild measures a reindex.
func rebuild(ctx context.Context, n *node.Node, k kind, size int, all func() (time.Duration, error)) (row, error) {
	scopes, err := n.DB.Scopes(ctx)
	if err != nil {
		return row{}, err
	}
	err = n.DB.Update(ctx, func(tx *db.Tx) error { return tx.AddChange(ctx, scopes[0].ID, db.Rebuild, 0, time.Now()) })
	if err != nil {
		return row{}, err
	}
	debug.FreeOSMemory() // what the recording left is not the reindex
	resetPeak()
	cpu, err := all()
	return row{
		fmt.Sprintf("reindex %s %s packages", thousands(size), k.name),
		fmt.Sprintf("%.0f packages a second and core, %s peak memory", float64(size)/cpu.Seconds(), mebibytes(peak())),
		"target 10,000, 300 MB",
	}, err
}

// peers adds a package with another program to a repository of the same
// size, as far as one is installed and the size is bearable.
func peers(k kind, size int) (string, error) {
	if size > 10_000 {
		return "", nil
	}
	switch k.name {
	case "py", "npm", "generic":
		return "", nil // no index tool for it renders less than everything, or there is no index
	case "rpm":
		return peerTime("createrepo_c", k, size, []string{"createrepo_c", "--quiet", "--update", "--no-database", "."})
	}
	return peerTime("apt-ftparchive", k, size, []string{"sh", "-c", "apt-ftparchive --db cache packages . > Packages && gzip -9 -k -f Packages && apt-ftparchive release . > Release"})
}

// peerTime runs a command in a folder with so many packages, and again with
// one more: the CPU time of the second run counts.
func peerTime(name string, k kind, size int, command []string) (string, error) {
	if _, err := exec.LookPath(name); err != nil {
		return "", nil
	}
	dir, err := os.MkdirTemp("", "packagecloud-peer-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	say("%s: the same with %s", k.name, name)
	write := func(i int) error {
		return os.WriteFile(filepath.Join(dir, repo.SafeName(fmt.Sprintf("%d.%s", i, k.name))), k.make(i), 0o644)
	}
	for i := range size {
		if err := write(i); err != nil {
			return "", err
		}
	}
	var cpu time.Duration
	for range 2 {
		c := exec.Command(command[0], command[1:]...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w: %s", name, err, out)
		}
		cpu = c.ProcessState.UserTime() + c.ProcessState.SystemTime()
		if err := write(size); err != nil {
			return "", err
		}
	}
	return name + " " + milliseconds(cpu), nil
}
