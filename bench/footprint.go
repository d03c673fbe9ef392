package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/keyturn/keyturn/bench/measure"
)

const (
	starts   = 5  // restarts per start-up figure
	commands = 21 // runs per command-line figure

	// Idle memory is read when it has stood still for quietFor, because Go
	// gives memory back in the background; settleWithin ends the wait.
	quietFor     = 2 * time.Second
	settleWithin = 15 * time.Second

	mega = 1_000_000
)

// startUp restarts a server that keeps its data, and says how long it takes to
// be ready and what it weighs when idle.
func (b *bench) startUp(ctx context.Context, p *keyturnPeer, n int, memoryAim int64) error {
	took := make([]float64, 0, starts)
	for range starts {
		if err := p.Stop(); err != nil {
			return err
		}
		start := time.Now()
		if err := p.boot(ctx); err != nil {
			return err
		}
		took = append(took, float64(time.Since(start).Microseconds()))
	}
	ready := measure.Median(took)
	label := fmt.Sprintf("keyturn, %s secrets: ", number(float64(n)))
	aim, met := "", ""
	if n == manySecrets {
		aim, met = "under 500 ms", verdict(ready < 500_000)
	}
	b.fact(label+"start to ready", micros(ready), aim, met)
	rss, err := idleMemory(ctx, p.PID())
	if err != nil {
		return err
	}
	b.memory(label+"idle memory", rss, memoryAim)
	return nil
}

// memory notes a figure of memory; an aim of 0 is none.
func (b *bench) memory(item string, rss, aim int64) {
	if aim == 0 {
		b.fact(item, megabytes(rss), "", "")
		return
	}
	b.fact(item, megabytes(rss), "under "+megabytes(aim), verdict(rss < aim))
}

// idleMemory waits until a process's memory stands still and returns it.
func idleMemory(ctx context.Context, pid int) (int64, error) {
	const every = 250 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last int64
	still := time.Duration(0)
	for begin := time.Now(); ; {
		rss, err := measure.ResidentMemory(pid)
		if err != nil {
			return 0, err
		}
		if still += every; rss*100 < last*99 || rss*100 > last*101 {
			last, still = rss, 0
		}
		if still >= quietFor || time.Since(begin) > settleWithin {
			return rss, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
	}
}

// commandLine measures the CLI: size, processor time to start, and what run
// adds to the program that it runs.
func (b *bench) commandLine(ctx context.Context) error {
	info, err := os.Stat(b.tools.keyturn)
	if err != nil {
		return err
	}
	b.fact("binary", megabytes(info.Size()), "under 45 MB", verdict(info.Size() < 45*mega))
	for _, args := range [][]string{{"version"}, {"completion", "bash"}} {
		_, cpu, err := repeat(func() *exec.Cmd { return b.keyturn.command(ctx, "", args...) })
		if err != nil {
			return fmt.Errorf("keyturn %s: %w", args[0], err)
		}
		item := "CPU of keyturn " + args[0]
		b.fact(item, micros(cpu), "under 15 ms", verdict(cpu < 15_000))
	}
	return b.runOverhead(ctx)
}

// runOverhead runs `keyturn run -- true` against the example-sized
// environment, through a proxy that counts requests in one extra pass.
func (b *bench) runOverhead(ctx context.Context) error {
	kt := b.keyturn
	command := func() *exec.Cmd { return kt.command(ctx, ktExampleEnv, "run", "--", "true") }
	bare, _, err := repeat(func() *exec.Cmd { return exec.CommandContext(ctx, "true") })
	if err != nil {
		return err
	}
	wall, cpu, err := repeat(command)
	if err != nil {
		return fmt.Errorf("keyturn run: %w", err)
	}
	b.fact("keyturn run -- true: time added", micros(wall-bare), "under 20 ms", verdict(wall-bare < 20_000))
	b.fact("keyturn run -- true: CPU", micros(cpu), "", "")

	var requests atomic.Int64
	target := &url.URL{Scheme: "http", Host: kt.host}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		requests.Add(1)
		r.SetURL(target)
	}}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	srv := &http.Server{Addr: address, Handler: proxy, ReadHeaderTimeout: 10 * time.Second}
	go srv.ListenAndServe()
	defer srv.Close()
	cmd := command()
	cmd.Env = append(cmd.Env, ktClientEnv("http://"+address, kt.token, ktProject, ktExampleEnv)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("keyturn run through a proxy: %w: %.300s", err, out)
	}
	n := requests.Load()
	b.fact("keyturn run -- true: requests", number(float64(n)), "1", verdict(n == 1))
	return nil
}

// repeat runs a command several times and returns the medians of its wall
// clock and CPU time in microseconds.
func repeat(command func() *exec.Cmd) (wall, cpu float64, err error) {
	var walls, cpus []float64
	for range commands {
		cmd := command()
		start := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, 0, fmt.Errorf("%w: %.300s", err, out)
		}
		walls = append(walls, float64(time.Since(start).Microseconds()))
		used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		cpus = append(cpus, float64(used.Microseconds()))
	}
	return measure.Median(walls), measure.Median(cpus), nil
}
