package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/bench/measure"
)

// build compiles the benchmark's own programs.
func build(t *testing.T) tools {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", dir+string(filepath.Separator), "./floor", "./hammer")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return tools{keyturn: self, floor: filepath.Join(dir, "floor"), hammer: filepath.Join(dir, "hammer"), vault: "missing"}
}

func TestAWholeRunFillsEveryRow(t *testing.T) {
	t.Setenv(standInVariable, "1")
	b := &bench{
		tools: build(t), dir: t.TempDir(), progress: io.Discard,
		// The rows about keys need the product itself.
		choice: choice{only: regexp.MustCompile("^(idle|single|lists|reads|start|writes|imports|command)")},
		pace:   pace{rounds: 2, span: 50 * time.Millisecond, warmUp: 10 * time.Millisecond},
	}
	if err := b.resolve(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.all(t.Context()), b.stopAll()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := b.report.write(&out, machine(b.pace, b.dir)); err != nil {
		t.Fatal(err)
	}
	if len(b.report.notes) != 1 || !strings.Contains(b.report.notes[0], "Vault helper (missing)") {
		t.Errorf("notes: %q", b.report.notes)
	}
	for _, want := range []string{
		"single read, 1 connection", "single read, 16 connections", "single read, 64 connections",
		"100 secrets with values, 16 connections", "durable single write, 16 writers",
		"import of 10,000 secrets", "keyturn import FILE", "keyturn with 100,000", "floor with 100,000",
		"keyturn, 21 secrets: idle memory", "keyturn, 100,000 secrets: start to ready", "binary",
		"CPU of keyturn version", "CPU of keyturn completion", "keyturn run -- true: requests",
	} {
		if !strings.Contains(out.String(), "| "+want) {
			t.Errorf("no row %q", want)
		}
	}
	for _, s := range b.report.series {
		if len(s.results) != 2 || s.failed() != 0 || s.rate() <= 0 {
			t.Errorf("%s, %s: %+v", s.row, s.server, s.results)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestAMissingToolSaysWhatToDo(t *testing.T) {
	b := &bench{tools: tools{keyturn: "k", floor: "f", vault: "v", hammer: "h"}, progress: io.Discard}
	if err := b.resolve(); err == nil || !strings.Contains(err.Error(), "scripts/bench.sh") {
		t.Errorf("resolve: %v", err)
	}
}

func TestAServerThatDiesSaysWhy(t *testing.T) {
	t.Setenv(standInVariable, "1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := startServer(t.Context(), t.TempDir(), nil, self, "nonsense")
	if err != nil {
		t.Fatal(err)
	}
	err = p.firstLine(t.Context(), new(struct{}))
	if err == nil || !strings.Contains(err.Error(), "unknown command") {
		t.Errorf("firstLine: %v", err)
	}
	if err := p.stop(); err != nil {
		t.Errorf("stop after the end: %v", err)
	}
}

func TestAWrongAnswerIsNotMeasured(t *testing.T) {
	tl := build(t)
	good := &floorPeer{tools: tl, dir: t.TempDir(), secrets: listSize, sizes: usualSizes()}
	b := &bench{tools: tl, progress: io.Discard}
	// The floor holds fewer secrets than the row wants to read.
	if b.enter(t.Context(), good, listSize+1) {
		t.Error("a peer without the last secret entered")
	}
	if len(b.report.notes) != 1 {
		t.Errorf("notes: %q", b.report.notes)
	}
	if err := b.stopAll(); err != nil {
		t.Error(err)
	}
}

func TestRoundsAlternate(t *testing.T) {
	var order []string
	l := func(name string) lane {
		return lane{name, func(context.Context) (measure.Result, error) {
			order = append(order, name)
			return measure.Result{Operations: float64(len(order)), Seconds: 1}, nil
		}}
	}
	got, err := alternate(t.Context(), "row", 3, []lane{l("A"), l("B"), l("C")})
	if err != nil || strings.Join(order, "") != "ABCABCABC" {
		t.Fatalf("order %v, %v", order, err)
	}
	if got[1].rate() != 5 { // of 2, 5 and 8
		t.Errorf("median rate of B = %v", got[1].rate())
	}
}

func seriesOf(row, server string, rate, p50, cpu float64) series {
	return series{row, server, []measure.Result{{Operations: rate, Seconds: 1, P50: p50, P99: 2 * p50, ServerCPU: cpu}}}
}

func TestRatiosPointTheRightWay(t *testing.T) {
	r := report{series: []series{
		seriesOf("read", "keyturn", 20_000, 50, 0.5),
		seriesOf("read", "floor", 50_000, 20, 0.5),
		seriesOf("read", "vault", 2_000, 500, 1),
		seriesOf("import", "keyturn", 2, 500_000, 0.4),
		seriesOf("import", "bulk", 10, 100_000, 0.1),
	}}
	for _, c := range []struct {
		comparison
		ratio, verdict, cpu string
	}{
		{comparison{"read", "keyturn", "floor", rate, atLeast(0.5)}, "0.40x", "**missed**", "0.40x"},
		{comparison{"read", "keyturn", "vault", rate, atLeast(10)}, "10.00x", "met", "20.00x"},
		{comparison{"read", "floor", "keyturn", cost, below(1.5)}, "0.40x", "met", "0.40x"},
		{comparison{"import", "keyturn", "bulk", duration, below(5)}, "5.00x", "**missed**", "20.00x"},
		{comparison{"read", "keyturn", "vault", tail, below(1.3)}, "0.10x", "met", "0.05x"},
		{comparison{"import", "keyturn", "bulk", duration, noAim()}, "5.00x", "", "20.00x"},
	} {
		r.comparisons = []comparison{c.comparison}
		rows := r.ratioRows()
		if len(rows) != 1 || rows[0][5] != c.ratio || rows[0][7] != c.verdict || rows[0][8] != c.cpu {
			t.Errorf("%v gives %q", c.comparison, rows)
		}
	}
	r.comparisons = []comparison{{"read", "keyturn", "absent", rate, atLeast(1)}}
	if rows := r.ratioRows(); len(rows) != 0 {
		t.Errorf("a ratio to nothing: %q", rows)
	}
}

func TestNumbersReadWell(t *testing.T) {
	for got, want := range map[string]string{
		number(0): "0", number(9.5): "9.50", number(12.6): "13", number(999): "999",
		number(1234567): "1,234,567", micros(12.34): "12.3 µs", micros(999): "999 µs",
		micros(1500): "1.50 ms", micros(15_000): "15.0 ms", micros(250_000): "250 ms",
		micros(3_200_000): "3.20 s", megabytes(12_345_678): "12.3 MB",
		count(1, "writer"): "1 writer", count(16, "writer"): "16 writers",
		atLeast(0.5).text(): "at least 0.5x", below(5).text(): "under 5x", noAim().text(): "",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTablesAlignAndDropEmptyColumns(t *testing.T) {
	got := table([]string{"a", "none", "b"}, [][]string{{"µs", "", "1"}, {"four", "", "22"}})
	const want = "| a    | b   |\n| ---- | --- |\n| µs   | 1   |\n| four | 22  |\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := table([]string{"a"}, nil); !strings.Contains(got, "Nothing") {
		t.Errorf("an empty table says %q", got)
	}
}

func TestRequestsAreWholeHTTP(t *testing.T) {
	got := string(rawRequest("POST", "127.0.0.1:1", "/x?y=z", []byte(`{}`), "A: b"))
	const want = "POST /x?y=z HTTP/1.1\r\nHost: 127.0.0.1:1\r\nA: b\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	if got != want {
		t.Errorf("got %q", got)
	}
}

func TestWhatOthersPrintIsRead(t *testing.T) {
	at, err := ktCensusTime("keyturn census v1\norigin x\ntime 1700000000123\nepoch 1\n")
	if err != nil || at.UnixMilli() != 1700000000123 {
		t.Errorf("census of %v, %v", at, err)
	}
	for _, text := range []string{"", "time \n", "time soon\n", "keyturn census v1\n"} {
		if _, err := ktCensusTime(text); err == nil {
			t.Errorf("%q has a time", text)
		}
	}
	const out = "goos: linux\nBenchmarkAB-2\t1\t7 ns/op\nBenchmarkA-2   \t       3\t1500000000 ns/op\t 5 B/op\nPASS\n"
	if took, err := perOperation([]byte(out), "BenchmarkA"); err != nil || took != 1500*time.Millisecond {
		t.Errorf("BenchmarkA took %v, %v", took, err)
	}
	if _, err := perOperation([]byte(out), "BenchmarkB"); err == nil {
		t.Error("a benchmark that did not run has a time")
	}
	if got, err := databaseAt("postgres://a:b@h:1/postgres?sslmode=disable", "x"); err != nil || got != "postgres://a:b@h:1/x?sslmode=disable" {
		t.Errorf("database at %q, %v", got, err)
	}
	if _, err := databaseAt("host=h dbname=postgres", "x"); err == nil {
		t.Error("a list of pairs was taken for a URL")
	}
}

func TestOnlyWhatIsChosenIsMeasured(t *testing.T) {
	b := &bench{choice: choice{only: regexp.MustCompile("^nothing")}, progress: io.Discard}
	if err := b.all(t.Context()); err != nil || len(b.started) != 0 || !b.report.empty() {
		t.Errorf("started %d, %+v, %v", len(b.started), b.report, err)
	}
}
