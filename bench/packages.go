package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// packageBenchmark is a figure that comes from a Go benchmark of one of the
// product's packages, since it needs what no surface offers.
type packageBenchmark struct {
	program, name string // test program and benchmark
	item          string
	aim           time.Duration
}

// packageBenchmarks measures backups and the verification of the log. To
// measure a backup through the server instead, replace its lines here by steps.
func (b *bench) packageBenchmarks(ctx context.Context) error {
	for _, p := range []packageBenchmark{
		{b.tools.backupTest, "BenchmarkWrite100000", "backup of 100,000 secrets", 5 * time.Second},
		{b.tools.backupTest, "BenchmarkVerify100000", "verification of that backup", 5 * time.Second},
		{b.tools.backupTest, "BenchmarkDrill100000", "restore drill of that backup", 15 * time.Second},
		{b.tools.auditTest, "BenchmarkVerifyMillionEntries", "audit verify of 1,000,000 entries, on all CPUs", 10 * time.Second},
	} {
		if p.program == "" {
			continue
		}
		var took time.Duration
		// Neither pinned nor repeated by rounds: the fixture costs far more than
		// the figure, so the benchmark itself repeats.
		out, err := exec.CommandContext(ctx, p.program, "-test.run", "^$", "-test.bench", "^"+p.name+"$", "-test.benchtime", strconv.Itoa(b.pace.rounds)+"x").CombinedOutput()
		if err == nil {
			took, err = perOperation(out, p.name)
		}
		if err != nil {
			b.report.note("%s: not measured: %v: %.300s", p.item, err, bytes.TrimSpace(out))
			continue
		}
		b.keyFact(p.item, micros(micros64(took)), fmt.Sprintf("under %s", micros(micros64(p.aim))), verdict(took < p.aim))
	}
	return nil
}

// perOperation finds a benchmark's time in what go test prints:
// "BenchmarkX-2   1   123 ns/op ...".
func perOperation(out []byte, name string) (time.Duration, error) {
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 4 || fields[0] != name && !strings.HasPrefix(fields[0], name+"-") || fields[3] != "ns/op" {
			continue
		}
		ns, err := strconv.ParseFloat(fields[2], 64)
		return time.Duration(ns), err
	}
	return 0, fmt.Errorf("%s printed no time", name)
}
