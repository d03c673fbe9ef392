// Command hammer is the benchmark's load generator: HTTP/1.1 over kept-alive
// connections in a closed loop.
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
	flag.IntVar(&l.Connections, "connections", 16, "connections, each with one request under way")
	flag.IntVar(&l.Batch, "batch", 1, "requests that count as one operation")
	flag.DurationVar(&l.WarmUp, "warmup", 500*time.Millisecond, "load before the measured span")
	flag.DurationVar(&l.Span, "for", 3*time.Second, "measured span")
	flag.IntVar(&l.PID, "pid", 0, "server process to take CPU time of")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, l, *requests); err != nil {
		fmt.Fprintln(os.Stderr, "hammer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, l Load, requests string) error {
	if l.Connections < 1 || l.Batch < 1 || l.Span <= 0 {
		return fmt.Errorf("connections, batch and span must be positive")
	}
	f, err := os.Open(requests)
	if err != nil {
		return err
	}
	l.Requests, err = measure.ReadRequests(bufio.NewReader(f))
	f.Close()
	if err != nil {
		return fmt.Errorf("%s: %w", requests, err)
	}
	result, err := l.Run(ctx)
	if err != nil {
		return err
	}
	fmt.Println(result)
	return nil
}
