// Command vaultcore serves the core of HashiCorp Vault 1.14.0 on loopback, for tests: in-memory storage, unsealed, with the
// engine kv and the logins approle and userpass. What our Vault dialect answers is compared with it.
//
// It is a module of its own, so that nothing of Vault enters Keyturn's. Version 1.14.0 is the newest one under MPL-2.0; later
// ones carry the Business Source License.
//
// It prints its address and the root token as one line and serves until its standard input ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/credential/userpass"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

var (
	engines = map[string]logical.Factory{"kv": kv.Factory}
	logins  = map[string]logical.Factory{"approle": approle.Factory, "userpass": userpass.Factory}
)

// registry knows the engines that are built in.
type registry struct{}

func (registry) of(kind consts.PluginType) map[string]logical.Factory {
	if kind == consts.PluginTypeCredential {
		return logins
	}
	if kind == consts.PluginTypeSecrets {
		return engines
	}
	return nil
}

func (r registry) Contains(name string, kind consts.PluginType) bool {
	_, ok := r.of(kind)[name]
	return ok
}

func (r registry) Get(name string, kind consts.PluginType) (func() (interface{}, error), bool) {
	f, ok := r.of(kind)[name]
	return func() (interface{}, error) { return f, nil }, ok
}

func (r registry) Keys(kind consts.PluginType) []string {
	var out []string
	for name := range r.of(kind) {
		out = append(out, name)
	}
	return out
}

func (registry) DeprecationStatus(string, consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, true
}

func main() {
	if err := serve(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "vaultcore:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) error {
	logger := hclog.NewNullLogger()
	storage, err := inmem.NewInmem(nil, logger)
	if err != nil {
		return err
	}
	core, err := vault.NewCore(&vault.CoreConfig{Physical: storage, DisableMlock: true, Logger: logger, LogicalBackends: engines, CredentialBackends: logins,
		BuiltinRegistry: registry{}, DefaultLeaseTTL: 768 * time.Hour, MaxLeaseTTL: 768 * time.Hour})
	if err != nil {
		return err
	}
	made, err := core.Initialize(ctx, &vault.InitParams{BarrierConfig: &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}, RecoveryConfig: &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}})
	if err != nil {
		return err
	}
	for _, share := range made.SecretShares {
		if _, err := core.Unseal(share); err != nil {
			return err
		}
	}
	if core.Sealed() {
		return errors.New("still sealed")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr(), made.RootToken)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	server := &http.Server{Handler: vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core}), ReadHeaderTimeout: time.Minute}
	return server.Serve(listener)
}
