// Command floor is the least that a secrets server can do, as the benchmark's
// lower bound. It is not a product: one token, no rules, no versions.
//
//	floor serve   bare net/http handler: digest the token, look it up, open an
//	              AES-256-GCM value, append a synced audit line, answer JSON
//	floor write   durable writes in SQL by hand, one transaction each
//	floor bulk    one bulk insert in SQL by hand
//	floor reseal  opens, seals and updates the rows of a copy of Keyturn's
//	              database, in large transactions
//
// serve prints one JSON line with its address and token and then serves; the
// others print one JSON line of figures (measure.Result).
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "serve":
			return serve(ctx, args[1:])
		case "write":
			return write(ctx, args[1:])
		case "bulk":
			return bulk(ctx, args[1:])
		case "reseal":
			return reseal(ctx, args[1:])
		}
	}
	return fmt.Errorf("usage: floor serve|write|bulk|reseal [flags]")
}
