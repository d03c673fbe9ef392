package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/keyturn/keyturn/bench/measure"
)

const (
	// readBuffer holds any single-secret answer, so that it costs one read.
	readBuffer = 16 << 10
	// answerWithin ends a run whose server has stopped answering.
	answerWithin = 60 * time.Second
	// maxBroken ends a run that only measures broken connections.
	maxBroken = 1000
	// expectedRate sizes the sample slices so that they rarely grow.
	expectedRate = 200_000
)

// Load is one closed loop: every connection sends its next request as soon as
// the last answer is in.
type Load struct {
	Address     string        // host:port
	Requests    [][]byte      // sent in turn; each connection starts elsewhere
	Connections int           //
	Batch       int           // requests that count as one operation, at least 1
	WarmUp      time.Duration // not measured
	Span        time.Duration // measured
	PID         int           // server to take CPU time of; 0 = none
}

// Run applies the load and returns its figures. A connection that breaks is
// counted as a failure and dialled again.
func (l Load) Run(ctx context.Context) (measure.Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	loops := make([]*loop, l.Connections)
	for i := range loops {
		loops[i] = &loop{
			load: &l,
			next: i * len(l.Requests) / l.Connections,
			took: make([]time.Duration, 0, int(l.Span.Seconds()*expectedRate)/l.Connections),
		}
		if err := loops[i].dial(ctx); err != nil {
			return measure.Result{}, err
		}
	}
	begin := time.Now()
	from, to := begin.Add(l.WarmUp), begin.Add(l.WarmUp+l.Span)
	errs := make([]error, len(loops))
	var wg sync.WaitGroup
	for i, lp := range loops {
		wg.Go(func() {
			if errs[i] = lp.run(ctx, from, to); errs[i] != nil {
				cancel()
			}
		})
	}
	time.Sleep(time.Until(from)) // the span to measure begins; nothing is awaited
	server, own := l.cpu()
	time.Sleep(time.Until(to))
	serverEnd, ownEnd := l.cpu()
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return measure.Result{}, err
	}
	finished, failed := 0, 0
	var took [][]time.Duration
	for _, lp := range loops {
		finished += lp.finished
		failed += lp.failed
		took = append(took, lp.took)
	}
	r := measure.Summarise(slices.Concat(took...), l.Span, failed)
	// Requests, not operations, make the rate: with long batches whole ones
	// inside the span would understate a slow server.
	r.Operations = float64(finished) / float64(l.Batch)
	r.ServerCPU, r.LoadCPU = (serverEnd - server).Seconds(), (ownEnd - own).Seconds()
	return r, nil
}

// cpu is the time used so far by the server and by this process; 0 where it
// cannot be read.
func (l Load) cpu() (server, own time.Duration) {
	if l.PID != 0 {
		server, _ = measure.ProcessCPU(l.PID)
	}
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) == nil {
		own = time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
	}
	return server, own
}

// loop is one connection of a Load.
type loop struct {
	load   *Load
	conn   net.Conn
	reader *bufio.Reader
	next   int // index of the next request

	took     []time.Duration // operations that ended after the warm-up
	finished int             // requests with a 2xx answer inside the span
	failed   int
	broken   int
}

func (lp *loop) dial(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", lp.load.Address)
	if err != nil {
		return fmt.Errorf("dial %s: %w", lp.load.Address, err)
	}
	// One deadline for the connection's life: setting it anew for every
	// request would cost more than the request.
	if err := conn.SetDeadline(time.Now().Add(lp.load.WarmUp + lp.load.Span + answerWithin)); err != nil {
		return err
	}
	lp.conn, lp.reader = conn, bufio.NewReaderSize(conn, readBuffer)
	return nil
}

// run repeats operations until the time to. Requests that end between from and
// to are counted; operations that end after from are timed, even if the last
// one ends after to.
func (lp *loop) run(ctx context.Context, from, to time.Time) error {
	defer func() { lp.conn.Close() }()
	start := time.Now()
	for start.Before(to) && ctx.Err() == nil {
		good, err := lp.operation(ctx, from, to)
		if err != nil {
			return err
		}
		end := time.Now()
		if good && !end.Before(from) {
			lp.took = append(lp.took, end.Sub(start))
		}
		start = end
	}
	return nil
}

// operation sends one batch, one request after the other, and reports whether
// every answer was good.
func (lp *loop) operation(ctx context.Context, from, to time.Time) (bool, error) {
	good := true
	for range lp.load.Batch {
		request := lp.load.Requests[lp.next]
		if lp.next++; lp.next == len(lp.load.Requests) {
			lp.next = 0
		}
		status, err := lp.exchange(request)
		if status/100 != 2 {
			lp.failed++
			good = false
		} else if now := time.Now(); !now.Before(from) && !now.After(to) {
			lp.finished++
		}
		if err == nil {
			continue
		}
		if lp.broken++; lp.broken > maxBroken {
			return false, fmt.Errorf("more than %d broken connections, the last: %w", maxBroken, err)
		}
		lp.conn.Close()
		if err := lp.dial(ctx); err != nil {
			return false, err
		}
	}
	return good, nil
}

func (lp *loop) exchange(request []byte) (int, error) {
	if _, err := lp.conn.Write(request); err != nil {
		return 0, err
	}
	return readAnswer(lp.reader)
}
