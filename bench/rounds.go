package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/keyturn/keyturn/bench/measure"
)

// lane is one contestant of a row: what it is called and how it runs once.
type lane struct {
	server string
	run    func(ctx context.Context) (measure.Result, error)
}

// series is a lane's results over all rounds.
type series struct {
	row     string
	server  string
	results []measure.Result
}

// alternate runs A B C, A B C, ... so that a change in the machine's mood
// meets all lanes alike.
func alternate(ctx context.Context, row string, rounds int, lanes []lane) ([]series, error) {
	out := make([]series, len(lanes))
	for i, l := range lanes {
		out[i] = series{row: row, server: l.server}
	}
	for range rounds {
		for i, l := range lanes {
			r, err := l.run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", row, l.server, err)
			}
			out[i].results = append(out[i].results, r)
		}
	}
	return out, nil
}

// pace is how long one run takes.
type pace struct {
	rounds       int
	warmUp, span time.Duration
}

// hammer builds a lane in which the load generator meets a peer.
func (b *bench) hammer(p Peer, server, requests string, connections, batch int) lane {
	return lane{server, func(ctx context.Context) (measure.Result, error) {
		cmd := pinned(ctx, loadCPU, b.tools.hammer,
			"-address", p.Address(), "-requests", requests, "-pid", strconv.Itoa(p.PID()),
			"-connections", strconv.Itoa(connections), "-batch", strconv.Itoa(batch),
			"-warmup", b.pace.warmUp.String(), "-for", b.pace.span.String())
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
		return result(cmd)
	}}
}

// pacedLoad is a run of the load generator at a rate of requests a second, or
// without one (0). What each answer must hold is in the file expected, unless
// that is empty.
func (b *bench) pacedLoad(ctx context.Context, p Peer, requests, expected string, connections int, rate float64, span time.Duration) (measure.Result, error) {
	cmd := pinned(ctx, loadCPU, b.tools.hammer,
		"-address", p.Address(), "-requests", requests, "-expected", expected, "-pid", strconv.Itoa(p.PID()),
		"-connections", strconv.Itoa(connections), "-rate", strconv.FormatFloat(rate, 'f', 1, 64),
		"-warmup", b.pace.warmUp.String(), "-for", span.String())
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	return result(cmd)
}

// sqlWrites builds a lane of durable writes in SQL by hand.
func (b *bench) sqlWrites(writers int) lane {
	return lane{sqlByHand, func(ctx context.Context) (measure.Result, error) {
		return b.floorSQL(ctx, "write", "-writers", strconv.Itoa(writers),
			"-warmup", b.pace.warmUp.String(), "-for", b.pace.span.String())
	}}
}

// floorSQL runs one SQL floor on a fresh database, where the servers run.
func (b *bench) floorSQL(ctx context.Context, verb string, args ...string) (measure.Result, error) {
	dir, err := os.MkdirTemp(b.dir, "sql-*")
	if err != nil {
		return measure.Result{}, err
	}
	defer os.RemoveAll(dir)
	cmd := pinned(ctx, serverCPU, b.tools.floor, append([]string{verb, "-dir", dir}, args...)...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+serverProcs)
	return result(cmd)
}

// result runs a program that prints one measure.Result.
func result(cmd *exec.Cmd) (measure.Result, error) {
	var r measure.Result
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("%w%s", err, stderrOf(err))
	}
	return r, json.Unmarshal(bytes.TrimSpace(out), &r)
}

// requestFile writes prebuilt requests for the load generator.
func (b *bench) requestFile(requests [][]byte) (string, error) {
	f, err := os.CreateTemp(b.dir, "requests-*")
	if err != nil {
		return "", err
	}
	var buf bytes.Buffer
	err = measure.WriteRequests(&buf, requests)
	if err == nil {
		_, err = f.Write(buf.Bytes())
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return filepath.Clean(f.Name()), err
}

// readRequests is count reads over the secrets 0..n-1, every one equally
// often, in an order that is shuffled but the same for all peers.
func readRequests(p Peer, n, count int) [][]byte {
	order := shuffled(count)
	out := make([][]byte, count)
	for i, o := range order {
		out[i] = p.ReadRequest(o % n)
	}
	return out
}

// shuffled is the numbers below n in an order that is the same in every run.
func shuffled(n int) []int { return rand.New(rand.NewPCG(1, 2)).Perm(n) }

// writeRequests is count writes over the secrets 0..n-1 in turn, each a new
// value; nil when the peer does not write.
func writeRequests(p Peer, n, count int) [][]byte {
	out := make([][]byte, count)
	for i := range out {
		if out[i] = p.WriteRequest(i%n, 1+i/n); out[i] == nil {
			return nil
		}
	}
	return out
}
