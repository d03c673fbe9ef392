// Command bench measures Keyturn beside named peers on the same machine in the
// same run, and writes a table of ratios.
//
// Peers: the floor (bench/floor: the least that a server can do for a read,
// and the same SQL by hand for writes) and the core of Vault 1.14.0 with a
// file audit device (bench/vaultpeer, a module of its own). Every server is
// its own process on one CPU, the load generator (bench/hammer) another one
// on the next CPU, and the rounds alternate: A B C, A B C. It is no test:
// a missed aim is printed, not an error.
//
// Run it through scripts/bench.sh, which builds all programs first.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"
)

// tools are the programs under test; an empty path means that one is missing.
type tools struct {
	keyturn, floor, vault, hammer string
	backupTest, auditTest         string // test programs with the benchmarks of those packages
}

// choice is what of the whole is measured.
type choice struct {
	only     *regexp.Regexp // steps by name; nil = all
	million  bool           // turns of keys with 1,000,000 secrets too
	postgres string         // address of a PostgreSQL server; empty = one of its own
}

func main() {
	var (
		t     tools
		out   = flag.String("out", "", "file to write the report to, besides standard output")
		quick = flag.Bool("quick", false, "one round of one second: a smoke test of the benchmark, not a measurement")
		only  = flag.String("only", "", "measure only the steps whose names this `expression` matches, such as keys")
		ch    = choice{}
		pc    = pace{}
	)
	flag.StringVar(&t.keyturn, "keyturn", "bin/bench/keyturn", "the product; may be missing")
	flag.StringVar(&t.floor, "floor", "bin/bench/floor", "the floor")
	flag.StringVar(&t.vault, "vault", "bin/bench/vaultpeer", "the Vault helper; may be missing")
	flag.StringVar(&t.hammer, "hammer", "bin/bench/hammer", "the load generator")
	flag.StringVar(&t.backupTest, "backup-test", "", "test program of internal/backup; may be missing")
	flag.StringVar(&t.auditTest, "audit-test", "", "test program of internal/audit; may be missing")
	flag.BoolVar(&ch.million, "million", false, "turn the key of 1,000,000 secrets too")
	flag.StringVar(&ch.postgres, "postgres", "", "`address` of a PostgreSQL server whose role may make databases; empty = start one of its own")
	flag.IntVar(&pc.rounds, "rounds", 3, "rounds of every row")
	flag.DurationVar(&pc.span, "for", 3*time.Second, "length of one run")
	flag.DurationVar(&pc.warmUp, "warmup", 500*time.Millisecond, "load before each run")
	flag.Parse()
	if *quick {
		pc = pace{rounds: 1, span: time.Second, warmUp: 200 * time.Millisecond}
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := error(nil)
	if *only != "" {
		ch.only, err = regexp.Compile(*only)
	}
	if err == nil {
		err = run(ctx, t, ch, pc, *out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, t tools, ch choice, pc pace, out string) error {
	dir, err := os.MkdirTemp("", "keyturn-bench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{tools: t, choice: ch, pace: pc, dir: dir, progress: os.Stderr}
	if err := b.resolve(); err != nil {
		return err
	}
	about := machine(pc, dir)
	err = errors.Join(b.all(ctx), b.stopAll())
	about = append(about, "load average at the end: "+loadAverage())
	if b.report.empty() {
		return err
	}
	if err != nil {
		b.report.note("the run ended early: %v", err)
	}
	if werr := b.report.write(os.Stdout, about); werr != nil {
		return errors.Join(err, werr)
	}
	if out == "" || err != nil {
		return err
	}
	if b.keyturn == nil {
		fmt.Fprintf(os.Stderr, "bench: %s is left as it is: the product was not measured\n", filepath.Base(out))
		return nil
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	return errors.Join(b.report.write(f, about), f.Close())
}

// bench is one run of everything.
type bench struct {
	tools    tools
	choice   choice
	pace     pace
	dir      string
	progress io.Writer
	report   report

	peers   []Peer       // that serve 1,000 secrets, Keyturn first
	keyturn *keyturnPeer // nil when the product is missing or does not start
	large   []Peer       // that serve 100,000 secrets
	started []Peer       // to stop in the end
}

// resolve makes the programs' paths absolute and forgets those that are
// missing; the floor and the load generator must be there.
func (b *bench) resolve() error {
	for _, t := range []struct {
		path   *string
		name   string
		needed bool
	}{
		{&b.tools.hammer, "load generator", true},
		{&b.tools.floor, "floor", true},
		{&b.tools.vault, "Vault helper", false},
		{&b.tools.keyturn, "product", false},
		{&b.tools.backupTest, "benchmark of backups", false},
		{&b.tools.auditTest, "benchmark of the audit log", false},
	} {
		if *t.path == "" {
			continue
		}
		abs, err := filepath.Abs(*t.path)
		if err != nil {
			return err
		}
		if _, err := os.Stat(abs); err == nil {
			*t.path = abs
			continue
		}
		if t.needed {
			return fmt.Errorf("the %s is missing at %s: run scripts/bench.sh, which builds it", t.name, *t.path)
		}
		b.report.note("the %s (%s) is missing: its rows are not measured", t.name, filepath.Base(*t.path))
		*t.path = ""
	}
	return nil
}

// step is one part of the run.
type step struct {
	name  string
	needs need
	run   func(context.Context) error
}

// need says which servers a step wants to find running.
type need int

const (
	needsNone  need = iota
	needsPeers      // everyone, with 1,000 secrets
	needsLarge      // those with 100,000
	needsBoth
)

func (b *bench) steps() []step {
	return append([]step{
		{"idle memory", needsPeers, b.weigh},
		{"single reads", needsPeers, b.reads},
		{"dialects", needsPeers, b.dialects},
		{"lists", needsPeers, b.lists},
		{"reads by number of secrets", needsBoth, func(ctx context.Context) error { return b.scale(ctx, b.matching(b.large), b.large) }},
		{"start with many secrets", needsLarge, func(ctx context.Context) error { return b.startLargeUp(ctx, b.large) }},
		{"writes", needsPeers, b.writes},
		{"imports", needsPeers, b.imports},
		{"command line", needsPeers, b.commandLineIfThere},
	}, b.keySteps()...)
}

// all measures every row that was chosen. What cannot be measured becomes a
// note; only an interruption ends the run.
func (b *bench) all(ctx context.Context) error {
	steps := slices.DeleteFunc(b.steps(), func(s step) bool { return b.choice.only != nil && !b.choice.only.MatchString(s.name) })
	needs := func(n need) bool {
		return slices.ContainsFunc(steps, func(s step) bool { return s.needs == n || s.needs == needsBoth })
	}
	if needs(needsPeers) {
		b.startPeers(ctx)
	}
	if needs(needsLarge) {
		b.large = b.startLarge(ctx)
	}
	for _, s := range steps {
		fmt.Fprintf(b.progress, "bench: %s\n", s.name)
		err := s.run(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted while measuring %s", s.name)
		}
		if err != nil {
			b.report.note("%s: not measured: %v", s.name, err)
		}
	}
	return nil
}

// measure runs the lanes of a row and keeps their series.
func (b *bench) measure(ctx context.Context, row string, lanes []lane) error {
	got, err := alternate(ctx, row, b.pace.rounds, lanes)
	b.report.series = append(b.report.series, got...)
	for _, s := range got {
		if n := s.failed(); n > 0 {
			b.report.note("%s, %s: %s answers were not 2xx", row, s.server, number(float64(n)))
		}
		if n := s.wrong(); n > 0 {
			b.report.note("%s, %s: %s answers held another value than was stored", row, s.server, number(float64(n)))
		}
	}
	return err
}

// compare sets Keyturn, or the floor while there is no Keyturn, against a peer.
func (b *bench) compare(row, peer string, m metric, a aim) {
	if b.keyturn != nil {
		b.compareWith(row, keyturn, peer, m, a)
	}
	if peer == vaultSlow || peer == vaultFast {
		b.compareWith(row, theFloor, peer, m, noAim())
	}
}

func (b *bench) compareWith(row, subject, peer string, m metric, a aim) {
	b.report.comparisons = append(b.report.comparisons, comparison{row, subject, peer, m, a})
}

func (b *bench) fact(item, figure, aim, verdict string) {
	b.report.facts = append(b.report.facts, fact{item, figure, aim, verdict})
}

func (b *bench) keyFact(item, figure, aim, verdict string) {
	b.report.keyFacts = append(b.report.keyFacts, fact{item, figure, aim, verdict})
}
