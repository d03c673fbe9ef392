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
// the last answer is in. With a Rate it waits for the next one's time, and an
// operation that could not begin at its time is timed from then on.
type Load struct {
	Address     string        // host:port
	Requests    [][]byte      // sent in turn; each connection starts elsewhere
	Connections int           //
	Batch       int           // requests that count as one operation, at least 1
	Expected    [][]byte      // what the answer to each request must hold; empty = anything
	Rate        float64       // operations a second over all connections; 0 = as many as may be
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
			lag:  time.Duration(i),
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
	finished, failed, wrong := 0, 0, 0
	var took [][]time.Duration
	for _, lp := range loops {
		finished += lp.finished
		failed += lp.failed
		wrong += lp.wrong
		took = append(took, lp.took)
	}
	r := measure.Summarise(slices.Concat(took...), l.Span, failed)
	// Requests, not operations, make the rate: with long batches whole ones
	// inside the span would understate a slow server.
	r.Operations = float64(finished) / float64(l.Batch)
	r.Wrong = wrong
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
	next   int           // index of the next request
	lag    time.Duration // connections before this one: with a rate they take turns

	took     []time.Duration // operations that ended after the warm-up
	finished int             // requests with a 2xx answer inside the span
	failed   int
	wrong    int // 2xx answers without what was expected
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
	every := time.Duration(0)
	if lp.load.Rate > 0 {
		every = time.Duration(float64(lp.load.Connections) / lp.load.Rate * float64(time.Second))
	}
	due := start.Add(lp.lag * every / time.Duration(lp.load.Connections))
	for start.Before(to) && ctx.Err() == nil {
		if every > 0 {
			if start = time.Now(); start.Before(due) {
				time.Sleep(due.Sub(start)) // the pace itself; nothing is awaited
				start = time.Now()
			} else {
				start = due // whoever waited for it has waited since then
			}
			due = due.Add(every)
		}
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
		var expected []byte
		if len(lp.load.Expected) > 0 {
			expected = lp.load.Expected[lp.next]
		}
		if lp.next++; lp.next == len(lp.load.Requests) {
			lp.next = 0
		}
		status, holds, err := lp.exchange(request, expected)
		if !accepted(status) {
			lp.failed++
			good = false
		} else if now := time.Now(); !now.Before(from) && !now.After(to) {
			lp.finished++
		}
		if accepted(status) && !holds {
			lp.wrong++
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

// accepted tells whether a server did what was asked; "nothing changed" is an answer to those who ask for it.
func accepted(status int) bool { return status/100 == 2 || status == 304 }

func (lp *loop) exchange(request, expected []byte) (status int, holds bool, err error) {
	if _, err := lp.conn.Write(request); err != nil {
		return 0, false, err
	}
	return readAnswer(lp.reader, expected)
}
