package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/keyturn/keyturn/bench/measure"
)

const (
	// watchEvery is how often a running turn is looked at: each look is an entry
	// of the log, and a turn makes way for others. The CLI asks as rarely.
	watchEvery = time.Second
	// glanceEvery is for turns that are over in a moment.
	glanceEvery = 20 * time.Millisecond
	// turnWithin ends the wait for a turn that does not end.
	turnWithin = 10 * time.Minute
)

// beginTurn begins the turn of a key, at most rate envelopes a second.
func (p *keyturnPeer) beginTurn(ctx context.Context, layer string, rate int) (ktTurn, error) {
	project := ""
	if layer == "project" {
		project = ktProject
	}
	body, err := ask(ctx, p.host, rawRequest("POST", p.host, ktRotations, ktRotation(layer, project, rate), ktAuth(p.token)))
	if err != nil {
		return ktTurn{}, err
	}
	var made struct {
		Turns []ktTurn `json:"turns"`
	}
	if err := json.Unmarshal(body, &made); err != nil || len(made.Turns) != 1 {
		return ktTurn{}, fmt.Errorf("a rotation of the layer %s began no turn", layer)
	}
	return made.Turns[0], nil
}

// turn looks at a turn.
func (p *keyturnPeer) turn(ctx context.Context, id string) (ktTurn, error) {
	body, err := ask(ctx, p.host, rawRequest("GET", p.host, ktTurnPath(id), nil, ktAuth(p.token)))
	if err != nil {
		return ktTurn{}, err
	}
	var t ktTurn
	err = json.Unmarshal(body, &t)
	if err == nil && t.Problem != "" {
		err = fmt.Errorf("turn %s: %s", t.ID, t.Problem)
	}
	return t, err
}

// awaitTurn looks at a turn until it is as wanted.
func (p *keyturnPeer) awaitTurn(ctx context.Context, id string, every time.Duration, wanted func(ktTurn) bool) (ktTurn, error) {
	ctx, cancel := context.WithTimeout(ctx, turnWithin)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		t, err := p.turn(ctx, id)
		if err != nil || wanted(t) {
			return t, err
		}
		select {
		case <-ctx.Done():
			return t, fmt.Errorf("turn %s is still %s: %w", id, t.Stage, ctx.Err())
		case <-tick.C:
		}
	}
}

func turnOver(t ktTurn) bool    { return !t.EndedAt.IsZero() }
func turnCounted(t ktTurn) bool { return t.Census != "" }

// turnProject turns the project's key once. The time is that from the beginning
// to the census, which is taken as soon as nothing is left under the old key.
func (p *keyturnPeer) turnProject(ctx context.Context) (measure.Result, error) {
	before, _ := measure.ProcessCPU(p.PID())
	t, err := p.beginTurn(ctx, "project", 0)
	if err == nil {
		t, err = p.awaitTurn(ctx, t.ID, watchEvery, turnOver)
	}
	if err != nil {
		return measure.Result{}, err
	}
	counted, err := ktCensusTime(t.Census)
	if err != nil {
		return measure.Result{}, err
	}
	took := counted.Sub(t.StartedAt)
	r := measure.Summarise([]time.Duration{took}, took, 0)
	r.Operations = float64(t.Done)
	if after, err := measure.ProcessCPU(p.PID()); err == nil {
		r.ServerCPU = (after - before).Seconds()
	}
	return r, nil
}

// turnRoot gives the instance another root key through the CLI: a slot for a
// key that the client makes, the answer to its challenge, and away with the old
// slot. It returns when the census is signed.
func (p *keyturnPeer) turnRoot(ctx context.Context) (time.Duration, error) {
	var all struct {
		Slots []struct {
			ID          string `json:"id"`
			Fingerprint string `json:"root_fingerprint"`
		} `json:"slots"`
	}
	out, err := p.command(ctx, ktReadEnv, ktSlotsArgs()...).Output()
	if err == nil {
		err = json.Unmarshal(out, &all)
	}
	if err != nil || len(all.Slots) != 1 {
		return 0, fmt.Errorf("keyturn keys slots: want one slot: %w%s", err, stderrOf(err))
	}
	old := all.Slots[0]
	file := filepath.Join(p.dir, "new-root.key")
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	start := time.Now()
	if _, err := p.command(ctx, ktReadEnv, ktNewRootArgs(file, old.Fingerprint)...).Output(); err != nil {
		return 0, fmt.Errorf("keyturn keys rotate root: %w%s", err, stderrOf(err))
	}
	// The next start must find the new key where the old one was.
	if err := copyFile(filepath.Join(p.dir, "data", ktRootFile), file); err != nil {
		return 0, err
	}
	if _, err := p.command(ctx, ktReadEnv, ktOldRootArgs(old.ID)...).Output(); err != nil {
		return 0, fmt.Errorf("keyturn keys slot remove: %w%s", err, stderrOf(err))
	}
	return time.Since(start), nil
}

// writeElsewhere is count writes to the environment of lists, whose values no
// row about keys reads.
func (p *keyturnPeer) writeElsewhere(count int) [][]byte {
	out := make([][]byte, count)
	for i := range out {
		change := ktSet(measure.Name(i%listSize), measure.Value(i%listSize, 1+i/listSize))
		out[i] = rawRequest("POST", p.host, ktCommitPath(ktProject, ktListEnv), ktCommitBody("bench", []ktChange{change}), ktAuth(p.token))
	}
	return out
}
