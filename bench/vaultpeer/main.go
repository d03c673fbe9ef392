// Command vaultpeer runs the core of HashiCorp Vault 1.14.0 as a peer for
// benchmarks and tests: in-memory storage, KV v2 at secret/, AppRole, and,
// when asked, a file audit device. With -empty it sets up nothing and serves
// as it is: tests of the Vault dialect compare themselves with it.
//
// It lives in a module of its own so that Vault and what Vault needs never
// reach Keyturn's module. Version 1.14.0 is the newest one under MPL-2.0 that
// the benchmark may use; later ones carry the Business Source License.
//
// On start it prints one JSON line (see Ready) and then serves until it is
// interrupted.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/vault"
)

// readHeaderTimeout bounds a client that never finishes its request head; it
// is the value that Vault's own listener uses.
const readHeaderTimeout = 10 * time.Second

// Ready is the one line that the program prints when it can be used.
type Ready struct {
	Address        string `json:"address"`          // http://127.0.0.1:PORT
	RootToken      string `json:"root_token"`       // all rights, no expiry
	DefaultToken   string `json:"default_token"`    // policies: bench and Vault's own templated "default"
	NoDefaultToken string `json:"no_default_token"` // policies: bench alone
	AuditFile      string `json:"audit_file"`       // empty when no audit device is on
	UnsealKey      string `json:"unseal_key"`       // hex, the only share
	RoleID         string `json:"role_id"`          // AppRole "bench"
	SecretID       string `json:"secret_id"`
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	audit := flag.String("audit", "", "file for the audit device; empty means no audit device")
	empty := flag.Bool("empty", false, "set up nothing: unsealed, no mount, no role")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *listen, *audit, *empty); err != nil {
		fmt.Fprintln(os.Stderr, "vaultpeer:", err)
		os.Exit(1)
	}
}

// serve starts the core, sets it up over its own HTTP interface, prints the
// Ready line and blocks until ctx ends.
func serve(ctx context.Context, listen, auditFile string, empty bool) error {
	core, keys, root, err := newCore(ctx, hclog.NewNullLogger())
	if err != nil {
		return err
	}
	lis, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", listen, err)
	}
	handler := vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core})
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: readHeaderTimeout}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(lis) }()

	ready := Ready{
		Address:   "http://" + lis.Addr().String(),
		RootToken: root,
		AuditFile: auditFile,
		UnsealKey: fmt.Sprintf("%x", keys[0]),
	}
	if !empty {
		if err := setUp(ctx, &ready); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	if err := srv.Close(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
