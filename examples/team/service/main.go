// Command service is a small HTTP service as a team would write it: it reads its connection strings from the environment and
// knows nothing of Keyturn. Start it with its secrets:
//
//	keyturn run --env prod --path /backend --only DATABASE_URL,REDIS_URL -- service
//
// It listens on 127.0.0.1 at the port in PORT (8080; 0 for any free one) and answers GET /ready with what is configured,
// without passwords.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Bounds of the service. Its requests have no body and its answers a few hundred bytes.
const (
	readTimeout  = 5 * time.Second
	stopPatience = 5 * time.Second
	maxHeader    = 8 << 10
	defaultPort  = "8080"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, os.Getenv, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
}

// serve listens until ctx ends, then lets running requests finish.
func serve(ctx context.Context, getenv func(string) string, log io.Writer) error {
	port := getenv("PORT")
	if port == "" {
		port = defaultPort
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /ready", ready(backends(getenv)))
	server := &http.Server{Handler: mux, ReadTimeout: readTimeout, MaxHeaderBytes: maxHeader}
	fmt.Fprintf(log, "service: listening on http://%s/ready\n", listener.Addr())

	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	// The signal has ended ctx; what still runs gets a time of its own.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	err = server.Shutdown(last)
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
