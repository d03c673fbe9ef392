package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	auditlog "github.com/hashicorp/vault/audit"
	auditfile "github.com/hashicorp/vault/builtin/audit/file"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/credential/userpass"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

// newCore makes an initialised and unsealed core over in-memory storage, and
// returns it with its unseal keys and root token.
//
// In-memory storage flatters Vault: a read never touches a disk, and a write
// is not durable.
func newCore(ctx context.Context, log hclog.Logger) (*vault.Core, [][]byte, string, error) {
	phys, err := inmem.NewInmem(nil, log)
	if err != nil {
		return nil, nil, "", fmt.Errorf("in-memory storage: %w", err)
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:           phys,
		StorageType:        "inmem",
		DisableMlock:       true,
		Logger:             log,
		LogicalBackends:    map[string]logical.Factory{"kv": kv.Factory},
		CredentialBackends: map[string]logical.Factory{"approle": approle.Factory, "userpass": userpass.Factory},
		AuditBackends:      map[string]auditlog.Factory{"file": auditfile.Factory},
		BuiltinRegistry:    registry{},
	})
	if err != nil {
		return nil, nil, "", fmt.Errorf("new core: %w", err)
	}
	one := func() *vault.SealConfig {
		return &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}
	}
	made, err := core.Initialize(ctx, &vault.InitParams{BarrierConfig: one(), RecoveryConfig: one()})
	if err != nil {
		return nil, nil, "", fmt.Errorf("initialise: %w", err)
	}
	for _, share := range made.SecretShares {
		if _, err := core.Unseal(share); err != nil {
			return nil, nil, "", fmt.Errorf("unseal: %w", err)
		}
	}
	if core.Sealed() {
		return nil, nil, "", fmt.Errorf("core is still sealed after its only key share")
	}
	return core, made.SecretShares, made.RootToken, nil
}

// registry answers for the back ends that newCore compiles in. The core
// calls it without a nil check when it lists or mounts plugins.
type registry struct{}

func (registry) factory(name string, kind consts.PluginType) (logical.Factory, bool) {
	switch {
	case name == "kv" && kind == consts.PluginTypeSecrets:
		return kv.Factory, true
	case name == "approle" && kind == consts.PluginTypeCredential:
		return approle.Factory, true
	case name == "userpass" && kind == consts.PluginTypeCredential:
		return userpass.Factory, true
	}
	return nil, false
}

// Contains reports whether the back end is compiled in.
func (r registry) Contains(name string, kind consts.PluginType) bool {
	_, ok := r.factory(name, kind)
	return ok
}

// Get returns the back end's factory.
func (r registry) Get(name string, kind consts.PluginType) (func() (any, error), bool) {
	f, ok := r.factory(name, kind)
	return func() (any, error) { return f, nil }, ok
}

// Keys lists the back ends of one kind.
func (registry) Keys(kind consts.PluginType) []string {
	switch kind {
	case consts.PluginTypeSecrets:
		return []string{"kv"}
	case consts.PluginTypeCredential:
		return []string{"approle", "userpass"}
	}
	return nil
}

// DeprecationStatus says that what is compiled in is supported.
func (r registry) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, r.Contains(name, kind)
}
