package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/keyturn/keyturn/bench/measure"
)

// usualSizes are the floor's answers while Keyturn's are not known.
func usualSizes() sizes { return sizes{answer: 350, item: 350} }

// startPeers starts and fills everyone who serves 1,000 secrets. One that does
// not start, or answers wrongly, is noted and left out.
func (b *bench) startPeers(ctx context.Context) {
	weight := usualSizes()
	if b.tools.keyturn != "" {
		kt := &keyturnPeer{tools: b.tools, dir: filepath.Join(b.dir, "keyturn"), label: keyturn}
		if b.enter(ctx, kt, secrets) {
			b.keyturn = kt
			b.peers = append(b.peers, kt)
			var err error
			if weight, err = kt.sizes(ctx); err != nil {
				b.report.note("size of Keyturn's answers: %v", err)
				weight = usualSizes()
			}
		}
	}
	fl := &floorPeer{tools: b.tools, dir: filepath.Join(b.dir, "floor"), secrets: secrets, sizes: weight}
	if b.enter(ctx, fl, secrets) {
		b.peers = append(b.peers, fl)
	}
	if b.tools.vault != "" {
		server := &vaultServer{tools: b.tools, dir: filepath.Join(b.dir, "vault")}
		for _, p := range []vaultPeer{
			{vaultServer: server, owner: true, defaultPolicy: true},
			{vaultServer: server},
		} {
			if !b.enter(ctx, p, secrets) {
				break
			}
			b.peers = append(b.peers, p)
		}
	}
}

// startLarge starts those who are measured with 100,000 secrets too.
func (b *bench) startLarge(ctx context.Context) []Peer {
	var out []Peer
	if b.tools.keyturn != "" {
		kt := &keyturnPeer{tools: b.tools, dir: filepath.Join(b.dir, "keyturn-large"), label: keyturn}
		if b.enter(ctx, kt, manySecrets) {
			out = append(out, kt)
		}
	}
	fl := &floorPeer{tools: b.tools, dir: filepath.Join(b.dir, "floor-large"), secrets: manySecrets, sizes: usualSizes()}
	if b.enter(ctx, fl, manySecrets) {
		out = append(out, fl)
	}
	return out
}

// enter starts a peer, fills it and checks one answer of each kind.
func (b *bench) enter(ctx context.Context, p Peer, n int) bool {
	fmt.Fprintf(b.progress, "bench: starting %s with %s secrets\n", p.Name(), number(float64(n)))
	err := p.Start(ctx)
	b.started = append(b.started, p)
	if err == nil {
		err = p.Seed(ctx, n)
	}
	if err == nil {
		err = check(ctx, p, n)
	}
	if err != nil {
		b.report.note("%s with %s secrets is left out: %v", p.Name(), number(float64(n)), err)
		return false
	}
	return true
}

// check reads the first and the last secret and the list: a server that
// answers something else quickly must not win.
func check(ctx context.Context, p Peer, n int) error {
	for _, i := range []int{0, n - 1} {
		body, err := ask(ctx, p.Address(), p.ReadRequest(i))
		if err != nil {
			return err
		}
		if !bytes.Contains(body, []byte(measure.Value(i, 0))) {
			return fmt.Errorf("reading %s did not give its value", measure.Name(i))
		}
	}
	var all []byte
	for _, request := range p.ListRequests() {
		body, err := ask(ctx, p.Address(), request)
		if err != nil {
			return err
		}
		all = append(all, body...)
	}
	for i := range min(listSize, len(p.ListRequests())*listSize) {
		if !bytes.Contains(all, []byte(measure.Value(i, 0))) {
			return fmt.Errorf("the list of %d lacks the value of %s", listSize, measure.Name(i))
		}
	}
	return nil
}

// matching is the peers with 1,000 secrets that stand beside the large ones.
func (b *bench) matching(large []Peer) []Peer {
	var out []Peer
	for _, l := range large {
		for _, p := range b.peers {
			if p.Name() == l.Name() {
				out = append(out, p)
			}
		}
	}
	return out
}

// weigh restarts Keyturn for its start-up time and notes everyone's idle
// memory before any load. It also weighs a server with the example's secrets.
func (b *bench) weigh(ctx context.Context) error {
	if b.keyturn != nil {
		small := &keyturnPeer{tools: b.tools, dir: filepath.Join(b.dir, "keyturn-example"), label: keyturn}
		err := small.Start(ctx)
		if err == nil {
			err = small.fill(ctx, ktProject, ktReadEnv, exampleSize)
		}
		if err == nil {
			err = b.startUp(ctx, small, exampleSize, 40*mega)
		}
		if err := errors.Join(err, small.Stop()); err != nil {
			return err
		}
		if err := b.startUp(ctx, b.keyturn, secrets, 0); err != nil {
			return err
		}
	}
	for _, p := range b.peers {
		if v, ok := p.(vaultPeer); p == Peer(b.keyturn) || ok && !v.owner {
			continue
		}
		name := p.Name()
		if _, ok := p.(vaultPeer); ok {
			name = "vault"
		}
		rss, err := idleMemory(ctx, p.PID())
		if err != nil {
			return err
		}
		b.memory(fmt.Sprintf("%s, %s secrets: idle memory", name, number(secrets)), rss, 0)
	}
	return nil
}

// startLargeUp restarts Keyturn with 100,000 secrets.
func (b *bench) startLargeUp(ctx context.Context, large []Peer) error {
	for _, p := range large {
		if kt, ok := p.(*keyturnPeer); ok {
			return b.startUp(ctx, kt, manySecrets, 60*mega)
		}
	}
	return nil
}

func (b *bench) commandLineIfThere(ctx context.Context) error {
	if b.keyturn == nil {
		return nil
	}
	return b.commandLine(ctx)
}

func (b *bench) stopAll() error {
	var errs []error
	for _, p := range b.started {
		if err := p.Stop(); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", p.Name(), err))
		}
	}
	return errors.Join(errs...)
}
