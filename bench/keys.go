package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/keyturn/keyturn/bench/measure"
)

// Aims of the turns of keys. Where the issue gives none there is none here.
const (
	million = 1_000_000

	blockedWrites = 50 * time.Millisecond // by a turn of the root key
	// blockedRead is how much longer than without a turn the longest read may
	// take before it counts as one that waited for the turn: the longest of a few
	// thousand wanders by as much on its own.
	blockedRead  = 20 * time.Millisecond
	instanceTurn = 2 * time.Second
	restartAim   = 2 * time.Second
	turnMemory   = 150 * mega

	handShare   = 0.4 // of the rate by hand
	readersTail = 1.3 // times the quiet p99

	// gapSpan is the least span in which the longest gap is looked for: a turn of
	// the root key fits in well.
	gapSpan = 3 * time.Second
	// readers is the number of connections of reads while a key turns.
	readers = 16
	// restartRate keeps a turn of 100,000 secrets under way for some seconds.
	restartRate = 10_000
)

func (b *bench) keySteps() []step {
	steps := []step{
		{"keys: root key", needsLarge, b.onLarge(b.rootKey)},
		{"keys: instance key", needsLarge, b.onLarge(b.instanceKey)},
		{"keys: project key on SQLite", needsLarge, b.onLarge(b.projectKeySQLite)},
		{"keys: restart in a turn", needsLarge, b.onLarge(b.restartInTurn)},
		{"keys: project key on PostgreSQL", needsNone, func(ctx context.Context) error { return b.projectKeyPostgres(ctx, manySecrets) }},
		{"keys: peers", needsNone, b.keyPeers},
		{"backups and the log", needsNone, b.packageBenchmarks},
	}
	if b.choice.million {
		steps = append(steps,
			step{"keys: a million values on SQLite", needsNone, b.millionSQLite},
			step{"keys: a million values on PostgreSQL", needsNone, func(ctx context.Context) error { return b.projectKeyPostgres(ctx, million) }})
	}
	return steps
}

// onLarge runs a step on Keyturn with 100,000 secrets; there is nothing to do
// without one.
func (b *bench) onLarge(run func(context.Context, *keyturnPeer) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, p := range b.large {
			if kt, ok := p.(*keyturnPeer); ok {
				return run(ctx, kt)
			}
		}
		return nil
	}
}

// rootKey turns the root key while one writer and one reader do nothing but
// wait for their next answer, and sets their longest wait beside that of a span
// of the same length before.
func (b *bench) rootKey(ctx context.Context, kt *keyturnPeer) error {
	writes, err := b.requestFile(kt.writeElsewhere(writeCycle))
	if err != nil {
		return err
	}
	reads, expected, err := b.checkedReads(kt, manySecrets)
	if err != nil {
		return err
	}
	span := max(b.pace.span, gapSpan)
	var took, quietWrite, turnWrite, quietRead, turnRead []float64
	for range b.pace.rounds {
		quiet, err := b.gaps(ctx, kt, writes, reads, expected, span, nil)
		if err != nil {
			return err
		}
		turning, err := b.gaps(ctx, kt, writes, reads, expected, span, func() error {
			d, err := kt.turnRoot(ctx)
			took = append(took, micros64(d))
			return err
		})
		if err != nil {
			return err
		}
		quietWrite, turnWrite = append(quietWrite, quiet[0].Max), append(turnWrite, turning[0].Max)
		quietRead, turnRead = append(quietRead, quiet[1].Max), append(turnRead, turning[1].Max)
		for _, r := range turning {
			if r.Failed+r.Wrong > 0 {
				b.report.note("turn of the root key: %d answers were not 2xx, %d held another value", r.Failed, r.Wrong)
			}
		}
	}
	const label = "root key, 100,000 secrets: "
	b.keyFact(label+"new slot to census, through the CLI", micros(measure.Median(took)), "", "")
	b.gapFact(label+"longest write", quietWrite, turnWrite, blockedWrites)
	b.gapFact(label+"longest read", quietRead, turnRead, blockedRead)
	return nil
}

// gapFact notes how much longer the longest wait was while a key turned.
func (b *bench) gapFact(item string, quiet, turning []float64, most time.Duration) {
	before, during := measure.Median(quiet), measure.Median(turning)
	added := max(0, during-before)
	b.keyFact(item, fmt.Sprintf("%s, before it %s", micros(during), micros(before)), "less than "+most.String()+" more", verdict(added < micros64(most)))
}

// gaps runs one writer and one reader and, in the middle of their span, what
// may hold them up. The results are the writer's and the reader's.
func (b *bench) gaps(ctx context.Context, kt *keyturnPeer, writes, reads, expected string, span time.Duration, between func() error) ([2]measure.Result, error) {
	var out [2]measure.Result
	var errs [3]error
	var wg sync.WaitGroup
	for i, files := range [2][2]string{{writes, ""}, {reads, expected}} {
		wg.Go(func() { out[i], errs[i] = b.pacedLoad(ctx, kt, files[0], files[1], 1, 0, span) })
	}
	if between != nil {
		if errs[2] = pause(ctx, b.pace.warmUp+span/4); errs[2] == nil {
			errs[2] = between()
		}
	}
	wg.Wait()
	return out, errors.Join(errs[:]...)
}

// checkedReads writes reads of the first n secrets, and what each must answer.
func (b *bench) checkedReads(p Peer, n int) (reads, expected string, err error) {
	order := shuffled(n)
	requests, values := make([][]byte, n), make([][]byte, n)
	for i, o := range order {
		requests[i], values[i] = p.ReadRequest(o), []byte(measure.Value(o, 0))
	}
	if reads, err = b.requestFile(requests); err != nil {
		return "", "", err
	}
	expected, err = b.requestFile(values)
	return reads, expected, err
}

// instanceKey turns the instance key until its census is signed.
func (b *bench) instanceKey(ctx context.Context, kt *keyturnPeer) error {
	var took []float64
	for range b.pace.rounds {
		start := time.Now()
		t, err := kt.beginTurn(ctx, "instance", 0)
		if err == nil {
			t, err = kt.awaitTurn(ctx, t.ID, glanceEvery, turnCounted)
		}
		if err != nil {
			return err
		}
		took = append(took, micros64(time.Since(start)))
		if _, err := kt.awaitTurn(ctx, t.ID, glanceEvery, turnOver); err != nil {
			return err
		}
	}
	median := measure.Median(took)
	b.keyFact("instance key, 100,000 secrets: until its census is signed", micros(median), "under 2 s", verdict(median < micros64(instanceTurn)))
	return nil
}

// restartInTurn kills the server in the middle of a turn and starts it again.
func (b *bench) restartInTurn(ctx context.Context, kt *keyturnPeer) error {
	var took []float64
	for range b.pace.rounds {
		t, err := kt.beginTurn(ctx, "project", restartRate)
		if err == nil {
			t, err = kt.awaitTurn(ctx, t.ID, 5*glanceEvery, func(t ktTurn) bool { return t.Done > manySecrets/20 })
		}
		if err == nil && t.Stage != "moving" {
			err = errors.New("the turn was over before the server was killed")
		}
		if err == nil {
			err = kt.proc.kill()
		}
		if err != nil {
			return err
		}
		start := time.Now()
		if err := kt.boot(ctx); err != nil {
			return err
		}
		took = append(took, micros64(time.Since(start)))
		if _, err := kt.awaitTurn(ctx, t.ID, watchEvery, turnOver); err != nil {
			return err
		}
		if err := check(ctx, lastOnly{kt}, manySecrets); err != nil {
			return fmt.Errorf("after the turn that was interrupted: %w", err)
		}
	}
	median := measure.Median(took)
	b.keyFact("keyturn, 100,000 secrets: kill -9 in a turn, start to ready", micros(median), "under 2 s", verdict(median < micros64(restartAim)))
	return nil
}

// lastOnly is a peer whose lists have been written to.
type lastOnly struct{ Peer }

func (lastOnly) ListRequests() [][]byte { return nil }

func (b *bench) millionSQLite(ctx context.Context) error {
	if b.tools.keyturn == "" {
		return nil
	}
	kt := &keyturnPeer{tools: b.tools, dir: filepath.Join(b.dir, "keyturn-million"), label: keyturn}
	if !b.enter(ctx, kt, million) {
		return nil
	}
	err := b.projectKey(ctx, kt, "SQLite", million, b.handOnSQLite)
	return errors.Join(err, kt.Stop())
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func micros64(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
