package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// machine says where, when and how the figures were taken.
func machine(pc pace, dir string) []string {
	pin := "servers on CPU " + serverCPU + ", load generator on CPU " + loadCPU
	if _, err := exec.LookPath("taskset"); err != nil || runtime.NumCPU() < 2 {
		pin = "not pinned (taskset or a second CPU is missing)"
	}
	return []string{
		"commit: " + commit(),
		"date: " + time.Now().UTC().Format(time.DateOnly),
		fmt.Sprintf("machine: %d CPUs, %s, %s, %s/%s", runtime.NumCPU(), cpuModel(), kernel(), runtime.GOOS, runtime.GOARCH),
		"Go: " + runtime.Version(),
		"disk: append of 512 bytes and fsync takes " + syncCost(dir) + " (median); everything durable depends on it",
		"load average at the start: " + loadAverage(),
		fmt.Sprintf("method: %s; GOMAXPROCS %s for servers, 1 for the load; HTTP/1.1 kept alive, no TLS; closed loop; %d alternating rounds of %s after %s of warm-up; values of 256 bytes",
			pin, serverProcs, pc.rounds, pc.span, pc.warmUp),
		"in Vault's favour: its storage is memory, its audit file is never synced and its writes are not durable; Keyturn and the floor answer after their audit line is synced",
	}
}

func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "none yet"
	}
	id := string(bytes.TrimSpace(out))
	if changes, err := exec.Command("git", "status", "--porcelain").Output(); err != nil || len(changes) > 0 {
		id += " with local changes"
	}
	return id
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown CPU"
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}

func kernel() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown kernel"
	}
	return "kernel " + strings.TrimSpace(string(b))
}

func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}

// syncCost is the median of a few hundred small synced appends.
func syncCost(dir string) string {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return "an unknown time"
	}
	defer f.Close()
	line := bytes.Repeat([]byte{'x'}, 512)
	var took []time.Duration
	for range 300 {
		start := time.Now()
		if _, err := f.Write(line); err != nil {
			return "an unknown time"
		}
		if err := f.Sync(); err != nil {
			return "an unknown time"
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return micros(float64(took[len(took)/2]) / float64(time.Microsecond))
}
