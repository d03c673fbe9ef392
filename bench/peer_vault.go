package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/keyturn/keyturn/bench/measure"
)

// vaultServer is bench/vaultpeer: the core of Vault 1.14.0 with in-memory
// storage and a file audit device. Its audit file is never synced and its
// writes are not durable, which is in its favour.
type vaultServer struct {
	tools tools
	dir   string
	proc  *process
	ready struct {
		Address        string `json:"address"`
		RootToken      string `json:"root_token"`
		DefaultToken   string `json:"default_token"`
		NoDefaultToken string `json:"no_default_token"`
	}
}

func (v *vaultServer) start(ctx context.Context) error {
	var err error
	v.proc, err = startServer(ctx, v.dir, nil, v.tools.vault, "-audit", v.auditFile())
	if err != nil {
		return err
	}
	return v.proc.firstLine(ctx, &v.ready)
}

func (v *vaultServer) auditFile() string { return filepath.Join(v.dir, "audit") }

// vaultPeer is that server seen with one of its two tokens. Both share one
// process, which the peer with owner set starts, fills and stops.
type vaultPeer struct {
	*vaultServer
	owner         bool
	defaultPolicy bool
}

// Name tells which token reads: the templated default policy is Vault's slow
// path, so both must be quoted.
func (p vaultPeer) Name() string {
	if p.defaultPolicy {
		return "vault, default policy"
	}
	return "vault, no default policy"
}

func (p vaultPeer) PID() int        { return p.proc.pid() }
func (p vaultPeer) Address() string { return strings.TrimPrefix(p.ready.Address, "http://") }

func (p vaultPeer) Start(ctx context.Context) error {
	if !p.owner {
		return nil
	}
	return p.start(ctx)
}

func (p vaultPeer) Stop() error {
	if !p.owner {
		return nil
	}
	return p.proc.stop()
}

func (p vaultPeer) Seed(ctx context.Context, n int) error {
	if !p.owner {
		return nil
	}
	requests := make([][]byte, n)
	for i := range requests {
		requests[i] = p.WriteRequest(i, 0)
	}
	return sendAll(ctx, p.Address(), requests)
}

func (p vaultPeer) ReadRequest(i int) []byte {
	return rawRequest("GET", p.Address(), "/v1/secret/data/"+measure.Name(i), nil, p.auth())
}

// ListRequests reads one by one: Vault's LIST gives names without values.
func (p vaultPeer) ListRequests() [][]byte {
	out := make([][]byte, listSize)
	for i := range out {
		out[i] = p.ReadRequest(i)
	}
	return out
}

func (p vaultPeer) WriteRequest(i, generation int) []byte {
	body, err := json.Marshal(map[string]any{"data": map[string]string{"value": measure.Value(i, generation)}})
	if err != nil {
		panic(fmt.Sprintf("encode a map of strings: %v", err))
	}
	return rawRequest("POST", p.Address(), "/v1/secret/data/"+measure.Name(i), body, p.auth())
}

func (p vaultPeer) auth() string {
	if p.defaultPolicy {
		return "X-Vault-Token: " + p.ready.DefaultToken
	}
	return "X-Vault-Token: " + p.ready.NoDefaultToken
}
