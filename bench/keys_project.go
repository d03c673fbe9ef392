package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/keyturn/keyturn/bench/measure"
)

const (
	turnByHand = "same rows by hand"
	quietReads = "keyturn, quiet"
	turnReads  = "keyturn, its key turns"

	// turnSpans is how many spans a turn of 100,000 secrets takes under load.
	turnSpans = 10
	// warmAtMost bounds the reads before a span.
	warmAtMost = 30 * time.Second
)

// floorOf prepares a copy of a peer's rows, while the peer is down, and gives
// what does them by hand, and what takes the copy away.
type floorOf func(ctx context.Context, kt *keyturnPeer) (run func(context.Context) (measure.Result, error), drop func() error, err error)

func (b *bench) projectKeySQLite(ctx context.Context, kt *keyturnPeer) error {
	return b.projectKey(ctx, kt, "SQLite", manySecrets, b.handOnSQLite)
}

// projectKey turns the key of a project with n secrets: beside the same rows by
// hand, and under load.
func (b *bench) projectKey(ctx context.Context, kt *keyturnPeer, store string, n int, floor floorOf) error {
	if err := kt.Stop(); err != nil {
		return err
	}
	byHand, drop, err := floor(ctx, kt)
	if err != nil {
		return err
	}
	if err := kt.boot(ctx); err != nil {
		return errors.Join(err, drop())
	}
	if err := measure.ForgetPeak(kt.PID()); err != nil {
		b.report.note("the peak of memory on %s includes the start: %v", store, err)
	}
	row := fmt.Sprintf("values to a new project key, %s of them, %s", number(float64(n)), store)
	err = b.measure(ctx, row, []lane{{turnByHand, byHand}, {keyturn, kt.turnProject}})
	b.compareWith(row, keyturn, turnByHand, rate, atLeast(handShare))
	if err = errors.Join(err, drop()); err != nil {
		return err
	}
	if err := b.readsInTurn(ctx, kt, store, n); err != nil {
		return err
	}
	rss, err := measure.PeakMemory(kt.PID())
	if err != nil {
		return err
	}
	b.keyFact(fmt.Sprintf("keyturn, %s secrets, %s: most memory while keys turn", number(float64(n)), store),
		megabytes(rss), "under "+megabytes(turnMemory), verdict(rss < turnMemory))
	return nil
}

// readsInTurn reads at half of what the server can do, without a turn and while
// one runs. Every answer is checked against the value that was stored.
func (b *bench) readsInTurn(ctx context.Context, kt *keyturnPeer, store string, n int) error {
	reads, expected, err := b.checkedReads(kt, n)
	if err != nil {
		return err
	}
	full := func(ctx context.Context, span time.Duration) (measure.Result, error) {
		return b.pacedLoad(ctx, kt, reads, expected, readers, 0, span)
	}
	cold, err := full(ctx, b.pace.span)
	if err != nil {
		return err
	}
	warm := func(ctx context.Context) error {
		// Every value once, or what was measured would be the database's reads: all begin alike.
		_, err := full(ctx, min(warmAtMost, time.Duration(float64(n)/max(cold.Rate(), 1)*float64(time.Second))))
		return err
	}
	if err := warm(ctx); err != nil {
		return err
	}
	most, err := full(ctx, b.pace.span)
	if err != nil {
		return err
	}
	half := most.Rate() / 2
	load := func(ctx context.Context) (measure.Result, error) {
		return b.pacedLoad(ctx, kt, reads, expected, readers, half, b.turnSpan(n))
	}
	var moved, seconds float64
	row := fmt.Sprintf("reads at half of the full rate, %s secrets, %s", number(float64(n)), store)
	err = b.measure(ctx, row, []lane{{quietReads, func(ctx context.Context) (measure.Result, error) {
		if err := warm(ctx); err != nil {
			return measure.Result{}, err
		}
		return load(ctx)
	}}, {turnReads, func(ctx context.Context) (measure.Result, error) {
		if err := warm(ctx); err != nil {
			return measure.Result{}, err
		}
		stop := make(chan struct{})
		var values int64
		var took time.Duration
		ended := make(chan error, 1)
		go func() {
			var err error
			values, took, err = kt.keepTurning(ctx, stop)
			ended <- err
		}()
		r, err := load(ctx)
		close(stop)
		err = errors.Join(err, <-ended)
		moved, seconds = moved+float64(values), seconds+took.Seconds()
		return r, err
	}}})
	b.compareWith(row, turnReads, quietReads, tail, below(readersTail))
	if seconds > 0 {
		b.keyFact(fmt.Sprintf("keyturn, %s secrets, %s: values moved under these reads", number(float64(n)), store), perSecond(moved/seconds), "", "")
	}
	return err
}

// turnSpan is how long reads are measured: with 100,000 secrets long enough for
// a whole turn and its end, unless the run is short as a whole.
func (b *bench) turnSpan(n int) time.Duration {
	if n > manySecrets {
		return b.pace.span // a turn of a million outlasts any span; its end is the same
	}
	return turnSpans * b.pace.span
}

// keepTurning turns the project's key again and again until stop is closed. It
// gives how many values moved until then, and in what time; the last turn ends
// without load, before it returns.
func (p *keyturnPeer) keepTurning(ctx context.Context, stop <-chan struct{}) (moved int64, took time.Duration, err error) {
	begun := time.Now()
	for {
		t, err := p.beginTurn(ctx, "project", 0)
		if err != nil {
			return moved, took, err
		}
		over := false
		for !over {
			select {
			case <-ctx.Done():
				return moved, took, ctx.Err()
			case <-stop:
			case <-time.After(watchEvery):
			}
			now, err := p.turn(ctx, t.ID)
			if err != nil {
				return moved, took, err
			}
			over = turnOver(now)
			moved, took = moved+now.Done-t.Done, time.Since(begun)
			t = now
			select {
			case <-stop:
				_, err := p.awaitTurn(ctx, t.ID, watchEvery/2, turnOver)
				return moved, took, err
			default:
			}
		}
	}
}

// handOnSQLite works on a copy of the peer's file, which is whole since the
// peer has stopped.
func (b *bench) handOnSQLite(_ context.Context, kt *keyturnPeer) (func(context.Context) (measure.Result, error), func() error, error) {
	dir, err := os.MkdirTemp(b.dir, "hand-*")
	if err != nil {
		return nil, nil, err
	}
	file := filepath.Join(dir, "hand.db")
	if err := copyFile(file, filepath.Join(kt.dir, "data", ktDatabaseFile)); err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	run := func(ctx context.Context) (measure.Result, error) { return b.floorReseal(ctx, "-sqlite", file) }
	return run, func() error { return os.RemoveAll(dir) }, nil
}

func (b *bench) floorReseal(ctx context.Context, engine, place string) (measure.Result, error) {
	cmd := pinned(ctx, serverCPU, b.tools.floor, "reseal", engine, place)
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+serverProcs)
	return result(cmd)
}

// copyFile copies a file's content; to is made for its owner only.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
