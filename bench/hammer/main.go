// Command hammer is the benchmark's load generator: HTTP/1.1 over kept-alive
// connections in a closed loop, or at a rate.
//
// It sends bytes that were built beforehand and parses just enough of the
// answers to tell where they end, because the client of net/http costs more
// than the server under test. It prints one JSON line (measure.Result).
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/keyturn/keyturn/bench/measure"
)

func main() {
	var l Load
	flag.StringVar(&l.Address, "address", "", "host:port of the server")
	requests := flag.String("requests", "", "file of prebuilt requests (measure.WriteRequests)")
	expected := flag.String("expected", "", "file of what the answer to each request must hold, in the same form")
	flag.Float64Var(&l.Rate, "rate", 0, "operations a second over all connections; 0 = as many as may be")
	flag.IntVar(&l.Connections, "connections", 16, "connections, each with one request under way")
	flag.IntVar(&l.Batch, "batch", 1, "requests that count as one operation")
	flag.DurationVar(&l.WarmUp, "warmup", 500*time.Millisecond, "load before the measured span")
	flag.DurationVar(&l.Span, "for", 3*time.Second, "measured span")
	flag.IntVar(&l.PID, "pid", 0, "server process to take CPU time of")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, l, *requests, *expected); err != nil {
		fmt.Fprintln(os.Stderr, "hammer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, l Load, requests, expected string) error {
	if l.Connections < 1 || l.Batch < 1 || l.Span <= 0 || l.Rate < 0 {
		return fmt.Errorf("connections, batch and span must be positive, and the rate not below zero")
	}
	var err error
	if l.Requests, err = readFile(requests); err != nil {
		return err
	}
	if expected != "" {
		if l.Expected, err = readFile(expected); err != nil {
			return err
		}
		if len(l.Expected) != len(l.Requests) {
			return fmt.Errorf("%d requests but %d expected answers", len(l.Requests), len(l.Expected))
		}
	}
	result, err := l.Run(ctx)
	if err != nil {
		return err
	}
	fmt.Println(result)
	return nil
}

func readFile(path string) ([][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out, err := measure.ReadRequests(bufio.NewReader(f))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}
