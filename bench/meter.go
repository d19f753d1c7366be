package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// meter measures what this process uses.
type meter struct {
	start   time.Time
	cpu     time.Duration
	written int64
}

func measure() meter { return meter{time.Now(), cpuTime(), written()} }

// used is wall time, CPU time and bytes written since the meter began.
func (m meter) used() (wall, cpu time.Duration, bytes int64) {
	return time.Since(m.start), cpuTime() - m.cpu, written() - m.written
}

func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// written is what the process handed to write calls, files and sockets alike.
func written() int64 { return procNumber("/proc/self/io", "wchar:") }

// peak is the most memory that the process had since resetPeak.
func peak() int64 { return procNumber("/proc/self/status", "VmHWM:") << 10 }

// peakOf is the most memory that a process had.
func peakOf(pid int) int64 { return procNumber(fmt.Sprintf("/proc/%d/status", pid), "VmHWM:") << 10 }

// cpuOf is the CPU time that a process has used, to 10 ms.
func cpuOf(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name in parentheses may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * (time.Second / 100)
}

func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

func procNumber(path, field string) (n int64) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			_, _ = fmt.Sscan(rest, &n)
		}
	}
	return n
}

func processor() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "CPU"
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "CPU"
}

func release() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(text))
}
