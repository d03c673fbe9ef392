package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/keyturn/keyturn/bench/measure"
)

const (
	secrets     = 1_000
	manySecrets = 100_000
	importSize  = 10_000

	// writeCycle is the number of prebuilt writes: enough that a name never
	// gets the value that it has.
	writeCycle = 20 * secrets

	sqlByHand = "SQL by hand"
	bulkSQL   = "one bulk insert"
	theFloor  = "floor"
	keyturn   = "keyturn"
	vaultSlow = "vault, default policy"
	vaultFast = "vault, no default policy"
)

// reads measures single reads at several numbers of connections.
func (b *bench) reads(ctx context.Context) error {
	files := map[Peer]string{}
	for _, p := range b.peers {
		var err error
		if files[p], err = b.requestFile(readRequests(p, secrets, secrets)); err != nil {
			return err
		}
	}
	for _, connections := range []int{1, 16, 64} {
		row := "single read, " + count(connections, "connection")
		var lanes []lane
		for _, p := range b.peers {
			lanes = append(lanes, b.hammer(p, p.Name(), files[p], connections, 1))
		}
		if err := b.measure(ctx, row, lanes); err != nil {
			return err
		}
		if connections == 1 {
			// One client sees latency, not capacity: no aim is set for it.
			b.compare(row, theFloor, rate, noAim())
			b.compare(row, vaultSlow, rate, noAim())
			b.compare(row, vaultFast, rate, noAim())
			continue
		}
		b.compare(row, theFloor, rate, atLeast(0.5))
		b.compare(row, vaultSlow, rate, atLeast(10))
		b.compare(row, vaultFast, rate, atLeast(4))
	}
	return nil
}

// lists measures 100 values: in one answer, or read one by one.
func (b *bench) lists(ctx context.Context) error {
	for _, connections := range []int{1, 16} {
		row := "100 secrets with values, " + count(connections, "connection")
		var lanes []lane
		for _, p := range b.peers {
			requests := p.ListRequests()
			file, err := b.requestFile(requests)
			if err != nil {
				return err
			}
			lanes = append(lanes, b.hammer(p, p.Name(), file, connections, len(requests)))
		}
		if err := b.measure(ctx, row, lanes); err != nil {
			return err
		}
		b.compare(row, theFloor, rate, noAim())
		b.compare(row, vaultSlow, rate, atLeast(10))
		b.compare(row, vaultFast, rate, atLeast(10))
	}
	return nil
}

// writes measures durable single writes against the same rows in SQL. Vault's
// writes here go to memory and are not durable.
func (b *bench) writes(ctx context.Context) error {
	files := map[Peer]string{}
	for _, p := range b.peers {
		requests := writeRequests(p, secrets, writeCycle)
		if requests == nil {
			continue
		}
		var err error
		if files[p], err = b.requestFile(requests); err != nil {
			return err
		}
	}
	for _, connections := range []int{1, 16} {
		row := "durable single write, " + count(connections, "writer")
		lanes := []lane{b.sqlWrites(connections)}
		for _, p := range b.peers {
			if files[p] != "" {
				lanes = append(lanes, b.hammer(p, p.Name(), files[p], connections, 1))
			}
		}
		if err := b.measure(ctx, row, lanes); err != nil {
			return err
		}
		b.compare(row, sqlByHand, rate, atLeast(0.5))
		b.compare(row, vaultSlow, rate, noAim())
		b.compare(row, vaultFast, rate, noAim())
	}
	return nil
}

// imports measures 10,000 new secrets in one commit, and through the CLI,
// against one bulk insert. Every round takes a new project.
func (b *bench) imports(ctx context.Context) error {
	lanes := []lane{{bulkSQL, func(ctx context.Context) (measure.Result, error) {
		return b.floorSQL(ctx, "bulk", "-rows", strconv.Itoa(importSize))
	}}}
	if kt := b.keyturn; kt != nil {
		round := 0
		fresh := func(ctx context.Context) (string, error) {
			round++
			slug := fmt.Sprintf("import%d", round)
			return slug, kt.send(ctx, rawRequest("POST", kt.host, ktProjects, ktProjectBody(slug), ktAuth(kt.token)))
		}
		lanes = append(lanes, lane{keyturn, func(ctx context.Context) (measure.Result, error) {
			project, err := fresh(ctx)
			if err != nil {
				return measure.Result{}, err
			}
			request := kt.importRequest(project, ktReadEnv, 0, importSize)
			return timed(kt.PID(), func() error { return kt.send(ctx, request) })
		}})
		file, err := b.dotenv(importSize)
		if err != nil {
			return err
		}
		lanes = append(lanes, lane{"keyturn import FILE", func(ctx context.Context) (measure.Result, error) {
			project, err := fresh(ctx)
			if err != nil {
				return measure.Result{}, err
			}
			cmd := kt.command(ctx, ktReadEnv, ktImportArgs(file)...)
			cmd.Env = append(cmd.Env, ktClientEnv(kt.url(), kt.token, project, ktReadEnv)...)
			return timed(kt.PID(), func() error {
				_, err := cmd.Output()
				if err != nil {
					return fmt.Errorf("keyturn import: %w%s", err, stderrOf(err))
				}
				return nil
			})
		}})
	}
	const row = "import of 10,000 secrets"
	// Lane by lane: one that fails must not take the others' figures with it.
	for _, l := range lanes {
		if err := b.measure(ctx, row, []lane{l}); err != nil {
			b.report.note("%v", err)
		}
	}
	b.compare(row, bulkSQL, duration, below(5))
	b.compareWith(row, "keyturn import FILE", bulkSQL, duration, below(5))
	return nil
}

// scale measures reads with 1,000 and with 100,000 secrets. Both sides send as
// many different requests, so that the load generator's own cost is the same.
func (b *bench) scale(ctx context.Context, small, large []Peer) error {
	const row = "single read, 16 connections, by number of secrets"
	var lanes []lane
	for i := range small {
		for _, side := range []struct {
			peer  Peer
			n     int
			label string
		}{{small[i], secrets, " with 1,000"}, {large[i], manySecrets, " with 100,000"}} {
			file, err := b.requestFile(readRequests(side.peer, side.n, manySecrets))
			if err != nil {
				return err
			}
			lanes = append(lanes, b.hammer(side.peer, side.peer.Name()+side.label, file, 16, 1))
		}
	}
	if err := b.measure(ctx, row, lanes); err != nil {
		return err
	}
	for _, p := range small {
		aim := noAim()
		if p.Name() == keyturn {
			aim = below(1.5)
		}
		b.compareWith(row, p.Name()+" with 100,000", p.Name()+" with 1,000", cost, aim)
	}
	return nil
}

// dotenv writes n secrets as a dotenv file.
func (b *bench) dotenv(n int) (string, error) {
	var out []byte
	for i := range n {
		out = append(out, measure.Name(i)...)
		out = append(out, '=')
		out = append(out, measure.Value(i, 0)...)
		out = append(out, '\n')
	}
	path := filepath.Join(b.dir, "import.env")
	return path, os.WriteFile(path, out, 0o600)
}

// timed measures one act and the server's CPU time in it.
func timed(pid int, act func() error) (measure.Result, error) {
	before, _ := measure.ProcessCPU(pid)
	start := time.Now()
	if err := act(); err != nil {
		return measure.Result{}, err
	}
	took := time.Since(start)
	r := measure.Summarise([]time.Duration{took}, took, 0)
	if after, err := measure.ProcessCPU(pid); err == nil {
		r.ServerCPU = (after - before).Seconds()
	}
	return r, nil
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
